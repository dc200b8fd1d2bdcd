/* Post-training quantisation of extractor and Local NN, of all stages and exits, to the integer rules of
 * agn_device.h.
 *
 * Each convolution with its BN becomes one int8 layer: BN is folded, weights are symmetric per output
 * channel (scale = max |w| / 127), results affine per tensor over the calibrated range. The image's
 * normalisation goes into the first layer: pixel - 128 is its input, 1/std is folded into the weights,
 * and the mean is the zero point, so padding with it is exact. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "deploy/network.h"

enum { STANDARD_IMAGES = 1024, WEIGHT_MAX = 127, SUM_MOST_SHIFT = 22 };

static const double largest_bias = 0x1p29; /* leaves room for the weighted inputs in 32 bits */
static const double largest_multiplier = 0.2499;

static int check_params(const struct agn_params *params)
{
    for (int i = 0; i < params->count; i++) {
        const struct agn_param *param = &params->list[i];
        size_t length = strlen(param->name);
        bool variance = length > 4 && strcmp(param->name + length - 4, ".var") == 0;
        for (size_t v = 0; v < param->count; v++) {
            float value = params->value[param->offset + v];
            if (!isfinite(value) || (variance && value < 0.0F)) {
                return agn_fail(AGN_ERR_RANGE, "%s[%zu] is %g: the model is damaged; train it again",
                                param->name, v, (double)value);
            }
        }
    }
    return AGN_OK;
}

/* A file may hold anything: beyond this no value is infinite or not a number. */
static int check_values(const struct agn_model *model)
{
    int status = AGN_OK;
    for (int stage = 1; stage <= AGN_MAX_STAGES && status == AGN_OK; stage++) {
        status = check_params(model->parts[agn_stage_role(stage)].params);
        if (status == AGN_OK)
            status = check_params(model->parts[agn_exit_role(stage)].params);
    }
    if (status < 0)
        return status;
    return agn_part_is_empty(&model->parts[AGN_EXTRACTOR]) || isfinite(agn_model_alpha(model))
               ? AGN_OK
               : agn_fail(AGN_ERR_RANGE, "alpha is not a number: the model is damaged; train it again");
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

void agn__tensor_steps(const struct agn__network *n, int tensor, int channel, double *scale, int *zero_point)
{
    if (tensor == 0) {
        *scale = 1.0 / (double)n->model->normalisation.std[channel];
        *zero_point = (int)n->model->normalisation.mean[channel] - 128;
    } else {
        *scale = n->layers[tensor - 1].scale;
        *zero_point = n->layers[tensor - 1].zero_point;
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
static int quantise_channel(const struct agn__network *n, struct agn__layer *layer, int o, double *row,
                            double *signal, double *noise)
{
    const struct agn_params *params = n->model->parts[layer->role].params;
    const float *weights = values_of(params, layer->op->name, "weight");
    int area = layer->kernel * layer->kernel, count = area * layer->ic, tensor = layer->source[0];
    bool depthwise = layer->op->depthwise;
    double bn_scale, bias, in_scale;
    int zero_point;
    int64_t offset = 0;
    int8_t integers[AGN_DEV_MAX_KERNEL * AGN_DEV_MAX_KERNEL * AGN_DEV_MAX_INNER_CHANNELS];
    int status = agn_batchnorm_fold(params, layer->bn->name, o, &bn_scale, &bias);
    if (status < 0)
        return status;
    for (int i = 0; i < layer->ic; i++) {
        agn__tensor_steps(n, tensor, layer->first + (depthwise ? o : i), &in_scale, &zero_point);
        for (int a = 0; a < area; a++)
            row[a * layer->ic + i] = (double)weights[(o * layer->ic + i) * area + a] * bn_scale * in_scale;
    }
    double unit = weight_step(row, count, bias, layer->scale);
    quantise_row(row, count, unit, integers, signal, noise);
    for (int e = 0; e < count; e++) {
        agn__tensor_steps(n, tensor, layer->first + (depthwise ? o : e % layer->ic), &in_scale, &zero_point);
        offset += (int64_t)integers[e] * zero_point;
        layer->weights[depthwise ? e * layer->oc + o : o * count + e] = integers[e];
    }
    return set_channel(&layer->channels[o], bias, offset, unit, layer->scale);
}

/* Both sources in steps of the result, at a common power of two. */
static int quantise_sum(const struct agn__network *n, struct agn__layer *layer)
{
    double factor[2], largest = 0.0, bias = 0.0;
    int zero_point[2], shift = SUM_MOST_SHIFT;
    for (int i = 0; i < 2; i++) {
        double scale;
        agn__tensor_steps(n, layer->source[i], 0, &scale, &zero_point[i]);
        factor[i] = scale / layer->scale;
        largest = fmax(largest, factor[i]);
    }
    while (shift > 0 && ldexp(largest, shift) > INT16_MAX)
        shift--;
    if (ldexp(largest, shift) > INT16_MAX)
        return agn_fail(AGN_ERR_RANGE, "a sum's steps are %g times those of its result", largest);
    for (int i = 0; i < 2; i++) {
        layer->sum.multipliers[i] = (int16_t)lround(ldexp(factor[i], shift));
        bias -= (double)layer->sum.multipliers[i] * zero_point[i];
    }
    layer->sum.shift = (uint8_t)shift;
    layer->sum.bias =
        (int32_t)(bias + ldexp(layer->zero_point, shift) + (shift > 0 ? ldexp(1.0, shift - 1) : 0));
    layer->sqnr_db = INFINITY; /* no weights */
    return AGN_OK;
}

static int quantise_convolution(const struct agn__network *n, struct agn__layer *layer)
{
    size_t count = (size_t)(layer->kernel * layer->kernel * layer->ic);
    double signal = 1e-30, noise = 1e-30;
    double *row = agn_alloc(count, sizeof(*row));
    layer->weights = agn_alloc(count * (size_t)layer->oc, 1);
    layer->channels = agn_alloc((size_t)layer->oc, sizeof(*layer->channels));
    int status = row == NULL || layer->weights == NULL || layer->channels == NULL ? AGN_ERR_MEMORY : AGN_OK;
    for (int o = 0; o < layer->oc && status == AGN_OK; o++)
        status = quantise_channel(n, layer, o, row, &signal, &noise);
    layer->sqnr_db = 10.0 * log10(signal / noise);
    agn_free(row);
    return status;
}

static int quantise_layer(const struct agn__network *n, int index)
{
    struct agn__layer *layer = &n->layers[index];
    int status = layer->op->type == AGN_OP_ADD ? quantise_sum(n, layer) : quantise_convolution(n, layer);
    if (status < 0 && status != AGN_ERR_MEMORY) {
        char reason[256];
        snprintf(reason, sizeof(reason), "%s", agn_error_message());
        return agn_fail(status, "%s layer %d: %s", agn_role_name(layer->role), index + 1, reason);
    }
    return status;
}

/* One output of a Local NN or an exit, a BN of the logits (model.logits_bn) folded in. */
static int quantise_logit(const struct agn__network *n, const struct agn__answer *answer, int c, double *row)
{
    const struct agn_params *params = n->model->parts[answer->role].params;
    const struct agn__layer *last = &n->layers[answer->tensor - 1];
    char dense[AGN_NAME_BYTES], bn[AGN_NAME_BYTES];
    snprintf(dense, sizeof(dense), "%s.dense", agn_role_name(answer->role));
    snprintf(bn, sizeof(bn), "%s.dense.bn", agn_role_name(answer->role));
    int count = answer->grid * answer->grid * answer->channels, status = AGN_OK;
    const float *weights = values_of(params, dense, "weight") + (size_t)c * (size_t)count;
    int8_t *integers = answer->weights + (size_t)c * (size_t)count;
    double gain = 1.0, shift = 0.0, steps = (double)(1 << AGN_DEV_POOL_BITS), signal = 0.0, noise = 0.0;
    int64_t sum = 0;
    if (values_of(params, bn, "gamma") != NULL)
        status = agn_batchnorm_fold(params, bn, c, &gain, &shift);
    if (status < 0)
        return status;
    double bias = gain * (double)values_of(params, dense, "bias")[c] + shift;
    for (int i = 0; i < count; i++)
        row[i] = gain * (double)weights[i] * last->scale / steps;
    double unit = weight_step(row, count, bias, 1.0 / 256.0);
    quantise_row(row, count, unit, integers, &signal, &noise);
    for (int i = 0; i < count; i++)
        sum += integers[i];
    return set_channel(&answer->classes[c], bias, sum * last->zero_point * (1 << AGN_DEV_POOL_BITS), unit,
                       1.0 / 256.0);
}

static int quantise_answer(const struct agn__network *n, struct agn__answer *answer)
{
    size_t classes = (size_t)n->model->classes;
    size_t count = (size_t)(answer->grid * answer->grid * answer->channels);
    double *row = agn_alloc(count, sizeof(*row));
    answer->weights = agn_alloc(count * classes, 1);
    answer->classes = agn_alloc(classes, sizeof(*answer->classes));
    int status = row == NULL || answer->weights == NULL || answer->classes == NULL ? AGN_ERR_MEMORY : AGN_OK;
    for (int c = 0; c < n->model->classes && status == AGN_OK; c++)
        status = quantise_logit(n, answer, c, row);
    agn_free(row);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------- */

static enum agn_layer_kind kind_of(const struct agn_op_spec *op)
{
    if (op->type == AGN_OP_ADD)
        return AGN_LAYER_ADD;
    return op->depthwise ? AGN_LAYER_DWCONV : AGN_LAYER_CONV;
}

static struct agn_model_layer describe_layer(const struct agn__layer *layer)
{
    int top = (int)lround(6.0 / layer->scale) + layer->zero_point;
    bool sums = layer->op->type == AGN_OP_ADD, relu6 = !sums && layer->bn->relu6;
    return (struct agn_model_layer){.kind = kind_of(layer->op),
                                    .out_c = layer->oc,
                                    .kernel_h = layer->kernel,
                                    .kernel_w = layer->kernel,
                                    .stride_h = sums ? 1 : layer->op->stride,
                                    .stride_w = sums ? 1 : layer->op->stride,
                                    .pad_h = sums ? 0 : layer->op->pad,
                                    .pad_w = sums ? 0 : layer->op->pad,
                                    .out_zero_point = (int8_t)layer->zero_point,
                                    .clamp_min = (int8_t)(relu6 ? layer->zero_point : -128),
                                    .clamp_max = (int8_t)(relu6 && top < 127 ? top : 127),
                                    .weights = layer->weights,
                                    .channels = layer->channels,
                                    .out_scale = (float)layer->scale,
                                    .source = {layer->source[0], layer->source[1]},
                                    .first = layer->first,
                                    .in_c = layer->in_c,
                                    .sum = sums ? &layer->sum : NULL};
}

/* Symbol of every int8 value of the map. */
static void make_symbol_table(const struct agn_model *model, const struct agn__layer *last,
                              uint8_t symbols[256])
{
    float values[256];
    for (int v = -128; v < 128; v++)
        values[v + 128] = (float)((v - last->zero_point) * last->scale);
    agn_quantise(model->centroids, values, 256, symbols, NULL);
}

/* What is sent, and how: of a model without a map, nothing. */
static void describe_sender(const struct agn__network *n, struct agn_model_agn *out)
{
    const struct agn_model *model = n->model;
    if (n->map == 0)
        return;
    out->sender = n->map;
    out->codec = (enum agn_codec)model->preset.model.codec;
    if (model->system->exits) {
        out->value_bits = 8;
        return;
    }
    out->local_c = agn_model_first_sent(model);
    out->alpha_q15 = (uint16_t)lround(32768.0 * agn_model_alpha(model));
    agn_model_contexts(model, &out->contexts);
    make_symbol_table(model, &n->layers[n->map - 1], out->symbols);
    memcpy(out->centroids, model->centroids, sizeof(out->centroids));
}

static struct agn_model_head describe_head(const struct agn__network *n, const struct agn__answer *answer)
{
    const struct agn_model *model = n->model;
    const double threshold = model->system->exits ? model->preset.model.exit_threshold : 0.0;
    return (struct agn_model_head){.tensor = answer->tensor,
                                   .softmax = (int)lround(32768.0 * threshold),
                                   .count = answer->channels,
                                   .grid = answer->grid,
                                   .weights = answer->weights,
                                   .channels = answer->classes};
}

/* Cuts before the usual one: behind earlier stages and, where the image is not too large to be sent, before
 * all.
 */
static int describe_cuts(const struct agn__network *n, struct agn_model_cut cuts[AGN_MAX_STAGES])
{
    int count = 0;
    for (int i = 0; i + 1 < agn_model_cuts(n->model); i++) {
        struct agn_cut cut;
        if (agn_model_cut(n->model, i, &cut) < 0)
            continue;
        const struct agn__stage *stage = i > 0 ? &n->stages[i - 1] : NULL;
        cuts[count++] = (struct agn_model_cut){.model_id = cut.model_id,
                                               .tensor = stage ? stage->map : 0,
                                               .layers = stage ? stage->layers : 0,
                                               .value_bits = 8};
    }
    return count;
}

static int write_model(const struct agn__network *n, uint8_t **bytes, size_t *size_bytes)
{
    const struct agn_model *model = n->model;
    const struct agn_preset *preset = &model->preset;
    struct agn_model_layer layers[AGN_DEV_MAX_GRAPH_LAYERS];
    struct agn_model_head heads[AGN_MAX_STAGES] = {{0}};
    struct agn_model_cut cuts[AGN_MAX_STAGES];
    struct agn_model_agn out = {.model_id = agn_model_id(model),
                                .input_h = preset->data.height,
                                .input_w = preset->data.width,
                                .input_c = preset->data.channels,
                                .layer_count = n->layer_count,
                                .layers = layers,
                                .is_graph = n->is_graph,
                                .classes = model->classes};
    describe_sender(n, &out);
    for (int i = 0; i < n->answer_count; i++)
        heads[i] = describe_head(n, &n->answers[i]);
    if (n->is_graph) {
        out.head_count = n->answer_count;
        out.heads = heads;
        out.cut_count = describe_cuts(n, cuts);
        out.cuts = cuts;
    } else {
        out.grid = heads[0].grid;
        out.dense_weights = heads[0].weights;
        out.dense_channels = heads[0].channels;
    }
    for (int c = 0; c < preset->data.channels; c++) {
        out.input_zero_point[c] = (int8_t)((int)model->normalisation.mean[c] - 128);
        out.input_scale[c] = 1.0F / model->normalisation.std[c];
    }
    for (int i = 0; i < n->layer_count; i++)
        layers[i] = describe_layer(&n->layers[i]);
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

static void fill_report(const struct agn__network *n, struct agn_quantisation_report *report)
{
    report->layer_count = n->layer_count;
    report->calibration_images = n->images;
    for (int i = 0; i < n->layer_count; i++) {
        report->layers[i].low = n->layers[i].low;
        report->layers[i].high = n->layers[i].high;
        report->layers[i].scale = n->layers[i].scale;
        report->layers[i].weight_sqnr_db = n->layers[i].sqnr_db;
    }
}

int agn_deploy_device(const struct agn_model *model, const struct agn_dataset *calibration, int images,
                      uint8_t **bytes, size_t *size_bytes, struct agn_quantisation_report *report)
{
    struct agn__network n;
    if (report != NULL)
        *report = (struct agn_quantisation_report){0};
    if (agn_part_is_empty(&model->parts[AGN_EXTRACTOR]) && agn_part_is_empty(&model->parts[AGN_LOCAL]))
        return write_pixels_model(model, bytes, size_bytes);
    int status = agn__network_of(model, &n);
    n.images = images > 0 ? images : STANDARD_IMAGES;
    n.images = n.images > calibration->count ? calibration->count : n.images;
    if (status == AGN_OK)
        status = check_values(model);
    if (status == AGN_OK)
        status = agn__calibrate(&n, calibration);
    for (int i = 0; i < n.layer_count && status == AGN_OK; i++)
        status = quantise_layer(&n, i);
    for (int i = 0; i < n.answer_count && status == AGN_OK; i++)
        status = quantise_answer(&n, &n.answers[i]);
    if (status == AGN_OK)
        status = write_model(&n, bytes, size_bytes);
    if (status == AGN_OK && report != NULL)
        fill_report(&n, report);
    agn__network_free(&n);
    return status;
}
