/* Measures accuracy under loss, budgets and silence; see curves.h. Files and pictures are curves_files.c's.
 *
 * Each image goes through the device once. What the server would get under each condition is one of a few
 * different maps, which the Remote NN sees once each. */
#include "agilenn/curves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/edge.h"
#include "agilenn/features.h"
#include "agilenn/hosted.h"

enum { MAX_MAPS = 1 + AGN_CURVE_PACKETS * AGN_CURVE_LOSSES + AGN_CURVE_BUDGETS, MAX_PACKETS = 256 };

static const double losses[AGN_CURVE_LOSSES] = {0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0};
static const int standard_packets[] = {1152, 512, 256};
static const double report_every_s = 0.25;

/* A frame's packets and what each brings. */
struct frame_packets {
    int count;
    size_t bytes;
    struct {
        size_t start, count;
    } runs[MAX_PACKETS];
    uint8_t *map; /* all of them together */
};

/* What the device makes of the answer to one map. */
struct outcome {
    int device_class, any_class, missing;
    bool fused;
};

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
    struct agn_remote *remote;
    struct agn_hosted device;
    struct agn_map_shape shape;
    struct agn_context_model contexts;
    size_t map_bytes;
    struct frame_packets packets;
    uint8_t *maps; /* MAX_MAPS different maps of the image at hand */
    float *features, *logits;
    int16_t *fixed;
    struct outcome outcomes[MAX_MAPS];
    int map_count, label, local_class, rounds;
    /* Which map, or -1 for none, each condition gives. */
    int loss_map[AGN_CURVE_PACKETS][AGN_CURVE_LOSSES], budget_map[AGN_CURVE_BUDGETS], whole_map;
    bool reply_lost[AGN_CURVE_PACKETS][AGN_CURVE_LOSSES];
    uint32_t budgets[AGN_CURVE_BUDGETS];
    struct sureness *sureness;
    double begin_s, last_report_s;
};

/* ---- packets ------------------------------------------------------------------------ */

/* Makes and decodes the packets of the frame in the device. */
static int collect(struct bench *b, size_t cap, uint32_t budget)
{
    struct frame_packets *p = &b->packets;
    uint8_t bytes[AGN_WIRE_MAX_PACKET];
    int length = 0;
    p->count = 0;
    p->bytes = 0;
    memset(p->map, AGN_SYMBOL_ABSENT, b->map_bytes);
    agn_dev_set_budget(&b->device.dev, budget, (uint16_t)b->config->extra_bytes);
    int status = agn_dev_packets_again(&b->device.dev);
    while (status == 0 && (length = agn_dev_next_packet(&b->device.dev, bytes, cap)) > 0) {
        struct agn_feature_packet packet;
        status = agn_feature_unpack(bytes, (size_t)length, &packet);
        if (status == 0)
            status = agn_feature_decode(&packet, &b->shape, &b->contexts, p->map);
        if (status == 0) {
            size_t row = (size_t)packet.channel_first * b->shape.height + packet.row_first;
            p->runs[p->count].start = row * b->shape.width;
            p->runs[p->count++].count =
                (size_t)packet.channel_count * packet.row_count * (size_t)b->shape.width;
            p->bytes += (size_t)length + (size_t)b->config->extra_bytes;
        }
    }
    if (length == AGN_ERR_SPACE)
        return agn_fail(AGN_ERR_RANGE,
                        "packets of %zu bytes are too small for this model: a row of symbols does "
                        "not fit, or a frame takes more than %d of them",
                        cap, (int)MAX_PACKETS);
    status = status < 0 ? status : length;
    return status < 0 ? agn_fail(status, "the device's own packets: %s", agn_status_text(status)) : AGN_OK;
}

/* ---- maps ----------------------------------------------------------------------------- */

/* Number of the map that stands behind the known ones, or of its equal among them; -1: nothing came. */
static int keep_map(struct bench *b)
{
    const uint8_t *made = b->maps + (size_t)b->map_count * b->map_bytes;
    bool empty = true;
    for (size_t i = 0; i < b->map_bytes && empty; i++)
        empty = made[i] == AGN_SYMBOL_ABSENT;
    if (empty)
        return -1;
    for (int i = 0; i < b->map_count; i++)
        if (memcmp(b->maps + (size_t)i * b->map_bytes, made, b->map_bytes) == 0)
            return i;
    return b->map_count++;
}

static int map_of_all(struct bench *b)
{
    memcpy(b->maps + (size_t)b->map_count * b->map_bytes, b->packets.map, b->map_bytes);
    return keep_map(b);
}

static int map_of_arrived(struct bench *b, const bool arrived[MAX_PACKETS])
{
    const struct frame_packets *p = &b->packets;
    uint8_t *map = b->maps + (size_t)b->map_count * b->map_bytes;
    memset(map, AGN_SYMBOL_ABSENT, b->map_bytes);
    for (int i = 0; i < p->count; i++)
        if (arrived[i])
            memcpy(map + p->runs[i].start, p->map + p->runs[i].start, p->runs[i].count);
    return keep_map(b);
}

static double share_arrived(const struct bench *b, int map)
{
    size_t came = 0;
    for (size_t i = 0; map >= 0 && i < b->map_bytes; i++)
        came += b->maps[(size_t)map * b->map_bytes + i] != AGN_SYMBOL_ABSENT;
    return (double)came / (double)b->map_bytes;
}

/* ---- conditions -------------------------------------------------------------------------- */

static void add_sent(const struct bench *b, int rounds, struct agn_curve_point *point)
{
    point->bytes += (double)b->packets.bytes * rounds;
    point->packets += b->packets.count * rounds;
}

/* What fate has in store for a frame: lost are draws below the loss. */
struct fate {
    double packets[AGN_CURVE_ROUNDS][MAX_PACKETS], replies[AGN_CURVE_ROUNDS];
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
    bool arrived[MAX_PACKETS] = {false}, whole = false, heard = false;
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

/* ---- answers -------------------------------------------------------------------------------- */

/* The class if the answer is fused, whatever it lacks. */
static int fuse_any(const struct bench *b, const int16_t *remote)
{
    const int16_t *local = agn_dev_local(&b->device.dev);
    int32_t best = 0;
    int best_class = 0;
    for (int i = 0; i < b->device.dev.model.classes; i++) {
        int32_t sum = agn_fuse(local[i], remote[i], b->device.dev.model.alpha_q15);
        if (i == 0 || sum > best) {
            best = sum;
            best_class = i;
        }
    }
    return best_class;
}

/* A frame takes one answer. A copy of the device takes it, so that the frame stays open for the next; the
 * arena's vector of fused logits is all that they share and change. */
static int answer(struct bench *b, int map, float *logits)
{
    const struct agn_model *model = b->config->model;
    struct agn_dev dev = b->device.dev;
    struct agn_dev_prediction prediction = {0};
    struct outcome *outcome = &b->outcomes[map];
    uint8_t bytes[AGN_WIRE_MAX_REPLY];
    int status = agn_logits_to_q8(logits, dev.model.classes, b->fixed);
    if (status == AGN_OK) {
        outcome->any_class = fuse_any(b, b->fixed);
        agn_logits_scale(logits, dev.model.classes, model->trust[b->shape.channels - outcome->missing]);
        status = agn_logits_to_q8(logits, dev.model.classes, b->fixed);
    }
    if (status < 0)
        return agn_fail(status, "the Remote NN gave a logit that is no finite number");
    struct agn_reply_packet reply = {.model_id = dev.model.model_id,
                                     .frame = dev.frame,
                                     .channels_missing = (uint8_t)outcome->missing,
                                     .class_count = dev.model.classes};
    int length = agn_reply_pack(&reply, b->fixed, bytes, sizeof bytes);
    if (length < 0)
        return agn_fail(length, "a reply for %d classes: %s", (int)dev.model.classes,
                        agn_status_text(length));
    status = agn_dev_accept_reply(&dev, bytes, (size_t)length);
    if (status == AGN_OK)
        status = agn_dev_predict(&dev, &prediction);
    if (status < 0)
        return agn_fail(status, "the device does not predict: %s", agn_status_text(status));
    outcome->device_class = prediction.class_index;
    outcome->fused = prediction.fused != 0;
    return AGN_OK;
}

static int answer_all(struct bench *b)
{
    size_t classes = b->device.dev.model.classes;
    for (int i = 0; i < b->map_count; i++)
        b->outcomes[i].missing =
            agn_features_expand(b->maps + (size_t)i * b->map_bytes, &b->shape, b->config->model->centroids,
                                b->config->model->fill, b->features + (size_t)i * b->map_bytes);
    int status = agn_remote_infer(b->remote, b->features, b->map_count, b->logits);
    for (int i = 0; status == AGN_OK && i < b->map_count; i++)
        status = answer(b, i, b->logits + (size_t)i * classes);
    return status;
}

/* ---- sums --------------------------------------------------------------------------------------- */

static void add_outcome(const struct bench *b, int map, bool reply_lost, struct agn_curve_point *point)
{
    const struct outcome none = {.device_class = b->local_class, .any_class = b->local_class};
    const struct outcome *outcome = map < 0 ? &none : &b->outcomes[map];
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
            int part = (10 * b->outcomes[map].missing + b->shape.channels - 1) / b->shape.channels;
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
    const int16_t *logits = agn_dev_local(&b->device.dev);
    *frame = (struct agn_curve_frame){.label = b->label,
                                      .local_class = b->local_class,
                                      .second_class = -1,
                                      .fused_class = b->outcomes[b->whole_map].device_class,
                                      .margin = sure->margin,
                                      .bytes = (int)sure->bytes,
                                      .packets = (int)sure->packets};
    for (int c = 0; c < b->device.dev.model.classes; c++)
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
    sure->margin = agn_dev_margin(&b->device.dev);
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
    int status = agn_hosted_image(&b->device, data->pixels + (size_t)image * pixels, (uint16_t)image, 0);
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
        status = answer_all(b);
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
    c->sure_margin = b->device.dev.model.sure_margin;
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

static int open_device(struct bench *b)
{
    const struct agn_curves_config *config = b->config;
    const struct agn_dev_model *model = &b->device.dev.model;
    struct agn_dev_memory memory;
    int status = agn_hosted_open(&b->device, config->device, config->device_bytes);
    if (status < 0)
        return status;
    if (model->model_id != agn_model_id(config->model))
        return agn_fail(AGN_ERR_MISMATCH, "device model %08x, but the model is %08x: export it anew",
                        (unsigned)model->model_id, (unsigned)agn_model_id(config->model));
    agn_dev_memory(model, &memory);
    b->curves->raw_bytes = memory.raw_bytes;
    b->shape = agn_hosted_shape(model);
    b->curves->sent_channels = b->shape.channels;
    b->map_bytes = (size_t)b->shape.channels * b->shape.height * b->shape.width;
    agn_model_contexts(config->model, &b->contexts);
    return AGN_OK;
}

static int allocate(struct bench *b)
{
    size_t classes = b->device.dev.model.classes;
    b->packets.map = agn_alloc(b->map_bytes, 1);
    b->maps = agn_alloc(MAX_MAPS + 1, b->map_bytes);
    b->features = agn_alloc(MAX_MAPS * b->map_bytes, sizeof(float));
    b->logits = agn_alloc(MAX_MAPS * classes, sizeof(float));
    b->fixed = agn_alloc(classes, sizeof *b->fixed);
    b->sureness = agn_alloc((size_t)b->curves->images, sizeof *b->sureness);
    bool complete = b->packets.map && b->maps && b->features && b->logits && b->fixed && b->sureness;
    return complete ? AGN_OK : AGN_ERR_MEMORY;
}

/* Steps up to the largest frame among some of the images; the last step has no limit. */
static int choose_budgets(struct bench *b)
{
    const struct agn_dataset *data = b->config->data;
    size_t pixels = (size_t)data->height * (size_t)data->width * (size_t)data->channels, largest = 0;
    int step = data->count / 256 + 1;
    for (int i = 0; i < data->count; i += step) {
        int status = agn_hosted_image(&b->device, data->pixels + (size_t)i * pixels, 0, 0);
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
    if (config->extra_bytes < 0 || config->extra_bytes > 1000)
        return agn_fail(AGN_ERR_RANGE, "%d bytes around a packet, expected 0 to 1000", config->extra_bytes);
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
        status = open_device(b);
    if (status == AGN_OK)
        status = agn_remote_create(b->config->model, &b->remote);
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
    agn_remote_free(b->remote);
    agn_hosted_close(&b->device);
    agn_free(b->packets.map);
    agn_free(b->maps);
    agn_free(b->features);
    agn_free(b->logits);
    agn_free(b->fixed);
    agn_free(b->sureness);
    agn_free(b);
    return status;
}
