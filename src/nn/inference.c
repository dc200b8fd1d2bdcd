/* Inference: nets of several batch sizes over one set of packed weights. See agilenn/inference.h.
 *
 * A lane is what one thread computes with, alone; lanes share nothing that changes. What is left when a batch
 * does not divide by the threads is computed by all of them together (the team). Where other work keeps the
 * cores busy, threads wait for one that has no core: then the caller alone is the faster way. */
#include "agilenn/inference.h"

#include <omp.h>
#include <string.h>

#include "nn/net_internal.h"

enum { SIZES = 5 }; /* nets for 1, 2, 4, ... images */
/* What one pass of a lane touches should stay in its core's second cache. */
static const size_t LANE_BYTES = (size_t)3 << 20;
/* Many of the time slices that cores are shared by. */
static const double CHOICE_WINDOW_S = 0.03;

#define DEFAULT_SOURCE 6.0F
#define MAX_SOURCE     1e6F

struct nets {
    struct agn_net *of[SIZES];
    int sizes; /* how many of them there are */
};

struct agn_inference {
    struct agn__weights_pool *weights; /* shared with those created by `weights_of` */
    const struct agn_params *params;   /* whose weights these are: to compare, not to read */
    struct agn__range *ranges;         /* NULL: floats */
    struct agn__fusion fusion;
    int max_batch, threads;
    struct nets *lanes; /* (threads) */
    struct nets team;   /* with several threads */
    struct agn_choice whole,
        rest; /* way 1: the caller alone; of what divides by the threads, and of what is left */
    size_t src_floats, dst_floats;
    double int8_share;
};

/* ---- creation ---------------------------------------------------------------------- */

static int check(const struct agn_inference_config *config, int threads)
{
    if (config->max_batch < 1 || config->max_batch > AGN_INFERENCE_MAX_BATCH) {
        return agn_fail(AGN_ERR_RANGE, "inference takes batches of up to 1 to %d images, not %d",
                        AGN_INFERENCE_MAX_BATCH, config->max_batch);
    }
    if (threads < 1 || threads > AGN_INFERENCE_MAX_THREADS) {
        return agn_fail(AGN_ERR_RANGE, "inference uses 1 to %d threads, not %d", AGN_INFERENCE_MAX_THREADS,
                        threads);
    }
    if (!(config->source_limit >= 0.0F && config->source_limit <= MAX_SOURCE)) {
        return agn_fail(AGN_ERR_RANGE, "sources have a limit of 0 to %g, not %g", (double)MAX_SOURCE,
                        (double)config->source_limit);
    }
    if (config->weights_of != NULL && config->weights_of->params != config->params) {
        return agn_fail(AGN_ERR_ARG, "inferences share weights only where they have the same parameters");
    }
    return config->int8 ? agn__onednn_check_int8() : AGN_OK;
}

static int find_ranges(struct agn_inference *inference, const struct agn_inference_config *config)
{
    inference->ranges = agn_alloc((size_t)config->graph->count, sizeof(*inference->ranges));
    if (inference->ranges == NULL) {
        return AGN_ERR_MEMORY;
    }
    inference->fusion.ranges = inference->ranges;
    float limit = config->source_limit > 0.0F ? config->source_limit : DEFAULT_SOURCE;
    return agn__ranges_from_statistics(config->graph, config->params, limit, inference->ranges);
}

/* Nets for 1, 2, 4, ... up to `most` images, and not beyond what the cache holds. */
static int make_nets(const struct agn_inference *inference, const struct agn_inference_config *config,
                     int threads, int most, struct nets *nets)
{
    int status = AGN_OK;
    size_t bytes = 0;
    for (int size = 1; size <= most && nets->sizes < SIZES && 2 * bytes <= LANE_BYTES && status == AGN_OK;
         size *= 2) {
        struct agn_net_config planned = {
            .graph = config->graph, .params = config->params, .batch = size, .mode = AGN_NET_FROZEN};
        status = agn__net_create_inference(&planned, threads, &inference->fusion, &nets->of[nets->sizes]);
        if (status == AGN_OK) {
            bytes = agn_net_arena_bytes(nets->of[nets->sizes]);
            nets->sizes++;
        }
    }
    return status;
}

static double int8_share(const struct agn_net *net)
{
    double all = 0.0, integer = 0.0;
    for (int i = 1; i < net->graph.count; i++) {
        double macs = (double)agn_op_macs(&net->graph, i);
        all += macs;
        integer += net->ops[i].int8 ? macs : 0.0;
    }
    return all > 0.0 ? integer / all : 0.0;
}

static int fill_in(struct agn_inference *inference, const struct agn_inference_config *config)
{
    int threads = inference->threads;
    struct agn_shape in = agn_graph_input_shape(config->graph), out = agn_graph_output_shape(config->graph);
    inference->src_floats = (size_t)in.height * (size_t)in.width * (size_t)in.channels;
    inference->dst_floats = (size_t)out.height * (size_t)out.width * (size_t)out.channels;
    inference->lanes = agn_alloc((size_t)threads, sizeof(*inference->lanes));
    int status = inference->lanes == NULL ? AGN_ERR_MEMORY : AGN_OK;
    if (status == AGN_OK && config->weights_of != NULL)
        inference->weights = agn__weights_pool_share(config->weights_of->weights);
    else if (status == AGN_OK)
        status = agn__weights_pool_create(&inference->weights);
    inference->fusion.weights = inference->weights;
    if (status == AGN_OK && config->int8)
        status = find_ranges(inference, config);
    for (int t = 0; t < threads && status == AGN_OK; t++) {
        int most = config->max_batch / threads;
        most = t == 0 && most < 1 ? 1 : most; /* the caller's takes what is left, too */
        status = make_nets(inference, config, 1, most, &inference->lanes[t]);
    }
    if (status == AGN_OK && threads > 1) {
        int most = threads - 1 < config->max_batch ? threads - 1 : config->max_batch;
        status = make_nets(inference, config, threads, most, &inference->team);
    }
    if (status == AGN_OK)
        inference->int8_share = int8_share(threads > 1 ? inference->team.of[0] : inference->lanes[0].of[0]);
    return status;
}

int agn_inference_create(const struct agn_inference_config *config, struct agn_inference **result)
{
    int threads = config->threads == 0 ? agn_nn_threads() : config->threads;
    int status = check(config, threads);
    struct agn_inference *inference = status < 0 ? NULL : agn_alloc(1, sizeof(*inference));
    if (inference == NULL) {
        return status < 0 ? status : AGN_ERR_MEMORY;
    }
    inference->max_batch = config->max_batch;
    inference->threads = threads;
    inference->whole.window_s = inference->rest.window_s = CHOICE_WINDOW_S;
    inference->params = config->params;
    status = fill_in(inference, config);
    if (status < 0) {
        agn_inference_free(inference);
        return status;
    }
    *result = inference;
    return AGN_OK;
}

static void free_nets(struct nets *nets)
{
    for (int i = 0; i < nets->sizes; i++) {
        agn_net_free(nets->of[i]);
    }
}

void agn_inference_free(struct agn_inference *inference)
{
    if (inference == NULL) {
        return;
    }
    for (int t = 0; inference->lanes != NULL && t < inference->threads; t++) {
        free_nets(&inference->lanes[t]);
    }
    free_nets(&inference->team);
    agn__weights_pool_free(inference->weights);
    agn_free(inference->lanes);
    agn_free(inference->ranges);
    agn_free(inference);
}

/* ---- work --------------------------------------------------------------------------------- */

/* `count` images, as many at once as there are nets for. */
static int run_nets(const struct agn_inference *inference, const struct nets *nets, const float *src,
                    int count, float *dst)
{
    size_t in = inference->src_floats, out = inference->dst_floats;
    int status = AGN_OK, done = 0;
    for (int i = nets->sizes - 1; i >= 0; i--) {
        size_t size = (size_t)1 << i;
        for (; count - done >= (int)size && status == AGN_OK; done += (int)size) {
            memcpy(agn_net_input(nets->of[i]), src + (size_t)done * in, size * in * sizeof(float));
            status = agn_net_forward(nets->of[i]);
            memcpy(dst + (size_t)done * out, agn_net_output(nets->of[i]), size * out * sizeof(float));
        }
    }
    return status;
}

/* The images that divide by the threads, each lane its own. */
static int run_lanes(const struct agn_inference *inference, const float *src, int each, float *dst, int team)
{
    int failed = AGN_OK;
#pragma omp parallel for schedule(static, 1) num_threads(team) reduction(min : failed)
    for (int t = 0; t < inference->threads; t++) {
        size_t first = (size_t)t * (size_t)each;
        int status = run_nets(inference, &inference->lanes[t], src + first * inference->src_floats, each,
                              dst + first * inference->dst_floats);
        failed = status < failed ? status : failed;
    }
    return failed < 0 ? agn_fail(failed, "inference failed in one of its threads") : AGN_OK;
}

int agn_inference_run(struct agn_inference *inference, const float *src, int count, float *dst)
{
    if (count < 0 || count > inference->max_batch) {
        return agn_fail(AGN_ERR_RANGE, "inference was planned for up to %d images, not %d",
                        inference->max_batch, count);
    }
    int threads = inference->threads, each = count / threads, left = count % threads, status = AGN_OK;
    if (threads == 1) {
        return run_nets(inference, &inference->lanes[0], src, count, dst);
    }
    if (each > 0) {
        double begin = agn_now_s();
        status = run_lanes(inference, src, each, dst, inference->whole.way == 0 ? threads : 1);
        agn_choice_report(&inference->whole, count - left, agn_now_s() - begin);
    }
    if (status == AGN_OK && left > 0) {
        size_t done = (size_t)each * (size_t)threads;
        const struct nets *nets = inference->rest.way == 0 ? &inference->team : &inference->lanes[0];
        double begin = agn_now_s();
        status = run_nets(inference, nets, src + done * inference->src_floats, left,
                          dst + done * inference->dst_floats);
        agn_choice_report(&inference->rest, left, agn_now_s() - begin);
    }
    return status;
}

size_t agn_inference_bytes(const struct agn_inference *inference)
{
    size_t sum = agn__weights_pool_bytes(inference->weights);
    for (int t = 0; t < inference->threads; t++) {
        for (int i = 0; i < inference->lanes[t].sizes; i++) {
            sum += agn_net_arena_bytes(inference->lanes[t].of[i]);
        }
    }
    for (int i = 0; i < inference->team.sizes; i++) {
        sum += agn_net_arena_bytes(inference->team.of[i]);
    }
    return sum;
}

int agn_inference_check_int8(void)
{
    return agn__onednn_check_int8();
}

/* The loop after a convolution of this form. */
static const char *rest_of(const struct agn__op *op)
{
    static const char *const names[][2] = {[AGN__ACT_NONE] = {"", "add"},
                                           [AGN__ACT_RELU6] = {"relu6", "relu6 + add"},
                                           [AGN__ACT_SILU] = {"silu", "silu + add"},
                                           [AGN__ACT_SIGMOID] = {"sigmoid", "sigmoid + add"}};
    bool add = op->sum != NULL && op->form != AGN__FORM_WHOLE;
    return names[op->form == AGN__FORM_PLAIN ? op->activation : AGN__ACT_NONE][add ? 1 : 0];
}

bool agn_inference_layer(const struct agn_inference *inference, int index, struct agn_inference_layer *layer)
{
    const struct agn_net *net = inference->threads > 1 ? inference->team.of[0] : inference->lanes[0].of[0];
    for (int i = 1; i < net->graph.count; i++) {
        const struct agn__op *op = &net->ops[i];
        if (op->absorbed || op->cls != &agn__op_conv_inference || index-- > 0) {
            continue;
        }
        *layer = (struct agn_inference_layer){.name = op->spec->name,
                                              .rest = rest_of(op),
                                              .macs = (double)agn_op_macs(&net->graph, i),
                                              .int8 = op->int8};
        layer->code = agn__conv_inference_code(op, &layer->reference);
        return true;
    }
    return false;
}

double agn_inference_int8_share(const struct agn_inference *inference)
{
    return inference->int8_share;
}
