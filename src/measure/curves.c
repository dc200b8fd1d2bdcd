/* Measures accuracy under loss, budgets and silence; see curves.h. Files and pictures are curves_files.c's.
 *
 * Each image goes through the device once. What the server would get under each condition is one of a few
 * different maps, which the Remote NN sees once each. */
#include "agilenn/curves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/features.h"
#include "measure/both_ends.h"

enum { MAX_MAPS = 1 + AGN_CURVE_PACKETS * AGN_CURVE_LOSSES + AGN_CURVE_BUDGETS };

static const double losses[AGN_CURVE_LOSSES] = {0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0};
static const int standard_packets[] = {1152, 512, 256};
static const double report_every_s = 0.25;

/* One image's figures for the share curve. */
struct sureness {
    int margin;
    bool local_right, fused_right, fused;
    size_t bytes;
    double packets;
};

struct bench {
    const struct agn_curves_config *config;
    struct agn_curves *curves;
    struct agn__ends ends;
    struct agn__frame_packets packets;
    uint8_t *maps; /* MAX_MAPS different maps of the image at hand */
    struct agn__outcome outcomes[MAX_MAPS];
    int map_count, label, local_class, rounds;
    /* Which map, or -1 for none, each condition gives. */
    int loss_map[AGN_CURVE_PACKETS][AGN_CURVE_LOSSES], budget_map[AGN_CURVE_BUDGETS], whole_map;
    bool reply_lost[AGN_CURVE_PACKETS][AGN_CURVE_LOSSES];
    uint32_t budgets[AGN_CURVE_BUDGETS];
    struct sureness *sureness;
    double begin_s, last_report_s;
};

/* ---- packets ------------------------------------------------------------------------ */

static int collect(struct bench *b, size_t cap, uint32_t budget)
{
    return agn__ends_collect(&b->ends, cap, budget, &b->packets);
}

/* ---- maps ----------------------------------------------------------------------------- */

/* Number of the map that stands behind the known ones, or of its equal among them; -1: nothing came. */
static int keep_map(struct bench *b)
{
    const uint8_t *made = b->maps + (size_t)b->map_count * b->ends.map_bytes;
    bool empty = true;
    for (size_t i = 0; i < b->ends.map_bytes && empty; i++)
        empty = made[i] == AGN_SYMBOL_ABSENT;
    if (empty)
        return -1;
    for (int i = 0; i < b->map_count; i++)
        if (memcmp(b->maps + (size_t)i * b->ends.map_bytes, made, b->ends.map_bytes) == 0)
            return i;
    return b->map_count++;
}

static int map_of_all(struct bench *b)
{
    memcpy(b->maps + (size_t)b->map_count * b->ends.map_bytes, b->packets.map, b->ends.map_bytes);
    return keep_map(b);
}

static int map_of_arrived(struct bench *b, const bool arrived[AGN__MAX_PACKETS])
{
    const struct agn__frame_packets *p = &b->packets;
    uint8_t *map = b->maps + (size_t)b->map_count * b->ends.map_bytes;
    memset(map, AGN_SYMBOL_ABSENT, b->ends.map_bytes);
    for (int i = 0; i < p->count; i++)
        if (arrived[i])
            memcpy(map + p->runs[i].start, p->map + p->runs[i].start, p->runs[i].count);
    return keep_map(b);
}

static double share_arrived(const struct bench *b, int map)
{
    size_t came = 0;
    for (size_t i = 0; map >= 0 && i < b->ends.map_bytes; i++)
        came += b->maps[(size_t)map * b->ends.map_bytes + i] != AGN_SYMBOL_ABSENT;
    return (double)came / (double)b->ends.map_bytes;
}

/* ---- conditions -------------------------------------------------------------------------- */

static void add_sent(const struct bench *b, int rounds, struct agn_curve_point *point)
{
    point->bytes += (double)b->packets.bytes * rounds;
    point->packets += b->packets.count * rounds;
}

/* What fate has in store for a frame: lost are draws below the loss. */
struct fate {
    double packets[AGN_CURVE_ROUNDS][AGN__MAX_PACKETS], replies[AGN_CURVE_ROUNDS];
};

static void draw_fate(const struct bench *b, struct agn_rng *rng, struct fate *fate)
{
    for (int r = 0; r < b->rounds; r++) {
        fate->replies[r] = agn_rng_uniform(rng);
        for (int i = 0; i < b->packets.count; i++)
            fate->packets[r][i] = agn_rng_uniform(rng);
    }
}

/* Sends round after round until all is there. Whole frames are answered at once, and again in each further
 * round; parts after the last one. */
static void send_rounds(struct bench *b, int size, int l, const struct fate *fate)
{
    bool arrived[AGN__MAX_PACKETS] = {false}, whole = false, heard = false;
    int sent = 0;
    for (int r = 0; r < b->rounds; r++) {
        sent += !whole;
        whole = true;
        for (int i = 0; i < b->packets.count; i++) {
            arrived[i] = arrived[i] || fate->packets[r][i] >= losses[l];
            whole = whole && arrived[i];
        }
        heard = heard || ((whole || r == b->rounds - 1) && fate->replies[r] >= losses[l]);
    }
    b->loss_map[size][l] = map_of_arrived(b, arrived);
    b->reply_lost[size][l] = !heard;
    add_sent(b, sent, &b->curves->loss[size][l]);
}

static int lose_packets(struct bench *b, int size, struct agn_rng *rng)
{
    struct fate fate = {0};
    int status = collect(b, (size_t)b->curves->packet_bytes[size], AGN_DEV_NO_BUDGET);
    if (status < 0)
        return status;
    draw_fate(b, rng, &fate);
    for (int l = 0; l < (b->config->whole_only ? 1 : AGN_CURVE_LOSSES); l++)
        send_rounds(b, size, l, &fate);
    if (size == 0)
        b->whole_map = b->loss_map[0][0];
    return AGN_OK;
}

static int cut_budgets(struct bench *b)
{
    for (int i = 0; i < AGN_CURVE_BUDGETS; i++) {
        int status = collect(b, (size_t)b->curves->packet_bytes[0], b->budgets[i]);
        if (status < 0)
            return status;
        b->budget_map[i] = map_of_all(b);
        add_sent(b, 1, &b->curves->budget[i]);
    }
    return AGN_OK;
}

/* ---- sums --------------------------------------------------------------------------------------- */

static void add_outcome(const struct bench *b, int map, bool reply_lost, struct agn_curve_point *point)
{
    const struct agn__outcome none = {.device_class = b->local_class, .any_class = b->local_class};
    const struct agn__outcome *outcome = map < 0 ? &none : &b->outcomes[map];
    point->accuracy += outcome->device_class == b->label;
    point->any_accuracy += outcome->any_class == b->label;
    point->both_accuracy += (reply_lost ? b->local_class : outcome->device_class) == b->label;
    point->fused += outcome->fused;
    point->arrived += share_arrived(b, map);
}

/* Each map counts once an image, however many losses lead to it. */
static void add_parts(struct bench *b)
{
    bool seen[MAX_MAPS] = {false};
    for (int s = 0; s < b->curves->packet_sizes; s++) {
        for (int l = 0; l < AGN_CURVE_LOSSES; l++) {
            int map = b->loss_map[s][l];
            if (map < 0 || seen[map])
                continue;
            seen[map] = true;
            int part = (10 * b->outcomes[map].missing + b->ends.shape.channels - 1) / b->ends.shape.channels;
            struct agn_curve_part *to = &b->curves->parts[part];
            to->answers++;
            to->any_accuracy += b->outcomes[map].any_class == b->label;
            to->fused_accuracy += b->outcomes[map].device_class == b->label;
            to->local_accuracy += b->local_class == b->label;
        }
    }
}

static void note_frame(const struct bench *b, const struct sureness *sure, struct agn_curve_frame *frame)
{
    const int16_t *logits = agn_dev_local(&b->ends.device.dev);
    *frame = (struct agn_curve_frame){.label = b->label,
                                      .local_class = b->local_class,
                                      .second_class = -1,
                                      .fused_class = b->outcomes[b->whole_map].device_class,
                                      .margin = sure->margin,
                                      .bytes = (int)sure->bytes,
                                      .packets = (int)sure->packets};
    for (int c = 0; c < b->ends.device.dev.model.classes; c++)
        if (c != b->local_class && (frame->second_class < 0 || logits[c] > logits[frame->second_class]))
            frame->second_class = c;
}

static void add_image(struct bench *b, int image)
{
    struct agn_curves *c = b->curves;
    struct sureness *sure = &b->sureness[image];
    for (int s = 0; s < c->packet_sizes; s++)
        for (int l = 0; l < AGN_CURVE_LOSSES; l++)
            add_outcome(b, b->loss_map[s][l], b->reply_lost[s][l], &c->loss[s][l]);
    for (int i = 0; i < AGN_CURVE_BUDGETS; i++)
        add_outcome(b, b->budget_map[i], false, &c->budget[i]);
    add_parts(b);
    sure->margin = agn_dev_margin(&b->ends.device.dev);
    sure->local_right = b->local_class == b->label;
    sure->fused_right = b->outcomes[b->whole_map].device_class == b->label;
    sure->fused = b->outcomes[b->whole_map].fused;
    if (b->config->frames != NULL)
        note_frame(b, sure, &b->config->frames[image]);
    c->local_accuracy += sure->local_right;
    c->fused_accuracy += sure->fused_right;
}

static int measure_image(struct bench *b, int image)
{
    const struct agn_dataset *data = b->config->data;
    size_t pixels = (size_t)data->height * (size_t)data->width * (size_t)data->channels;
    struct agn_rng rng;
    agn_rng_seed(&rng, b->config->seed + (uint64_t)image * UINT64_C(0x9e3779b97f4a7c15));
    b->map_count = 0;
    b->label = data->labels[image];
    int status = agn_hosted_image(&b->ends.device, data->pixels + (size_t)image * pixels, (uint16_t)image, 0);
    if (status < 0)
        return status;
    b->local_class = status;
    status = AGN_OK;
    for (int s = 0; s < b->curves->packet_sizes && status == AGN_OK; s++) {
        status = lose_packets(b, s, &rng);
        if (s == 0) {
            b->sureness[image].bytes = b->packets.bytes;
            b->sureness[image].packets = b->packets.count;
        }
    }
    if (status == AGN_OK && !b->config->whole_only)
        status = cut_budgets(b);
    if (status == AGN_OK)
        status = agn__ends_answer(&b->ends, b->maps, b->map_count, b->outcomes);
    if (status == AGN_OK)
        add_image(b, image);
    return status;
}

/* ---- the share of frames sent ---------------------------------------------------------------------- */

static int surest_first(const void *a, const void *b)
{
    int x = ((const struct sureness *)a)->margin, y = ((const struct sureness *)b)->margin;
    return (x < y) - (x > y);
}

static void divide(struct agn_curve_point *point, double images)
{
    point->accuracy /= images;
    point->any_accuracy /= images;
    point->both_accuracy /= images;
    point->fused /= images;
    point->bytes /= images;
    point->packets /= images;
    point->arrived /= images;
}

/* What comes of a threshold. Images of equal margin go together. */
static struct agn_curve_point point_of_threshold(const struct bench *b, int threshold)
{
    struct agn_curve_point point = {0};
    int images = b->curves->images, sent = 0;
    for (int n = 0; n < images; n++) {
        const struct sureness *sure = &b->sureness[n];
        bool stays = threshold > 0 && sure->margin >= threshold;
        point.accuracy += stays ? sure->local_right : sure->fused_right;
        point.bytes += stays ? 0.0 : (double)sure->bytes;
        point.packets += stays ? 0.0 : sure->packets;
        point.fused += !stays && sure->fused;
        sent += !stays;
    }
    point.x = (double)sent / images;
    point.arrived = sent;
    point.any_accuracy = point.both_accuracy = point.accuracy;
    divide(&point, images);
    return point;
}

static void fill_shares(struct bench *b)
{
    struct agn_curves *c = b->curves;
    qsort(b->sureness, (size_t)c->images, sizeof *b->sureness, surest_first);
    for (int i = 0; i < AGN_CURVE_SHARES; i++) {
        int unsent = (int)lround((double)c->images * i / (AGN_CURVE_SHARES - 1));
        int threshold = unsent > 0 ? b->sureness[unsent - 1].margin : 0;
        threshold = unsent > 0 && threshold < 1 ? 1 : threshold > INT16_MAX ? INT16_MAX : threshold;
        c->threshold[i] = threshold;
        c->share[i] = point_of_threshold(b, threshold);
    }
    c->sure_margin = b->ends.device.dev.model.sure_margin;
    c->sure = point_of_threshold(b, c->sure_margin);
}

/* ---- all of it ---------------------------------------------------------------------------------------- */

static void finish(struct bench *b)
{
    struct agn_curves *c = b->curves;
    fill_shares(b);
    for (int i = 0; i < AGN_CURVE_BUDGETS; i++)
        divide(&c->budget[i], c->images);
    for (int s = 0; s < c->packet_sizes; s++)
        for (int l = 0; l < AGN_CURVE_LOSSES; l++) {
            divide(&c->loss[s][l], c->images);
            c->loss[s][l].x = losses[l];
        }
    for (int i = 0; i < AGN_CURVE_PARTS; i++) {
        c->parts[i].any_accuracy /= c->parts[i].answers;
        c->parts[i].fused_accuracy /= c->parts[i].answers;
        c->parts[i].local_accuracy /= c->parts[i].answers;
    }
    c->local_accuracy /= c->images;
    c->fused_accuracy /= c->images;
}

static int open_ends(struct bench *b)
{
    const struct agn__ends_config config = {.model = b->config->model,
                                            .device = b->config->device,
                                            .device_bytes = b->config->device_bytes,
                                            .protocol = b->config->protocol,
                                            .extra_bytes = b->config->extra_bytes,
                                            .max_maps = MAX_MAPS};
    struct agn_dev_memory memory;
    int status = agn__ends_open(&b->ends, &config);
    if (status < 0)
        return status;
    agn_dev_memory(&b->ends.device.dev.model, &memory);
    b->curves->raw_bytes = memory.raw_bytes;
    b->curves->sent_channels = b->ends.shape.channels;
    return AGN_OK;
}

static int allocate(struct bench *b)
{
    b->packets.map = agn_alloc(b->ends.map_bytes, 1);
    b->maps = agn_alloc(MAX_MAPS + 1, b->ends.map_bytes);
    b->sureness = agn_alloc((size_t)b->curves->images, sizeof *b->sureness);
    bool complete = b->packets.map && b->maps && b->sureness;
    return complete ? AGN_OK : AGN_ERR_MEMORY;
}

/* Steps up to the largest frame among some of the images; the last step has no limit. */
static int choose_budgets(struct bench *b)
{
    const struct agn_dataset *data = b->config->data;
    size_t pixels = (size_t)data->height * (size_t)data->width * (size_t)data->channels, largest = 0;
    int step = data->count / 256 + 1;
    for (int i = 0; i < data->count; i += step) {
        int status = agn_hosted_image(&b->ends.device, data->pixels + (size_t)i * pixels, 0, 0);
        if (status >= 0)
            status = collect(b, (size_t)b->curves->packet_bytes[0], AGN_DEV_NO_BUDGET);
        if (status < 0)
            return status;
        largest = b->packets.bytes > largest ? b->packets.bytes : largest;
    }
    for (int i = 0; i < AGN_CURVE_BUDGETS; i++) {
        size_t budget = (largest * (size_t)i + AGN_CURVE_BUDGETS - 2) / (AGN_CURVE_BUDGETS - 1);
        b->curves->budget[i].x = (double)budget;
        b->budgets[i] = i == AGN_CURVE_BUDGETS - 1 ? AGN_DEV_NO_BUDGET : (uint32_t)budget;
    }
    return AGN_OK;
}

static int set_packet_sizes(const struct agn_curves_config *config, struct agn_curves *curves)
{
    int count = 0;
    while (count < AGN_CURVE_PACKETS && config->packet_bytes[count] > 0) {
        curves->packet_bytes[count] = config->packet_bytes[count];
        if (config->packet_bytes[count] > AGN_WIRE_MAX_PACKET)
            return agn_fail(AGN_ERR_RANGE, "packets of %d bytes, expected at most %d",
                            config->packet_bytes[count], (int)AGN_WIRE_MAX_PACKET);
        count++;
    }
    if (config->rounds < 0 || config->rounds > AGN_CURVE_ROUNDS)
        return agn_fail(AGN_ERR_RANGE, "%d rounds, expected 1 to %d", config->rounds, (int)AGN_CURVE_ROUNDS);
    if (count == 0) {
        count = (int)AGN_COUNT_OF(standard_packets);
        memcpy(curves->packet_bytes, standard_packets, sizeof standard_packets);
    }
    curves->packet_sizes = count;
    return AGN_OK;
}

static void show_progress(struct bench *b, int done)
{
    double now = agn_now_s();
    bool last = done == b->curves->images;
    if (b->config->progress == NULL || (!last && now - b->last_report_s < report_every_s))
        return;
    b->last_report_s = now;
    double rate = (double)done / fmax(now - b->begin_s, 1e-9);
    double accuracy = b->curves->fused_accuracy / (double)done;
    struct agn_progress progress = {.phase = "curves",
                                    .done = done,
                                    .total = b->curves->images,
                                    .rate = rate,
                                    .eta_s = (double)(b->curves->images - done) / rate,
                                    .item = "img",
                                    .figures = {{.key = "acc", .kind = AGN_FIGURE_SHARE, .value = accuracy}},
                                    .epoch_end = last};
    b->config->progress(b->config->progress_user, &progress);
}

static int measure(struct bench *b)
{
    int status = agn_model_check_data(b->config->model, b->config->data);
    if (status == AGN_OK)
        status = set_packet_sizes(b->config, b->curves);
    if (status == AGN_OK)
        status = open_ends(b);
    if (status == AGN_OK)
        status = allocate(b);
    if (status == AGN_OK && !b->config->whole_only)
        status = choose_budgets(b);
    b->begin_s = agn_now_s();
    for (int i = 0; i < b->curves->images && status == AGN_OK; i++) {
        status = agn_interrupt_requested()
                     ? agn_fail(AGN_ERR_INTERRUPTED, "the curves were interrupted after %d images", i)
                     : measure_image(b, i);
        show_progress(b, i + 1);
    }
    return status;
}

int agn_curves_measure(const struct agn_curves_config *config, struct agn_curves *result)
{
    struct agn_curves curves = {.images = config->data->count};
    struct bench *b = agn_alloc(1, sizeof *b);
    if (b == NULL)
        return AGN_ERR_MEMORY;
    b->config = config;
    b->rounds = config->rounds > 0 ? config->rounds : 1;
    b->curves = &curves;
    int status = agn_model_need(config->model, AGN_LOCAL);
    if (status == AGN_OK)
        status = agn_model_need(config->model, AGN_REMOTE);
    if (status == AGN_OK)
        status = agn_model_need_symbols(config->model);
    if (status == AGN_OK)
        status = measure(b);
    if (status == AGN_OK) {
        finish(b);
        *result = curves;
    }
    agn__ends_close(&b->ends);
    agn_free(b->packets.map);
    agn_free(b->maps);
    agn_free(b->sureness);
    agn_free(b);
    return status;
}
