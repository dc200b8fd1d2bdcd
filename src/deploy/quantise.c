/* Post-training quantisation of extractor and Local NN to the integer rules of agn_device.h.
 *
 * Each convolution with its BN becomes one int8 layer: BN is folded, weights are symmetric per output
 * channel (scale = max |w| / 127), results affine per tensor over the calibrated range. The image's
 * normalisation goes into the first layer: pixel - 128 is its input, 1/std is folded into the weights,
 * and the mean is the zero point, so padding with it is exact. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agilenn/deploy.h"

enum { BATCH = 128, STANDARD_IMAGES = 1024, WEIGHT_MAX = 127 };

static const double smallest_range = 1e-3; /* of a layer that gave nothing but 0 */
static const double largest_bias = 0x1p29; /* leaves room for the weighted inputs in 32 bits */
static const double largest_multiplier = 0.2499;

/* One layer on its way from float to int8. */
struct layer {
    const struct agn_op_spec *conv, *bn;
    int ic, oc, kernel;
    double low, high, scale, sqnr_db; /* of its result */
    int zero_point;
    int8_t *weights;
    struct agn_model_channel *channels;
};

struct quantiser {
    const struct agn_model *model;
    struct layer layers[AGN_DEV_MAX_LAYERS];
    int layer_count, images;
    int8_t *dense_weights;
    struct agn_model_channel *dense_channels;
};

/* ---- structure -------------------------------------------------------------------- */

/* After agn_deploy_check: a chain of convolutions, each with its BN. */
static void find_layers(struct quantiser *q)
{
    const struct agn_graph *graph = &q->model->parts[AGN_EXTRACTOR].graph;
    for (int i = 1; i < graph->count; i += 2) {
        const struct agn_op_spec *conv = &graph->ops[i];
        q->layers[q->layer_count++] =
            (struct layer){.conv = conv,
                           .bn = conv + 1,
                           .kernel = conv->kernel,
                           .ic = conv->depthwise ? 1 : graph->ops[i - 1].shape.channels,
                           .oc = conv->shape.channels};
    }
}

/* A file may hold anything: beyond this no value is infinite or not a number. */
static int check_values(const struct agn_model *model)
{
    const struct agn_params *stores[] = {model->parts[AGN_EXTRACTOR].params, model->parts[AGN_LOCAL].params};
    for (size_t s = 0; s < AGN_COUNT_OF(stores); s++) {
        for (int i = 0; i < stores[s]->count; i++) {
            const struct agn_param *param = &stores[s]->list[i];
            size_t length = strlen(param->name);
            bool variance = length > 4 && strcmp(param->name + length - 4, ".var") == 0;
            for (size_t v = 0; v < param->count; v++) {
                float value = stores[s]->value[param->offset + v];
                if (!isfinite(value) || (variance && value < 0.0F)) {
                    return agn_fail(AGN_ERR_RANGE, "%s[%zu] is %g: the model is damaged; train it again",
                                    param->name, v, (double)value);
                }
            }
        }
    }
    return isfinite(agn_model_alpha(model))
               ? AGN_OK
               : agn_fail(AGN_ERR_RANGE, "alpha is not a number: the model is damaged; train it again");
}

/* ---- calibration -------------------------------------------------------------------- */

static void widen(const float *values, size_t count, struct layer *layer)
{
    for (size_t i = 0; i < count; i++) {
        double v = (double)values[i];
        layer->low = v < layer->low ? v : layer->low;
        layer->high = v > layer->high ? v : layer->high;
    }
}

/* Runs the extractor up to and including one layer and notes the range of its result. */
static int calibrate_layer(struct quantiser *q, int index, struct agn_loader *loader)
{
    const struct agn_model *model = q->model;
    struct layer *layer = &q->layers[index];
    struct agn_graph *prefix = agn_alloc(1, sizeof(*prefix));
    struct agn_net *net = NULL;
    struct agn_batch batch;
    int seen = 0, more = 0, status = prefix == NULL ? AGN_ERR_MEMORY : agn_loader_start(loader, 0);
    if (status == AGN_OK) {
        *prefix = model->parts[AGN_EXTRACTOR].graph;
        prefix->count = 2 * (index + 1) + 1;
        struct agn_net_config config = {.graph = prefix,
                                        .params = model->parts[AGN_EXTRACTOR].params,
                                        .batch = BATCH,
                                        .mode = AGN_NET_FROZEN};
        status = agn_net_create(&config, &net);
    }
    while (status == AGN_OK && seen < q->images && (more = agn_loader_next(loader, &batch)) > 0) {
        struct agn_shape in = agn_net_input_shape(net), out = agn_net_output_shape(net);
        size_t image = (size_t)in.height * (size_t)in.width * (size_t)in.channels;
        memcpy(agn_net_write(net, AGN_BORDER_INPUT), batch.images, BATCH * image * sizeof(float));
        status = agn_interrupt_requested() ? agn_fail(AGN_ERR_INTERRUPTED, "calibration was interrupted")
                                           : agn_net_forward(net);
        if (status == AGN_OK) {
            size_t floats = (size_t)out.height * (size_t)out.width * (size_t)out.channels;
            int count = batch.count < q->images - seen ? batch.count : q->images - seen;
            widen(agn_net_read(net, AGN_BORDER_OUTPUT), floats * (size_t)count, layer);
            seen += count;
        }
    }
    agn_net_free(net);
    agn_free(prefix);
    return status < 0 ? status : more < 0 ? more : AGN_OK;
}

static int choose_scale(struct layer *layer)
{
    double range = layer->high - layer->low;
    if (!isfinite(range)) {
        return agn_fail(AGN_ERR_RANGE, "%s gives infinite values on the calibration images",
                        layer->conv->name);
    }
    layer->scale = fmax(range, smallest_range) / 255.0;
    layer->zero_point = (int)lround(-128.0 - layer->low / layer->scale);
    return AGN_OK;
}

static int calibrate(struct quantiser *q, const struct agn_dataset *data)
{
    struct agn_loader_config load = {
        .batch = BATCH, .shuffle = true, .normalisation = q->model->normalisation};
    struct agn_loader *loader = NULL;
    struct agn_shape in = agn_graph_input_shape(&q->model->parts[AGN_EXTRACTOR].graph);
    if (data->height != in.height || data->width != in.width || data->channels != in.channels) {
        return agn_fail(AGN_ERR_MISMATCH, "the calibration images are %dx%dx%d, but the model takes %dx%dx%d",
                        data->height, data->width, data->channels, in.height, in.width, in.channels);
    }
    int status = agn_loader_create(data, &load, &loader);
    for (int i = 0; i < q->layer_count && status == AGN_OK; i++) {
        status = calibrate_layer(q, i, loader);
        if (status == AGN_OK)
            status = choose_scale(&q->layers[i]);
    }
    agn_loader_free(loader);
    return status;
}

/* ---- weights ---------------------------------------------------------------------------- */

static const float *values_of(const struct agn_params *params, const char *prefix, const char *suffix)
{
    char name[AGN_NAME_BYTES + 16];
    snprintf(name, sizeof(name), "%s.%s", prefix, suffix);
    return agn_params_values(params, name);
}

/* Real value of one step of a row's weights: the largest weight gets WEIGHT_MAX. Two kinds of channel
 * that training leaves behind would not fit the integers then. Where weights are nearly 0 beside the bias
 * (a channel that died), the steps are larger: the bias says it all. Where a BN saw hardly any variance
 * and so blows the weights up, they are cut off at a quarter of an output step per input step: exact for
 * the input that the channel knows, which is 0, and soon in saturation for any other. */
static double weight_step(const double *real, int count, double bias, double out_scale)
{
    double largest = 1e-12;
    for (int i = 0; i < count; i++)
        largest = fmax(largest, fabs(real[i]));
    double step = fmax(largest / WEIGHT_MAX, fabs(bias) / largest_bias);
    return fmin(step, largest_multiplier * out_scale);
}

static void quantise_row(const double *real, int count, double step, int8_t *integers, double *signal,
                         double *noise)
{
    for (int i = 0; i < count; i++) {
        integers[i] = (int8_t)lround(fmax(-WEIGHT_MAX, fmin(WEIGHT_MAX, real[i] / step)));
        double error = real[i] - step * integers[i];
        *signal += real[i] * real[i];
        *noise += error * error;
    }
}

/* Real value of the layer's input per step, and its zero point, for an input channel. */
static void input_quantisation(const struct quantiser *q, int index, int channel, double *scale,
                               int *zero_point)
{
    if (index == 0) {
        *scale = 1.0 / (double)q->model->normalisation.std[channel];
        *zero_point = (int)q->model->normalisation.mean[channel] - 128;
    } else {
        *scale = q->layers[index - 1].scale;
        *zero_point = q->layers[index - 1].zero_point;
    }
}

static int set_channel(struct agn_model_channel *channel, double bias, int64_t offset, double unit,
                       double out_scale)
{
    double whole = nearbyint(bias / unit) - (double)offset;
    if (!(fabs(whole) < 2147483647.0))
        return agn_fail(AGN_ERR_RANGE, "a bias of %g does not fit 32 bits at a step of %g", bias, unit);
    channel->bias = (int32_t)whole;
    return agn_model_multiplier(unit / out_scale, &channel->multiplier, &channel->shift);
}

/* One output channel: weights in order (kernel row, kernel column, input channel), scaled to input steps. */
static int quantise_channel(struct quantiser *q, int index, int o, double *row, double *signal, double *noise)
{
    struct layer *layer = &q->layers[index];
    const float *weights = values_of(q->model->parts[AGN_EXTRACTOR].params, layer->conv->name, "weight");
    int area = layer->kernel * layer->kernel, count = area * layer->ic;
    bool depthwise = layer->conv->depthwise;
    double bn_scale, bias, in_scale;
    int zero_point;
    int64_t offset = 0;
    int8_t integers[AGN_DEV_MAX_KERNEL * AGN_DEV_MAX_KERNEL * AGN_DEV_MAX_CHANNELS];
    int status =
        agn_batchnorm_fold(q->model->parts[AGN_EXTRACTOR].params, layer->bn->name, o, &bn_scale, &bias);
    if (status < 0)
        return status;
    for (int i = 0; i < layer->ic; i++) {
        input_quantisation(q, index, depthwise ? o : i, &in_scale, &zero_point);
        for (int a = 0; a < area; a++)
            row[a * layer->ic + i] = (double)weights[(o * layer->ic + i) * area + a] * bn_scale * in_scale;
    }
    double unit = weight_step(row, count, bias, layer->scale);
    quantise_row(row, count, unit, integers, signal, noise);
    for (int e = 0; e < count; e++) {
        input_quantisation(q, index, depthwise ? o : e % layer->ic, &in_scale, &zero_point);
        offset += (int64_t)integers[e] * zero_point;
        layer->weights[depthwise ? e * layer->oc + o : o * count + e] = integers[e];
    }
    return set_channel(&layer->channels[o], bias, offset, unit, layer->scale);
}

static int quantise_layer(struct quantiser *q, int index)
{
    struct layer *layer = &q->layers[index];
    size_t count = (size_t)(layer->kernel * layer->kernel * layer->ic);
    double signal = 1e-30, noise = 1e-30;
    double *row = agn_alloc(count, sizeof(*row));
    layer->weights = agn_alloc(count * (size_t)layer->oc, 1);
    layer->channels = agn_alloc((size_t)layer->oc, sizeof(*layer->channels));
    int status = row == NULL || layer->weights == NULL || layer->channels == NULL ? AGN_ERR_MEMORY : AGN_OK;
    for (int o = 0; o < layer->oc && status == AGN_OK; o++)
        status = quantise_channel(q, index, o, row, &signal, &noise);
    layer->sqnr_db = 10.0 * log10(signal / noise);
    agn_free(row);
    if (status < 0 && status != AGN_ERR_MEMORY) {
        char reason[256];
        snprintf(reason, sizeof(reason), "%s", agn_error_message());
        return agn_fail(status, "extractor layer %d: %s", index + 1, reason);
    }
    return status;
}

/* One output of the Local NN, a BN of the logits (model.logits_bn) folded in. */
static int quantise_logit(struct quantiser *q, int c, int count, double *row, double *signal, double *noise)
{
    const struct agn_params *params = q->model->parts[AGN_LOCAL].params;
    const struct layer *last = &q->layers[q->layer_count - 1];
    const float *weights = values_of(params, "local.dense", "weight") + (size_t)c * (size_t)count;
    int8_t *integers = q->dense_weights + (size_t)c * (size_t)count;
    double gain = 1.0, shift = 0.0, steps = (double)(1 << AGN_DEV_POOL_BITS);
    int64_t sum = 0;
    int status = AGN_OK;
    if (values_of(params, "local.dense.bn", "gamma") != NULL)
        status = agn_batchnorm_fold(params, "local.dense.bn", c, &gain, &shift);
    if (status < 0)
        return status;
    double bias = gain * (double)values_of(params, "local.dense", "bias")[c] + shift;
    for (int i = 0; i < count; i++)
        row[i] = gain * (double)weights[i] * last->scale / steps;
    double unit = weight_step(row, count, bias, 1.0 / 256.0);
    quantise_row(row, count, unit, integers, signal, noise);
    for (int i = 0; i < count; i++)
        sum += integers[i];
    return set_channel(&q->dense_channels[c], bias, sum * last->zero_point * (1 << AGN_DEV_POOL_BITS), unit,
                       1.0 / 256.0);
}

static int quantise_dense(struct quantiser *q)
{
    const struct agn_model *model = q->model;
    int count = model->preset.model.grid * model->preset.model.grid * model->preset.model.local_channels;
    double signal = 0.0, noise = 0.0;
    double *row = agn_alloc((size_t)count, sizeof(*row));
    q->dense_weights = agn_alloc((size_t)count * (size_t)model->classes, 1);
    q->dense_channels = agn_alloc((size_t)model->classes, sizeof(*q->dense_channels));
    int status =
        row == NULL || q->dense_weights == NULL || q->dense_channels == NULL ? AGN_ERR_MEMORY : AGN_OK;
    for (int c = 0; c < model->classes && status == AGN_OK; c++)
        status = quantise_logit(q, c, count, row, &signal, &noise);
    agn_free(row);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------- */

static struct agn_model_layer describe_layer(const struct layer *layer)
{
    int top = (int)lround(6.0 / layer->scale) + layer->zero_point;
    bool relu6 = layer->bn->relu6;
    return (struct agn_model_layer){.kind = layer->conv->depthwise ? AGN_LAYER_DWCONV : AGN_LAYER_CONV,
                                    .out_c = layer->oc,
                                    .kernel_h = layer->kernel,
                                    .kernel_w = layer->kernel,
                                    .stride_h = layer->conv->stride,
                                    .stride_w = layer->conv->stride,
                                    .pad_h = layer->conv->pad,
                                    .pad_w = layer->conv->pad,
                                    .out_zero_point = (int8_t)layer->zero_point,
                                    .clamp_min = (int8_t)(relu6 ? layer->zero_point : -128),
                                    .clamp_max = (int8_t)(relu6 && top < 127 ? top : 127),
                                    .weights = layer->weights,
                                    .channels = layer->channels,
                                    .out_scale = (float)layer->scale};
}

/* Symbol of every int8 value of the map. */
static void make_symbol_table(const struct agn_model *model, const struct layer *last, uint8_t symbols[256])
{
    float values[256];
    for (int v = -128; v < 128; v++)
        values[v + 128] = (float)((v - last->zero_point) * last->scale);
    agn_quantise(model->centroids, values, 256, symbols, NULL);
}

static int write_model(const struct quantiser *q, uint8_t **bytes, size_t *size_bytes)
{
    const struct agn_model *model = q->model;
    const struct agn_preset *preset = &model->preset;
    struct agn_model_layer layers[AGN_DEV_MAX_LAYERS];
    struct agn_model_agn out = {.model_id = agn_model_id(model),
                                .input_h = preset->data.height,
                                .input_w = preset->data.width,
                                .input_c = preset->data.channels,
                                .layer_count = q->layer_count,
                                .layers = layers,
                                .local_c = preset->model.local_channels,
                                .grid = preset->model.grid,
                                .classes = model->classes,
                                .dense_weights = q->dense_weights,
                                .dense_channels = q->dense_channels,
                                .alpha_q15 = (uint16_t)lround(32768.0 * agn_model_alpha(model))};
    out.codec = (enum agn_codec)preset->model.codec;
    agn_model_contexts(model, &out.contexts);
    for (int c = 0; c < preset->data.channels; c++) {
        out.input_zero_point[c] = (int8_t)((int)model->normalisation.mean[c] - 128);
        out.input_scale[c] = 1.0F / model->normalisation.std[c];
    }
    for (int i = 0; i < q->layer_count; i++)
        layers[i] = describe_layer(&q->layers[i]);
    make_symbol_table(model, &q->layers[q->layer_count - 1], out.symbols);
    memcpy(out.centroids, model->centroids, sizeof(out.centroids));
    return agn_model_agn_write(&out, bytes, size_bytes);
}

/* A device without an extractor sends its pixels: there is nothing to quantise. */
static int write_pixels_model(const struct agn_model *model, uint8_t **bytes, size_t *size_bytes)
{
    const struct agn_preset *preset = &model->preset;
    const struct agn_model_agn out = {.model_id = agn_model_id(model),
                                      .input_h = preset->data.height,
                                      .input_w = preset->data.width,
                                      .input_c = preset->data.channels,
                                      .classes = model->classes,
                                      .codec = (enum agn_codec)preset->model.codec,
                                      .jpeg_quality = (uint8_t)preset->model.jpeg_quality};
    return agn_model_agn_write(&out, bytes, size_bytes);
}

static void fill_report(const struct quantiser *q, struct agn_quantisation_report *report)
{
    report->layer_count = q->layer_count;
    report->calibration_images = q->images;
    for (int i = 0; i < q->layer_count; i++) {
        report->layers[i].low = q->layers[i].low;
        report->layers[i].high = q->layers[i].high;
        report->layers[i].scale = q->layers[i].scale;
        report->layers[i].weight_sqnr_db = q->layers[i].sqnr_db;
    }
}

int agn_deploy_device(const struct agn_model *model, const struct agn_dataset *calibration, int images,
                      uint8_t **bytes, size_t *size_bytes, struct agn_quantisation_report *report)
{
    if (report != NULL)
        *report = (struct agn_quantisation_report){0};
    if (agn_part_is_empty(&model->parts[AGN_EXTRACTOR]))
        return write_pixels_model(model, bytes, size_bytes);
    struct quantiser q = {.model = model, .images = images > 0 ? images : STANDARD_IMAGES};
    q.images = q.images > calibration->count ? calibration->count : q.images;
    int status = agn_deploy_check(&model->parts[AGN_EXTRACTOR].graph);
    if (status == AGN_OK) {
        find_layers(&q);
        status = check_values(model);
    }
    if (status == AGN_OK)
        status = calibrate(&q, calibration);
    for (int i = 0; i < q.layer_count && status == AGN_OK; i++)
        status = quantise_layer(&q, i);
    if (status == AGN_OK)
        status = quantise_dense(&q);
    if (status == AGN_OK)
        status = write_model(&q, bytes, size_bytes);
    if (status == AGN_OK && report != NULL)
        fill_report(&q, report);
    for (int i = 0; i < q.layer_count; i++) {
        agn_free(q.layers[i].weights);
        agn_free(q.layers[i].channels);
    }
    agn_free(q.dense_weights);
    agn_free(q.dense_channels);
    return status;
}
