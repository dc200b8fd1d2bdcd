/* Runs a model in float on images whose frames arrive in parts: fill stands in for what is lost, as on the
 * server. What is lost, and what comes of it, is the caller's. */
#include <string.h>

#include "agilenn/model.h"

enum { BATCH = 250 };

struct received {
    int came;
    bool leading;
};

/* Puts an image's values among `to`, but for what is lost. */
static struct received receive(const struct agn_runner *r, const struct agn_lossy *lossy, int number,
                               int draw, int place, float *to)
{
    const struct agn_model *model = lossy->model;
    size_t channels = (size_t)model->sent_channels, positions = r->positions / BATCH;
    uint8_t lost[AGN_MAX_FEATURES] = {0};
    struct received received = {.leading = true};
    lossy->draw(lossy->user, number, draw, lost);
    const float *from = r->values + (size_t)place * positions * channels;
    to += (size_t)place * positions * channels;
    for (size_t at = 0; at < positions; at++)
        for (size_t c = 0; c < channels; c++)
            to[at * channels + c] = lost[c] ? model->fill[c] : from[at * channels + c];
    for (size_t c = 0; c < channels; c++) {
        received.leading = received.leading && (lost[c] || received.came == (int)c);
        received.came += !lost[c];
    }
    return received;
}

/* `left`: what is left of the batch's values. */
static int run_batch(struct agn_runner *r, const struct agn_lossy *lossy, const struct agn_batch *batch,
                     int first, float *left)
{
    int status = agn_interrupt_requested() ? agn_fail(AGN_ERR_INTERRUPTED, "evaluation was interrupted")
                                           : agn_runner_extract(r, batch->images);
    if (status == AGN_OK)
        status = agn_runner_run(r, AGN_LOCAL, r->first);
    for (int draw = 0; draw < lossy->draws && status == AGN_OK; draw++) {
        struct received received[BATCH];
        for (int i = 0; i < batch->count; i++)
            received[i] = receive(r, lossy, first + i, draw, i, left);
        status = agn_runner_run(r, AGN_REMOTE, left);
        for (int i = 0; i < batch->count && status == AGN_OK; i++) {
            const struct agn_lossy_image image = {.number = first + i,
                                                  .draw = draw,
                                                  .came = received[i].came,
                                                  .leading = received[i].leading,
                                                  .local = agn_runner_output(r, AGN_LOCAL, i),
                                                  .remote = agn_runner_output(r, AGN_REMOTE, i),
                                                  .label = batch->labels[i]};
            lossy->see(lossy->user, &image);
        }
    }
    return status;
}

int agn_model_run_lossy(const struct agn_lossy *lossy, const struct agn_dataset *data)
{
    const struct agn_loader_config load = {.batch = BATCH,
                                           .shuffle = lossy->shuffle,
                                           .seed = (uint64_t)lossy->model->preset.train.seed,
                                           .normalisation = lossy->model->normalisation};
    struct agn_runner runner = {0};
    struct agn_loader *loader = NULL;
    struct agn_batch batch;
    float *left = NULL;
    int more = 0, done = 0, status = agn_model_need_symbols(lossy->model);
    if (status == AGN_OK)
        status = agn_model_check_data(lossy->model, data);
    if (status == AGN_OK)
        status = agn_runner_open(&runner, lossy->model, BATCH, 1U << AGN_LOCAL | 1U << AGN_REMOTE);
    if (status == AGN_OK) {
        left = agn_alloc(runner.sent, sizeof(float));
        status = left == NULL ? AGN_ERR_MEMORY : agn_loader_create(data, &load, &loader);
    }
    if (status == AGN_OK)
        status = agn_loader_start(loader, 0);
    while (status == AGN_OK && (lossy->images == 0 || done < lossy->images) &&
           (more = agn_loader_next(loader, &batch)) > 0) {
        status = run_batch(&runner, lossy, &batch, done, left);
        done += batch.count;
    }
    agn_loader_free(loader);
    agn_runner_close(&runner);
    agn_free(left);
    return status == AGN_OK && more < 0 ? more : status;
}

/* ---- what is lost --------------------------------------------------------------------------- */

/* The packet of each channel, 0 to packets - 1: ranges with borders drawn without preference. */
static void draw_ranges(struct agn_rng *rng, int packets, int channels, uint8_t *packet_of)
{
    int packet = 0;
    packet_of[0] = 0;
    for (int c = 1; c < channels; c++) {
        int borders_left = packets - 1 - packet, places_left = channels - c;
        packet += agn_rng_below(rng, (uint32_t)places_left) < (uint32_t)borders_left;
        packet_of[c] = (uint8_t)packet;
    }
}

void agn_lossy_draw_channels(struct agn_rng *rng, int packets, double rate, int channels, uint8_t *lost)
{
    uint8_t packet_of[AGN_MAX_FEATURES];
    bool lost_packet[AGN_MAX_FEATURES] = {false};
    packets = packets < channels ? packets : channels;
    draw_ranges(rng, packets, channels, packet_of);
    for (int p = 0; p < packets; p++)
        lost_packet[p] = agn_rng_uniform(rng) < rate;
    for (int c = 0; c < channels; c++)
        lost[c] = lost_packet[packet_of[c]];
}
