/* Convolutions for inference. See onednn_inference.h. */
#include "nn/onednn_inference.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "agilenn/base.h"
#include "nn/onednn_compat.h"
#include "nn/onednn_internal.h"

struct packed {
    int key;
    agn__dnnl_desc desc;
    void *bytes;
    size_t size_bytes;
};

struct agn__weights_pool {
    atomic_int owners;
    struct packed *list;
    size_t count, capacity;
};

struct agn__infer_conv {
    dnnl_primitive_t primitive;
    dnnl_memory_t src, weights, bias, dst, scratch;
    agn__dnnl_desc weights_desc, plain_desc;
    float *inverse_scales; /* (oc), of 8-bit weights */
    int oc, scale_mask;
    size_t scratch_bytes;
    dnnl_exec_arg_t args[5];
    char name[32];
};

/* ---- packed weights ----------------------------------------------------------- */

int agn__weights_pool_create(struct agn__weights_pool **pool)
{
    *pool = agn_alloc(1, sizeof(**pool));
    if (*pool != NULL)
        atomic_init(&(*pool)->owners, 1);
    return *pool == NULL ? AGN_ERR_MEMORY : AGN_OK;
}

struct agn__weights_pool *agn__weights_pool_share(struct agn__weights_pool *pool)
{
    atomic_fetch_add(&pool->owners, 1);
    return pool;
}

void agn__weights_pool_free(struct agn__weights_pool *pool)
{
    if (pool == NULL || atomic_fetch_sub(&pool->owners, 1) > 1)
        return;
    for (size_t i = 0; i < pool->count; i++) {
        agn__dnnl_desc_destroy(pool->list[i].desc);
        agn_free(pool->list[i].bytes);
    }
    agn_free(pool->list);
    agn_free(pool);
}

size_t agn__weights_pool_bytes(const struct agn__weights_pool *pool)
{
    size_t sum = 0;
    for (size_t i = 0; i < pool->count; i++)
        sum += pool->list[i].size_bytes;
    return sum;
}

static struct packed *find(const struct agn__weights_pool *pool, int key, agn__dnnl_const_desc desc)
{
    for (size_t i = 0; i < pool->count; i++)
        if (pool->list[i].key == key && dnnl_memory_desc_equal(pool->list[i].desc, desc) != 0)
            return &pool->list[i];
    return NULL;
}

static int grow(struct agn__weights_pool *pool)
{
    if (pool->count < pool->capacity)
        return AGN_OK;
    size_t capacity = pool->capacity == 0 ? 64 : 2 * pool->capacity;
    struct packed *list = agn_alloc(capacity, sizeof(*list));
    if (list == NULL)
        return AGN_ERR_MEMORY;
    if (pool->count > 0)
        memcpy(list, pool->list, pool->count * sizeof(*list));
    agn_free(pool->list);
    pool->list = list;
    pool->capacity = capacity;
    return AGN_OK;
}

static int reorder_attributes(const struct agn__infer_conv *conv, dnnl_primitive_attr_t *attributes)
{
    dnnl_status_t r = dnnl_primitive_attr_create(attributes);
    if (r == dnnl_success && conv->inverse_scales != NULL)
        r = agn__dnnl_set_output_scales(*attributes, conv->oc, conv->scale_mask, conv->inverse_scales);
    return agn__onednn_status(r, "scaling weights");
}

/* Packs plain weights into `entry`. */
static int pack(const struct agn__infer_conv *conv, const float *plain, const struct packed *entry)
{
    union {
        const float *in;
        void *out;
    } address = {plain}; /* oneDNN's handles are not const; a source is only read */
    dnnl_engine_t engine = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_memory_t from = NULL, to = NULL;
    int status = agn__onednn_engine(&engine, &stream);
    if (status == AGN_OK)
        status = reorder_attributes(conv, &attributes);
    if (status == AGN_OK) {
        dnnl_status_t r = dnnl_reorder_primitive_desc_create(&desc, conv->plain_desc, engine, entry->desc,
                                                             engine, attributes);
        if (r == dnnl_success)
            r = dnnl_primitive_create(&reorder, desc);
        if (r == dnnl_success)
            r = dnnl_memory_create(&from, conv->plain_desc, engine, address.out);
        if (r == dnnl_success)
            r = dnnl_memory_create(&to, entry->desc, engine, entry->bytes);
        dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
        if (r == dnnl_success)
            r = dnnl_primitive_execute(reorder, stream, 2, args);
        if (r == dnnl_success)
            r = dnnl_stream_wait(stream);
        status = agn__onednn_status(r, "packing weights");
    }
    if (from != NULL)
        dnnl_memory_destroy(from);
    if (to != NULL)
        dnnl_memory_destroy(to);
    if (reorder != NULL)
        dnnl_primitive_destroy(reorder);
    if (desc != NULL)
        dnnl_primitive_desc_destroy(desc);
    if (attributes != NULL)
        dnnl_primitive_attr_destroy(attributes);
    return status;
}

int agn__infer_conv_pack(struct agn__infer_conv *conv, struct agn__weights_pool *pool, int key,
                         const float *plain)
{
    const struct packed *known = find(pool, key, conv->weights_desc);
    int status = known != NULL ? AGN_OK : grow(pool);
    if (status == AGN_OK && known == NULL) {
        struct packed made = {.key = key, .size_bytes = dnnl_memory_desc_get_size(conv->weights_desc)};
        status =
            agn__onednn_status(agn__dnnl_desc_clone(&made.desc, conv->weights_desc), "describing weights");
        made.bytes = status == AGN_OK ? agn_alloc(made.size_bytes, 1) : NULL;
        if (status == AGN_OK)
            status = made.bytes == NULL ? AGN_ERR_MEMORY : pack(conv, plain, &made);
        if (status < 0) {
            agn__dnnl_desc_destroy(made.desc);
            agn_free(made.bytes);
            return status;
        }
        pool->list[pool->count++] = made;
        known = &pool->list[pool->count - 1];
    }
    return status < 0 ? status
                      : agn__onednn_status(dnnl_memory_set_data_handle(conv->weights, known->bytes),
                                           "binding weights");
}

/* ---- primitives ------------------------------------------------------------------ */

struct descriptors {
    agn__dnnl_desc src, weights, bias, dst;
};

static void destroy_descriptors(struct descriptors *d)
{
    agn__dnnl_desc_destroy(d->src);
    agn__dnnl_desc_destroy(d->weights);
    agn__dnnl_desc_destroy(d->bias);
    agn__dnnl_desc_destroy(d->dst);
}

static int describe(const struct agn__infer_config *config, struct descriptors *d, agn__dnnl_desc *plain_desc)
{
    static const dnnl_data_type_t types[] = {[AGN__F32] = dnnl_f32, [AGN__U8] = dnnl_u8, [AGN__S8] = dnnl_s8};
    const struct agn__conv_shape *s = &config->shape;
    dnnl_dims_t src = {s->batch, s->ic, s->ih, s->iw};
    dnnl_dims_t dst = {s->batch, s->oc, s->oh, s->ow};
    dnnl_dims_t full = {s->oc, s->ic, s->kernel_h, s->kernel_w};
    dnnl_dims_t grouped = {s->oc, 1, 1, s->kernel_h, s->kernel_w};
    dnnl_dims_t bias = {s->oc};
    int rank = s->depthwise ? 5 : 4;
    const dnnl_dim_t *weights = s->depthwise ? grouped : full;
    dnnl_status_t r = agn__dnnl_desc_create(&d->src, 4, src, types[config->src], dnnl_nhwc);
    if (r == dnnl_success)
        r = agn__dnnl_desc_create(&d->dst, 4, dst, types[config->dst], dnnl_nhwc);
    if (r == dnnl_success)
        r = agn__dnnl_desc_create(&d->weights, rank, weights, config->src == AGN__F32 ? dnnl_f32 : dnnl_s8,
                                  dnnl_format_tag_any);
    if (r == dnnl_success)
        r = agn__dnnl_desc_create(plain_desc, rank, weights, dnnl_f32, s->depthwise ? dnnl_goihw : dnnl_oihw);
    if (r == dnnl_success)
        r = agn__dnnl_desc_create(&d->bias, 1, bias, dnnl_f32, dnnl_a);
    return agn__onednn_status(r, "describing a convolution");
}

static dnnl_status_t append_activation(dnnl_post_ops_t ops, const struct agn__infer_config *c)
{
    float step = 1.0F / c->dst_scale;
    switch (c->form == AGN__FORM_PLAIN ? AGN__ACT_NONE : c->activation) {
    case AGN__ACT_RELU6: /* on numbers that are multiples of the result's step already */
        return agn__dnnl_append_clip(ops, 0.0F, 6.0F * step);
    case AGN__ACT_SILU:
        return agn__dnnl_append_eltwise(ops, dnnl_eltwise_swish, 1.0F, step);
    case AGN__ACT_SIGMOID:
        return agn__dnnl_append_eltwise(ops, dnnl_eltwise_logistic, 0.0F, step);
    case AGN__ACT_TANH:
        return agn__dnnl_append_eltwise(ops, dnnl_eltwise_tanh, 0.0F, step);
    default:
        return dnnl_success;
    }
}

/* Integer sums times these are values (where an activation needs them), or numbers of the result. */
static dnnl_status_t set_scales(dnnl_primitive_attr_t attributes, const struct agn__infer_config *c)
{
    enum { PER_CHANNEL = 1 << 1 };
    bool values = c->activation != AGN__ACT_NONE && c->activation != AGN__ACT_RELU6;
    float *scales = agn_alloc((size_t)c->shape.oc, sizeof(float));
    if (scales == NULL)
        return dnnl_out_of_memory;
    for (int o = 0; o < c->shape.oc; o++)
        scales[o] = c->src_scale * c->weight_scales[o] / (values ? 1.0F : c->dst_scale);
    dnnl_status_t r = agn__dnnl_set_output_scales(attributes, c->shape.oc, PER_CHANNEL, scales);
    agn_free(scales);
    return r;
}

static int make_attributes(const struct agn__infer_config *c, dnnl_primitive_attr_t *attributes)
{
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t r = dnnl_primitive_attr_create(attributes);
    if (r == dnnl_success)
        r = dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user);
    if (r == dnnl_success && c->src != AGN__F32)
        r = set_scales(*attributes, c);
    if (r == dnnl_success)
        r = dnnl_post_ops_create(&ops);
    if (r == dnnl_success)
        r = append_activation(ops, c);
    if (r == dnnl_success && c->sum && c->form == AGN__FORM_WHOLE)
        r = agn__dnnl_append_sum(ops, c->sum_scale / c->dst_scale);
    if (r == dnnl_success)
        r = dnnl_primitive_attr_set_post_ops(*attributes, ops);
    if (ops != NULL)
        dnnl_post_ops_destroy(ops);
    return agn__onednn_status(r, "setting attributes");
}

static const char *name_of(const_dnnl_primitive_desc_t desc)
{
    const char *name = NULL;
    bool told = dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, (void *)&name) == dnnl_success;
    return told && name != NULL ? name : "unknown";
}

/* What oneDNN's names say: code made for the processor, a matrix product with copies around it, reference
 * code (of one of its parts too, as in "gemm:ref"). */
enum pace { FAST, COPIES, REFERENCE };

static enum pace pace_of(const char *name)
{
    if (strstr(name, "ref") != NULL || strcmp(name, "unknown") == 0)
        return REFERENCE;
    return strstr(name, "gemm") == name ? COPIES : FAST;
}

static int plan(const struct agn__infer_config *config, const struct descriptors *d, dnnl_engine_t engine,
                dnnl_primitive_desc_t *desc)
{
    const struct agn__conv_shape *s = &config->shape;
    dnnl_primitive_attr_t attributes = NULL;
    int status = make_attributes(config, &attributes);
    if (status == AGN_OK) {
        struct agn__dnnl_conv conv = {
            .src = d->src,
            .weights = d->weights,
            .bias = d->bias,
            .dst = d->dst,
            .strides = {s->stride, s->stride},
            .pad_begin = {s->pad_h, s->pad_w},
            .pad_end = {(s->oh - 1) * s->stride + s->kernel_h - s->ih - s->pad_h,
                        (s->ow - 1) * s->stride + s->kernel_w - s->iw - s->pad_w},
            .engine = engine,
            .attributes = attributes,
        };
        dnnl_status_t r = agn__dnnl_plan_inference(desc, &conv);
        bool missing = r == dnnl_unimplemented || (r == dnnl_success && pace_of(name_of(*desc)) != FAST);
        status = config->src != AGN__F32 && missing
                     ? agn_fail(AGN_ERR_UNSUPPORTED, "oneDNN has no fast 8-bit convolution of this kind")
                     : agn__onednn_status(r, "planning a convolution");
    }
    if (attributes != NULL)
        dnnl_primitive_attr_destroy(attributes);
    return status;
}

static int make_memories(struct agn__infer_conv *conv, const struct descriptors *d,
                         agn__dnnl_const_desc scratch, dnnl_engine_t engine)
{
    dnnl_status_t r = dnnl_memory_create(&conv->src, d->src, engine, DNNL_MEMORY_NONE);
    if (r == dnnl_success)
        r = dnnl_memory_create(&conv->weights, conv->weights_desc, engine, DNNL_MEMORY_NONE);
    if (r == dnnl_success)
        r = dnnl_memory_create(&conv->bias, d->bias, engine, DNNL_MEMORY_NONE);
    if (r == dnnl_success)
        r = dnnl_memory_create(&conv->dst, d->dst, engine, DNNL_MEMORY_NONE);
    if (r == dnnl_success)
        r = dnnl_memory_create(&conv->scratch, scratch, engine, DNNL_MEMORY_NONE);
    conv->args[0] = (dnnl_exec_arg_t){DNNL_ARG_SRC, conv->src};
    conv->args[1] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, conv->weights};
    conv->args[2] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, conv->bias};
    conv->args[3] = (dnnl_exec_arg_t){DNNL_ARG_DST, conv->dst};
    conv->args[4] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, conv->scratch};
    return agn__onednn_status(r, "making memory objects");
}

static int keep_scales(struct agn__infer_conv *conv, const struct agn__infer_config *config)
{
    conv->oc = config->shape.oc;
    conv->scale_mask = config->shape.depthwise ? 3 : 1; /* groups and their one channel, or channels */
    if (config->weight_scales == NULL)
        return AGN_OK;
    conv->inverse_scales = agn_alloc((size_t)conv->oc, sizeof(float));
    for (int o = 0; conv->inverse_scales != NULL && o < conv->oc; o++)
        conv->inverse_scales[o] = 1.0F / config->weight_scales[o];
    return conv->inverse_scales == NULL ? AGN_ERR_MEMORY : AGN_OK;
}

static int fill_in(struct agn__infer_conv *conv, const struct agn__infer_config *config)
{
    dnnl_engine_t engine = NULL;
    dnnl_stream_t stream = NULL;
    struct descriptors d = {0};
    dnnl_primitive_desc_t desc = NULL;
    int status = agn__onednn_engine(&engine, &stream);
    if (status == AGN_OK)
        status = describe(config, &d, &conv->plain_desc);
    if (status == AGN_OK)
        status = plan(config, &d, engine, &desc);
    if (status == AGN_OK) {
        snprintf(conv->name, sizeof(conv->name), "%s", name_of(desc));
        status = agn__onednn_status(dnnl_primitive_create(&conv->primitive, desc), "making a convolution");
    }
    if (status == AGN_OK)
        status = agn__onednn_status(
            agn__dnnl_desc_clone(&conv->weights_desc,
                                 dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0)),
            "describing weights");
    if (status == AGN_OK)
        status = keep_scales(conv, config);
    if (status == AGN_OK) {
        agn__dnnl_const_desc scratch = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
        conv->scratch_bytes = dnnl_memory_desc_get_size(scratch);
        status = make_memories(conv, &d, scratch, engine);
    }
    if (desc != NULL)
        dnnl_primitive_desc_destroy(desc);
    destroy_descriptors(&d);
    return status;
}

int agn__infer_conv_create(const struct agn__infer_config *config, struct agn__infer_conv **result)
{
    struct agn__infer_conv *conv = agn_alloc(1, sizeof(*conv));
    int status = conv == NULL ? AGN_ERR_MEMORY : fill_in(conv, config);
    if (status < 0) {
        agn__infer_conv_free(conv);
        conv = NULL;
    }
    *result = conv;
    return status;
}

static int pace_of_form(const struct agn__infer_config *config, dnnl_engine_t engine, enum pace *pace)
{
    struct descriptors d = {0};
    agn__dnnl_desc plain_desc = NULL;
    dnnl_primitive_desc_t desc = NULL;
    int status = describe(config, &d, &plain_desc);
    if (status == AGN_OK)
        status = plan(config, &d, engine, &desc);
    if (status == AGN_OK) {
        *pace = pace_of(name_of(desc));
        dnnl_primitive_desc_destroy(desc);
    }
    agn__dnnl_desc_destroy(plain_desc);
    destroy_descriptors(&d);
    return status;
}

int agn__infer_conv_choose(const struct agn__infer_config *config, enum agn__form *form, bool *fast)
{
    dnnl_engine_t engine = NULL;
    dnnl_stream_t stream = NULL;
    enum agn__form best = AGN__FORM_WHOLE;
    enum pace best_pace = REFERENCE;
    int status = agn__onednn_engine(&engine, &stream);
    for (enum agn__form f = AGN__FORM_WHOLE; f < AGN__FORMS && status == AGN_OK && best_pace != FAST; f++) {
        struct agn__infer_config tried = *config;
        enum pace pace = REFERENCE;
        bool same = (f == AGN__FORM_ACTIVATION && !config->sum) ||
                    (f == AGN__FORM_PLAIN && config->activation == AGN__ACT_NONE);
        tried.form = f;
        status = same ? AGN_OK : pace_of_form(&tried, engine, &pace);
        if (pace < best_pace) {
            best = f;
            best_pace = pace;
        }
    }
    if (status == AGN_OK) {
        *form = best;
        *fast = best_pace == FAST;
    }
    return status;
}

const char *agn__infer_conv_name(const struct agn__infer_conv *conv)
{
    return conv->name;
}

bool agn__infer_conv_is_reference(const struct agn__infer_conv *conv)
{
    return pace_of(conv->name) == REFERENCE;
}

void agn__infer_conv_free(struct agn__infer_conv *conv)
{
    if (conv == NULL)
        return;
    dnnl_memory_t memories[] = {conv->src, conv->weights, conv->bias, conv->dst, conv->scratch};
    for (size_t i = 0; i < AGN_COUNT_OF(memories); i++)
        if (memories[i] != NULL)
            dnnl_memory_destroy(memories[i]);
    if (conv->primitive != NULL)
        dnnl_primitive_destroy(conv->primitive);
    agn__dnnl_desc_destroy(conv->weights_desc);
    agn__dnnl_desc_destroy(conv->plain_desc);
    agn_free(conv->inverse_scales);
    agn_free(conv);
}

size_t agn__infer_conv_scratch_bytes(const struct agn__infer_conv *conv)
{
    return conv->scratch_bytes;
}

int agn__infer_conv_bind(struct agn__infer_conv *conv, void *src, float *bias, void *dst, void *scratch)
{
    dnnl_status_t r = dnnl_memory_set_data_handle(conv->src, src);
    if (r == dnnl_success)
        r = dnnl_memory_set_data_handle(conv->bias, bias);
    if (r == dnnl_success)
        r = dnnl_memory_set_data_handle(conv->dst, dst);
    if (r == dnnl_success && conv->scratch_bytes > 0)
        r = dnnl_memory_set_data_handle(conv->scratch, scratch);
    return agn__onednn_status(r, "binding memory");
}

int agn__infer_conv_run(struct agn__infer_conv *conv)
{
    dnnl_engine_t engine = NULL;
    dnnl_stream_t stream = NULL;
    int status = agn__onednn_engine(&engine, &stream);
    if (status == AGN_OK)
        status = agn__onednn_status(
            dnnl_primitive_execute(conv->primitive, stream, conv->scratch_bytes > 0 ? 5 : 4, conv->args),
            "running a convolution");
    if (status == AGN_OK)
        status = agn__onednn_status(dnnl_stream_wait(stream), "waiting for a convolution");
    return status;
}

int agn__infer_conv_run_to(struct agn__infer_conv *conv, void *dst)
{
    int status = agn__onednn_status(dnnl_memory_set_data_handle(conv->dst, dst), "binding memory");
    return status == AGN_OK ? agn__infer_conv_run(conv) : status;
}

int agn__onednn_check_int8(void)
{
    if (DNNL_VERSION_MAJOR != 2)
        return agn_fail(AGN_ERR_UNSUPPORTED,
                        "inference in 8 bits needs oneDNN 2, this program has oneDNN %d; compute in f32",
                        DNNL_VERSION_MAJOR);
    unsigned needed = (unsigned)dnnl_cpu_isa_avx512_core_vnni;
    if (((unsigned)dnnl_get_effective_cpu_isa() & needed) != needed)
        return agn_fail(AGN_ERR_UNSUPPORTED,
                        "inference in 8 bits needs a CPU with AVX512_VNNI, but oneDNN finds %s here; compute "
                        "in f32",
                        agn__onednn_isa());
    return AGN_OK;
}
