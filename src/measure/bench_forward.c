/* Times forward passes of the Remote NN. See agilenn/bench.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "agilenn/bench_forward.h"
#include "agilenn/inference.h"
#include "agilenn/model.h"

enum { WARM_UP = 3 };
static const double WINDOW_S = 0.1;

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Features as a quantiser leaves them: most of them 0. */
static void make_features(float *features, size_t count)
{
    struct agn_rng rng;
    agn_rng_seed(&rng, 1);
    for (size_t i = 0; i < count; i++)
        features[i] = agn_rng_below(&rng, 4) == 0 ? 0.5F * (float)agn_rng_below(&rng, AGN_LEVELS) : 0.0F;
}

/* Least rate over windows of calls. A call takes less time than a process that shares its core has it for at
 * once, so that a single call that was interrupted says nothing about what a stream of calls gets. */
static double least_window(const double *rates, size_t count, int batch)
{
    double least = INFINITY, images = 0.0, seconds = 0.0;
    for (size_t i = 0; i < count; i++) {
        images += batch;
        seconds += batch / rates[i];
        bool only = i + 1 == count && isinf(least);
        if (seconds >= WINDOW_S || only) {
            least = fmin(least, images / seconds);
            images = seconds = 0.0;
        }
    }
    return least;
}

static int time_calls(struct agn_inference *inference, const float *features, float *logits,
                      struct agn_bench_forward *result)
{
    size_t repeats = (size_t)result->repeats;
    double *rates = agn_alloc(repeats, sizeof(double));
    int status = rates == NULL ? AGN_ERR_MEMORY : AGN_OK;
    for (int i = 0; i < WARM_UP && status == AGN_OK; i++)
        status = agn_inference_run(inference, features, result->batch, logits);
    double first = agn_now_s();
    for (size_t i = 0; i < repeats && status == AGN_OK; i++) {
        double begin = agn_now_s();
        status = agn_interrupt_requested() ? agn_fail(AGN_ERR_INTERRUPTED, "the benchmark was interrupted")
                                           : agn_inference_run(inference, features, result->batch, logits);
        rates[i] = result->batch / (agn_now_s() - begin);
    }
    if (status == AGN_OK) {
        result->images_per_s_mean = (double)result->batch * (double)repeats / (agn_now_s() - first);
        result->images_per_s_window = least_window(rates, repeats, result->batch);
        qsort(rates, repeats, sizeof(double), ascending);
        result->images_per_s_min = rates[0];
        result->images_per_s_median = rates[repeats / 2];
        result->images_per_s_max = rates[repeats - 1];
    }
    agn_free(rates);
    return status;
}

static void list_layers(const struct agn_inference *inference, struct agn_bench_forward *result)
{
    struct agn_inference_layer layer;
    for (int i = 0; i < AGN_MAX_OPS && agn_inference_layer(inference, i, &layer); i++) {
        struct agn_bench_layer *kept = &result->layers[result->layer_count++];
        snprintf(kept->name, sizeof(kept->name), "%s", layer.name);
        snprintf(kept->code, sizeof(kept->code), "%s", layer.code);
        snprintf(kept->rest, sizeof(kept->rest), "%s", layer.rest);
        kept->macs = layer.macs;
        kept->gathered = layer.gathered;
        kept->int8 = layer.int8;
        kept->reference = layer.reference;
        result->reference_layers += layer.reference ? 1 : 0;
    }
}

static int run(const struct agn_model *model, const struct agn_bench_forward_config *config,
               struct agn_bench_forward *result)
{
    struct agn_shape in = agn_graph_input_shape(&model->parts[AGN_REMOTE].graph);
    size_t batch = (size_t)result->batch;
    size_t floats = batch * (size_t)in.height * (size_t)in.width * (size_t)in.channels;
    struct agn_inference_config planned = {.graph = &model->parts[AGN_REMOTE].graph,
                                           .params = model->parts[AGN_REMOTE].params,
                                           .max_batch = result->batch,
                                           .threads = result->threads,
                                           .int8 = result->int8,
                                           .engine = config->engine};
    struct agn_inference *inference = NULL;
    double begin = agn_now_s();
    int status = agn_inference_create(&planned, &inference);
    result->create_s = agn_now_s() - begin;
    float *features = agn_alloc(floats, sizeof(float));
    float *logits = agn_alloc(batch * (size_t)model->classes, sizeof(float));
    if (status == AGN_OK && (features == NULL || logits == NULL))
        status = AGN_ERR_MEMORY;
    if (status == AGN_OK) {
        make_features(features, floats);
        status = time_calls(inference, features, logits, result);
    }
    if (status == AGN_OK) {
        for (int i = 0; i < model->parts[AGN_REMOTE].graph.count; i++)
            result->flop += 2.0 * (double)agn_op_macs(&model->parts[AGN_REMOTE].graph, i);
        result->gflops = 1e-9 * result->flop * result->images_per_s_median;
        result->int8_share = agn_inference_int8_share(inference);
        list_layers(inference, result);
        result->memory_mib = (double)agn_inference_bytes(inference) / 1048576.0;
    }
    agn_inference_free(inference);
    agn_free(features);
    agn_free(logits);
    return status;
}

int agn_bench_forward(const struct agn_preset *preset, const struct agn_bench_forward_config *config,
                      struct agn_bench_forward *out)
{
    struct agn_bench_forward result = {.batch = config->batch,
                                       .repeats = config->repeats,
                                       .threads = config->threads > 0 ? config->threads : agn_nn_threads()};
    struct agn_model *model = NULL;
    result.int8 = config->int8 && agn_inference_check_int8() == AGN_OK;
    if (config->int8 && !result.int8)
        agn_log(AGN_LOG_WARN, "computing in floats: %s", agn_error_message());
    if (config->batch < 1 || config->repeats < 1)
        return agn_fail(AGN_ERR_RANGE, "a benchmark needs at least one image and one call");
    int status = agn_model_create(preset, NULL, &model);
    if (status == AGN_OK)
        status = agn_model_need(model, AGN_REMOTE);
    if (status == AGN_OK)
        status = run(model, config, &result);
    if (status == AGN_OK)
        *out = result;
    agn_model_free(model);
    return status;
}
