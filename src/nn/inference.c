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

/* Where maps are large few images fit a core's cache, where they are small weights are what is read, and many
 * images want to share them: so the network may be cut in two parts, each with batches of its own. */
enum { PARTS = 2 };

struct part {
    struct agn_graph graph;
    int first;                     /* of the whole network's operators */
    size_t src_floats, dst_floats; /* of an image */
};

/* What computes alone: the nets of each part, and what lies between them. */
struct lane {
    struct agn__fusion fusion[PARTS];
    struct agn__xnn_set *xnn; /* or NULL */
    struct nets part[PARTS];
    float *between; /* (1 << (SIZES - 1)) images; NULL with one part */
};

struct agn_inference {
    struct agn__weights_pool *weights; /* shared with those created by `weights_of` */
    const struct agn_params *params;   /* whose weights these are: to compare, not to read */
    struct agn__range *ranges;         /* NULL: floats */
    int max_batch, threads;
    bool xnn, xnn_alone; /* may, must XNNPACK compute? */
    bool xnn_threads;    /* it has the threads, OpenMP one: two busily waiting pools hinder each other */
    struct part *parts;  /* (part_count) */
    int part_count;
    struct lane *lanes; /* (threads) */
    struct lane team;   /* with several threads */
    /* Way 1: the caller alone; of what divides by the threads, and of what is left. */
    struct agn_choice whole, rest;
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
    if (config->weights_of != NULL && config->weights_of->params != config->params)
        return agn_fail(AGN_ERR_ARG, "inferences share weights only where they have the same parameters");
    if (config->engine == AGN_ENGINE_XNNPACK && config->int8)
        return agn_fail(AGN_ERR_UNSUPPORTED, "XNNPACK computes in floats here; 8 bits are oneDNN's");
    if (config->engine == AGN_ENGINE_XNNPACK && !agn__xnn_is_there()) {
        return agn_fail(AGN_ERR_UNSUPPORTED, "XNNPACK is not there: the program was built without it, or it "
                                             "does not know this processor");
    }
    return config->int8 ? agn__onednn_check_int8() : AGN_OK;
}

static int find_ranges(struct agn_inference *inference, const struct agn_inference_config *config)
{
    inference->ranges = agn_alloc((size_t)config->graph->count, sizeof(*inference->ranges));
    if (inference->ranges == NULL)
        return AGN_ERR_MEMORY;
    float limit = config->source_limit > 0.0F ? config->source_limit : DEFAULT_SOURCE;
    const struct agn__range source = {config->source_signed ? -limit : 0.0F, limit};
    return agn__ranges_from_statistics(config->graph, config->params, &source, inference->ranges);
}

static size_t floats_of(struct agn_shape shape)
{
    return (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
}

/* Does nothing after operator `k` read what came before it, and does a new step begin after it? */
static bool may_cut(const struct agn_graph *graph, int k)
{
    enum agn_op_type next = graph->ops[k + 1].type;
    if (next != AGN_OP_CONV && next != AGN_OP_POOL)
        return false; /* BN and activations are part of the convolution before them */
    for (int i = k + 1; i < graph->count; i++) {
        const struct agn_op_spec *op = &graph->ops[i];
        if (op->src[0] < k || (op->src[1] >= 0 && op->src[1] < k))
            return false;
    }
    return true;
}

/* The first place after which a lane's largest batch fits its cache; 0: at none, or at once. */
static int find_cut(const struct agn_graph *graph)
{
    int cut = 0;
    for (int k = graph->count - 2; k > 0; k--) {
        size_t step = floats_of(graph->ops[k].shape) + floats_of(graph->ops[k + 1].shape);
        if ((step * sizeof(float)) << (SIZES - 1) > LANE_BYTES)
            return cut;
        cut = may_cut(graph, k) ? k : cut;
    }
    return 0;
}

/* Operators `first` + 1 to `last`, on what operator `first` makes. */
static void slice(const struct agn_graph *graph, int first, int last, struct part *part)
{
    part->graph.count = last - first + 1;
    part->graph.ops[0] =
        (struct agn_op_spec){.type = AGN_OP_INPUT, .src = {-1, -1}, .shape = graph->ops[first].shape};
    for (int i = first + 1; i <= last; i++) {
        struct agn_op_spec *op = &part->graph.ops[i - first];
        *op = graph->ops[i];
        op->src[0] -= first;
        op->src[1] -= op->src[1] < 0 ? 0 : first;
    }
    part->first = first;
    part->src_floats = floats_of(graph->ops[first].shape);
    part->dst_floats = floats_of(graph->ops[last].shape);
}

/* Lanes of narrow vectors were measured to gain from two parts; in 8 bits a cut would cost conversions. */
static int make_parts(struct agn_inference *inference, const struct agn_inference_config *config)
{
    const struct agn_graph *graph = config->graph;
    int many = config->max_batch / inference->threads >= 1 << (SIZES - 1);
    int cut = many && !config->int8 && agn__onednn_isa_is_narrow() ? find_cut(graph) : 0;
    inference->parts = agn_alloc(PARTS, sizeof(*inference->parts));
    if (inference->parts == NULL)
        return AGN_ERR_MEMORY;
    inference->part_count = cut > 0 ? 2 : 1;
    slice(graph, 0, cut > 0 ? cut : graph->count - 1, &inference->parts[0]);
    if (cut > 0)
        slice(graph, cut, graph->count - 1, &inference->parts[1]);
    return AGN_OK;
}

/* Nets for 1, 2, 4, ... up to `most` images, and not beyond what the cache holds. */
static int make_nets(const struct part *part, struct agn_params *params, int threads, int most,
                     const struct agn__fusion *fusion, struct nets *nets)
{
    int status = AGN_OK;
    size_t bytes = 0;
    for (int size = 1; size <= most && nets->sizes < SIZES && 2 * bytes <= LANE_BYTES && status == AGN_OK;
         size *= 2) {
        struct agn_net_config planned = {
            .graph = &part->graph, .params = params, .batch = size, .mode = AGN_NET_FROZEN};
        status = agn__net_create_inference(&planned, threads, fusion, &nets->of[nets->sizes]);
        if (status == AGN_OK) {
            bytes = agn__net_arena_bytes(nets->of[nets->sizes]);
            nets->sizes++;
        }
    }
    return status;
}

static int make_lane(const struct agn_inference *inference, struct agn_params *params, int threads, int most,
                     struct lane *lane)
{
    int status = AGN_OK;
    if (inference->xnn)
        status = agn__xnn_set_create(inference->xnn_threads ? threads : 1, &lane->xnn);
    if (inference->xnn_threads)
        threads = 1;
    for (int p = 0; p < inference->part_count && status == AGN_OK; p++) {
        lane->fusion[p] =
            (struct agn__fusion){.weights = inference->weights,
                                 .xnn = lane->xnn,
                                 .xnn_alone = inference->xnn_alone,
                                 .first = inference->parts[p].first,
                                 .ranges = inference->ranges}; /* with 8 bits there is one part */
        status = make_nets(&inference->parts[p], params, threads, most, &lane->fusion[p], &lane->part[p]);
    }
    if (status == AGN_OK && inference->part_count > 1) {
        lane->between = agn_alloc(inference->parts[0].dst_floats << (SIZES - 1), sizeof(float));
        status = lane->between == NULL ? AGN_ERR_MEMORY : AGN_OK;
    }
    return status;
}

static const struct lane *single_image(const struct agn_inference *inference)
{
    return inference->threads > 1 ? &inference->team : &inference->lanes[0];
}

static double int8_share(const struct agn_inference *inference)
{
    double all = 0.0, integer = 0.0;
    for (int p = 0; p < inference->part_count; p++) {
        const struct agn_net *net = single_image(inference)->part[p].of[0];
        for (int i = 1; i < net->graph.count; i++) {
            double macs = (double)agn_op_macs(&net->graph, i);
            all += macs;
            integer += net->ops[i].int8 ? macs : 0.0;
        }
    }
    return all > 0.0 ? integer / all : 0.0;
}

static int fill_in(struct agn_inference *inference, const struct agn_inference_config *config)
{
    int threads = inference->threads;
    inference->lanes = agn_alloc((size_t)threads, sizeof(*inference->lanes));
    int status = inference->lanes == NULL ? AGN_ERR_MEMORY : AGN_OK;
    if (status == AGN_OK && config->weights_of != NULL)
        inference->weights = agn__weights_pool_share(config->weights_of->weights);
    else if (status == AGN_OK)
        status = agn__weights_pool_create(&inference->weights);
    if (status == AGN_OK && config->int8)
        status = find_ranges(inference, config);
    if (status == AGN_OK)
        status = make_parts(inference, config);
    for (int t = 0; t < threads && status == AGN_OK; t++) {
        int most = config->max_batch / threads;
        most = t == 0 && most < 1 ? 1 : most; /* the caller's takes what is left, too */
        status = make_lane(inference, config->params, 1, most, &inference->lanes[t]);
    }
    if (status == AGN_OK && threads > 1) {
        int most = threads - 1 < config->max_batch ? threads - 1 : config->max_batch;
        status = make_lane(inference, config->params, threads, most, &inference->team);
    }
    if (status == AGN_OK)
        inference->int8_share = int8_share(inference);
    return status;
}

int agn_inference_create(const struct agn_inference_config *config, struct agn_inference **result)
{
    int threads = config->threads == 0 ? agn_nn_threads() : config->threads;
    int status = check(config, threads);
    struct agn_inference *inference = status < 0 ? NULL : agn_alloc(1, sizeof(*inference));
    if (inference == NULL)
        return status < 0 ? status : AGN_ERR_MEMORY;
    inference->max_batch = config->max_batch;
    inference->threads = threads;
    inference->whole.window_s = inference->rest.window_s = CHOICE_WINDOW_S;
    inference->params = config->params;
    inference->xnn_alone = config->engine == AGN_ENGINE_XNNPACK;
    inference->xnn =
        inference->xnn_alone || (config->engine == AGN_ENGINE_BEST && !config->int8 && agn__xnn_is_there());
    inference->xnn_threads = inference->xnn && (inference->xnn_alone || !agn__onednn_knows_processor());
    status = fill_in(inference, config);
    if (status < 0) {
        agn_inference_free(inference);
        return status;
    }
    *result = inference;
    return AGN_OK;
}

static void free_lane(struct lane *lane)
{
    for (int p = 0; p < PARTS; p++)
        for (int i = 0; i < lane->part[p].sizes; i++)
            agn_net_free(lane->part[p].of[i]);
    agn__xnn_set_free(lane->xnn);
    agn_free(lane->between);
}

void agn_inference_free(struct agn_inference *inference)
{
    if (inference == NULL)
        return;
    for (int t = 0; inference->lanes != NULL && t < inference->threads; t++)
        free_lane(&inference->lanes[t]);
    free_lane(&inference->team);
    agn__weights_pool_free(inference->weights);
    agn_free(inference->parts);
    agn_free(inference->lanes);
    agn_free(inference->ranges);
    agn_free(inference);
}

/* ---- work --------------------------------------------------------------------------------- */

/* `count` images through one part, as many at once as there are nets for. */
static int run_part(const struct part *part, const struct nets *nets, const float *src, int count, float *dst)
{
    size_t in = part->src_floats, out = part->dst_floats;
    int status = AGN_OK, done = 0;
    for (int i = nets->sizes - 1; i >= 0; i--) {
        size_t size = (size_t)1 << i;
        for (; count - done >= (int)size && status == AGN_OK; done += (int)size) {
            memcpy(agn_net_write(nets->of[i], AGN_BORDER_INPUT), src + (size_t)done * in,
                   size * in * sizeof(float));
            status = agn_net_forward(nets->of[i]);
            memcpy(dst + (size_t)done * out, agn_net_read(nets->of[i], AGN_BORDER_OUTPUT),
                   size * out * sizeof(float));
        }
    }
    return status;
}

static int run_lane(const struct agn_inference *inference, const struct lane *lane, const float *src,
                    int count, float *dst)
{
    const struct part *first = &inference->parts[0], *second = &inference->parts[1];
    if (inference->part_count == 1)
        return run_part(first, &lane->part[0], src, count, dst);
    int status = AGN_OK;
    for (int done = 0; done < count && status == AGN_OK; done += 1 << (SIZES - 1)) {
        int now = count - done < 1 << (SIZES - 1) ? count - done : 1 << (SIZES - 1);
        status = run_part(first, &lane->part[0], src + (size_t)done * first->src_floats, now, lane->between);
        if (status == AGN_OK)
            status =
                run_part(second, &lane->part[1], lane->between, now, dst + (size_t)done * second->dst_floats);
    }
    return status;
}

/* The images that divide by the threads, each lane its own. */
static int run_lanes(const struct agn_inference *inference, const float *src, int each, float *dst, int team)
{
    size_t in = inference->parts[0].src_floats, out = inference->parts[inference->part_count - 1].dst_floats;
    int failed = AGN_OK;
#pragma omp parallel for schedule(static, 1) num_threads(team) reduction(min : failed)
    for (int t = 0; t < inference->threads; t++) {
        size_t first = (size_t)t * (size_t)each;
        int status = run_lane(inference, &inference->lanes[t], src + first * in, each, dst + first * out);
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
    size_t in = inference->parts[0].src_floats, out = inference->parts[inference->part_count - 1].dst_floats;
    int threads = inference->threads, each = count / threads, left = count % threads, status = AGN_OK;
    if (threads == 1)
        return run_lane(inference, &inference->lanes[0], src, count, dst);
    if (each > 0) {
        double begin = agn_now_s();
        status = run_lanes(inference, src, each, dst, inference->whole.way == 0 ? threads : 1);
        agn_choice_report(&inference->whole, count - left, agn_now_s() - begin);
    }
    if (status == AGN_OK && left > 0) {
        size_t done = (size_t)each * (size_t)threads;
        const struct lane *lane = inference->rest.way == 0 ? &inference->team : &inference->lanes[0];
        double begin = agn_now_s();
        status = run_lane(inference, lane, src + done * in, left, dst + done * out);
        agn_choice_report(&inference->rest, left, agn_now_s() - begin);
    }
    return status;
}

static size_t lane_bytes(const struct agn_inference *inference, const struct lane *lane)
{
    size_t sum = agn__xnn_set_bytes(lane->xnn);
    sum += lane->between == NULL ? 0 : (inference->parts[0].dst_floats * sizeof(float)) << (SIZES - 1);
    for (int p = 0; p < PARTS; p++)
        for (int i = 0; i < lane->part[p].sizes; i++)
            sum += agn__net_arena_bytes(lane->part[p].of[i]);
    return sum;
}

size_t agn_inference_bytes(const struct agn_inference *inference)
{
    size_t sum = agn__weights_pool_bytes(inference->weights) + lane_bytes(inference, &inference->team);
    for (int t = 0; t < inference->threads; t++)
        sum += lane_bytes(inference, &inference->lanes[t]);
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
                                           [AGN__ACT_SIGMOID] = {"sigmoid", "sigmoid + add"},
                                           [AGN__ACT_TANH] = {"tanh", "tanh + add"}};
    bool add = op->sum != NULL && op->form != AGN__FORM_WHOLE;
    return names[op->form == AGN__FORM_PLAIN ? op->activation : AGN__ACT_NONE][add ? 1 : 0];
}

static bool find_layer(const struct agn_net *net, int *index, struct agn_inference_layer *layer)
{
    for (int i = 1; i < net->graph.count; i++) {
        const struct agn__op *op = &net->ops[i];
        if (op->absorbed || op->cls != &agn__op_conv_inference || (*index)-- > 0)
            continue;
        *layer = (struct agn_inference_layer){.name = op->spec->name,
                                              .rest = rest_of(op),
                                              .gathered = op->gather,
                                              .macs = (double)agn_op_macs(&net->graph, i),
                                              .int8 = op->int8};
        layer->code = agn__conv_inference_code(op, &layer->reference);
        return true;
    }
    return false;
}

bool agn_inference_layer(const struct agn_inference *inference, int index, struct agn_inference_layer *layer)
{
    bool found = false;
    for (int p = 0; p < inference->part_count && !found; p++)
        found = find_layer(single_image(inference)->part[p].of[0], &index, layer);
    return found;
}

double agn_inference_int8_share(const struct agn_inference *inference)
{
    return inference->int8_share;
}
