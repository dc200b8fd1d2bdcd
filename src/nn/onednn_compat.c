/* oneDNN 2 and 3 behind one set of names: first version 2, then version 3. See onednn_compat.h. */
#include "nn/onednn_compat.h"

#include "agilenn/base.h"

#if DNNL_VERSION_MAJOR == 2

dnnl_status_t agn__dnnl_desc_create(agn__dnnl_desc *desc, int rank, const dnnl_dim_t *dims,
                                    dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t value;
    dnnl_status_t r = dnnl_memory_desc_init_by_tag(&value, rank, dims, type, tag);
    return r == dnnl_success ? agn__dnnl_desc_clone(desc, &value) : r;
}

dnnl_status_t agn__dnnl_desc_clone(agn__dnnl_desc *desc, agn__dnnl_const_desc existing)
{
    agn__dnnl_desc copy = agn_alloc(1, sizeof(*copy));
    if (copy == NULL)
        return dnnl_out_of_memory;
    *copy = *existing;
    *desc = copy;
    return dnnl_success;
}

void agn__dnnl_desc_destroy(agn__dnnl_desc desc)
{
    agn_free(desc);
}

dnnl_status_t agn__dnnl_append_clip(dnnl_post_ops_t post_ops, float low, float high)
{
    return dnnl_post_ops_append_eltwise(post_ops, 1.0F, dnnl_eltwise_clip, low, high);
}

dnnl_status_t agn__dnnl_append_eltwise(dnnl_post_ops_t post_ops, dnnl_alg_kind_t activation, float alpha,
                                       float scale)
{
    return dnnl_post_ops_append_eltwise(post_ops, scale, activation, alpha, 0.0F);
}

dnnl_status_t agn__dnnl_append_sum(dnnl_post_ops_t post_ops, float scale)
{
    return dnnl_post_ops_append_sum(post_ops, scale);
}

dnnl_status_t agn__dnnl_set_output_scales(dnnl_primitive_attr_t attributes, int count, int mask,
                                          const float *scales)
{
    return dnnl_primitive_attr_set_output_scales(attributes, count, mask, scales);
}

dnnl_status_t agn__dnnl_plan_inference(dnnl_primitive_desc_t *plan, const struct agn__dnnl_conv *conv)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t r = dnnl_convolution_forward_desc_init(
        &desc, dnnl_forward_inference, dnnl_convolution_direct, conv->src, conv->weights, conv->bias,
        conv->dst, conv->strides, conv->pad_begin, conv->pad_end);
    return r == dnnl_success ? dnnl_primitive_desc_create(plan, &desc, conv->attributes, conv->engine, NULL)
                             : r;
}

dnnl_status_t agn__dnnl_plan_forward(dnnl_primitive_desc_t *plan, const struct agn__dnnl_conv *conv)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t r = dnnl_convolution_forward_desc_init(
        &desc, dnnl_forward_training, dnnl_convolution_direct, conv->src, conv->weights, conv->bias,
        conv->dst, conv->strides, conv->pad_begin, conv->pad_end);
    return r == dnnl_success ? dnnl_primitive_desc_create(plan, &desc, conv->attributes, conv->engine, NULL)
                             : r;
}

dnnl_status_t agn__dnnl_plan_backward_data(dnnl_primitive_desc_t *plan, const struct agn__dnnl_conv *conv,
                                           const_dnnl_primitive_desc_t forward)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t r =
        dnnl_convolution_backward_data_desc_init(&desc, dnnl_convolution_direct, conv->src, conv->weights,
                                                 conv->dst, conv->strides, conv->pad_begin, conv->pad_end);
    return r == dnnl_success
               ? dnnl_primitive_desc_create(plan, &desc, conv->attributes, conv->engine, forward)
               : r;
}

dnnl_status_t agn__dnnl_plan_backward_weights(dnnl_primitive_desc_t *plan, const struct agn__dnnl_conv *conv,
                                              const_dnnl_primitive_desc_t forward)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t r = dnnl_convolution_backward_weights_desc_init(
        &desc, dnnl_convolution_direct, conv->src, conv->weights, conv->bias, conv->dst, conv->strides,
        conv->pad_begin, conv->pad_end);
    return r == dnnl_success
               ? dnnl_primitive_desc_create(plan, &desc, conv->attributes, conv->engine, forward)
               : r;
}

#else /* version 3; NULL stands for kernels without dilation */

dnnl_status_t agn__dnnl_desc_create(agn__dnnl_desc *desc, int rank, const dnnl_dim_t *dims,
                                    dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(desc, rank, dims, type, tag);
}

dnnl_status_t agn__dnnl_desc_clone(agn__dnnl_desc *desc, agn__dnnl_const_desc existing)
{
    return dnnl_memory_desc_clone(desc, existing);
}

void agn__dnnl_desc_destroy(agn__dnnl_desc desc)
{
    if (desc != NULL)
        dnnl_memory_desc_destroy(desc);
}

dnnl_status_t agn__dnnl_append_clip(dnnl_post_ops_t post_ops, float low, float high)
{
    return dnnl_post_ops_append_eltwise(post_ops, dnnl_eltwise_clip, low, high);
}

dnnl_status_t agn__dnnl_append_eltwise(dnnl_post_ops_t post_ops, dnnl_alg_kind_t activation, float alpha,
                                       float scale)
{
    return scale == 1.0F ? dnnl_post_ops_append_eltwise(post_ops, activation, alpha, 0.0F)
                         : dnnl_unimplemented;
}

dnnl_status_t agn__dnnl_append_sum(dnnl_post_ops_t post_ops, float scale)
{
    return dnnl_post_ops_append_sum(post_ops, scale, 0, dnnl_data_type_undef);
}

dnnl_status_t agn__dnnl_set_output_scales(dnnl_primitive_attr_t attributes, int count, int mask,
                                          const float *scales)
{
    (void)attributes;
    (void)count;
    (void)mask;
    (void)scales;
    return dnnl_unimplemented;
}

dnnl_status_t agn__dnnl_plan_inference(dnnl_primitive_desc_t *plan, const struct agn__dnnl_conv *conv)
{
    return dnnl_convolution_forward_primitive_desc_create(
        plan, conv->engine, dnnl_forward_inference, dnnl_convolution_direct, conv->src, conv->weights,
        conv->bias, conv->dst, conv->strides, NULL, conv->pad_begin, conv->pad_end, conv->attributes);
}

dnnl_status_t agn__dnnl_plan_forward(dnnl_primitive_desc_t *plan, const struct agn__dnnl_conv *conv)
{
    return dnnl_convolution_forward_primitive_desc_create(
        plan, conv->engine, dnnl_forward_training, dnnl_convolution_direct, conv->src, conv->weights,
        conv->bias, conv->dst, conv->strides, NULL, conv->pad_begin, conv->pad_end, conv->attributes);
}

dnnl_status_t agn__dnnl_plan_backward_data(dnnl_primitive_desc_t *plan, const struct agn__dnnl_conv *conv,
                                           const_dnnl_primitive_desc_t forward)
{
    return dnnl_convolution_backward_data_primitive_desc_create(
        plan, conv->engine, dnnl_convolution_direct, conv->src, conv->weights, conv->dst, conv->strides, NULL,
        conv->pad_begin, conv->pad_end, forward, conv->attributes);
}

dnnl_status_t agn__dnnl_plan_backward_weights(dnnl_primitive_desc_t *plan, const struct agn__dnnl_conv *conv,
                                              const_dnnl_primitive_desc_t forward)
{
    return dnnl_convolution_backward_weights_primitive_desc_create(
        plan, conv->engine, dnnl_convolution_direct, conv->src, conv->weights, conv->bias, conv->dst,
        conv->strides, NULL, conv->pad_begin, conv->pad_end, forward, conv->attributes);
}

#endif
