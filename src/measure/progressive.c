/* Measures frames as they come, channel by channel and packet by packet; see progressive.h. Files and
 * pictures are progressive_files.c's. */
#include "agilenn/progressive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/features.h"
#include "agn_compact.h"
#include "measure/both_ends.h"

enum { TOGETHER = 32, ROWS = 3 + AGN_PROGRESSIVE_DRAWS, STANDARD_DRAWS = 4 };

static const char *const order_names[AGN_ORDER_COUNT] = {"importance", "reversed", "random", "measured"};
static const int standard_packets[] = {1152, 64, 48};
static const double shares[AGN_PROGRESSIVE_SHARES] = {1.0, 0.5, 0.3};
static const int margins[AGN_PROGRESSIVE_MARGINS] = {0, 64, 128, 256, 512, 1024, 2048, INT16_MAX};
static const double report_every_s = 0.25;

/* One way through the channels. */
struct course {
    enum agn_progressive_order order;
    uint8_t channels[AGN_MAX_FEATURES];
    uint8_t *context_map; /* the model's in this order */
    struct agn_context_model contexts;
};

/* What comes of one image, for the frames that are sent. */
struct sent_frame {
    int margin;
    bool local_right;
    struct {
        bool right;
        int bytes, packets;
    } ask[AGN_PROGRESSIVE_SIZES][AGN_PROGRESSIVE_MARGINS];
};

struct bench {
    const struct agn_progressive_config *config;
    struct agn_progressive *result;
    struct agn__ends ends;
    struct agn__frame_packets packets;
    struct course courses[ROWS];
    int course_count;
    uint8_t *symbols, *maps; /* of the frame; AGN__MAX_PACKETS + 1 maps */
    uint8_t *rows, *payload, *ended;
    size_t payload_cap;
    uint16_t *codec_state;
    int overhead_part, overhead_whole; /* of a packet, what carries it included */
    struct agn__outcome outcomes[AGN__MAX_PACKETS];
    struct sent_frame *frames;
    int label, local_class;
    double begin_s, last_report_s;
};

const char *agn_progressive_order_name(enum agn_progressive_order order)
{
    return order_names[order];
}

/* ---- orders ----------------------------------------------------------------------------- */

static void permute(struct agn_rng *rng, uint8_t *channels, int count)
{
    for (int i = count - 1; i > 0; i--) {
        int j = (int)agn_rng_below(rng, (uint32_t)i + 1);
        uint8_t kept = channels[i];
        channels[i] = channels[j];
        channels[j] = kept;
    }
}

/* Stable: equals stay as they are sent. */
static void sort_by_importance(uint8_t *channels, int count, const float *importance)
{
    for (int i = 1; i < count; i++)
        for (int j = i; j > 0 && importance[channels[j]] > importance[channels[j - 1]]; j--) {
            uint8_t kept = channels[j];
            channels[j] = channels[j - 1];
            channels[j - 1] = kept;
        }
}

static int add_course(struct bench *b, enum agn_progressive_order order, struct agn_rng *rng)
{
    struct course *course = &b->courses[b->course_count++];
    const struct agn_model *model = b->config->model;
    int count = b->ends.shape.channels;
    course->order = order;
    for (int i = 0; i < count; i++)
        course->channels[i] = (uint8_t)(order == AGN_ORDER_REVERSED ? count - 1 - i : i);
    if (order == AGN_ORDER_RANDOM)
        permute(rng, course->channels, count);
    if (order == AGN_ORDER_MEASURED)
        sort_by_importance(course->channels, count, model->importance_after + agn_model_first_sent(model));
    course->contexts = b->ends.contexts;
    course->context_map = agn_alloc((size_t)count, AGN_CONTEXTS);
    if (course->context_map == NULL)
        return AGN_ERR_MEMORY;
    if (course->contexts.map != NULL && course->contexts.channels == count) {
        for (int i = 0; i < count; i++)
            memcpy(course->context_map + (size_t)i * AGN_CONTEXTS,
                   b->ends.contexts.map + (size_t)course->channels[i] * AGN_CONTEXTS, AGN_CONTEXTS);
        course->contexts.map = course->context_map;
    }
    return AGN_OK;
}

static bool knows_importance(const struct agn_model *model)
{
    for (int i = agn_model_first_sent(model); i < model->map.channels; i++)
        if (model->importance_after[i] > 0.0F)
            return true;
    return false;
}

static int add_courses(struct bench *b)
{
    struct agn_progressive *r = b->result;
    struct agn_rng rng;
    agn_rng_seed(&rng, b->config->seed);
    int status = add_course(b, AGN_ORDER_SENT, NULL);
    if (status == AGN_OK)
        status = add_course(b, AGN_ORDER_REVERSED, NULL);
    r->is_measured = knows_importance(b->config->model);
    if (status == AGN_OK && r->is_measured)
        status = add_course(b, AGN_ORDER_MEASURED, NULL);
    for (int i = 0; i < r->draws && status == AGN_OK; i++) {
        status = add_course(b, AGN_ORDER_RANDOM, &rng);
        memcpy(r->drawn[i], b->courses[b->course_count - 1].channels, sizeof r->drawn[i]);
    }
    return status;
}

/* ---- channel by channel --------------------------------------------------------------------- */

/* The payload of the first `count` channels, as the device chooses between its codec and none. A copy of the
 * encoder ends in a copy of what it wrote: the end may change bytes that the encoder still needs. */
static int payload_bytes(const struct bench *b, const struct agn_encoder *encoder, int count)
{
    size_t symbols = (size_t)count * b->ends.shape.height * b->ends.shape.width;
    int raw = (int)((symbols * AGN_WIRE_SYMBOL_BITS + 7) / 8), size = agn_encoder_size(encoder);
    if (size < 0 || size > raw)
        return raw;
    struct agn_encoder ended = *encoder;
    memcpy(b->ended, b->payload, encoder->length);
    ended.dst = b->ended;
    return agn_encoder_finish(&ended);
}

/* Bytes of packets that hold the first 1, 2, ... channels of this order. */
static int measure_bytes(const struct bench *b, const struct course *course, int *bytes)
{
    unsigned height = b->ends.shape.height, width = b->ends.shape.width, count = b->ends.shape.channels;
    int codec = b->ends.device.dev.model.codec;
    struct agn_encoder encoder;
    struct agn_tile tile = {.channel_count = (uint8_t)count,
                            .row_count = (uint8_t)height,
                            .width = (uint8_t)width,
                            .contexts = &course->contexts};
    int status = agn_encoder_begin(&encoder, codec, &tile, b->codec_state, AGN_LZW_STATE_BYTES, b->payload,
                                   b->payload_cap);
    if (status < 0)
        return agn_fail(status, "the encoder of %s: %s", agn_codec_name(codec), agn_status_text(status));
    for (unsigned i = 0; i < count; i++) {
        uint8_t *rows = b->rows + (size_t)i * height * AGN_ROW_BYTES(width);
        for (unsigned y = 0; y < height; y++)
            agn_row_pack(b->symbols + ((size_t)course->channels[i] * height + y) * width, width,
                         rows + y * AGN_ROW_BYTES(width));
        agn_encoder_put_rows(&encoder, rows, height);
        int payload = payload_bytes(b, &encoder, (int)i + 1);
        if (payload < 0)
            return agn_fail(payload, "%u channels do not end: %s", i + 1, agn_status_text(payload));
        bytes[i] = payload + (i + 1 < count ? b->overhead_part : b->overhead_whole);
    }
    return AGN_OK;
}

/* The means over drawn orders are those over images and draws. */
static void add_point(const struct bench *b, const struct agn__outcome *outcome, double bytes, double weight,
                      struct agn_progressive_point *point)
{
    int device = outcome != NULL ? outcome->device_class : b->local_class;
    int any = outcome != NULL ? outcome->any_class : b->local_class;
    point->accuracy += weight * (device == b->label);
    point->any_accuracy += weight * (any == b->label);
    point->bytes += weight * bytes;
    point->share += weight;
}

static int follow(struct bench *b, const struct course *course)
{
    int channels = b->ends.shape.channels, bytes[AGN_MAX_FEATURES] = {0};
    size_t plane = (size_t)b->ends.shape.height * b->ends.shape.width;
    struct agn_progressive_point *points = b->result->order[course->order];
    double weight = course->order == AGN_ORDER_RANDOM ? 1.0 / b->result->draws : 1.0;
    for (int n = 0; n < channels; n++) {
        uint8_t *map = b->maps + (size_t)n * b->ends.map_bytes;
        if (n == 0)
            memset(map, AGN_SYMBOL_ABSENT, b->ends.map_bytes);
        else
            memcpy(map, map - b->ends.map_bytes, b->ends.map_bytes);
        memcpy(map + course->channels[n] * plane, b->symbols + course->channels[n] * plane, plane);
    }
    int status = agn__ends_answer(&b->ends, b->maps, channels, b->outcomes);
    if (status == AGN_OK)
        status = measure_bytes(b, course, bytes);
    if (status < 0)
        return status;
    add_point(b, NULL, 0.0, weight, &points[0]);
    for (int n = 0; n < channels; n++)
        add_point(b, &b->outcomes[n], bytes[n], weight, &points[n + 1]);
    return AGN_OK;
}

/* ---- packet by packet --------------------------------------------------------------------------- */

/* The number of packets that go, and the outcome that counts: the latest, as agn_link takes it. */
static int packets_asked(const struct bench *b, int margin, const struct agn__outcome **outcome)
{
    int n = 1;
    *outcome = &b->outcomes[0];
    while (n < b->packets.count && (*outcome)->missing > 0 && (*outcome)->margin < margin)
        *outcome = &b->outcomes[n++];
    return n;
}

static void ask(struct bench *b, int size, struct sent_frame *frame)
{
    for (int m = 0; m < AGN_PROGRESSIVE_MARGINS; m++) {
        const struct agn__outcome *outcome;
        int count = packets_asked(b, margins[m], &outcome), bytes = 0;
        for (int i = 0; i < count; i++)
            bytes += (int)b->packets.runs[i].bytes;
        frame->ask[size][m].right = outcome->device_class == b->label;
        frame->ask[size][m].bytes = bytes;
        frame->ask[size][m].packets = count;
    }
}

static void add_packets(struct bench *b, int size)
{
    struct agn_progressive_point *points = b->result->packets[size];
    size_t bytes = 0;
    int count = b->packets.count;
    add_point(b, NULL, 0.0, 1.0, &points[0]);
    for (int n = 1; n <= AGN_PROGRESSIVE_PACKETS; n++) {
        int last = n < count ? n : count;
        bytes += n <= count ? b->packets.runs[n - 1].bytes : 0;
        add_point(b, &b->outcomes[last - 1], (double)bytes, 1.0, &points[n]);
        points[n].share -= n > count;
    }
    if (count > b->result->most[size])
        b->result->most[size] = count;
}

static int send_packets(struct bench *b, int size, struct sent_frame *frame)
{
    int status =
        agn__ends_collect(&b->ends, (size_t)b->result->packet_bytes[size], AGN_DEV_NO_BUDGET, &b->packets);
    if (status < 0)
        return status;
    for (int i = 0; i < b->packets.count; i++) {
        uint8_t *map = b->maps + (size_t)i * b->ends.map_bytes;
        if (i == 0)
            memset(map, AGN_SYMBOL_ABSENT, b->ends.map_bytes);
        else
            memcpy(map, map - b->ends.map_bytes, b->ends.map_bytes);
        memcpy(map + b->packets.runs[i].start, b->packets.map + b->packets.runs[i].start,
               b->packets.runs[i].count);
    }
    status = agn__ends_answer(&b->ends, b->maps, b->packets.count, b->outcomes);
    if (status < 0)
        return status;
    add_packets(b, size);
    ask(b, size, frame);
    if (size == 0)
        b->result->fused_accuracy += b->outcomes[b->packets.count - 1].device_class == b->label;
    return AGN_OK;
}

static int measure_image(struct bench *b, int image)
{
    const struct agn_dataset *data = b->config->data;
    size_t pixels = (size_t)data->height * (size_t)data->width * (size_t)data->channels;
    struct sent_frame *frame = &b->frames[image];
    b->label = data->labels[image];
    int status = agn_hosted_image(&b->ends.device, data->pixels + (size_t)image * pixels, (uint16_t)image, 0);
    if (status < 0)
        return status;
    b->local_class = status;
    frame->margin = agn_dev_margin(&b->ends.device.dev);
    frame->local_right = b->local_class == b->label;
    b->result->local_accuracy += frame->local_right;
    status = AGN_OK;
    for (int s = 0; s < b->result->sizes && status == AGN_OK; s++)
        status = send_packets(b, s, frame);
    agn_hosted_symbols(&b->ends.device, b->symbols);
    int64_t images = b->result->images, followed = b->result->order_images;
    bool follows = (image + 1) * followed / images > image * followed / images;
    for (int i = 0; i < b->course_count && follows && status == AGN_OK; i++)
        status = follow(b, &b->courses[i]);
    return status;
}

/* ---- the share of frames sent ---------------------------------------------------------------------- */

static int surest_first(const void *a, const void *b)
{
    int x = ((const struct sent_frame *)a)->margin, y = ((const struct sent_frame *)b)->margin;
    return (x < y) - (x > y);
}

static void sum_asks(struct bench *b, int share, int size, int margin)
{
    struct agn_progressive *r = b->result;
    struct agn_progressive_ask *to = &r->ask[size][share][margin];
    int sent = 0;
    to->margin = margins[margin];
    for (int i = 0; i < r->images; i++) {
        const struct sent_frame *frame = &b->frames[i];
        bool stays = r->threshold[share] > 0 && frame->margin >= r->threshold[share];
        sent += !stays;
        to->accuracy += stays ? frame->local_right : frame->ask[size][margin].right;
        to->bytes += stays ? 0 : frame->ask[size][margin].bytes;
        to->packets += stays ? 0 : frame->ask[size][margin].packets;
    }
    to->accuracy /= r->images;
    to->bytes /= r->images;
    to->packets /= r->images;
    r->share[share] = (double)sent / r->images;
}

/* As the share curve of curves.c: images of equal margin go together. */
static void sum_shares(struct bench *b)
{
    struct agn_progressive *r = b->result;
    qsort(b->frames, (size_t)r->images, sizeof *b->frames, surest_first);
    for (int i = 0; i < AGN_PROGRESSIVE_SHARES; i++) {
        int unsent = (int)lround((double)r->images * (1.0 - shares[i]));
        int threshold = unsent > 0 ? b->frames[unsent - 1].margin : 0;
        r->threshold[i] = unsent > 0 && threshold < 1 ? 1 : threshold;
        for (int s = 0; s < r->sizes; s++)
            for (int m = 0; m < AGN_PROGRESSIVE_MARGINS; m++)
                sum_asks(b, i, s, m);
    }
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static void divide(struct agn_progressive_point *points, int count, double images)
{
    for (int i = 0; i < count; i++) {
        points[i].accuracy /= images;
        points[i].any_accuracy /= images;
        points[i].bytes /= images;
        points[i].share /= images;
    }
}

static void finish(struct bench *b)
{
    struct agn_progressive *r = b->result;
    for (int o = 0; o < AGN_ORDER_COUNT; o++)
        divide(r->order[o], r->channels + 1, r->order_images);
    for (int s = 0; s < r->sizes; s++)
        divide(r->packets[s], AGN_PROGRESSIVE_PACKETS + 1, r->images);
    r->local_accuracy /= r->images;
    r->fused_accuracy /= r->images;
    r->asks = r->protocol == AGN_COMPACT_VERSION;
    if (r->asks)
        sum_shares(b);
}

/* A packet's bytes beside its payload: found with one of a byte. */
static int overhead(const struct bench *b, int channels)
{
    uint8_t bytes[AGN_WIRE_MAX_PACKET], payload = 0;
    const struct agn_feature_packet packet = {.last = 1,
                                              .codec = b->ends.device.dev.model.codec,
                                              .channel_count = (uint8_t)channels,
                                              .row_count = b->ends.shape.height,
                                              .payload = &payload,
                                              .payload_bytes = 1,
                                              .whole = channels == b->ends.shape.channels};
    int length = b->result->protocol == AGN_COMPACT_VERSION ? agn_compact_pack(&packet, bytes, sizeof bytes)
                                                            : agn_feature_pack(&packet, bytes, sizeof bytes);
    return length < 0 ? agn_fail(length, "a packet of %d channels: %s", channels, agn_status_text(length))
                      : length - 1 + b->ends.extra_bytes;
}

static int allocate(struct bench *b)
{
    const struct agn_map_shape *shape = &b->ends.shape;
    b->payload_cap = 2 * b->ends.map_bytes + 64;
    b->packets.map = agn_alloc(b->ends.map_bytes, 1);
    b->symbols = agn_alloc(b->ends.map_bytes, 1);
    b->maps = agn_alloc(AGN__MAX_PACKETS + 1, b->ends.map_bytes);
    b->rows = agn_alloc((size_t)shape->channels * shape->height, AGN_ROW_BYTES(shape->width));
    b->payload = agn_alloc(b->payload_cap, 1);
    b->ended = agn_alloc(b->payload_cap, 1);
    b->codec_state = agn_alloc(AGN_LZW_STATE_BYTES, 1);
    b->frames = agn_alloc((size_t)b->result->images, sizeof *b->frames);
    bool complete = b->packets.map && b->symbols && b->maps && b->rows && b->payload && b->ended &&
                    b->codec_state && b->frames;
    if (!complete)
        return AGN_ERR_MEMORY;
    b->overhead_part = overhead(b, shape->channels > 1 ? shape->channels - 1 : 1);
    b->overhead_whole = overhead(b, shape->channels);
    return b->overhead_part < 0 ? b->overhead_part : b->overhead_whole < 0 ? b->overhead_whole : AGN_OK;
}

static int set_up(struct bench *b)
{
    const struct agn_progressive_config *config = b->config;
    struct agn_progressive *r = b->result;
    if (config->draws < 0 || config->draws > AGN_PROGRESSIVE_DRAWS)
        return agn_fail(AGN_ERR_RANGE, "%d random orders, expected 1 to %d", config->draws,
                        (int)AGN_PROGRESSIVE_DRAWS);
    r->draws = config->draws > 0 ? config->draws : STANDARD_DRAWS;
    r->order_images =
        config->order_images > 0 && config->order_images < r->images ? config->order_images : r->images;
    r->protocol = config->protocol > 0 ? config->protocol : 1;
    while (r->sizes < AGN_PROGRESSIVE_SIZES && config->packet_bytes[r->sizes] > 0) {
        r->packet_bytes[r->sizes] = config->packet_bytes[r->sizes];
        if (r->packet_bytes[r->sizes] > AGN_WIRE_MAX_PACKET)
            return agn_fail(AGN_ERR_RANGE, "packets of %d bytes, expected at most %d",
                            r->packet_bytes[r->sizes], (int)AGN_WIRE_MAX_PACKET);
        r->sizes++;
    }
    if (r->sizes == 0) {
        r->sizes = (int)AGN_COUNT_OF(standard_packets);
        memcpy(r->packet_bytes, standard_packets, sizeof standard_packets);
    }
    const struct agn__ends_config ends = {.model = config->model,
                                          .device = config->device,
                                          .device_bytes = config->device_bytes,
                                          .protocol = config->protocol,
                                          .extra_bytes = config->extra_bytes,
                                          .max_maps = TOGETHER};
    int status = agn_model_check_data(config->model, config->data);
    if (status == AGN_OK)
        status = agn__ends_open(&b->ends, &ends);
    if (status == AGN_OK)
        status = allocate(b);
    r->channels = b->ends.shape.channels;
    return status == AGN_OK ? add_courses(b) : status;
}

static void show_progress(struct bench *b, int done)
{
    double now = agn_now_s();
    bool last = done == b->result->images;
    if (b->config->progress == NULL || (!last && now - b->last_report_s < report_every_s))
        return;
    b->last_report_s = now;
    double rate = (double)done / fmax(now - b->begin_s, 1e-9);
    double accuracy = b->result->fused_accuracy / (double)done;
    struct agn_progress progress = {.phase = "progressive",
                                    .done = done,
                                    .total = b->result->images,
                                    .rate = rate,
                                    .eta_s = (double)(b->result->images - done) / rate,
                                    .item = "img",
                                    .figures = {{.key = "acc", .kind = AGN_FIGURE_SHARE, .value = accuracy}},
                                    .epoch_end = last};
    b->config->progress(b->config->progress_user, &progress);
}

static int measure(struct bench *b)
{
    int status = agn_model_need(b->config->model, AGN_LOCAL);
    if (status == AGN_OK)
        status = agn_model_need(b->config->model, AGN_REMOTE);
    if (status == AGN_OK)
        status = agn_model_need_symbols(b->config->model);
    if (status == AGN_OK)
        status = set_up(b);
    b->begin_s = agn_now_s();
    for (int i = 0; i < b->result->images && status == AGN_OK; i++) {
        status = agn_interrupt_requested() ? agn_fail(AGN_ERR_INTERRUPTED, "interrupted after %d images", i)
                                           : measure_image(b, i);
        show_progress(b, i + 1);
    }
    return status;
}

int agn_progressive_measure(const struct agn_progressive_config *config, struct agn_progressive *result)
{
    struct agn_progressive *made = agn_alloc(1, sizeof *made);
    struct bench *b = agn_alloc(1, sizeof *b);
    int status = made == NULL || b == NULL ? AGN_ERR_MEMORY : AGN_OK;
    if (status == AGN_OK) {
        b->config = config;
        b->result = made;
        made->images = config->data->count;
        status = measure(b);
    }
    if (status == AGN_OK) {
        finish(b);
        *result = *made;
    }
    if (b != NULL) {
        agn__ends_close(&b->ends);
        for (int i = 0; i < b->course_count; i++)
            agn_free(b->courses[i].context_map);
        void *const parts[] = {b->packets.map, b->symbols, b->maps,        b->rows,
                               b->payload,     b->ended,   b->codec_state, b->frames};
        for (size_t i = 0; i < AGN_COUNT_OF(parts); i++)
            agn_free(parts[i]);
    }
    agn_free(b);
    agn_free(made);
    return status;
}
