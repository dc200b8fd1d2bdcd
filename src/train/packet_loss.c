/* Losing packets in joint training: the Remote NN learns to answer from what arrives.
 *
 * A packet carries a range of channels, so what a lossy link leaves of a frame is some ranges. Each image's
 * sent channels are cut into 2 to 8 packets at random places, each of which is lost with the chance
 * joint.packet_loss. What is lost becomes the channel's fill, as on the server: a moving mean of its
 * quantised values. One packet always arrives: a device that gets no answer decides alone. Draws depend on
 * seed, step and the image's place in the whole batch only.
 *
 * With the chance joint.tail_drop an image's last channels are lost instead, all behind a random one (tail
 * drop, Koike-Akino and Wang 2020; nested dropout, Rippel et al. 2014), so that a prefix is of use. */
#include <string.h>

#include "train/joint.h"

enum { LEAST_PACKETS = 2, MOST_PACKETS = 8 };
static const double fill_rate = 0.02;

/* One image's losses; at least one channel comes. */
static void draw_image(const struct agn__joint *j, int image, uint8_t *lost)
{
    const uint64_t spread = 0x9E3779B97F4A7C15U, stream = 0x7061636B65747321U; /* apart from other draws */
    const struct agn_preset *preset = &j->model->preset;
    int channels = j->model->sent_channels;
    uint64_t number = (uint64_t)j->trainer->state.step * (uint64_t)j->whole + (uint64_t)image;
    struct agn_rng rng;
    agn_rng_seed(&rng, (((uint64_t)preset->train.seed * spread) ^ number) + stream);
    if (preset->joint.tail_drop > 0.0 && agn_rng_uniform(&rng) < preset->joint.tail_drop) {
        int come = 1 + (int)agn_rng_below(&rng, (uint32_t)channels);
        for (int c = 0; c < channels; c++)
            lost[c] = c >= come;
        return;
    }
    do {
        int packets = LEAST_PACKETS + (int)agn_rng_below(&rng, MOST_PACKETS - LEAST_PACKETS + 1);
        agn_lossy_draw_channels(&rng, packets, preset->joint.packet_loss, channels, lost);
    } while (memchr(lost, 0, (size_t)channels) == NULL);
}

/* Counts of the symbols are whole numbers, so that their sums are the same in one process and in several. */
int agn__fill_follow(struct agn_model *model, struct agn_group *group, const uint8_t *symbols,
                     size_t positions, int64_t step)
{
    size_t channels = (size_t)model->sent_channels;
    double counts[AGN_MAX_FEATURES * AGN_LEVELS] = {0};
    double all = (double)positions * agn_group_size(group);
#pragma omp parallel for schedule(static)
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < positions; i++)
            counts[c * AGN_LEVELS + symbols[i * channels + c]] += 1.0;
    int status = agn_group_sum(group, counts, channels * AGN_LEVELS);
    double rate = step == 0 ? 1.0 : fill_rate;
    for (size_t c = 0; c < channels; c++) {
        double sum = 0.0;
        for (int level = 0; level < AGN_LEVELS; level++)
            sum += counts[c * AGN_LEVELS + (size_t)level] * (double)model->centroids[level];
        model->fill[c] += (float)(rate * (sum / all - (double)model->fill[c]));
    }
    return status;
}

int agn__lose_packets(struct agn__joint *j)
{
    const struct agn_model *model = j->model;
    size_t channels = (size_t)model->sent_channels, positions = j->positions / (size_t)j->batch;
    float *values = agn_net_write(j->remote, AGN_BORDER_INPUT);
    int first = agn_group_rank(j->group) * j->batch;
    int status = agn__fill_follow(j->model, j->group, j->symbols, j->positions, j->trainer->state.step);
#pragma omp parallel for schedule(static)
    for (int i = 0; i < j->batch; i++) {
        uint8_t *lost = j->lost + (size_t)i * channels;
        float *image = values + (size_t)i * positions * channels;
        draw_image(j, first + i, lost);
        for (size_t at = 0; at < positions; at++)
            for (size_t c = 0; c < channels; c++)
                image[at * channels + c] = lost[c] ? model->fill[c] : image[at * channels + c];
    }
    return status;
}

void agn__forget_lost(const struct agn__joint *j, float *diff)
{
    size_t channels = (size_t)j->model->sent_channels, positions = j->positions / (size_t)j->batch;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < j->positions; i++) {
        const uint8_t *lost = j->lost + i / positions * channels;
        for (size_t c = 0; c < channels; c++)
            diff[i * channels + c] = lost[c] ? 0.0F : diff[i * channels + c];
    }
}
