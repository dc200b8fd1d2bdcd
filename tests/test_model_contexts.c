/* The codecs' context model as training learns it: proper tables that shorten the code, in the file and back,
 * damaged files, and data sets that stand class by class. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/deploy.h"
#include "agilenn/train.h"
#include "naive_device.h"
#include "temp_folder.h"
#include "tiny_model.h"

static const struct tiny_config config = {.extractor = "conv:c6:s2 conv:c8",
                                          .height = 12,
                                          .width = 12,
                                          .channels = 1,
                                          .local_channels = 2,
                                          .grid = 2,
                                          .classes = 3};
enum { BATCH = 50 };

static void succeed(int status)
{
    if (status < 0)
        fail_msg("%s", agn_error_message());
}

static void expect_message(const char *part)
{
    if (strstr(agn_error_message(), part) == NULL)
        fail_msg("the message '%s' lacks '%s'", agn_error_message(), part);
}

/* ---- the length of the code ------------------------------------------------------------- */

static double bits_of_image(const struct agn_model *model, const struct agn_context_model *contexts,
                            const uint8_t *symbols)
{
    int sent = model->sent_channels, positions = model->map.height * model->map.width;
    const struct agn_tile tile = {.channel_count = (uint8_t)sent,
                                  .row_count = (uint8_t)model->map.height,
                                  .width = (uint8_t)model->map.width,
                                  .contexts = contexts};
    uint8_t planar[2048] = {0};
    double bits = 0.0;
    assert_true(sent * positions <= (int)sizeof planar);
    for (int c = 0; c < sent; c++)
        for (int p = 0; p < positions; p++)
            planar[c * positions + p] = symbols[p * sent + c];
    for (size_t at = 0; at < (size_t)(sent * positions); at++) {
        unsigned d = naive_distribution(&tile, planar, at);
        unsigned parts = naive_below(contexts, d, planar[at] + 1u) - naive_below(contexts, d, planar[at]);
        bits -= log2(parts / 32768.0);
    }
    return bits;
}

static double channel_sums[AGN_MAX_FEATURES]; /* of the quantised values that mean_bits saw last */

/* Mean bits of an image's symbols under the contexts; the number of images is a multiple of BATCH. */
static double mean_bits(const struct agn_model *model, const struct agn_context_model *contexts,
                        const struct agn_dataset *data)
{
    struct agn_net_config net_config = {.graph = &model->parts[AGN_EXTRACTOR].graph,
                                        .params = model->parts[AGN_EXTRACTOR].params,
                                        .batch = BATCH,
                                        .mode = AGN_NET_FROZEN};
    struct agn_loader_config load = {.batch = BATCH, .normalisation = model->normalisation};
    struct agn_net *net = NULL;
    struct agn_loader *loader = NULL;
    struct agn_batch batch;
    size_t positions = (size_t)(model->map.height * model->map.width), sent = (size_t)model->sent_channels;
    float *local = calloc(BATCH * positions * 8, sizeof(float)),
          *rest = calloc(BATCH * positions * 8, sizeof(float)),
          *values = calloc(BATCH * positions * 8, sizeof(float));
    uint8_t *symbols = calloc(BATCH * positions, sent);
    double bits = 0.0;
    memset(channel_sums, 0, sizeof channel_sums);
    assert_true(local && rest && values && symbols && data->count % BATCH == 0);
    succeed(agn_net_create(&net_config, &net));
    succeed(agn_loader_create(data, &load, &loader));
    succeed(agn_loader_start(loader, 0));
    while (agn_loader_next(loader, &batch) > 0) {
        memcpy(agn_net_write(net, AGN_BORDER_INPUT), batch.images, (size_t)(BATCH * 12 * 12) * sizeof(float));
        succeed(agn_net_forward(net));
        const struct agn_channel_split split = agn_model_split(model, BATCH * positions);
        agn_split_channels(&split, agn_net_read(net, AGN_BORDER_OUTPUT), local, rest);
        agn_quantise(model->centroids, rest, BATCH * positions * sent, symbols, values);
        for (size_t i = 0; i < BATCH * positions * sent; i++)
            channel_sums[i % sent] += (double)values[i];
        for (size_t i = 0; i < BATCH; i++)
            bits += bits_of_image(model, contexts, symbols + i * positions * sent);
    }
    agn_loader_free(loader);
    agn_net_free(net);
    free(local);
    free(rest);
    free(values);
    free(symbols);
    return bits / data->count;
}

/* ---- learning ------------------------------------------------------------------------------ */

/* The least bits with one distribution for all contexts. */
static double bits_with_one_distribution(const struct agn_model *model, const struct agn_dataset *data)
{
    uint8_t *map = calloc((size_t)model->sent_channels, AGN_CONTEXTS);
    uint8_t entry[AGN_DISTRIBUTION_BYTES];
    double best = INFINITY;
    assert_non_null(map);
    /* Geometric ones with any share of zeros: the best of them stands for all. */
    for (int parts = 1; parts < 64; parts++) {
        double above = 1.0, next = 0.0;
        int below = 0;
        for (int s = 0; s < AGN_LEVELS; s++) {
            next = s == AGN_LEVELS - 1 ? 0.0 : above * (1.0 - parts / 64.0);
            int up_to = s == AGN_LEVELS - 1 ? 32768 : (int)lround((1.0 - next) * 32768.0);
            up_to = up_to <= below ? below + 1 : up_to;
            up_to = up_to > 32761 + s ? 32761 + s : up_to;
            entry[2 * s] = (uint8_t)up_to;
            entry[2 * s + 1] = (uint8_t)(up_to >> 8);
            below = up_to;
            above = next;
        }
        struct agn_context_model one = {map, entry, 1, (uint8_t)model->sent_channels};
        assert_int_equal(agn_context_model_check(&one), 0);
        best = fmin(best, mean_bits(model, &one, data));
    }
    free(map);
    return best;
}

static void tables_are_proper_and_shorten_the_code(void **state)
{
    (void)state;
    struct agn_dataset *data = tiny_dataset(&config, 200, 3), *other = tiny_dataset(&config, 100, 4);
    struct agn_model *model = tiny_random_model(&config, data, 5);
    struct agn_context_model contexts;
    agn_model_contexts(model, &contexts);
    assert_int_equal(contexts.distributions, 1);
    assert_int_equal(agn_context_model_check(&contexts), 0);
    double fresh = mean_bits(model, &contexts, data);
    uint32_t id = agn_model_id(model);

    succeed(agn_model_learn_contexts(model, data));
    agn_model_contexts(model, &contexts);
    assert_int_equal(contexts.channels, model->sent_channels);
    assert_in_range(contexts.distributions, 2, AGN_MODEL_DISTRIBUTIONS);
    assert_int_equal(agn_context_model_check(&contexts), 0); /* ascending to 2^15, maps in range */
    assert_int_not_equal(agn_model_id(model), id);
    double one = bits_with_one_distribution(model, data), learned = mean_bits(model, &contexts, data);
    double unseen = mean_bits(model, &contexts, other);
    print_message("bits an image: fresh %.1f, one distribution %.1f, learned %.1f, on other images %.1f\n",
                  fresh, one, learned, unseen);
    assert_true(learned < 0.8 * one && learned < fresh);
    assert_true(unseen < 1.3 * learned && unseen < one);

    /* The same again gives the same. */
    id = agn_model_id(model);
    succeed(agn_model_learn_contexts(model, data));
    assert_int_equal(agn_model_id(model), id);
    agn_model_free(model);
    agn_dataset_free(data);
    agn_dataset_free(other);
}

/* Few images, not even a batch; a single one. */
static void few_images(void **state)
{
    (void)state;
    struct agn_dataset *data = tiny_dataset(&config, 60, 3);
    struct agn_model *model = tiny_random_model(&config, data, 5);
    for (int count = 1; count <= 60; count += 29) {
        struct agn_dataset part = *data;
        struct agn_context_model contexts;
        part.count = count;
        succeed(agn_model_learn_contexts(model, &part));
        agn_model_contexts(model, &contexts);
        assert_int_equal(agn_context_model_check(&contexts), 0);
    }
    struct agn_dataset other = *data;
    other.channels = 3;
    assert_true(agn_model_learn_contexts(model, &other) < 0);
    agn_model_free(model);
    agn_dataset_free(data);
}

/* More images than are looked at: black ones, then patterns. The patterns must be among those looked at. */
static void a_data_set_in_the_order_of_its_classes(void **state)
{
    (void)state;
    enum { IMAGES = 9000, PATTERNS = 200, IMAGE = 12 * 12 };
    struct agn_dataset *patterns = tiny_dataset(&config, PATTERNS, 3);
    struct agn_model *model = tiny_random_model(&config, patterns, 5);
    struct agn_context_model contexts;
    struct agn_dataset all = *patterns;
    all.count = IMAGES;
    all.pixels = calloc(IMAGES, IMAGE);
    all.labels = calloc(IMAGES, sizeof *all.labels);
    assert_true(all.pixels && all.labels);
    for (size_t i = IMAGES / 2; i < IMAGES; i++) {
        memcpy(all.pixels + i * IMAGE, patterns->pixels + i % PATTERNS * IMAGE, IMAGE);
        all.labels[i] = 1;
    }
    succeed(agn_model_learn_contexts(model, &all));
    agn_model_contexts(model, &contexts);
    double ordered = mean_bits(model, &contexts, patterns);
    succeed(agn_model_learn_contexts(model, patterns));
    agn_model_contexts(model, &contexts);
    double alone = mean_bits(model, &contexts, patterns);
    print_message("bits of a pattern: %.1f, %.1f if there were patterns only\n", ordered, alone);
    assert_true(ordered < 1.25 * alone);
    free(all.pixels);
    free(all.labels);
    agn_model_free(model);
    agn_dataset_free(patterns);
}

static void training_learns_them(void **state)
{
    (void)state;
    struct agn_dataset *train = tiny_dataset(&config, 96, 3), *test = tiny_dataset(&config, 32, 4);
    struct agn_model *model = tiny_trained_model(&config, train, test, 5);
    struct agn_context_model contexts;
    agn_model_contexts(model, &contexts);
    assert_true(contexts.distributions > 1);
    uint32_t id = agn_model_id(model);
    size_t fill_bytes = (size_t)model->sent_channels * sizeof(float);
    float fill[AGN_MAX_FEATURES];
    memcpy(fill, model->fill, fill_bytes);
    succeed(agn_model_learn_contexts(model, train)); /* from these images it was */
    assert_int_equal(agn_model_id(model), id);
    assert_memory_equal(model->fill, fill, fill_bytes);
    succeed(agn_model_learn_contexts(model, test));
    assert_memory_not_equal(model->fill, fill, fill_bytes);
    agn_model_free(model);
    agn_dataset_free(train);
    agn_dataset_free(test);
}

/* Models of the same training images are the same, whatever they are tested on. */
static void nothing_of_the_test_images_enters(void **state)
{
    (void)state;
    struct agn_dataset *train = tiny_dataset(&config, 96, 3);
    struct agn_model *models[2];
    for (uint64_t i = 0; i < 2; i++) {
        struct agn_dataset *test = tiny_dataset(&config, 32 + (int)i, 4 + i);
        models[i] = tiny_trained_model(&config, train, test, 5);
        agn_dataset_free(test);
    }
    assert_int_equal(agn_model_id(models[0]), agn_model_id(models[1]));
    size_t sent = (size_t)models[0]->sent_channels;
    assert_memory_equal(models[0]->fill, models[1]->fill, sent * sizeof(float));
    assert_memory_equal(models[0]->trust, models[1]->trust, (sent + 1) * sizeof(float));
    agn_model_free(models[0]);
    agn_model_free(models[1]);
    agn_dataset_free(train);
}

/* The mean of what the server decodes. */
static void fill_is_the_channels_mean(void **state)
{
    (void)state;
    enum { IMAGES = 2 * BATCH };
    struct agn_dataset *data = tiny_dataset(&config, IMAGES, 3);
    struct agn_model *model = tiny_random_model(&config, data, 5);
    struct agn_context_model contexts;
    succeed(agn_model_learn_contexts(model, data));
    agn_model_contexts(model, &contexts);
    (void)mean_bits(model, &contexts, data);
    for (int c = 0; c < model->sent_channels; c++) {
        double symbols = (double)IMAGES * model->map.height * model->map.width;
        assert_true(channel_sums[c] > 0.0);
        assert_true(fabs((double)model->fill[c] - channel_sums[c] / symbols) < 1e-5);
    }
    agn_model_free(model);
    agn_dataset_free(data);
}

/* ---- the file --------------------------------------------------------------------------------- */

static struct agn_model *learned_model(void)
{
    struct agn_dataset *data = tiny_dataset(&config, 100, 3);
    struct agn_model *model = tiny_random_model(&config, data, 5);
    succeed(agn_model_learn_contexts(model, data));
    agn_dataset_free(data);
    return model;
}

static void saved_and_loaded(void **state)
{
    (void)state;
    const char *path = temp_path("m.safetensors");
    struct agn_model *model = learned_model(), *back = NULL;
    succeed(agn_model_save(model, path));
    succeed(agn_model_load(path, &back));
    assert_int_equal(back->distributions, model->distributions);
    assert_memory_equal(back->context_map, model->context_map, (size_t)model->sent_channels * AGN_CONTEXTS);
    assert_memory_equal(back->context_cumulative, model->context_cumulative,
                        (size_t)model->distributions * AGN_DISTRIBUTION_BYTES);
    assert_int_equal(agn_model_id(back), agn_model_id(model));
    agn_model_free(back);
    agn_model_free(model);
}

static struct agn_tensor_view *tensor_of(struct agn_tensor_file *file, const char *name)
{
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

/* What a case does to the tensor `name`. */
enum damage { SET_VALUE, DROP, SHORTEN, EMPTY };

static void spoil(struct agn_tensor_file *file, const char *name, enum damage damage, int at, float value)
{
    struct agn_tensor_view *view = tensor_of(file, name);
    assert_non_null(view);
    switch (damage) {
    case SET_VALUE:
        ((float *)view->data)[at] = value;
        break;
    case DROP:
        *view = file->tensors[--file->count];
        break;
    case SHORTEN:
        view->dims[0]--;
        view->size_bytes -= sizeof(float);
        break;
    case EMPTY:
        view->dims[0] = 0;
        view->size_bytes = 0;
        break;
    }
}

static void damaged_tensors(void **state)
{
    (void)state;
    static const char map[] = "codec.contexts", sums[] = "codec.distributions";
    const struct {
        const char *name;
        enum damage damage;
        int at;
        float value;
    } cases[] = {
        {map, SET_VALUE, 0, -1.0F},     {map, SET_VALUE, 5, 64.0F},     {map, SET_VALUE, 700, NAN},
        {map, SET_VALUE, 6, 1e30F},     {map, SET_VALUE, 6, 0.5F},      {map, DROP, 0, 0.0F},
        {map, SHORTEN, 0, 0.0F},        {map, EMPTY, 0, 0.0F},          {sums, SET_VALUE, 0, 0.0F},
        {sums, SET_VALUE, 7, 32767.0F}, {sums, SET_VALUE, 7, 32769.0F}, {sums, SET_VALUE, 3, NAN},
        {sums, SET_VALUE, 3, INFINITY}, {sums, SET_VALUE, 1, 1.0F},     {sums, SET_VALUE, 2, -5.0F},
        {sums, DROP, 0, 0.0F},          {sums, SHORTEN, 0, 0.0F},       {sums, EMPTY, 0, 0.0F},
    };
    const char *path = temp_path("m.safetensors"), *spoiled = temp_path("spoiled.safetensors");
    struct agn_model *model = learned_model();
    succeed(agn_model_save(model, path));
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct agn_tensor_file file;
        struct agn_model *back = NULL;
        succeed(agn_tensor_file_read(path, &file));
        spoil(&file, cases[i].name, cases[i].damage, cases[i].at, cases[i].value);
        succeed(agn_tensor_file_write(spoiled, &file));
        agn_tensor_file_free(&file);
        int status = agn_model_load(spoiled, &back);
        if (status != AGN_ERR_FORMAT)
            fail_msg("case %zu: status %d", i, status);
        assert_null(back);
        expect_message("codec.contexts");
        expect_message("no context model");
    }
    agn_model_free(model);
}

/* Files of before there were context models. */
static void a_file_without_them(void **state)
{
    (void)state;
    const char *path = temp_path("m.safetensors");
    struct agn_tensor_file file;
    struct agn_context_model contexts;
    struct agn_model *model = learned_model(), *back = NULL;
    succeed(agn_model_save(model, path));
    succeed(agn_tensor_file_read(path, &file));
    spoil(&file, "codec.contexts", DROP, 0, 0.0F);
    spoil(&file, "codec.distributions", DROP, 0, 0.0F);
    succeed(agn_tensor_file_write(path, &file));
    agn_tensor_file_free(&file);
    succeed(agn_model_load(path, &back));
    agn_model_contexts(back, &contexts);
    assert_int_equal(contexts.distributions, 1);
    assert_int_equal(agn_context_model_check(&contexts), 0);
    agn_model_free(back);
    agn_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_proper_and_shorten_the_code),
        cmocka_unit_test(few_images),
        cmocka_unit_test(a_data_set_in_the_order_of_its_classes),
        cmocka_unit_test(training_learns_them),
        cmocka_unit_test(nothing_of_the_test_images_enters),
        cmocka_unit_test(fill_is_the_channels_mean),
        cmocka_unit_test(saved_and_loaded),
        cmocka_unit_test(damaged_tensors),
        cmocka_unit_test(a_file_without_them),
    };
    return cmocka_run_group_tests(tests, temp_folder_setup, temp_folder_teardown);
}
