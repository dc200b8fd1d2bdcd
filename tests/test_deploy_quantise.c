/* Post-training quantisation: the file's numbers follow from the float model, the device computes what
 * the float networks compute, and what cannot be quantised is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/deploy.h"
#include "agilenn/hosted.h"
#include "tiny_model.h"

enum { IMAGES = 48 };

static const struct tiny_config configs[] = {
    {"conv:c8:s2 conv:c10", 16, 16, 1, 5, 4, 4, false},
    {"conv:c8:s2 conv:c10", 16, 16, 3, 9, 8, 3, false},
    {"conv:c6:k5 dw:k3:s2 conv:c12:k1:l1", 15, 13, 3, 4, 3, 5, false},
    {"dw:k3 conv:c8:k1 dw:k5:s2 conv:c9:k1", 12, 12, 3, 8, 6, 3, false},
    {"conv:c7:k1:s3", 14, 14, 1, 1, 1, 2, false},
    {"conv:c7:k3:s4:l1", 20, 20, 1, 6, 5, 2, false},
    {"conv:c4 conv:c5:k1 dw conv:c6:k1 dw:s2 conv:c7:k1 dw:k5 conv:c8:k1", 12, 12, 1, 7, 6, 4, false},
    {"conv:c8:s2 conv:c10", 16, 16, 1, 5, 4, 4, true},
    {"dw:k3:s2:l1 conv:c4:k1 dw:k3:l1 conv:c9:k1", 12, 12, 3, 5, 1, 10, true},
};

/* ---- a model, its export, and both ways of running it ------------------------------------------ */

struct world {
    struct tiny_config config;
    struct agn_dataset *data;
    struct agn_model *model;
    struct agn_net *extractor, *local;
    float *images; /* normalised */
    uint8_t *bytes;
    size_t size;
    struct agn_quantisation_report report;
    struct agn_hosted device;
};

static size_t image_bytes(const struct tiny_config *c)
{
    return (size_t)c->height * (size_t)c->width * (size_t)c->channels;
}

static struct agn_net *frozen(const struct agn_graph *graph, struct agn_params *params, int batch)
{
    struct agn_net *net = NULL;
    struct agn_net_config config = {.graph = graph, .params = params, .batch = batch, .mode = AGN_NET_FROZEN};
    assert_int_equal(agn_net_create(&config, &net), AGN_OK);
    return net;
}

/* Exports the model as it is now and opens it. */
static void export_world(struct world *w)
{
    int status = agn_deploy_device(w->model, w->data, IMAGES, &w->bytes, &w->size, &w->report);
    if (status < 0)
        fail_msg("%s: %s", w->config.extractor, agn_error_message());
    assert_int_equal(agn_hosted_open(&w->device, w->bytes, w->size), 0);
    w->extractor =
        frozen(&w->model->parts[AGN_EXTRACTOR].graph, w->model->parts[AGN_EXTRACTOR].params, IMAGES);
    w->local = frozen(&w->model->parts[AGN_LOCAL].graph, w->model->parts[AGN_LOCAL].params, IMAGES);
}

static void open_world(struct world *w, const struct tiny_config *config, int seed, bool trained)
{
    *w = (struct world){.config = *config};
    w->data = tiny_dataset(config, IMAGES, (uint64_t)seed);
    w->model = trained ? tiny_trained_model(config, w->data, w->data, seed)
                       : tiny_random_model(config, w->data, seed);
    size_t floats = IMAGES * image_bytes(config);
    w->images = agn_alloc(floats, sizeof(float));
    for (size_t i = 0; i < floats; i++) {
        size_t c = i % (size_t)config->channels;
        w->images[i] = ((float)w->data->pixels[i] - (float)w->model->normalisation.mean[c]) /
                       w->model->normalisation.std[c];
    }
}

static void close_world(struct world *w)
{
    agn_net_free(w->extractor);
    agn_net_free(w->local);
    agn_free(w->images);
    agn_free(w->bytes);
    agn_hosted_close(&w->device);
    agn_model_free(w->model);
    agn_dataset_free(w->data);
}

/* Features of all images; valid until the next call. */
static const float *run_float(struct world *w, const float *images)
{
    memcpy(agn_net_write(w->extractor, AGN_BORDER_INPUT), images,
           IMAGES * image_bytes(&w->config) * sizeof *images);
    assert_int_equal(agn_net_forward(w->extractor), AGN_OK);
    const float *features = agn_net_read(w->extractor, AGN_BORDER_OUTPUT);
    size_t channels = (size_t)w->model->map.channels, k = (size_t)w->config.local_channels;
    size_t places = IMAGES * (size_t)w->model->map.height * (size_t)w->model->map.width;
    for (size_t p = 0; p < places; p++)
        memcpy(agn_net_write(w->local, AGN_BORDER_INPUT) + p * k, features + p * channels, k * sizeof(float));
    assert_int_equal(agn_net_forward(w->local), AGN_OK);
    return features;
}

static void run_device(struct world *w, const uint8_t *image)
{
    assert_true(agn_hosted_image(&w->device, image, 1, 0) >= 0);
}

/* ---- every number of the file --------------------------------------------------------------------- */

struct channel {
    double bias, scale; /* real scale of the requantisation */
};

static struct channel read_channel(const uint8_t *records, int index)
{
    const uint8_t *at = records + (size_t)index * AGN_MODEL_CHANNEL_BYTES;
    int32_t numbers[2];
    memcpy(numbers, at, sizeof numbers);
    return (struct channel){numbers[0], ldexp(numbers[1], -at[8])};
}

static const float *values(const struct agn_params *params, const char *prefix, const char *suffix)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", prefix, suffix);
    const struct agn_param *param = agn_params_find(params, name);
    assert_non_null(param);
    return params->value + param->offset;
}

static double step_of(const struct world *w, int layer)
{
    struct agn_dev_layer_info info;
    float scale;
    assert_int_equal(agn_dev_layer_info(&w->device.dev.model, (unsigned)layer, &info), 0);
    memcpy(&scale, &info.out_scale_bits, sizeof scale);
    return (double)scale;
}

/* Weight of a full convolution: a window's row is filled up to groups of four, each stored as 0, 2, 1, 3. */
static int8_t stored_weight(const struct agn_dev_layer *d, int o, int y, int x, int i)
{
    static const int places[] = {0, 2, 1, 3};
    int run = d->kernel_w * d->in_c, stored = (run + 3) / 4 * 4, at = x * d->in_c + i;
    return d->weights[(o * d->kernel_h + y) * stored + at / 4 * 4 + places[at % 4]];
}

/* Weights and bias of output `o` of a layer, against the float convolution and BN. */
static void check_output(const struct world *w, int layer, int o)
{
    const struct agn_op_spec *conv = &w->model->parts[AGN_EXTRACTOR].graph.ops[2 * layer + 1], *bn = conv + 1;
    const struct agn_dev_layer *d = &w->device.dev.model.layers[layer];
    const struct agn_params *p = w->model->parts[AGN_EXTRACTOR].params;
    double gain =
        (double)values(p, bn->name, "gamma")[o] / sqrt((double)values(p, bn->name, "var")[o] + 1e-5);
    double bias = (double)values(p, bn->name, "beta")[o] - gain * (double)values(p, bn->name, "mean")[o];
    struct channel channel = read_channel(d->channels, o);
    double unit = channel.scale * step_of(w, layer), offset = 0.0;
    int k = conv->kernel, ic = conv->depthwise ? 1 : d->in_c, largest = 0;
    const float *weights = values(p, conv->name, "weight") + (size_t)o * (size_t)(ic * k * k);
    for (int i = 0; i < ic; i++)
        for (int y = 0; y < k; y++)
            for (int x = 0; x < k; x++) {
                int c = conv->depthwise ? o : i;
                int8_t q =
                    conv->depthwise ? d->weights[(y * k + x) * d->out_c + o] : stored_weight(d, o, y, x, i);
                double in_step =
                    layer > 0 ? step_of(w, layer - 1) : 1.0 / (double)w->model->normalisation.std[c];
                int zero = layer > 0 ? w->device.dev.model.layers[layer - 1].out_zero_point
                                     : w->model->normalisation.mean[c] - 128;
                double real = (double)weights[(i * k + y) * k + x] * gain;
                assert_true(fabs(q * unit / in_step - real) <= 0.5001 * unit / in_step);
                offset += q * zero;
                largest = abs(q) > largest ? abs(q) : largest;
            }
    assert_int_equal(largest, 127);
    assert_true(fabs(channel.bias - (bias / unit - offset)) <= 0.51);
}

static void check_dense(const struct world *w)
{
    const struct agn_dev_model *m = &w->device.dev.model;
    const float *weights = values(w->model->parts[AGN_LOCAL].params, "local.dense", "weight");
    const float *bias = values(w->model->parts[AGN_LOCAL].params, "local.dense", "bias");
    int inputs = m->grid * m->grid * m->local_c, last = m->layer_count - 1;
    double step = step_of(w, last) / 64.0;
    for (int c = 0; c < m->classes; c++) {
        struct channel channel = read_channel(m->dense_channels, c);
        double unit = channel.scale / 256.0, offset = 0.0, gain = 1.0, real_bias = (double)bias[c];
        if (w->config.logits_bn) {
            const struct agn_params *p = w->model->parts[AGN_LOCAL].params;
            gain = (double)values(p, "local.dense.bn", "gamma")[c] /
                   sqrt((double)values(p, "local.dense.bn", "var")[c] + 1e-5);
            real_bias = (double)values(p, "local.dense.bn", "beta")[c] +
                        gain * (real_bias - (double)values(p, "local.dense.bn", "mean")[c]);
        }
        for (int i = 0; i < inputs; i++) {
            int8_t q = m->dense_weights[c * inputs + i];
            assert_true(fabs(q * unit / step - gain * (double)weights[c * inputs + i]) <=
                        0.5001 * unit / step);
            offset += 64.0 * q * m->layers[last].out_zero_point;
        }
        assert_true(fabs(channel.bias - (real_bias / unit - offset)) <= 0.51);
    }
}

static void check_range(const struct world *w, int layer)
{
    const struct agn_dev_layer *d = &w->device.dev.model.layers[layer];
    struct agn_graph *prefix = agn_alloc(1, sizeof *prefix);
    *prefix = w->model->parts[AGN_EXTRACTOR].graph;
    prefix->count = 2 * layer + 3;
    struct agn_net *net = frozen(prefix, w->model->parts[AGN_EXTRACTOR].params, IMAGES);
    memcpy(agn_net_write(net, AGN_BORDER_INPUT), w->images, IMAGES * image_bytes(&w->config) * sizeof(float));
    assert_int_equal(agn_net_forward(net), AGN_OK);
    double low = 0.0, high = 0.0, step = step_of(w, layer);
    size_t floats = (size_t)IMAGES * d->out_h * d->out_w * d->out_c;
    for (size_t i = 0; i < floats; i++) {
        low = fmin(low, (double)agn_net_read(net, AGN_BORDER_OUTPUT)[i]);
        high = fmax(high, (double)agn_net_read(net, AGN_BORDER_OUTPUT)[i]);
    }
    agn_net_free(net);
    agn_free(prefix);
    assert_true(fabs(w->report.layers[layer].low - low) < 1e-4);
    assert_true(fabs(w->report.layers[layer].high - high) < 1e-4);
    assert_true(fabs(step - (high - low) / 255.0) < 1e-6 &&
                fabs(step - w->report.layers[layer].scale) < 1e-7);
    assert_true(fabs(step * (-128 - d->out_zero_point) - low) <= 0.51 * step);
    bool relu6 = w->model->parts[AGN_EXTRACTOR].graph.ops[2 * layer + 2].relu6;
    assert_int_equal(d->clamp_min, relu6 ? d->out_zero_point : -128);
    assert_true(!relu6 || step * (d->clamp_max - d->out_zero_point) <= 6.0 + 0.5 * step);
    assert_true(step * (d->clamp_max - d->out_zero_point) >= high - step);
}

static void check_numbers(const struct world *w)
{
    const struct agn_dev_model *m = &w->device.dev.model;
    int last = m->layer_count - 1;
    assert_int_equal(m->layer_count, (w->model->parts[AGN_EXTRACTOR].graph.count - 1) / 2);
    assert_int_equal(w->report.layer_count, m->layer_count);
    assert_int_equal(w->report.calibration_images, IMAGES);
    assert_int_equal(m->model_id, agn_model_id(w->model));
    assert_int_equal(m->local_c, w->config.local_channels);
    assert_int_equal(m->grid, w->config.grid);
    assert_int_equal(m->classes, w->config.classes);
    assert_int_equal(m->codec, AGN_CODEC_RANGE);
    assert_true(fabs(m->alpha_q15 / 32768.0 - agn_model_alpha(w->model)) <= 0.5001 / 32768.0);
    for (int c = 0; c < w->config.channels; c++)
        assert_int_equal(m->input_zero_point[c], w->model->normalisation.mean[c] - 128);
    for (int i = 0; i <= last; i++) {
        check_range(w, i);
        for (int o = 0; o < m->layers[i].out_c; o++)
            check_output(w, i, o);
        assert_true(w->report.layers[i].weight_sqnr_db > 30.0 &&
                    isfinite(w->report.layers[i].weight_sqnr_db));
    }
    for (int v = -128; v < 128; v++) {
        double value = (v - m->layers[last].out_zero_point) * step_of(w, last);
        const float *centroids = w->model->centroids;
        double distance = fabs(value - (double)centroids[m->symbols[v + 128]]);
        for (int level = 0; level < AGN_LEVELS; level++)
            assert_true(distance <= fabs(value - (double)centroids[level]) + 1e-5);
    }
    check_dense(w);
}

/* ---- what the device computes ------------------------------------------------------------------------ */

struct errors {
    double symbols, differ, jump; /* positions; with another level; with one further than next door */
    double steps_sum, steps_square, steps_max, steps; /* error of local features, in steps; their number */
    double logit_max, logit_largest;
};

/* Local features, exactly, where the pooling grid has a cell for each place. */
static void compare_local_map(const struct world *w, const float *features, struct errors *e)
{
    const struct agn_dev_model *m = &w->device.dev.model;
    int last = m->layer_count - 1, zero = m->layers[last].out_zero_point;
    if (m->grid != m->map_h || m->grid != m->map_w)
        return;
    for (size_t p = 0; p < (size_t)m->map_h * m->map_w; p++)
        for (size_t c = 0; c < m->local_c; c++) {
            double got = (double)w->device.dev.pool[p * m->local_c + c] / 64.0 - 128.0 - zero;
            double error = got - (double)features[p * m->map_c + c] / step_of(w, last);
            e->steps_sum += error;
            e->steps_square += error * error;
            e->steps_max = fmax(e->steps_max, fabs(error));
            e->steps++;
        }
}

/* How many levels lie below that of a symbol. */
static int rank_of(const float centroids[AGN_LEVELS], int symbol)
{
    int below = 0;
    for (int level = 0; level < AGN_LEVELS; level++)
        below += centroids[level] < centroids[symbol];
    return below;
}

static void compare(const struct world *w, const float *features, const float *logits, struct errors *e)
{
    const struct agn_dev_model *m = &w->device.dev.model;
    for (unsigned y = 0; y < m->map_h; y++)
        for (unsigned x = 0; x < m->map_w; x++)
            for (unsigned c = m->local_c; c < m->map_c; c++) {
                uint8_t expected;
                agn_quantise(w->model->centroids, &features[((size_t)y * m->map_w + x) * m->map_c + c], 1,
                             &expected, NULL);
                int symbol = agn_dev_symbol(&w->device.dev, c - m->local_c, y, x);
                int away = abs(rank_of(w->model->centroids, symbol) - rank_of(w->model->centroids, expected));
                e->symbols++;
                e->differ += away > 0;
                e->jump += away > 1;
            }
    compare_local_map(w, features, e);
    for (int c = 0; c < m->classes; c++) {
        e->logit_max = fmax(e->logit_max, fabs(agn_dev_local(&w->device.dev)[c] / 256.0 - (double)logits[c]));
        e->logit_largest = fmax(e->logit_largest, fabs((double)logits[c]));
    }
}

static struct errors compare_all(struct world *w, const float *images, const uint8_t *pixels)
{
    struct errors e = {0};
    const float *features = run_float(w, images);
    size_t floats =
        (size_t)w->model->map.height * (size_t)w->model->map.width * (size_t)w->model->map.channels;
    for (size_t i = 0; i < IMAGES; i++) {
        run_device(w, pixels + i * image_bytes(&w->config));
        compare(w, features + i * floats,
                agn_net_read(w->local, AGN_BORDER_OUTPUT) + i * (size_t)w->config.classes, &e);
    }
    return e;
}

static void check_agreement(struct world *w)
{
    struct errors e = compare_all(w, w->images, w->data->pixels);
    double places = fmax(e.steps, 1.0), mean = e.steps_sum / places, rms = sqrt(e.steps_square / places);
    /* A linear layer has negative values too, so half as many steps for the others; errors add up over
     * many layers. */
    bool linear = strstr(w->config.extractor, ":l1") != NULL;
    double slack = linear || w->device.dev.model.layer_count > 4 ? 2.0 : 1.0;
    print_message("%-66s differ %.2f %%, features mean %+.3f rms %.2f max %.2f steps, logits %.4f of %.2f\n",
                  w->config.extractor, 100.0 * e.differ / e.symbols, mean, rms, e.steps_max, e.logit_max,
                  e.logit_largest);
    assert_true(e.differ <= 0.03 * slack * e.symbols);
    assert_true(e.jump == 0.0);
    assert_true(fabs(mean) < 0.4 * slack && rms < 1.5 * slack && e.steps_max < 12.0 * slack);
    assert_true(e.logit_max <= 0.02 + 0.04 * slack * e.logit_largest);
}

static void random_models(void **state)
{
    (void)state;
    for (size_t i = 0; i < AGN_COUNT_OF(configs); i++)
        for (int seed = 1; seed <= 3; seed++) {
            struct world w;
            open_world(&w, &configs[i], seed, false);
            export_world(&w);
            check_numbers(&w);
            check_agreement(&w);
            close_world(&w);
        }
}

static void trained_models(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct world w;
        open_world(&w, &configs[i], 5, true);
        export_world(&w);
        check_numbers(&w);
        check_agreement(&w);
        close_world(&w);
    }
}

/* Beyond the calibrated images: noise over the whole range of pixels saturates, but nothing wraps. */
static void other_images(void **state)
{
    (void)state;
    struct world w;
    struct agn_rng rng;
    agn_rng_seed(&rng, 9);
    open_world(&w, &configs[0], 1, false);
    export_world(&w);
    size_t floats = IMAGES * image_bytes(&w.config);
    for (size_t i = 0; i < floats; i++) {
        w.data->pixels[i] = (uint8_t)agn_rng_below(&rng, 256);
        w.images[i] = ((float)w.data->pixels[i] - (float)w.model->normalisation.mean[0]) /
                      w.model->normalisation.std[0];
    }
    struct errors e = compare_all(&w, w.images, w.data->pixels);
    assert_true(e.differ <= 0.05 * e.symbols);
    assert_true(e.jump == 0.0);
    close_world(&w);
}

/* An image of nothing but the mean is 0 after normalisation, like the padding around it. */
static void borders_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < AGN_COUNT_OF(configs); i++) {
        struct world w;
        open_world(&w, &configs[i], 2, false);
        export_world(&w);
        size_t image = image_bytes(&w.config);
        for (size_t p = 0; p < IMAGES * image; p++) {
            w.images[p] = 0.0F;
            w.data->pixels[p] = w.model->normalisation.mean[p % (size_t)w.config.channels];
        }
        const struct agn_dev_model *m = &w.device.dev.model;
        const float *features = run_float(&w, w.images);
        run_device(&w, w.data->pixels);
        struct errors e = {0};
        compare(&w, features, agn_net_read(w.local, AGN_BORDER_OUTPUT), &e);
        assert_true(e.jump == 0.0 && e.steps_max <= (m->layer_count == 1 ? 0.51 : 4.0));
        for (unsigned c = 0; m->layer_count == 1 && c < (unsigned)(m->map_c - m->local_c); c++)
            for (unsigned y = 0; y < m->map_h; y++)
                for (unsigned x = 0; x < m->map_w; x++)
                    assert_int_equal(agn_dev_symbol(&w.device.dev, c, y, x),
                                     agn_dev_symbol(&w.device.dev, c, 0, 0));
        close_world(&w);
    }
}

/* ---- special values ------------------------------------------------------------------------------------ */

static float *extractor_values(struct world *w, const char *name)
{
    float *found = agn_params_values(w->model->parts[AGN_EXTRACTOR].params, name);
    assert_non_null(found);
    w->model->parts[AGN_EXTRACTOR].params->version++;
    return found;
}

/* First extractor layer's BN: gamma, beta, variance of one channel. */
static void set_norm(struct world *w, const char *bn, int channel, float gamma, float beta, float var)
{
    char name[64];
    snprintf(name, sizeof name, "%s.gamma", bn);
    extractor_values(w, name)[channel] = gamma;
    snprintf(name, sizeof name, "%s.beta", bn);
    extractor_values(w, name)[channel] = beta;
    snprintf(name, sizeof name, "%s.var", bn);
    extractor_values(w, name)[channel] = var;
}

static void relu6_ends_at_6(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, &configs[1], 3, false);
    set_norm(&w, "extractor.1.bn", 0, 0.5F, 20.0F, 1.0F);
    set_norm(&w, "extractor.1.bn", 9, 0.5F, 20.0F, 1.0F);
    set_norm(&w, "extractor.1.bn", 1, 0.5F, -20.0F, 1.0F);
    export_world(&w);
    run_device(&w, w.data->pixels);
    const struct agn_dev_model *m = &w.device.dev.model;
    double step = step_of(&w, 1);
    for (size_t p = 0; p < 64; p++) {
        double top = w.device.dev.pool[p * m->local_c] / 64.0 - 128.0 - m->layers[1].out_zero_point;
        double bottom = w.device.dev.pool[p * m->local_c + 1] / 64.0 - 128.0 - m->layers[1].out_zero_point;
        assert_true(fabs(top * step - 6.0) <= 0.5 * step);
        assert_true(bottom == 0.0);
        assert_int_equal(agn_dev_symbol(&w.device.dev, 0, (unsigned)p / 8, (unsigned)p % 8), 7);
    }
    check_agreement(&w);
    close_world(&w);
}

/* Weights of output o times 10^(4-o): per-channel scales leave each as good as the others. */
static void channels_of_all_sizes(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, &configs[0], 4, false);
    float *weights = extractor_values(&w, "extractor.0.weight");
    float *mean = extractor_values(&w, "extractor.0.bn.mean"),
          *var = extractor_values(&w, "extractor.0.bn.var");
    for (int o = 0; o < 8; o++) {
        float factor = (float)pow(10.0, 3 - o);
        for (int i = 0; i < 9; i++)
            weights[o * 9 + i] *= factor;
        mean[o] *= factor;
        var[o] = (var[o] + 1e-5F) * factor * factor - 1e-5F;
        if (var[o] < 0.0F)
            var[o] = 0.0F;
    }
    export_world(&w);
    check_numbers(&w);
    check_agreement(&w);
    close_world(&w);
}

/* Channels that died in training: no weights to speak of, no variance, nothing that comes in. */
static void dead_channels(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, &configs[3], 6, false);
    set_norm(&w, "extractor.1.bn", 0, 0.0F, 2.5F, 0.0F);  /* constant 2.5 */
    set_norm(&w, "extractor.1.bn", 1, 0.0F, 0.0F, 0.0F);  /* constant 0 */
    set_norm(&w, "extractor.1.bn", 2, 0.0F, -1.0F, 1.0F); /* constant 0 after ReLU6 */
    extractor_values(&w, "extractor.2.bn.mean")[2] = 0.0F;
    set_norm(&w, "extractor.2.bn", 2, 3.0F, 1.0F, 0.0F);  /* weights blown up 949 times, input always 0 */
    set_norm(&w, "extractor.3.bn", 0, 1e-9F, 4.0F, 0.0F); /* weights far below the bias */
    export_world(&w);
    check_agreement(&w);
    for (int i = 0; i < w.report.layer_count; i++)
        assert_true(isfinite(w.report.layers[i].weight_sqnr_db));
    close_world(&w);
}

static void dead_layer(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, &configs[1], 7, false);
    for (int o = 0; o < 8; o++)
        set_norm(&w, "extractor.0.bn", o, 1.0F, -100.0F, 1.0F);
    for (int o = 0; o < 10; o++)
        set_norm(&w, "extractor.1.bn", o, 0.0F, o % 2 == 0 ? -1.0F : 0.0F, 0.0F);
    export_world(&w);
    run_device(&w, w.data->pixels);
    const struct agn_dev_model *m = &w.device.dev.model;
    for (size_t i = 0; i < (size_t)m->grid * m->grid * m->local_c; i++)
        assert_int_equal(w.device.dev.pool[i], (uint32_t)(m->layers[1].out_zero_point + 128) * 64);
    for (int i = 0; i < 2; i++)
        assert_true(isfinite(w.report.layers[i].weight_sqnr_db));
    close_world(&w);
}

static void alpha_and_codec(void **state)
{
    (void)state;
    static const float weights[] = {-1000.0F, -10.0F, 0.0F, 3.3F, 1000.0F};
    struct world w;
    open_world(&w, &configs[4], 8, false);
    w.model->preset.model.codec = AGN_CODEC_RAW3;
    for (size_t i = 0; i < AGN_COUNT_OF(weights); i++) {
        struct agn_dev_model opened;
        w.model->alpha_weight = weights[i];
        assert_int_equal(agn_deploy_device(w.model, w.data, 0, &w.bytes, &w.size, NULL), AGN_OK);
        assert_int_equal(agn_dev_model_open(&opened, w.bytes, w.size), 0);
        assert_true(fabs(opened.alpha_q15 / 32768.0 - agn_model_alpha(w.model)) <= 0.5001 / 32768.0);
        assert_int_equal(opened.codec, AGN_CODEC_RAW3);
        agn_free(w.bytes);
    }
    w.bytes = NULL;
    close_world(&w);
}

/* As many images as asked for, the same ones each time. */
static void calibration_images(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, &configs[5], 9, false);
    struct agn_quantisation_report all, few, again;
    uint8_t *first = NULL, *second = NULL;
    size_t first_size = 0, second_size = 0;
    assert_int_equal(agn_deploy_device(w.model, w.data, 1000, &first, &first_size, &all), AGN_OK);
    assert_int_equal(all.calibration_images, IMAGES);
    agn_free(first);
    assert_int_equal(agn_deploy_device(w.model, w.data, 1, &first, &first_size, &few), AGN_OK);
    assert_int_equal(agn_deploy_device(w.model, w.data, 1, &second, &second_size, &again), AGN_OK);
    assert_int_equal(few.calibration_images, 1);
    assert_int_equal(first_size, second_size);
    assert_memory_equal(first, second, first_size);
    /* One image alone: its own range, not the batch's. */
    w.extractor = frozen(&w.model->parts[AGN_EXTRACTOR].graph, w.model->parts[AGN_EXTRACTOR].params, IMAGES);
    w.local = frozen(&w.model->parts[AGN_LOCAL].graph, w.model->parts[AGN_LOCAL].params, IMAGES);
    const float *features = run_float(&w, w.images);
    size_t floats = (size_t)(5 * 5 * 7);
    int found = 0;
    for (size_t i = 0; i < IMAGES; i++) {
        double low = 0.0, high = 0.0;
        for (size_t f = 0; f < floats; f++) {
            low = fmin(low, (double)features[i * floats + f]);
            high = fmax(high, (double)features[i * floats + f]);
        }
        found += fabs(high - few.layers[0].high) < 1e-5 && fabs(low - few.layers[0].low) < 1e-5;
    }
    assert_int_equal(found, 1);
    assert_true(few.layers[0].high < all.layers[0].high && few.layers[0].low > all.layers[0].low);
    agn_free(first);
    agn_free(second);
    close_world(&w);
}

/* ---- refusals --------------------------------------------------------------------------------- */

static void refuse(const struct agn_model *model, const struct agn_dataset *data, int expected,
                   const char *word)
{
    uint8_t *bytes = NULL;
    size_t size = 12345;
    struct agn_quantisation_report report;
    agn_fail(0, "nothing was said");
    assert_int_equal(agn_deploy_device(model, data, 0, &bytes, &size, &report), expected);
    if (strstr(agn_error_message(), word) == NULL)
        fail_msg("'%s' lacks '%s'", agn_error_message(), word);
    assert_null(bytes);
    assert_int_equal(size, 12345);
}

static void extractors_that_do_not_fit(void **state)
{
    (void)state;
    static const struct {
        const char *extractor;
        int status;
        const char *word;
    } cases[] = {
        {"conv:c8 pool:g4", AGN_ERR_UNSUPPORTED, "the pool in model.extractor"},
        {"conv:c8:k9", AGN_ERR_UNSUPPORTED,
         "'extractor.0' in model.extractor has a 9x9 kernel and stride 1; the device takes kernels up to 7"},
        {"conv:c8 conv:c8:a1", AGN_ERR_UNSUPPORTED, "the silu in model.extractor"},
        {"conv:c8 fused:c9:e1", AGN_ERR_UNSUPPORTED, "the silu in model.extractor"},
        {"conv:c8 mb:c6:e1:n65", AGN_ERR_UNSUPPORTED, "at most 64"},
        {"conv:c1025:k1 conv:c8:k1", AGN_ERR_UNSUPPORTED,
         "'extractor.0' in model.extractor makes 1025 channels; the device takes up to 1024 channels"},
        {"conv:c8:s5", AGN_ERR_UNSUPPORTED, "strides 1 to 4"},
    };
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct tiny_config config = {cases[i].extractor, 16, 16, 3, 2, 2, 3, false};
        struct agn_dataset *data = tiny_dataset(&config, IMAGES, 1);
        struct agn_preset preset;
        struct agn_model *model = NULL;
        tiny_preset(&config, 1, &preset);
        if (agn_model_create(&preset, data, &model) < 0)
            fail_msg("%s: %s", config.extractor, agn_error_message());
        refuse(model, data, cases[i].status, cases[i].word);
        agn_model_free(model);
        agn_dataset_free(data);
    }
}

static void images_that_do_not_fit(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, &configs[0], 10, false);
    for (int i = 0; i < 3; i++) {
        struct tiny_config other = configs[0];
        other.height -= i == 0;
        other.width += i == 1;
        other.channels += 2 * (i == 2);
        struct agn_dataset *data = tiny_dataset(&other, 4, 1);
        refuse(w.model, data, AGN_ERR_MISMATCH, "16x16x1");
        agn_dataset_free(data);
    }
    close_world(&w);
}

static void damaged_values(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        float value;
    } cases[] = {
        {"extractor.0.weight", NAN},        {"extractor.1.weight", INFINITY}, {"extractor.0.bn.gamma", NAN},
        {"extractor.1.bn.beta", -INFINITY}, {"extractor.0.bn.var", -1.0F},    {"extractor.1.bn.var", NAN},
        {"extractor.1.bn.mean", INFINITY},  {"local.dense.weight", NAN},      {"local.dense.bias", INFINITY},
        {"extractor.0.weight", 3e38F},      {"extractor.1.bn.beta", -3e38F},  {"local.dense.bias", 3e38F}};
    struct world w;
    open_world(&w, &configs[0], 11, false);
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct agn_params *params =
            cases[i].name[0] == 'l' ? w.model->parts[AGN_LOCAL].params : w.model->parts[AGN_EXTRACTOR].params;
        float *at = agn_params_values(params, cases[i].name);
        float kept = *at;
        *at = cases[i].value;
        params->version++;
        bool finite = isfinite(cases[i].value) && cases[i].value != -1.0F;
        uint8_t *bytes = NULL;
        size_t size = 0;
        if (!finite)
            refuse(w.model, w.data, AGN_ERR_RANGE, cases[i].name);
        else /* an error or a model that opens, nothing else */
            assert_true(agn_deploy_device(w.model, w.data, 0, &bytes, &size, NULL) != AGN_OK || size > 0);
        agn_free(bytes);
        *at = kept;
        params->version++;
    }
    w.model->alpha_weight = NAN;
    refuse(w.model, w.data, AGN_ERR_RANGE, "alpha");
    close_world(&w);
}

int main(void)
{
    agn_nn_set_threads(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_models),
        cmocka_unit_test(trained_models),
        cmocka_unit_test(other_images),
        cmocka_unit_test(borders_are_exact),
        cmocka_unit_test(relu6_ends_at_6),
        cmocka_unit_test(channels_of_all_sizes),
        cmocka_unit_test(dead_channels),
        cmocka_unit_test(dead_layer),
        cmocka_unit_test(alpha_and_codec),
        cmocka_unit_test(calibration_images),
        cmocka_unit_test(extractors_that_do_not_fit),
        cmocka_unit_test(images_that_do_not_fit),
        cmocka_unit_test(damaged_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
