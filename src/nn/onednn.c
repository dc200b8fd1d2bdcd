/* Convolutions through oneDNN's C API. See onednn.h, and onednn_compat.h for what depends on its version. */
#include <omp.h>

#include "agilenn/base.h"
#include "nn/net_internal.h"
#include "nn/onednn_compat.h"
#include "nn/onednn_internal.h"
#include "nn/winograd.h"

/* Memory of one lane. */
struct lane {
    dnnl_memory_t src, weights, bias, dst, scratch;
    dnnl_exec_arg_t args[5];
    int arg_count;
};

struct agn__conv {
    enum agn__conv_pass pass;
    bool bias;
    struct agn__winograd *winograd; /* computes in place of all that follows but lane_count, or NULL */
    dnnl_primitive_t primitive;     /* of a lane */
    struct lane lanes[AGN__MAX_LANES];
    int lane_count;
    dnnl_memory_t plain;
    agn__dnnl_desc weights_desc;
    dnnl_primitive_t reorder; /* plain -> own for inputs, own -> plain for gradients */
    size_t src_bytes, dst_bytes, weights_bytes, bias_bytes, scratch_bytes; /* of a lane */
    float *weights_start, *bias_start;                                     /* where they are bound */
};

int agn__onednn_engine(dnnl_engine_t *engine, dnnl_stream_t *stream)
{
    static dnnl_engine_t the_engine;
    static _Thread_local dnnl_stream_t the_stream; /* streams are not shared between threads */
    int status = AGN_OK;
#pragma omp critical(agn_onednn_engine)
    {
        if (the_engine == NULL && dnnl_engine_create(&the_engine, dnnl_cpu, 0) != dnnl_success) {
            the_engine = NULL;
            status = agn_fail(AGN_ERR_ENGINE, "oneDNN: cannot create a CPU engine");
        }
    }
    if (status == AGN_OK && the_stream == NULL &&
        dnnl_stream_create(&the_stream, the_engine, dnnl_stream_default_flags) != dnnl_success) {
        the_stream = NULL;
        status = agn_fail(AGN_ERR_ENGINE, "oneDNN: cannot create a stream");
    }
    *engine = the_engine;
    *stream = the_stream;
    return status;
}

int agn__onednn_status(dnnl_status_t result, const char *what)
{
    if (result == dnnl_success)
        return AGN_OK;
    return agn_fail(result == dnnl_out_of_memory ? AGN_ERR_MEMORY : AGN_ERR_ENGINE,
                    "oneDNN: %s failed (status %d)", what, (int)result);
}

const char *agn__onednn_isa(void)
{
    static const struct {
        dnnl_cpu_isa_t isa;
        const char *name;
    } known[] = {{dnnl_cpu_isa_avx512_core_bf16, "AVX-512 with bf16"},
                 {dnnl_cpu_isa_avx512_core_vnni, "AVX-512 with VNNI"},
                 {dnnl_cpu_isa_avx512_core, "AVX-512"},
                 {dnnl_cpu_isa_avx2, "AVX2"},
                 {dnnl_cpu_isa_avx, "AVX"},
                 {dnnl_cpu_isa_sse41, "SSE4.1"}};
    unsigned effective = (unsigned)dnnl_get_effective_cpu_isa();
    for (size_t i = 0; i < AGN_COUNT_OF(known); i++)
        if ((effective & (unsigned)known[i].isa) == (unsigned)known[i].isa)
            return known[i].name;
    return "no instructions known to it";
}

bool agn__onednn_knows_processor(void)
{
#if defined(__x86_64__)
    return ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)dnnl_cpu_isa_sse41) != 0;
#else
    return false; /* where a build has code all the same, plans find it layer by layer */
#endif
}

bool agn__onednn_isa_is_narrow(void)
{
    unsigned isa = (unsigned)dnnl_get_effective_cpu_isa(), wide = (unsigned)dnnl_cpu_isa_avx512_core;
    return agn__onednn_knows_processor() && (isa & wide) != wide;
}

bool agn__onednn_has_bf16(void)
{
    unsigned needed = (unsigned)dnnl_cpu_isa_avx512_core_bf16;
    return ((unsigned)dnnl_get_effective_cpu_isa() & needed) == needed;
}

struct descriptors {
    agn__dnnl_desc src, weights, plain, bias, dst;
};

static void destroy_descriptors(struct descriptors *d)
{
    agn__dnnl_desc_destroy(d->src);
    agn__dnnl_desc_destroy(d->weights);
    agn__dnnl_desc_destroy(d->plain);
    agn__dnnl_desc_destroy(d->bias);
    agn__dnnl_desc_destroy(d->dst);
}

/* Any layout of the weights but one: on AVX2 the gradient of a 1x1 convolution of one channel with a stride
 * comes out wrong of oneDNN 2.6's jit_1x1, which writes beyond it, too. In the plain layout other code makes
 * it. */
static dnnl_format_tag_t weights_tag(const struct agn__conv_shape *s, enum agn__conv_pass pass)
{
    bool wrong = pass == AGN__CONV_BACKWARD_WEIGHTS && s->ic == 1 && s->kernel_h == 1 && s->kernel_w == 1 &&
                 s->stride > 1 && !s->depthwise;
    return wrong ? dnnl_oihw : dnnl_format_tag_any;
}

/* Shapes of a convolution with the types of one pass. On failure too, destroy_descriptors() cleans up. */
static int describe(const struct agn__conv_shape *s, enum agn__conv_pass pass, struct descriptors *d)
{
    dnnl_data_type_t read = s->bf16 ? dnnl_bf16 : dnnl_f32;
    dnnl_data_type_t src_type = pass == AGN__CONV_BACKWARD_DATA ? dnnl_f32 : read;
    dnnl_data_type_t weights_type = pass == AGN__CONV_BACKWARD_WEIGHTS ? dnnl_f32 : read;
    dnnl_data_type_t dst_type = pass == AGN__CONV_FORWARD ? dnnl_f32 : read;
    dnnl_dims_t src = {s->batch, s->ic, s->ih, s->iw};
    dnnl_dims_t dst = {s->batch, s->oc, s->oh, s->ow};
    dnnl_dims_t full = {s->oc, s->ic, s->kernel_h, s->kernel_w};
    dnnl_dims_t grouped = {s->oc, 1, 1, s->kernel_h, s->kernel_w};
    dnnl_dims_t bias = {s->oc};
    int rank = s->depthwise ? 5 : 4;
    const dnnl_dim_t *weights = s->depthwise ? grouped : full;
    dnnl_status_t r = agn__dnnl_desc_create(&d->src, 4, src, src_type, dnnl_nhwc);
    if (r == dnnl_success)
        r = agn__dnnl_desc_create(&d->dst, 4, dst, dst_type, dnnl_nhwc);
    if (r == dnnl_success)
        r = agn__dnnl_desc_create(&d->weights, rank, weights, weights_type, weights_tag(s, pass));
    if (r == dnnl_success)
        r = agn__dnnl_desc_create(&d->plain, rank, weights, dnnl_f32, s->depthwise ? dnnl_goihw : dnnl_oihw);
    if (r == dnnl_success)
        r = agn__dnnl_desc_create(&d->bias, 1, bias, dnnl_f32, dnnl_a);
    return agn__onednn_status(r, "describing a convolution");
}

static int make_attributes(bool relu6, dnnl_primitive_attr_t *attributes)
{
    dnnl_post_ops_t post_ops = NULL;
    dnnl_status_t r = dnnl_primitive_attr_create(attributes);
    if (r == dnnl_success)
        r = dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user);
    if (r == dnnl_success && relu6) {
        r = dnnl_post_ops_create(&post_ops);
        if (r == dnnl_success)
            r = agn__dnnl_append_clip(post_ops, 0.0F, 6.0F);
        if (r == dnnl_success)
            r = dnnl_primitive_attr_set_post_ops(*attributes, post_ops);
        dnnl_post_ops_destroy(post_ops);
    }
    return agn__onednn_status(r, "setting attributes");
}

static struct agn__dnnl_conv operation(const struct agn__conv_shape *s, const struct descriptors *d,
                                       bool bias, const_dnnl_primitive_attr_t attributes,
                                       dnnl_engine_t engine)
{
    return (struct agn__dnnl_conv){
        .src = d->src,
        .weights = d->weights,
        .bias = bias ? d->bias : NULL,
        .dst = d->dst,
        .strides = {s->stride, s->stride},
        .pad_begin = {s->pad_h, s->pad_w},
        .pad_end = {(s->oh - 1) * s->stride + s->kernel_h - s->ih - s->pad_h,
                    (s->ow - 1) * s->stride + s->kernel_w - s->iw - s->pad_w},
        .engine = engine,
        .attributes = attributes,
    };
}

/* Makes the primitive descriptor of one pass; backward passes need the forward one as a hint. */
static int make_primitive_desc(const struct agn__conv_shape *s, enum agn__conv_pass pass, bool bias,
                               const_dnnl_primitive_attr_t attributes, dnnl_engine_t engine,
                               const struct descriptors *d, dnnl_primitive_desc_t *result)
{
    struct descriptors hint = {0};
    dnnl_primitive_desc_t forward = NULL;
    int status = describe(s, AGN__CONV_FORWARD, &hint);
    if (status == AGN_OK) {
        struct agn__dnnl_conv first = operation(s, &hint, bias, attributes, engine);
        struct agn__dnnl_conv wanted = operation(s, d, bias, attributes, engine);
        dnnl_status_t r = agn__dnnl_plan_forward(&forward, &first);
        if (r == dnnl_success && pass == AGN__CONV_BACKWARD_DATA)
            r = agn__dnnl_plan_backward_data(result, &wanted, forward);
        if (r == dnnl_success && pass == AGN__CONV_BACKWARD_WEIGHTS)
            r = agn__dnnl_plan_backward_weights(result, &wanted, forward);
        status = s->bf16 && r == dnnl_unimplemented
                     ? agn_fail(AGN_ERR_UNSUPPORTED,
                                "oneDNN has no bf16 convolutions for this CPU (it uses %s); compute in f32",
                                agn__onednn_isa())
                     : agn__onednn_status(r, "planning a convolution");
    }
    if (status == AGN_OK && pass == AGN__CONV_FORWARD)
        *result = forward;
    else if (forward != NULL)
        dnnl_primitive_desc_destroy(forward);
    destroy_descriptors(&hint);
    return status;
}

static agn__dnnl_const_desc weights_of(const_dnnl_primitive_desc_t desc, enum agn__conv_pass pass)
{
    return dnnl_primitive_desc_query_md(
        desc, pass == AGN__CONV_BACKWARD_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
}

static void add_arg(struct lane *lane, int arg, dnnl_memory_t memory)
{
    lane->args[lane->arg_count++] = (dnnl_exec_arg_t){arg, memory};
}

static int make_lane(struct agn__conv *conv, struct lane *lane, const struct descriptors *d,
                     agn__dnnl_const_desc scratch, dnnl_engine_t engine)
{
    dnnl_status_t r = dnnl_memory_create(&lane->src, d->src, engine, DNNL_MEMORY_NONE);
    if (r == dnnl_success)
        r = dnnl_memory_create(&lane->dst, d->dst, engine, DNNL_MEMORY_NONE);
    if (r == dnnl_success)
        r = dnnl_memory_create(&lane->weights, conv->weights_desc, engine, DNNL_MEMORY_NONE);
    if (r == dnnl_success)
        r = dnnl_memory_create(&lane->bias, d->bias, engine, DNNL_MEMORY_NONE);
    if (r == dnnl_success)
        r = dnnl_memory_create(&lane->scratch, scratch, engine, DNNL_MEMORY_NONE);
    if (r != dnnl_success)
        return agn__onednn_status(r, "making memory objects");

    bool back_data = conv->pass == AGN__CONV_BACKWARD_DATA,
         back_weights = conv->pass == AGN__CONV_BACKWARD_WEIGHTS;
    add_arg(lane, back_data ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, lane->src);
    add_arg(lane, back_weights ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS, lane->weights);
    add_arg(lane, conv->pass == AGN__CONV_FORWARD ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, lane->dst);
    if (conv->scratch_bytes > 0)
        add_arg(lane, DNNL_ARG_SCRATCHPAD, lane->scratch);
    if (conv->bias && !back_data)
        add_arg(lane, back_weights ? DNNL_ARG_DIFF_BIAS : DNNL_ARG_BIAS, lane->bias);
    return AGN_OK;
}

static int make_memories(struct agn__conv *conv, const struct descriptors *d, agn__dnnl_const_desc scratch,
                         dnnl_engine_t engine)
{
    conv->src_bytes = dnnl_memory_desc_get_size(d->src);
    conv->dst_bytes = dnnl_memory_desc_get_size(d->dst);
    conv->weights_bytes = dnnl_memory_desc_get_size(conv->weights_desc);
    conv->bias_bytes = dnnl_memory_desc_get_size(d->bias);
    conv->scratch_bytes = dnnl_memory_desc_get_size(scratch);
    int status = agn__onednn_status(dnnl_memory_create(&conv->plain, d->plain, engine, DNNL_MEMORY_NONE),
                                    "making memory objects");
    for (int i = 0; i < conv->lane_count && status == AGN_OK; i++)
        status = make_lane(conv, &conv->lanes[i], d, scratch, engine);
    return status;
}

static int make_reorder(struct agn__conv *conv, const struct descriptors *d, dnnl_engine_t engine)
{
    bool gradient = conv->pass == AGN__CONV_BACKWARD_WEIGHTS;
    agn__dnnl_const_desc from = gradient ? conv->weights_desc : d->plain;
    agn__dnnl_const_desc to = gradient ? d->plain : conv->weights_desc;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t r = dnnl_reorder_primitive_desc_create(&desc, from, engine, to, engine, NULL);
    if (r == dnnl_success)
        r = dnnl_primitive_create(&conv->reorder, desc);
    if (desc != NULL)
        dnnl_primitive_desc_destroy(desc);
    return agn__onednn_status(r, "planning a weight conversion");
}

static int create(const struct agn__conv_config *config, struct agn__conv *conv)
{
    const struct agn__conv_shape *shape = &config->shape;
    dnnl_engine_t engine = NULL;
    dnnl_stream_t stream = NULL;
    struct descriptors d = {0};
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t desc = NULL;
    int status = agn__onednn_engine(&engine, &stream);
    if (status == AGN_OK)
        status = describe(shape, conv->pass, &d);
    if (status == AGN_OK)
        status = make_attributes(config->relu6 && conv->pass == AGN__CONV_FORWARD, &attributes);
    if (status == AGN_OK)
        status = make_primitive_desc(shape, conv->pass, conv->bias, attributes, engine, &d, &desc);
    if (status == AGN_OK)
        status = agn__onednn_status(dnnl_primitive_create(&conv->primitive, desc), "making a convolution");
    if (status == AGN_OK)
        status = agn__onednn_status(agn__dnnl_desc_clone(&conv->weights_desc, weights_of(desc, conv->pass)),
                                    "describing weights");
    if (status == AGN_OK)
        status =
            make_memories(conv, &d, dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0), engine);
    if (status == AGN_OK)
        status = make_reorder(conv, &d, engine);
    if (desc != NULL)
        dnnl_primitive_desc_destroy(desc);
    if (attributes != NULL)
        dnnl_primitive_attr_destroy(attributes);
    destroy_descriptors(&d);
    return status;
}

int agn__conv_create(const struct agn__conv_config *config, struct agn__conv **result)
{
    struct agn__conv *conv = agn_alloc(1, sizeof(*conv));
    int status = conv == NULL ? AGN_ERR_MEMORY : AGN_OK, callers_threads = omp_get_max_threads();
    if (status == AGN_OK) {
        conv->pass = config->pass;
        conv->bias = config->bias;
        conv->lane_count = config->lanes;
        bool winograd = agn__winograd_suits(config);
        if (config->lanes > 1)
            omp_set_num_threads(1); /* oneDNN plans for so many */
        status = winograd ? agn__winograd_create(config, &conv->winograd) : create(config, conv);
        omp_set_num_threads(callers_threads);
    }
    if (status != AGN_OK) {
        agn__conv_free(conv);
        conv = NULL;
    }
    *result = conv;
    return status;
}

void agn__conv_free(struct agn__conv *conv)
{
    if (conv == NULL)
        return;
    agn__winograd_free(conv->winograd);
    for (int l = 0; l < conv->lane_count; l++) {
        const struct lane *lane = &conv->lanes[l];
        dnnl_memory_t memories[] = {lane->src, lane->weights, lane->bias, lane->dst, lane->scratch};
        for (size_t i = 0; i < AGN_COUNT_OF(memories); i++)
            if (memories[i] != NULL)
                dnnl_memory_destroy(memories[i]);
    }
    if (conv->plain != NULL)
        dnnl_memory_destroy(conv->plain);
    if (conv->reorder != NULL)
        dnnl_primitive_destroy(conv->reorder);
    if (conv->primitive != NULL)
        dnnl_primitive_destroy(conv->primitive);
    agn__dnnl_desc_destroy(conv->weights_desc);
    agn_free(conv);
}

/* From one lane's to the next one's, so that no cache line belongs to two. */
static size_t stride_of(size_t bytes)
{
    enum { LINE = 64 };
    return (bytes + LINE - 1) / LINE * LINE;
}

size_t agn__conv_weights_bytes(const struct agn__conv *conv)
{
    if (conv->winograd != NULL)
        return agn__winograd_weights_bytes(conv->winograd);
    size_t lanes = conv->pass == AGN__CONV_BACKWARD_WEIGHTS ? (size_t)conv->lane_count : 1;
    return lanes * stride_of(conv->weights_bytes);
}

size_t agn__conv_bias_bytes(const struct agn__conv *conv)
{
    size_t lanes = conv->pass == AGN__CONV_BACKWARD_WEIGHTS ? (size_t)conv->lane_count : 1;
    return lanes * stride_of(conv->bias_bytes);
}

size_t agn__conv_scratch_bytes(const struct agn__conv *conv)
{
    if (conv->winograd != NULL)
        return agn__winograd_scratch_bytes(conv->winograd);
    return (size_t)conv->lane_count * stride_of(conv->scratch_bytes);
}

bool agn__conv_same_weights(const struct agn__conv *a, const struct agn__conv *b)
{
    if (a->winograd != NULL || b->winograd != NULL)
        return a->winograd != NULL && b->winograd != NULL && a->pass == b->pass;
    return dnnl_memory_desc_equal(a->weights_desc, b->weights_desc) != 0;
}

int agn__conv_bind(struct agn__conv *conv, const struct agn__conv_memory *memory)
{
    if (conv->winograd != NULL)
        return agn__winograd_bind(conv->winograd, memory);
    dnnl_status_t r = dnnl_success;
    bool gradients = conv->pass == AGN__CONV_BACKWARD_WEIGHTS;
    for (size_t i = 0; i < (size_t)conv->lane_count && r == dnnl_success; i++) {
        const struct lane *lane = &conv->lanes[i];
        size_t own = gradients ? i : 0; /* weights and bias are read by all */
        r = dnnl_memory_set_data_handle(lane->src, (char *)memory->src + i * conv->src_bytes);
        if (r == dnnl_success)
            r = dnnl_memory_set_data_handle(lane->dst, (char *)memory->dst + i * conv->dst_bytes);
        if (r == dnnl_success)
            r = dnnl_memory_set_data_handle(lane->weights,
                                            (char *)memory->weights + own * stride_of(conv->weights_bytes));
        if (r == dnnl_success && memory->bias != NULL)
            r = dnnl_memory_set_data_handle(lane->bias,
                                            (char *)memory->bias + own * stride_of(conv->bias_bytes));
        if (r == dnnl_success && conv->scratch_bytes > 0)
            r = dnnl_memory_set_data_handle(lane->scratch,
                                            (char *)memory->scratch + i * stride_of(conv->scratch_bytes));
    }
    conv->weights_start = memory->weights;
    conv->bias_start = memory->bias;
    return agn__onednn_status(r, "binding memory");
}

static int execute(dnnl_primitive_t primitive, int arg_count, const dnnl_exec_arg_t *args)
{
    dnnl_engine_t engine = NULL;
    dnnl_stream_t stream = NULL;
    int status = agn__onednn_engine(&engine, &stream);
    if (status == AGN_OK)
        status = agn__onednn_status(dnnl_primitive_execute(primitive, stream, arg_count, args),
                                    "running a primitive");
    if (status == AGN_OK)
        status = agn__onednn_status(dnnl_stream_wait(stream), "waiting for a primitive");
    return status;
}

int agn__conv_run_lane(const struct agn__conv *conv, int lane)
{
    if (conv->winograd != NULL)
        return agn__winograd_run_lane(conv->winograd, lane);
    return execute(conv->primitive, conv->lanes[lane].arg_count, conv->lanes[lane].args);
}

static int run_lanes(const struct agn__conv *conv)
{
    int failed = AGN_OK;
#pragma omp parallel for schedule(static, 1) reduction(min : failed)
    for (int i = 0; i < conv->lane_count; i++) {
        omp_set_num_threads(1); /* of this lane alone */
        int status = agn__conv_run_lane(conv, i);
        failed = status < failed ? status : failed;
    }
    return failed < 0 ? agn_fail(failed, "a convolution failed in one of its threads") : AGN_OK;
}

/* In the order of the lanes, whoever computed them. */
static void sum_gradients(const struct agn__conv *conv)
{
    for (size_t i = 1; i < (size_t)conv->lane_count; i++) {
        agn__add_to(conv->weights_start,
                    conv->weights_start + i * stride_of(conv->weights_bytes) / sizeof(float),
                    conv->weights_bytes / sizeof(float));
        for (size_t c = 0; conv->bias && c < conv->bias_bytes / sizeof(float); c++)
            conv->bias_start[c] += conv->bias_start[i * stride_of(conv->bias_bytes) / sizeof(float) + c];
    }
}

int agn__conv_run(struct agn__conv *conv)
{
    int status = conv->lane_count == 1 ? agn__conv_run_lane(conv, 0) : run_lanes(conv);
    if (status == AGN_OK && conv->pass == AGN__CONV_BACKWARD_WEIGHTS)
        sum_gradients(conv);
    return status;
}

static int convert_weights(struct agn__conv *conv, void *plain, dnnl_memory_t from, dnnl_memory_t to)
{
    dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    int status = agn__onednn_status(dnnl_memory_set_data_handle(conv->plain, plain), "binding plain weights");
    return status == AGN_OK ? execute(conv->reorder, 2, args) : status;
}

int agn__conv_load_weights(struct agn__conv *conv, const float *plain)
{
    if (conv->winograd != NULL)
        return agn__winograd_load_weights(conv->winograd, plain);
    union {
        const float *in;
        void *out;
    } address = {plain}; /* oneDNN's handles are not const; a source is only read */
    return convert_weights(conv, address.out, conv->plain, conv->lanes[0].weights);
}

int agn__conv_store_weights(struct agn__conv *conv, float *plain)
{
    return convert_weights(conv, plain, conv->lanes[0].weights, conv->plain);
}
