/* The Remote NN as the server runs it, and the number by which device and server know each other. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/deploy.h"
#include "agilenn/edge.h"
#include "agilenn/measure.h"
#include "checkpoints.h"
#include "temp_folder.h"
#include "tiny_model.h"

enum { FRAMES = 12 };
static const struct tiny_config config = {"conv:c6:s2 conv:c9", 12, 10, 1, 3, 2, 4, true};

static void equals_the_network_in_batches(void **state)
{
    (void)state;
    struct agn_dataset *data = tiny_dataset(&config, 16, 1);
    struct agn_model *model = tiny_random_model(&config, data, 1);
    struct agn_net *net = NULL;
    struct agn_net_config planned = {.graph = &model->parts[AGN_REMOTE].graph,
                                     .params = model->parts[AGN_REMOTE].params,
                                     .batch = FRAMES,
                                     .mode = AGN_NET_FROZEN};
    struct agn_remote *remote = NULL;
    size_t floats = (size_t)model->map.height * (size_t)model->map.width * (size_t)model->sent_channels;
    float *features = agn_alloc(FRAMES * floats, sizeof(float)), logits[(FRAMES + 1) * 4];
    struct agn_rng rng;
    agn_rng_seed(&rng, 2);
    for (size_t i = 0; i < FRAMES * floats; i++)
        features[i] = model->centroids[agn_rng_below(&rng, AGN_LEVELS)];
    assert_int_equal(agn_net_create(&planned, &net), AGN_OK);
    assert_int_equal(agn_remote_create(model, &remote), AGN_OK);
    memcpy(agn_net_write(net, AGN_BORDER_INPUT), features, FRAMES * floats * sizeof(float));
    assert_int_equal(agn_net_forward(net), AGN_OK);
    const float *expected = agn_net_read(net, AGN_BORDER_OUTPUT);
    static const int counts[] = {1, FRAMES, 5, 0};
    for (size_t n = 0; n < AGN_COUNT_OF(counts); n++) {
        for (size_t i = 0; i < AGN_COUNT_OF(logits); i++)
            logits[i] = 77.0F;
        assert_int_equal(agn_remote_infer(remote, features, counts[n], logits), AGN_OK);
        for (int i = 0; i < counts[n] * 4; i++)
            assert_true(fabsf(logits[i] - expected[i]) <= 1e-4F * (1.0F + fabsf(expected[i])));
        assert_true(logits[counts[n] * 4] == 77.0F);
    }
    /* Other frames, other answers. */
    assert_true(fabsf(expected[0] - expected[4]) > 1e-3F || fabsf(expected[1] - expected[5]) > 1e-3F);
    agn_remote_free(remote);
    agn_remote_free(NULL);
    agn_net_free(net);
    agn_free(features);
    agn_model_free(model);
    agn_dataset_free(data);
}

static int argmax(const float *logits, int classes)
{
    int best = 0;
    for (int c = 1; c < classes; c++)
        best = logits[c] > logits[best] ? c : best;
    return best;
}

/* Features of `data` as the device sends them. */
static float *sent_features(struct agn_model *model, const struct agn_dataset *data)
{
    struct agn_net *net = NULL;
    struct agn_net_config planned = {.graph = &model->parts[AGN_EXTRACTOR].graph,
                                     .params = model->parts[AGN_EXTRACTOR].params,
                                     .batch = data->count,
                                     .mode = AGN_NET_FROZEN};
    struct agn_loader_config load = {.batch = data->count, .normalisation = model->normalisation};
    struct agn_loader *loader = NULL;
    struct agn_batch batch;
    size_t channels = (size_t)model->map.channels, sent = (size_t)model->sent_channels;
    size_t image = (size_t)data->height * (size_t)data->width * (size_t)data->channels;
    size_t rows = (size_t)data->count * (size_t)model->map.height * (size_t)model->map.width;
    float *features = agn_alloc(rows * sent, sizeof(float));
    assert_non_null(features);
    assert_int_equal(agn_net_create(&planned, &net), AGN_OK);
    assert_int_equal(agn_loader_create(data, &load, &loader), AGN_OK);
    assert_int_equal(agn_loader_start(loader, 0), AGN_OK);
    assert_true(agn_loader_next(loader, &batch) > 0);
    memcpy(agn_net_write(net, AGN_BORDER_INPUT), batch.images, (size_t)data->count * image * sizeof(float));
    assert_int_equal(agn_net_forward(net), AGN_OK);
    for (size_t r = 0; r < rows; r++)
        agn_quantise(model->centroids,
                     agn_net_read(net, AGN_BORDER_OUTPUT) + r * channels + (channels - sent), sent, NULL,
                     features + r * sent);
    agn_loader_free(loader);
    agn_net_free(net);
    return features;
}

/* In 8 bits a trained Remote NN answers as in floats, but for a few frames on the fence. */
static void eight_bits_cost_little_accuracy(void **state)
{
    (void)state;
    enum { IMAGES = 200, CLASSES = 4 };
    struct agn_dataset *data = tiny_dataset(&config, IMAGES, 1);
    struct agn_train_config training = {.train = data, .test = data};
    struct agn_train_report report;
    struct agn_model *model = NULL;
    tiny_preset(&config, 3, &training.preset);
    training.preset.joint.epochs = 30;
    assert_int_equal(agn_train_run(&training, &model, &report), AGN_OK);
    float *features = sent_features(model, data);
    float *logits = agn_alloc((size_t)2 * IMAGES * CLASSES, sizeof(float));
    int right[2] = {0, 0};
    for (int int8 = 0; int8 < 2; int8++) {
        struct agn_remote *remote = NULL;
        struct agn_remote_config wanted = {.threads = 1, .max_batch = 16, .int8 = int8 == 1};
        int status = agn_remote_create_as(model, &wanted, &remote);
        if (status == AGN_ERR_UNSUPPORTED && int8 == 1) {
            agn_free(logits);
            agn_free(features);
            agn_model_free(model);
            agn_dataset_free(data);
            skip();
        }
        float *own = logits + (size_t)int8 * IMAGES * CLASSES;
        assert_int_equal(status, AGN_OK);
        assert_int_equal(agn_remote_infer(remote, features, IMAGES, own), AGN_OK);
        for (int i = 0; i < IMAGES; i++)
            right[int8] += argmax(own + (size_t)i * CLASSES, CLASSES) == data->labels[i];
        agn_remote_free(remote);
    }
    assert_true(right[0] > IMAGES / 2); /* it has learned: chance is a quarter */
    assert_in_range(right[1], right[0] - IMAGES / 50, IMAGES);
    struct agn_int8_accuracy accuracy;
    assert_int_equal(agn_int8_accuracy(model, data, &accuracy), AGN_OK);
    assert_int_equal(accuracy.images, IMAGES);
    for (int int8 = 0; int8 < 2; int8++) {
        assert_int_equal(accuracy.remote[int8], right[int8]);
        assert_in_range(accuracy.fused[int8], IMAGES / 2 + 1, IMAGES);
    }
    assert_in_range(accuracy.same, IMAGES - IMAGES / 50, IMAGES);
    struct tiny_config wider = config;
    wider.width++;
    struct agn_dataset *foreign = tiny_dataset(&wider, 8, 1);
    assert_int_equal(agn_int8_accuracy(model, foreign, &accuracy), AGN_ERR_MISMATCH);
    agn_dataset_free(foreign);
    assert_memory_not_equal(logits, logits + (size_t)IMAGES * CLASSES, IMAGES * CLASSES * sizeof(float));
    agn_free(logits);
    agn_free(features);
    agn_model_free(model);
    agn_dataset_free(data);
}

static void id_follows_params(const struct agn_model *model, struct agn_params *params, uint32_t id)
{
    for (int i = 0; i < params->count; i++) {
        const struct agn_param *param = &params->list[i];
        size_t places[] = {0, param->count / 2, param->count - 1};
        for (size_t p = 0; p < AGN_COUNT_OF(places); p++) {
            float *at = &params->value[param->offset + places[p]], kept = *at;
            *at = nextafterf(kept, 100.0F);
            assert_int_not_equal(agn_model_id(model), id);
            *at = kept;
        }
    }
}

static void id_follows_every_number(void **state)
{
    (void)state;
    struct agn_dataset *data = tiny_dataset(&config, 16, 1);
    struct agn_model *model = tiny_random_model(&config, data, 1);
    uint32_t id = agn_model_id(model);
    assert_int_equal(id, agn_model_id(model));
    id_follows_params(model, model->parts[AGN_EXTRACTOR].params, id);
    id_follows_params(model, model->parts[AGN_REMOTE].params, id);
    for (int level = 0; level < AGN_LEVELS; level++) {
        float kept = model->centroids[level];
        model->centroids[level] = nextafterf(kept, 6.0F);
        assert_int_not_equal(agn_model_id(model), id);
        model->centroids[level] = kept;
    }
    float kept = model->alpha_weight;
    model->alpha_weight = nextafterf(kept, 100.0F);
    assert_int_not_equal(agn_model_id(model), id);
    model->alpha_weight = kept;
    assert_int_equal(agn_model_id(model), id);
    agn_model_free(model);
    agn_dataset_free(data);
}

static uint32_t fresh_id(const struct tiny_config *changed, int seed)
{
    struct agn_dataset *data = tiny_dataset(changed, 16, 1);
    struct agn_model *model = tiny_random_model(changed, data, seed);
    uint32_t id = agn_model_id(model);
    agn_model_free(model);
    agn_dataset_free(data);
    return id;
}

static void id_follows_shapes_and_seed(void **state)
{
    (void)state;
    struct tiny_config wider = config, local = config, classes = config;
    wider.width += 2;
    local.local_channels++;
    classes.classes++;
    uint32_t ids[] = {fresh_id(&config, 1), fresh_id(&config, 2), fresh_id(&wider, 1), fresh_id(&local, 1),
                      fresh_id(&classes, 1)};
    for (size_t a = 0; a < AGN_COUNT_OF(ids); a++)
        for (size_t b = 0; b < a; b++)
            assert_int_not_equal(ids[a], ids[b]);
    assert_int_equal(ids[0], fresh_id(&config, 1));
}

static void id_survives_files(void **state)
{
    (void)state;
    struct agn_dataset *data = tiny_dataset(&config, 64, 1);
    struct agn_model *model = tiny_trained_model(&config, data, data, 3), *loaded = NULL;
    const char *path = temp_path("model.safetensors");
    uint32_t id = agn_model_id(model);
    for (int checkpoint = 0; checkpoint < 2; checkpoint++) {
        struct agn_train_state training = {.phase = AGN_PHASE_DONE};
        assert_int_equal(checkpoint ? save_checkpoint(model, path, &training) : agn_model_save(model, path),
                         AGN_OK);
        assert_int_equal(agn_model_load(path, &loaded), AGN_OK);
        assert_int_equal(agn_model_id(loaded), id);
        /* And so does the whole device model. */
        uint8_t *first = NULL, *second = NULL;
        size_t first_size = 0, second_size = 0;
        assert_int_equal(agn_deploy_device(model, data, 0, &first, &first_size, NULL), AGN_OK);
        assert_int_equal(agn_deploy_device(loaded, data, 0, &second, &second_size, NULL), AGN_OK);
        assert_int_equal(first_size, second_size);
        assert_memory_equal(first, second, first_size);
        agn_free(first);
        agn_free(second);
        agn_model_free(loaded);
    }
    agn_model_free(model);
    agn_dataset_free(data);
}

int main(void)
{
    agn_nn_set_threads(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_network_in_batches),
        cmocka_unit_test_setup_teardown(eight_bits_cost_little_accuracy, temp_folder_setup,
                                        temp_folder_teardown),
        cmocka_unit_test(id_follows_every_number),
        cmocka_unit_test(id_follows_shapes_and_seed),
        cmocka_unit_test_setup_teardown(id_survives_files, temp_folder_setup, temp_folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
