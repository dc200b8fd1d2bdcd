/* See tiny_model.h. */
#include "tiny_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

void tiny_preset(const struct tiny_config *config, int seed, struct agn_preset *preset)
{
    agn_preset_defaults(preset);
    snprintf(preset->name, sizeof preset->name, "tiny");
    preset->data.height = config->height;
    preset->data.width = config->width;
    preset->data.channels = config->channels;
    preset->data.classes = config->classes;
    snprintf(preset->model.extractor, sizeof preset->model.extractor, "%s", config->extractor);
    snprintf(preset->model.reference, sizeof preset->model.reference, "conv:c8:s2");
    snprintf(preset->model.remote, sizeof preset->model.remote, "conv:c8:s2 mb:c8:e2");
    preset->model.local_channels = config->local_channels;
    preset->model.grid = config->grid;
    preset->model.logits_bn = config->logits_bn;
    preset->train.seed = seed;
    preset->train.batch = 32;
    preset->reference.epochs = 1;
    preset->joint.epochs = 1;
}

static void draw(uint8_t *pixels, const struct tiny_config *config, int kind, struct agn_rng *rng)
{
    double y0 = agn_rng_uniform(rng) * config->height, x0 = agn_rng_uniform(rng) * config->width;
    double radius = 2.0 + 2.0 * kind, level = 80.0 + 170.0 * agn_rng_uniform(rng);
    for (int y = 0; y < config->height; y++)
        for (int x = 0; x < config->width; x++)
            for (int c = 0; c < config->channels; c++) {
                double d = ((y - y0) * (y - y0) + (x - x0) * (x - x0)) / (radius * radius);
                double value = level * exp(-d) * (c == kind % config->channels ? 1.0 : 0.6);
                value += 25.0 * agn_rng_uniform(rng) + 20.0 * c;
                *pixels++ = (uint8_t)fmin(value, 255.0);
            }
}

struct agn_dataset *tiny_dataset(const struct tiny_config *config, int count, uint64_t seed)
{
    struct agn_dataset *data = agn_alloc(1, sizeof *data);
    size_t image = (size_t)config->height * (size_t)config->width * (size_t)config->channels;
    struct agn_rng rng;
    agn_rng_seed(&rng, seed);
    assert_non_null(data);
    *data = (struct agn_dataset){count,
                                 config->height,
                                 config->width,
                                 config->channels,
                                 config->classes,
                                 agn_alloc((size_t)count, image),
                                 agn_alloc((size_t)count, sizeof(uint16_t)),
                                 agn_alloc((size_t)config->classes, sizeof(char *)),
                                 NULL};
    assert_true(data->pixels && data->labels && data->class_names);
    for (int i = 0; i < config->classes; i++) {
        data->class_names[i] = agn_alloc(16, 1);
        assert_non_null(data->class_names[i]);
        snprintf(data->class_names[i], 16, "kind%d", i);
    }
    for (int i = 0; i < count; i++) {
        data->labels[i] = (uint16_t)(i % config->classes);
        draw(data->pixels + (size_t)i * image, config, data->labels[i], &rng);
    }
    return data;
}

/* One training pass whose batch statistics become the running ones; then scales and shifts that put
 * most values between 0 and 6. */
static void settle_norms(const struct agn_graph *graph, struct agn_params *params, int batch,
                         const float *images, struct agn_rng *rng)
{
    struct agn_net *net;
    struct agn_net_config config = {
        .graph = graph, .params = params, .batch = batch, .mode = AGN_NET_TRAIN, .bn_momentum = 1.0F};
    for (int i = 0; i < params->count; i++) {
        const struct agn_param *param = &params->list[i];
        bool gamma = strstr(param->name, ".gamma") != NULL, beta = strstr(param->name, ".beta") != NULL;
        float *values = params->value + param->offset;
        for (size_t v = 0; v < param->count && (gamma || beta); v++) {
            float sign = agn_rng_below(rng, 4) == 0 ? -1.0F : 1.0F;
            values[v] = gamma ? sign * (float)(0.4 + 0.8 * agn_rng_uniform(rng))
                              : (float)(3.0 * agn_rng_uniform(rng) - 0.5);
        }
    }
    params->version++;
    assert_int_equal(agn_net_create(&config, &net), AGN_OK);
    struct agn_shape in = agn_net_input_shape(net);
    memcpy(agn_net_write(net, AGN_BORDER_INPUT), images,
           (size_t)batch * (size_t)in.height * (size_t)in.width * (size_t)in.channels * sizeof *images);
    assert_int_equal(agn_net_forward(net), AGN_OK);
    agn_net_free(net);
}

static void randomise(struct agn_params *params, const char *suffix, double deviation, struct agn_rng *rng)
{
    for (int i = 0; i < params->count; i++) {
        const struct agn_param *param = &params->list[i];
        if (strstr(param->name, suffix) == NULL)
            continue;
        for (size_t v = 0; v < param->count; v++)
            params->value[param->offset + v] = (float)(deviation * agn_rng_normal(rng));
    }
    params->version++;
}

/* BN of logits, where there is one: gains of either sign. */
static void randomise_logits(struct agn_params *params, struct agn_rng *rng)
{
    for (int i = 0; i < params->count; i++) {
        const struct agn_param *param = &params->list[i];
        bool gamma = strstr(param->name, "dense.bn.gamma") != NULL;
        bool var = strstr(param->name, "dense.bn.var") != NULL;
        bool shift =
            strstr(param->name, "dense.bn.beta") != NULL || strstr(param->name, "dense.bn.mean") != NULL;
        for (size_t v = 0; v < param->count && (gamma || var || shift); v++) {
            double sign = gamma && agn_rng_below(rng, 3) == 0 ? -1.0 : 1.0;
            params->value[param->offset + v] =
                (float)(shift ? agn_rng_normal(rng) : sign * (0.5 + agn_rng_uniform(rng)));
        }
    }
    params->version++;
}

struct agn_model *tiny_random_model(const struct tiny_config *config, const struct agn_dataset *data,
                                    int seed)
{
    struct agn_preset preset;
    struct agn_model *model = NULL;
    struct agn_loader *loader = NULL;
    struct agn_batch batch;
    struct agn_rng rng;
    agn_rng_seed(&rng, (uint64_t)seed);
    tiny_preset(config, seed, &preset);
    if (agn_model_create(&preset, data, &model) < 0)
        fail_msg("%s: %s", config->extractor, agn_error_message());
    struct agn_loader_config load = {.batch = data->count, .normalisation = model->normalisation};
    assert_int_equal(agn_loader_create(data, &load, &loader), AGN_OK);
    assert_int_equal(agn_loader_start(loader, 0), AGN_OK);
    assert_int_equal(agn_loader_next(loader, &batch), 1);
    settle_norms(&model->parts[AGN_EXTRACTOR].graph, model->parts[AGN_EXTRACTOR].params, data->count,
                 batch.images, &rng);
    agn_loader_free(loader);
    randomise(model->parts[AGN_LOCAL].params, "dense.weight", 0.3, &rng);
    randomise(model->parts[AGN_LOCAL].params, "dense.bias", 0.5, &rng);
    randomise_logits(model->parts[AGN_LOCAL].params, &rng);
    randomise_logits(model->parts[AGN_REMOTE].params, &rng);
    randomise(model->parts[AGN_REMOTE].params, "dense.weight", 0.3, &rng);
    randomise(model->parts[AGN_REMOTE].params, ".beta", 1.0, &rng);
    model->alpha_weight = (float)(4.0 * agn_rng_uniform(&rng) - 4.0);
    return model;
}

struct agn_model *tiny_trained_model(const struct tiny_config *config, const struct agn_dataset *train,
                                     const struct agn_dataset *test, int seed)
{
    struct agn_train_config training = {.train = train, .test = test};
    struct agn_train_report report;
    struct agn_model *model = NULL;
    tiny_preset(config, seed, &training.preset);
    if (agn_train_run(&training, &model, &report) < 0)
        fail_msg("%s: %s", config->extractor, agn_error_message());
    return model;
}
