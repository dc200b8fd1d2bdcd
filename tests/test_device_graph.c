/* Networks with branches on the device (agn_graph.c) against tests/support/naive_device.c: the same bits for
 * answers, symbols and packets, on random networks; and files with one byte changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agn_graph.h"
#include "support/naive_device.h"
#include "support/random_model.h"

struct device {
    struct random_model random;
    uint8_t *file;
    size_t file_bytes;
    void *arena;
    struct agn_dev dev;
};

static void device_open(struct device *d, struct agn_rng *rng, enum random_style style, int layers,
                        int max_side, int max_channels)
{
    random_graph_make(&d->random, rng, style, layers, max_side, max_channels);
    if (agn_model_agn_write(&d->random.model, &d->file, &d->file_bytes) < 0)
        fail_msg("%s", agn_error_message());
    struct agn_dev_model model;
    assert_int_equal(agn_dev_model_open(&model, d->file, d->file_bytes), 0);
    size_t bytes = agn_dev_arena_bytes(&model);
    d->arena = malloc(bytes); /* exactly as much, so that ASan guards its end */
    assert_non_null(d->arena);
    memset(d->arena, 0xA5, bytes);
    assert_int_equal(agn_dev_init(&d->dev, d->file, d->file_bytes, d->arena, bytes), 0);
}

static void device_close(struct device *d)
{
    random_model_free(&d->random);
    agn_free(d->file);
    free(d->arena);
}

static void push_some(struct device *d, const uint8_t *image, int rows)
{
    size_t row_bytes = (size_t)d->random.model.input_w * (size_t)d->random.model.input_c;
    for (int y = 0; y < rows; y++)
        assert_int_equal(agn_dev_push_rows(&d->dev, image + (size_t)y * row_bytes, 1), 0);
}

static void push(struct device *d, const uint8_t *image)
{
    push_some(d, image, d->random.model.input_h);
}

/* ---- the network that a cut leaves ------------------------------------------------------------------- */

struct left {
    struct agn_model_agn model;
    struct agn_model_head heads[RANDOM_MAX_HEADS];
};

/* Of the last cut, which is the sender itself, that is all. `softmax`: of exits, 0 for their own. */
static void leave(struct left *left, const struct random_model *random, int cut, int softmax)
{
    const struct agn_model_agn *from = &random->model;
    left->model = *from;
    left->model.heads = left->heads;
    memcpy(left->heads, random->heads, sizeof left->heads);
    for (int i = 0; i < from->head_count; i++)
        if (softmax > 0 && left->heads[i].softmax > 0)
            left->heads[i].softmax = softmax;
    if (cut == from->cut_count)
        return;
    left->model.model_id = from->cuts[cut].model_id;
    left->model.value_bits = from->cuts[cut].value_bits;
    left->model.sender = from->cuts[cut].tensor;
    left->model.layer_count = from->cuts[cut].layers > 0 ? from->cuts[cut].layers : left->model.sender;
    left->model.head_count = 0;
    while (left->model.head_count < from->head_count &&
           from->heads[left->model.head_count].tensor <= left->model.layer_count)
        left->model.head_count++;
    if (left->model.head_count == 0)
        left->model.alpha_q15 = 0;
}

static void check_symbols(const struct device *d, const struct naive_result *expected)
{
    for (int c = 0; c < expected->sent_c; c++)
        for (int y = 0; y < expected->map_h; y++)
            for (int x = 0; x < expected->map_w; x++)
                if (agn_dev_symbol(&d->dev, (unsigned)c, (unsigned)y, (unsigned)x) !=
                    expected->symbols[(c * expected->map_h + y) * expected->map_w + x])
                    fail_msg("symbol of channel %d at row %d, column %d differs", c, y, x);
}

static void check_packets(struct device *d, const struct agn_model_agn *model,
                          const struct naive_result *expected)
{
    static struct naive_packet packets[256];
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    int made = 0, length;
    if (expected->sent_c > 0 && !expected->left_early)
        naive_packets(model, expected, 7, 0, sizeof packet, packets, &made);
    for (int i = 0; i < made; i++) {
        length = agn_dev_next_packet(&d->dev, packet, sizeof packet);
        assert_int_equal(length, packets[i].length);
        assert_memory_equal(packet, packets[i].bytes, packets[i].length);
    }
    assert_int_equal(agn_dev_next_packet(&d->dev, packet, sizeof packet), 0);
}

struct seen {
    int early, sums, segments, sent, values;
    int cuts, early_cuts, images, resets; /* frames with a cut chosen, left early, sent as images */
};

/* The answer to a frame, or one that is of another cut or model. */
static void check_reply(struct device *d, const struct agn_model_agn *model,
                        const struct naive_result *expected, struct agn_rng *rng)
{
    uint8_t bytes[AGN_WIRE_MAX_PACKET];
    int16_t logits[AGN_DEV_MAX_CLASSES];
    struct agn_reply_packet reply = {
        .frame = 7, .status = AGN_REPLY_OK, .class_count = (uint16_t)model->classes};
    struct agn_dev_prediction prediction;
    for (int i = 0; i < model->classes; i++)
        logits[i] = (int16_t)((int)agn_rng_below(rng, 4000) - 2000);
    for (int i = -1; i <= d->random.model.cut_count; i++) {
        struct left other = {0};
        if (i >= 0)
            leave(&other, &d->random, i, 0);
        reply.model_id = i >= 0 ? other.model.model_id : ~model->model_id;
        int length = agn_reply_pack(&reply, logits, bytes, sizeof bytes);
        int status = i < 0 ? AGN_ERR_MISMATCH : AGN_ERR_TIMEOUT;
        if (reply.model_id != model->model_id)
            assert_int_equal(agn_dev_accept_reply(&d->dev, bytes, (size_t)length), status);
    }
    reply.model_id = model->model_id;
    int length = agn_reply_pack(&reply, logits, bytes, sizeof bytes);
    assert_int_equal(agn_dev_accept_reply(&d->dev, bytes, (size_t)length), 0);
    assert_int_equal(agn_dev_predict(&d->dev, &prediction), 0);
    assert_int_equal(prediction.fused, 1);
    for (int i = 0; i < model->classes; i++) {
        int16_t local = expected ? expected->local[i] : 0;
        int32_t sum = (int32_t)model->alpha_q15 * local + (32768 - (int32_t)model->alpha_q15) * logits[i];
        assert_int_equal(prediction.logits[i], (sum + 16384) >> 15);
    }
}

static void run_network(struct device *d, const struct agn_model_agn *model, struct agn_rng *rng,
                        struct seen *seen)
{
    uint8_t *image = random_image(model, rng);
    struct naive_result expected;
    naive_run(model, image, &expected);
    assert_int_equal(agn_dev_frame_begin(&d->dev, 7, 0), 0);
    push(d, image);
    const int16_t *local = agn_dev_local(&d->dev);
    assert_non_null(local);
    assert_memory_equal(local, expected.local, (size_t)model->classes * sizeof *local);
    assert_int_equal(agn_dev_is_sure(&d->dev), expected.left_early);
    if (!expected.left_early)
        check_symbols(d, &expected);
    check_packets(d, model, &expected);
    struct agn_dev_prediction prediction;
    int sent = expected.sent_c > 0 && !expected.left_early;
    if (sent && agn_rng_below(rng, 2))
        check_reply(d, model, &expected, rng);
    else
        assert_int_equal(agn_dev_predict(&d->dev, &prediction), model->head_count > 0 ? 0 : AGN_ERR_TIMEOUT);
    seen->early += expected.left_early;
    seen->sent += sent;
    seen->values += model->value_bits > 0 && !expected.left_early;
    naive_free(&expected);
    agn_free(image);
}

static void run_frame(struct device *d, struct agn_rng *rng, struct seen *seen)
{
    run_network(d, &d->random.model, rng, seen);
}

/* A device whose model is the image alone. */
static void open_raw(struct device *raw, const struct agn_model_agn *model)
{
    const struct agn_model_agn pixels = {.model_id = model->model_id,
                                         .input_h = model->input_h,
                                         .input_w = model->input_w,
                                         .input_c = model->input_c,
                                         .classes = model->classes,
                                         .codec = model->codec};
    struct agn_dev_model opened;
    memset(raw, 0, sizeof *raw);
    raw->random.model = pixels;
    assert_int_equal(agn_model_agn_write(&pixels, &raw->file, &raw->file_bytes), 0);
    assert_int_equal(agn_dev_model_open(&opened, raw->file, raw->file_bytes), 0);
    assert_int_equal(agn_dev_cuts(&opened), 1);
    raw->arena = malloc(agn_dev_arena_bytes(&opened));
    assert_non_null(raw->arena);
    assert_int_equal(
        agn_dev_init(&raw->dev, raw->file, raw->file_bytes, raw->arena, agn_dev_arena_bytes(&opened)), 0);
}

/* The cut at the image, against such a device. */
static void run_image(struct device *d, const struct agn_model_agn *model, struct agn_rng *rng)
{
    uint8_t *image = random_image(&d->random.model, rng);
    uint8_t packet[AGN_WIRE_MAX_PACKET], expected[AGN_WIRE_MAX_PACKET];
    struct agn_dev_prediction prediction;
    struct device raw;
    int length;
    open_raw(&raw, model);
    agn_dev_frame_begin(&d->dev, 7, 0);
    agn_dev_frame_begin(&raw.dev, 7, 0);
    push(d, image);
    push(&raw, image);
    do {
        length = agn_dev_next_packet(&raw.dev, expected, sizeof expected);
        assert_true(length >= 0);
        assert_int_equal(agn_dev_next_packet(&d->dev, packet, sizeof packet), length);
        assert_memory_equal(packet, expected, (size_t)length);
    } while (length > 0);
    assert_int_equal(agn_dev_is_sure(&d->dev), 0);
    if (agn_rng_below(rng, 2)) {
        check_reply(d, model, NULL, rng);
    } else {
        assert_int_equal(agn_dev_predict(&d->dev, &prediction), AGN_ERR_TIMEOUT);
        assert_int_equal(prediction.class_index, AGN_DEV_NO_CLASS);
    }
    agn_free(raw.file);
    free(raw.arena);
    agn_free(image);
}

/* Nothing is left of the frame before. */
static void check_dropped(struct device *d)
{
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    struct agn_dev_prediction prediction;
    assert_null(agn_dev_local(&d->dev));
    assert_int_equal(agn_dev_next_packet(&d->dev, packet, sizeof packet), AGN_ERR_STATE);
    assert_int_equal(agn_dev_push_rows(&d->dev, packet, 1), AGN_ERR_STATE);
    assert_int_equal(agn_dev_predict(&d->dev, &prediction), AGN_ERR_STATE);
    assert_int_equal(agn_dev_bytes_through(&d->dev), 0);
}

/* Frames of one cut or another, whatever was chosen before. */
static void run_cuts(struct device *d, struct agn_rng *rng, struct seen *seen)
{
    int count = d->random.model.cut_count;
    assert_int_equal(agn_dev_cuts(&d->dev.model), d->random.model.sender > 0 ? count + 1 : 0);
    assert_int_equal(agn_dev_cut(&d->dev), count);
    assert_int_equal(agn_dev_select_cut(&d->dev, (unsigned)(d->random.model.sender > 0 ? count + 1 : 0)),
                     AGN_ERR_ARG);
    assert_int_equal(agn_dev_set_exit(&d->dev, 32768), AGN_ERR_RANGE);
    for (int i = 0; i < 3 * count + 3 && count > 0; i++) {
        int cut = i <= count ? i : (int)agn_rng_below(rng, (uint32_t)count + 1);
        int softmax = agn_rng_below(rng, 2) ? 1 + (int)agn_rng_below(rng, 32767) : 0, early = seen->early;
        struct left left;
        struct agn_dev_model view;
        leave(&left, &d->random, cut, softmax);
        if (agn_rng_below(rng, 3) == 0) { /* in the middle of a frame */
            uint8_t *image = random_image(&d->random.model, rng);
            agn_dev_frame_begin(&d->dev, 7, 0);
            push_some(d, image, (int)agn_rng_below(rng, (uint32_t)d->random.model.input_h + 1));
            agn_free(image);
            seen->resets++;
        }
        assert_int_equal(agn_dev_select_cut(&d->dev, (unsigned)cut), 0);
        assert_int_equal(agn_dev_set_exit(&d->dev, (uint16_t)softmax), 0);
        check_dropped(d);
        assert_int_equal(agn_dev_cut(&d->dev), cut);
        assert_int_equal(agn_dev_cuts(&d->dev.model), count + 1);
        assert_int_equal(d->dev.model.model_id, left.model.model_id);
        assert_int_equal(agn_dev_model_answers(&d->dev.model), left.model.head_count > 0);
        assert_int_equal(agn_dev_model_cut(&d->dev.model, (unsigned)count, &view), 0);
        assert_int_equal(agn_dev_arena_bytes(&view), agn_dev_arena_bytes(&d->dev.model));
        assert_int_equal(view.layer_count, d->random.model.layer_count);
        if (left.model.layer_count > 0)
            run_network(d, &left.model, rng, seen);
        else
            run_image(d, &left.model, rng);
        seen->cuts++;
        seen->early_cuts += seen->early > early && cut < count;
        seen->images += left.model.layer_count == 0;
    }
}

static void run_graphs(uint64_t seed, int graphs, enum random_style style, int max_layers, int max_side,
                       int max_channels)
{
    struct agn_rng rng;
    struct seen seen = {0};
    agn_rng_seed(&rng, seed);
    for (int i = 0; i < graphs; i++) {
        struct device d;
        int layers = 1 + (int)agn_rng_below(&rng, (uint32_t)max_layers);
        device_open(&d, &rng, style, layers, max_side, max_channels);
        for (int l = 0; l < layers; l++)
            seen.sums += d.random.layers[l].kind == AGN_LAYER_ADD;
        seen.segments += agn__graph_record(&d.dev.model, (unsigned)layers - 1)[AGN__GRAPH_SEGMENT] > 0;
        run_frame(&d, &rng, &seen);
        run_frame(&d, &rng, &seen);
        run_cuts(&d, &rng, &seen);
        device_close(&d);
    }
    print_message(
        "%d networks: %d sums, %d of several segments, %d frames left early, %d sent, %d as values\n", graphs,
        seen.sums, seen.segments, seen.early, seen.sent, seen.values);
    print_message(
        "%d frames with a cut chosen: %d left early before it, %d as images, %d after half a frame\n",
        seen.cuts, seen.early_cuts, seen.images, seen.resets);
    /* What matters did happen. */
    assert_true(seen.sums > graphs / 10 && seen.segments > graphs / 10 && seen.early > graphs / 20 &&
                seen.sent > graphs / 4 && seen.values > graphs / 8);
    assert_true(seen.cuts > graphs / 2 && seen.images > graphs / 30 && seen.resets > graphs / 30 &&
                (graphs < 100 || seen.early_cuts > graphs / 40));
}

static void small_networks(void **state)
{
    (void)state;
    run_graphs(21, 600, RANDOM_USUAL, 10, 20, 12);
}

static void extreme_networks(void **state)
{
    (void)state;
    run_graphs(22, 400, RANDOM_EXTREME, 10, 16, 10);
}

static void deep_networks(void **state)
{
    (void)state;
    run_graphs(23, 60, RANDOM_USUAL, AGN_DEV_MAX_GRAPH_LAYERS, 24, 12);
}

static void wide_networks(void **state)
{
    (void)state;
    run_graphs(24, 20, RANDOM_USUAL, 6, 12, 400);
}

/* Images that are kept as bytes, where the kernels do that: those of this program with _dsp in its name. */
static bool kernels_are_dsp;

static void networks_of_patches(void **state)
{
    struct agn_rng rng;
    struct seen seen = {0};
    int networks = 160, of_bytes = 0;
    (void)state;
    agn_rng_seed(&rng, 25);
    for (int i = 0; i < networks; i++) {
        struct device d;
        device_open(&d, &rng, RANDOM_PATCHES, 1 + (int)agn_rng_below(&rng, 4), i % 4 > 0 ? 64 : 12, 12);
        run_frame(&d, &rng, &seen);
        of_bytes += d.dev.local_row != NULL;
        run_frame(&d, &rng, &seen);
        run_cuts(&d, &rng, &seen);
        device_close(&d);
    }
    print_message("%d networks of patches, %d read as bytes\n", networks, of_bytes);
    assert_true(kernels_are_dsp ? of_bytes > networks / 10 && of_bytes < networks : of_bytes == 0);
}

/* The integer rule against the softmax itself. */
static void softmax_rule_is_exact_enough(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 27);
    for (int i = 0; i < 20000; i++) {
        int16_t logits[1000];
        int classes = i % 100 == 0 ? 1000 : 1 + (int)agn_rng_below(&rng, 20);
        uint32_t spread = 1 + agn_rng_below(&rng, i % 7 == 0 ? 65535 : 3000);
        double sum = 0.0, best = -INFINITY;
        for (int c = 0; c < classes; c++) {
            logits[c] = (int16_t)((int)agn_rng_below(&rng, spread) - (int)spread / 2);
            best = fmax(best, logits[c]);
        }
        for (int c = 0; c < classes; c++)
            sum += exp((logits[c] - best) / 256.0);
        /* Each of `classes` terms may be a few units off. */
        double softmax = 1.0 / sum, near = 2e-4 * (1.0 + classes * softmax);
        int threshold = 1 + (int)agn_rng_below(&rng, 32767);
        if (fabs(softmax - threshold / 32768.0) > near)
            assert_int_equal(agn__softmax_reaches(logits, (unsigned)classes, (unsigned)threshold),
                             softmax > threshold / 32768.0);
    }
}

/* ---- files that lie -------------------------------------------------------------------------------- */

/* A model may be refused, or run; it must not read or write beyond what it may (ASan sees that). */
static void run_as_it_is(const uint8_t *file, size_t file_bytes, const uint8_t *image)
{
    struct agn_dev_model model;
    struct agn_dev dev;
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    if (agn_dev_model_open(&model, file, file_bytes) < 0)
        return;
    uint32_t bytes = agn_dev_arena_bytes(&model);
    void *arena = malloc(bytes);
    assert_non_null(arena);
    assert_int_equal(agn_dev_init(&dev, file, file_bytes, arena, bytes), 0);
    unsigned cut = agn_dev_cuts(&model);
    do {
        agn_dev_frame_begin(&dev, 1, 0);
        agn_dev_push_rows(&dev, image, model.input_h);
        while (agn_dev_next_packet(&dev, packet, sizeof packet) > 0)
            ;
    } while (cut-- > 0 && agn_dev_select_cut(&dev, cut) == 0);
    free(arena);
}

static void changed_files_do_no_harm(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 25);
    for (int i = 0; i < 40; i++) {
        struct device d;
        do { /* half of them have cuts */
            device_open(&d, &rng, RANDOM_USUAL, 8, 10, 6);
            if (i % 2 == 0 || d.random.model.cut_count > 0)
                break;
            device_close(&d);
        } while (true);
        uint8_t *image =
            calloc(1, 1U << 16); /* for whatever size the file claims then: what is open is small */
        assert_non_null(image);
        size_t records = AGN_MODEL_HEADER_BYTES + 8U * AGN__GRAPH_LAYER_BYTES + 4U * AGN__GRAPH_HEAD_BYTES;
        for (int change = 0; change < 400; change++) {
            size_t at = agn_rng_below(&rng, (uint32_t)(records < d.file_bytes ? records : d.file_bytes));
            if (i % 2 == 1 && change % 4 == 0) /* the table of cuts ends the file */
                at = d.file_bytes - 4 -
                     agn_rng_below(&rng, (uint32_t)d.random.model.cut_count * AGN__GRAPH_CUT_BYTES) - 1;
            uint8_t before = d.file[at];
            d.file[at] = (uint8_t)(agn_rng_below(&rng, 2) ? agn_rng_below(&rng, 256)
                                                          : before ^ 1U << agn_rng_below(&rng, 8));
            agn__store_u32(d.file + d.file_bytes - 4, agn_crc32(0, d.file, d.file_bytes - 4));
            struct agn_dev_model model;
            if (agn_dev_model_open(&model, d.file, d.file_bytes) == 0 &&
                (uint32_t)model.input_h * model.input_w * model.input_c <= 1U << 16)
                run_as_it_is(d.file, d.file_bytes, image);
            d.file[at] = before;
        }
        free(image);
        device_close(&d);
    }
}

static struct device plain; /* image 8x8x2, conv to 4, depthwise, sum of the two, an answer */

static void make_plain(void)
{
    struct agn_rng rng;
    agn_rng_seed(&rng, 26);
    memset(&plain, 0, sizeof plain);
    struct random_model *r = &plain.random;
    struct agn_model_agn *m = &r->model;
    static int8_t weights[4096];
    static struct agn_model_channel channels[64];
    for (size_t i = 0; i < sizeof weights; i++)
        weights[i] = (int8_t)((int)agn_rng_below(&rng, 256) - 128);
    for (size_t i = 0; i < AGN_COUNT_OF(channels); i++)
        channels[i] = (struct agn_model_channel){0, 1 << 30, 40};
    m->is_graph = true;
    m->input_h = m->input_w = 8;
    m->input_c = 2;
    m->classes = 3;
    m->layer_count = 3;
    m->layers = r->layers;
    r->layers[0] = (struct agn_model_layer){.kind = AGN_LAYER_CONV,
                                            .out_c = 4,
                                            .kernel_h = 3,
                                            .kernel_w = 3,
                                            .stride_h = 1,
                                            .stride_w = 1,
                                            .pad_h = 1,
                                            .pad_w = 1,
                                            .clamp_min = -128,
                                            .clamp_max = 127,
                                            .weights = weights,
                                            .channels = channels};
    r->layers[1] = r->layers[0];
    r->layers[1].kind = AGN_LAYER_DWCONV;
    r->layers[1].source[0] = 1;
    r->sums[2] = (struct agn_model_sum){1 << 14, {16384, 16384}, 15};
    r->layers[2] = (struct agn_model_layer){.kind = AGN_LAYER_ADD,
                                            .out_c = 4,
                                            .kernel_h = 1,
                                            .kernel_w = 1,
                                            .stride_h = 1,
                                            .stride_w = 1,
                                            .clamp_min = -128,
                                            .clamp_max = 127,
                                            .source = {2, 1},
                                            .sum = &r->sums[2]};
    m->head_count = 1;
    m->heads = r->heads;
    r->heads[0] =
        (struct agn_model_head){.tensor = 3, .count = 4, .grid = 2, .weights = weights, .channels = channels};
}

/* The same, which may send the image, the first layer's result in 5 bits, or the sum. */
static void make_cuts(void)
{
    make_plain();
    struct random_model *r = &plain.random;
    r->model.sender = 3;
    r->model.value_bits = 8;
    r->model.cut_count = 2;
    r->model.cuts = r->cuts;
    r->cuts[0] = (struct agn_model_cut){0x11, 0, 8, 0};
    r->cuts[1] = (struct agn_model_cut){0x22, 1, 5, 0};
}

static void expect_refusal(const char *words)
{
    uint8_t *file = NULL;
    size_t bytes = 0;
    assert_true(agn_model_agn_write(&plain.random.model, &file, &bytes) < 0);
    if (!strstr(agn_error_message(), words))
        fail_msg("'%s' lacks '%s'", agn_error_message(), words);
    assert_null(file);
}

static void wrong_networks_are_refused(void **state)
{
    (void)state;
    make_plain();
    plain.random.layers[0].source[0] = 1; /* itself */
    expect_refusal("not made before it");
    make_plain();
    plain.random.layers[1].source[0] = 3; /* a cycle */
    expect_refusal("not made before it");
    make_plain();
    plain.random.layers[2].source[1] = 0; /* another shape */
    expect_refusal("differs in shape");
    make_plain();
    plain.random.layers[1].first = 4;
    expect_refusal("channels that its source does not have");
    make_plain();
    plain.random.heads[0].count = 5;
    expect_refusal("pools channels 0 to 4");
    make_plain();
    plain.random.heads[0].tensor = 4;
    expect_refusal("is of tensor 4");
    make_plain();
    plain.random.model.head_count = 0;
    expect_refusal("there is nothing to make");
    make_plain();
    plain.random.layers[0].kernel_h = 8;
    expect_refusal("kernels 1 to 7");
    make_plain();
    plain.random.heads[0].softmax = 32768;
    expect_refusal("is sure from 0 or 32768 on");
    make_plain();
    plain.random.model.sender = 3;
    plain.random.model.value_bits = 9;
    expect_refusal("cannot be sent as values of 9 bits");
    plain.random.model.value_bits = 8;
    plain.random.model.local_c = 1;
    expect_refusal("from channel 1 on");
    make_cuts();
    plain.random.model.cut_count = 8;
    expect_refusal("8 cuts besides the sender");
    make_cuts();
    plain.random.model.value_bits = 0;
    expect_refusal("cut 0 is at tensor 0; expected tensors in ascending order below the sender, 3");
    make_cuts();
    plain.random.cuts[1].tensor = 3;
    expect_refusal("cut 1 is at tensor 3");
    make_cuts();
    plain.random.cuts[1].tensor = 0;
    expect_refusal("cut 1 is at tensor 0");
    make_cuts();
    plain.random.cuts[0].value_bits = 7;
    expect_refusal("a tensor of 8x8x2 cannot be sent as values of 7 bits");
    make_cuts();
    plain.random.cuts[1].value_bits = 9;
    expect_refusal("a tensor of 8x8x4 cannot be sent as values of 9 bits");
    make_cuts();
    plain.random.cuts[1].layers = 9;
    expect_refusal("cut 1 runs 9 layers; expected 1 to 3");
    make_cuts();
    plain.random.cuts[0].layers = 1;
    expect_refusal("cut 0 runs 1 layers");
    make_plain();
    plain.random.model.layer_count = 65;
    expect_refusal("1 to 64");
}

/* Changes a field of a right file so that the plan is wrong. */
static void break_plan(unsigned layer, unsigned field, uint8_t value)
{
    uint8_t *file = NULL;
    size_t bytes = 0;
    struct agn_dev_model model;
    make_plain();
    assert_int_equal(agn_model_agn_write(&plain.random.model, &file, &bytes), 0);
    assert_int_equal(agn_dev_model_open(&model, file, bytes), 0);
    uint8_t *record = file + (agn__graph_record(&model, layer) - file);
    assert_int_not_equal(record[field], value);
    record[field] = value;
    agn__store_u32(file + bytes - 4, agn_crc32(0, file, bytes - 4));
    int status = agn_dev_model_open(&model, file, bytes);
    assert_true(status == AGN_ERR_RANGE || status == AGN_ERR_UNSUPPORTED);
    agn_free(file);
}

/* Changes a byte of the header of a file that sends values of 5 bits. */
static void break_values(unsigned at, uint8_t value, int status)
{
    uint8_t *file = NULL;
    size_t bytes = 0;
    struct agn_dev_model model;
    make_plain();
    plain.random.model.sender = 3;
    plain.random.model.value_bits = 5;
    assert_int_equal(agn_model_agn_write(&plain.random.model, &file, &bytes), 0);
    assert_int_equal(agn_dev_model_open(&model, file, bytes), 0);
    assert_int_equal(model.map_c, 8);
    assert_int_equal(model.map_h, 1);
    assert_int_equal(model.map_w, 54); /* 8 places of 4 channels of 5 bits are 20 bytes */
    file[at] = value;
    agn__store_u32(file + bytes - 4, agn_crc32(0, file, bytes - 4));
    assert_int_equal(agn_dev_model_open(&model, file, bytes), status);
    agn_free(file);
}

static void wrong_values_are_refused(void **state)
{
    (void)state;
    break_values(AGN__AT_VALUE_BITS, 5, 0);
    break_values(AGN__AT_VALUE_BITS, 0, AGN_ERR_RANGE); /* then the map is no tensor's */
    break_values(AGN__AT_VALUE_BITS, 4, AGN_ERR_RANGE);
    break_values(AGN__AT_VALUE_BITS, 9, AGN_ERR_RANGE);
    break_values(AGN__AT_MAP, 2, AGN_ERR_RANGE);      /* runs */
    break_values(AGN__AT_MAP + 2, 57, AGN_ERR_RANGE); /* symbols of a run */
    break_values(AGN__AT_MAP + 4, 7, AGN_ERR_RANGE);  /* rows */
    break_values(AGN__AT_LOCAL_C, 1, AGN_ERR_RANGE);
    break_values(AGN__AT_CODEC, AGN_CODEC_RANGE, AGN_ERR_RANGE);
    break_values(AGN__AT_SENDER, 0, AGN_ERR_RANGE);
}

/* Changes a byte of the table, or of the header where `at` is negative: -offset. */
static void break_cuts(int at, uint8_t value, int status)
{
    uint8_t *file = NULL;
    size_t bytes = 0;
    struct agn_dev_model model;
    make_cuts();
    assert_int_equal(agn_model_agn_write(&plain.random.model, &file, &bytes), 0);
    assert_int_equal(agn_dev_model_open(&model, file, bytes), 0);
    assert_int_equal(agn_dev_cuts(&model), 3);
    uint8_t *to = at < 0 ? file - at : file + agn__load_u32(file + AGN__AT_CUTS) + at;
    assert_int_not_equal(*to, value);
    *to = value;
    agn__store_u32(file + bytes - 4, agn_crc32(0, file, bytes - 4));
    assert_int_equal(agn_dev_model_open(&model, file, bytes), status);
    agn_free(file);
}

static void wrong_cuts_are_refused(void **state)
{
    enum { FIRST = 0, SECOND = AGN__GRAPH_CUT_BYTES };
    (void)state;
    break_cuts(SECOND + AGN__CUT_MODEL_ID, 7, 0);
    break_cuts(SECOND + AGN__CUT_TENSOR, 0, AGN_ERR_RANGE); /* not ascending */
    break_cuts(FIRST + AGN__CUT_TENSOR, 1, AGN_ERR_RANGE);
    break_cuts(SECOND + AGN__CUT_TENSOR, 3, AGN_ERR_RANGE); /* the sender itself */
    break_cuts(SECOND + AGN__CUT_TENSOR, 4, AGN_ERR_RANGE); /* there is none */
    break_cuts(SECOND + AGN__CUT_TENSOR, 255, AGN_ERR_RANGE);
    break_cuts(SECOND + AGN__CUT_TENSOR, 2, AGN_ERR_RANGE); /* the same map, but no segment ends there */
    break_cuts(SECOND + AGN__CUT_VALUE_BITS, 0, AGN_ERR_RANGE);
    break_cuts(SECOND + AGN__CUT_VALUE_BITS, 9, AGN_ERR_RANGE);
    break_cuts(SECOND + AGN__CUT_VALUE_BITS, 4, AGN_ERR_RANGE); /* then rows are shorter than the map says */
    break_cuts(FIRST + AGN__CUT_VALUE_BITS, 7, AGN_ERR_RANGE);
    for (unsigned i = 0; i < 3; i++)
        break_cuts((int)(SECOND + AGN__CUT_ZERO + i), 1, AGN_ERR_RANGE);
    break_cuts(FIRST + AGN__CUT_LAYERS, 1, AGN_ERR_RANGE);
    break_cuts(SECOND + AGN__CUT_LAYERS, 0, AGN_ERR_RANGE); /* fewer than make the tensor */
    break_cuts(SECOND + AGN__CUT_LAYERS, 2, AGN_ERR_RANGE); /* no segment ends there */
    break_cuts(SECOND + AGN__CUT_LAYERS, 200, AGN_ERR_RANGE);
    for (int i = FIRST; i <= SECOND; i += SECOND) {
        break_cuts(i + AGN__CUT_MAP, 2, AGN_ERR_RANGE);      /* runs */
        break_cuts(i + AGN__CUT_MAP, 0, AGN_ERR_RANGE);      /* none */
        break_cuts(i + AGN__CUT_MAP + 1, 1, AGN_ERR_RANGE);  /* 257 */
        break_cuts(i + AGN__CUT_MAP + 2, 57, AGN_ERR_RANGE); /* symbols of a run */
        break_cuts(i + AGN__CUT_MAP + 2, 0, AGN_ERR_RANGE);
        break_cuts(i + AGN__CUT_MAP + 4, 7, AGN_ERR_RANGE); /* rows */
        break_cuts(i + AGN__CUT_MAP + 5, 1, AGN_ERR_RANGE);
    }
    break_cuts(-AGN__AT_CUT_COUNT, 1, 0); /* the first alone is a table, too */
    break_cuts(-AGN__AT_CUT_COUNT, 3, AGN_ERR_RANGE);
    break_cuts(-AGN__AT_CUT_COUNT, 8, AGN_ERR_RANGE);
    break_cuts(-(AGN__AT_CUT_COUNT + 1), 1, AGN_ERR_RANGE);
    break_cuts(-AGN__AT_CUTS, 2, AGN_ERR_RANGE);       /* not on a word */
    break_cuts(-(AGN__AT_CUTS + 3), 1, AGN_ERR_RANGE); /* beyond the file */
    break_cuts(-AGN__AT_VALUE_BITS, 0, AGN_ERR_RANGE); /* a sender of symbols has no cuts */
}

/* A frame sent cut by cut may answer without the layers behind, and says so. */
static void cuts_are_views_of_the_file(void **state)
{
    uint8_t *file = NULL;
    size_t bytes = 0;
    struct agn_dev_model model, view;
    struct agn_dev_memory memory;
    static const uint32_t ids[] = {0x11, 0x22, 0x33};
    static const uint32_t raw[] = {8 * 2 * 8, 8 * 4 * 8 * 5 / 8, 8 * 4 * 8}; /* a few spare bits come to it */
    (void)state;
    make_cuts();
    plain.random.model.model_id = 0x33;
    assert_int_equal(agn_model_agn_write(&plain.random.model, &file, &bytes), 0);
    assert_int_equal(agn_dev_model_open(&model, file, bytes), 0);
    agn_dev_memory(&model, &memory);
    for (unsigned cut = 0; cut < 3; cut++) {
        struct agn_dev_memory of_cut;
        assert_int_equal(agn_dev_model_cut(&model, cut, &view), 0);
        assert_int_equal(view.model_id, ids[cut]);
        assert_int_equal(view.layer_count, cut == 2 ? 3 : cut);
        assert_int_equal(agn_dev_model_answers(&view), cut == 2);
        agn_dev_memory(&view, &of_cut);
        assert_int_equal(of_cut.arena_bytes, memory.arena_bytes);
        assert_true(of_cut.raw_bytes >= raw[cut] && of_cut.raw_bytes <= raw[cut] + 16);
    }
    assert_int_equal(agn_dev_model_cut(&model, 3, &view), AGN_ERR_ARG);
    agn_free(file);
}

/* What lies behind the tensors must stay aligned. */
static void odd_memory_is_refused(void **state)
{
    uint8_t *file = NULL;
    size_t bytes = 0;
    struct agn_dev_model model;
    (void)state;
    make_plain();
    assert_int_equal(agn_model_agn_write(&plain.random.model, &file, &bytes), 0);
    uint32_t needed = agn__load_u32(file + AGN__AT_TENSOR_BYTES);
    for (uint32_t more = 0; more < 4; more++) {
        agn__store_u32(file + AGN__AT_TENSOR_BYTES, needed + more);
        agn__store_u32(file + bytes - 4, agn_crc32(0, file, bytes - 4));
        assert_int_equal(agn_dev_model_open(&model, file, bytes), more == 0 ? 0 : AGN_ERR_RANGE);
    }
    agn_free(file);
}

static void wrong_plans_are_refused(void **state)
{
    (void)state;
    break_plan(0, AGN__GRAPH_STORAGE + 2, 2);            /* three rows are needed, one more for the sum */
    break_plan(1, AGN__GRAPH_OFFSET, 0);                 /* over the first tensor while it lives */
    break_plan(2, AGN__GRAPH_OFFSET, 2);                 /* not on a word */
    break_plan(0, AGN__GRAPH_STORAGE, AGN__STORED_WIDE); /* not as a depthwise layer wants it */
    break_plan(0, AGN__GRAPH_STORAGE, AGN__STORAGE_COUNT);
    break_plan(0, AGN__GRAPH_LAST_READER, 1);
    break_plan(1, AGN__GRAPH_SEGMENT, 2); /* none is left out */
    break_plan(0, AGN__GRAPH_KEPT, 3);
    break_plan(1, AGN__GRAPH_SOURCES, 2); /* its own result */
    break_plan(2, AGN__GRAPH_SOURCES, 0);
}

/* ---- for emulated boards ------------------------------------------------------------------------ */

static int write_graph(const struct random_model *random, struct agn_rng *rng, const char *folder, int number)
{
    enum { FRAMES = 3, PATH_BYTES = 1024 };
    char path[PATH_BYTES];
    uint8_t *bytes = NULL;
    size_t size = 0;
    struct agn_file_out frames;
    size_t image = (size_t)(random->model.input_h * random->model.input_w * random->model.input_c);
    int status = agn_model_agn_write(&random->model, &bytes, &size);
    snprintf(path, sizeof(path), "%s/%d.agn", folder, number);
    if (status >= 0)
        status = agn_file_write(path, bytes, size);
    agn_free(bytes);
    snprintf(path, sizeof(path), "%s/%d.raw", folder, number);
    if (status >= 0)
        status = agn_file_out_open(&frames, path);
    for (int i = 0; i < FRAMES && status >= 0; i++) {
        uint8_t *pixels = random_image(&random->model, rng);
        fwrite(pixels, 1, image, frames.stream);
        agn_free(pixels);
    }
    return status < 0 ? status : agn_file_out_commit(&frames);
}

/* N networks and frames for them, as N.agn and N.raw, for tests/check_firmware_graph.sh. */
static int write_graphs(const char *folder, int count)
{
    static struct random_model random;
    static const enum random_style styles[] = {RANDOM_USUAL, RANDOM_SEPARABLE, RANDOM_EXTREME};
    struct agn_rng rng;
    int status = AGN_OK;
    agn_rng_seed(&rng, 57);
    for (int i = 0; i < count && status >= 0; i++) {
        random_graph_make(&random, &rng, styles[i % 3], 4 + (int)agn_rng_below(&rng, 20), 16, 20);
        status = write_graph(&random, &rng, folder, i);
        random_model_free(&random);
    }
    if (status < 0)
        fprintf(stderr, "%s\n", agn_error_message());
    return status < 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--write") == 0)
        return write_graphs(argv[2], atoi(argv[3]));
    kernels_are_dsp = strstr(argv[0], "_dsp") != NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_networks),
        cmocka_unit_test(extreme_networks),
        cmocka_unit_test(deep_networks),
        cmocka_unit_test(wide_networks),
        cmocka_unit_test(networks_of_patches),
        cmocka_unit_test(softmax_rule_is_exact_enough),
        cmocka_unit_test(changed_files_do_no_harm),
        cmocka_unit_test(wrong_networks_are_refused),
        cmocka_unit_test(wrong_plans_are_refused),
        cmocka_unit_test(wrong_values_are_refused),
        cmocka_unit_test(wrong_cuts_are_refused),
        cmocka_unit_test(cuts_are_views_of_the_file),
        cmocka_unit_test(odd_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
