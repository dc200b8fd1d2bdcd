/* What differs between oneDNN 2 and 3, behind one set of names. For onednn.c alone.
 *
 * oneDNN 2 keeps a memory description in a struct and plans an operation in two steps; oneDNN 3 hides the
 * description behind a handle and plans in one step. Here a description is always a handle that its creator
 * destroys. Whatever takes a description to read it (dnnl_memory_create, dnnl_memory_desc_equal,
 * dnnl_primitive_desc_query_md, dnnl_reorder_primitive_desc_create, ...) is written alike in both versions
 * and used directly. */
#ifndef AGN_NN_ONEDNN_COMPAT_H
#define AGN_NN_ONEDNN_COMPAT_H

#include <dnnl.h>

#if DNNL_VERSION_MAJOR == 2
typedef dnnl_memory_desc_t *agn__dnnl_desc;
typedef const dnnl_memory_desc_t *agn__dnnl_const_desc;
#elif DNNL_VERSION_MAJOR == 3
typedef dnnl_memory_desc_t agn__dnnl_desc;
typedef const_dnnl_memory_desc_t agn__dnnl_const_desc;
#else
#error "oneDNN 2 or 3 is needed: CONTRIBUTING.md says how to choose one"
#endif

/* New descriptions of tensors; *desc stays as it is on failure. Destroying NULL does nothing. */
dnnl_status_t agn__dnnl_desc_create(agn__dnnl_desc *desc, int rank, const dnnl_dim_t *dims,
                                    dnnl_data_type_t type, dnnl_format_tag_t tag);
dnnl_status_t agn__dnnl_desc_clone(agn__dnnl_desc *desc, agn__dnnl_const_desc existing);
void agn__dnnl_desc_destroy(agn__dnnl_desc desc);

/* Clips the result of an operation to [low, high]. */
dnnl_status_t agn__dnnl_append_clip(dnnl_post_ops_t post_ops, float low, float high);

/* `scale` times the activation of the result. oneDNN 3 takes no other scale than 1. */
dnnl_status_t agn__dnnl_append_eltwise(dnnl_post_ops_t post_ops, dnnl_alg_kind_t activation, float alpha,
                                       float scale);
/* Adds `scale` times what stands in the result's memory. */
dnnl_status_t agn__dnnl_append_sum(dnnl_post_ops_t post_ops, float scale);
/* Multiplies results by `scales`, one for each index of the dimensions in `mask`. dnnl_unimplemented in
 * oneDNN 3. */
dnnl_status_t agn__dnnl_set_output_scales(dnnl_primitive_attr_t attributes, int count, int mask,
                                          const float *scales);

/* A convolution to plan; it only borrows. `bias` may be NULL. In a backward pass the same members describe
 * the gradients (diff_src, diff_weights, diff_bias, diff_dst). */
struct agn__dnnl_conv {
    agn__dnnl_const_desc src, weights, bias, dst;
    dnnl_dims_t strides, pad_begin, pad_end;
    dnnl_engine_t engine;
    const_dnnl_primitive_attr_t attributes;
};

/* Plans a forward pass that nothing follows; the caller destroys the result. */
dnnl_status_t agn__dnnl_plan_inference(dnnl_primitive_desc_t *plan, const struct agn__dnnl_conv *conv);
/* Each plans one pass of training; the caller destroys the result. `forward` is the forward pass's plan. */
dnnl_status_t agn__dnnl_plan_forward(dnnl_primitive_desc_t *plan, const struct agn__dnnl_conv *conv);
dnnl_status_t agn__dnnl_plan_backward_data(dnnl_primitive_desc_t *plan, const struct agn__dnnl_conv *conv,
                                           const_dnnl_primitive_desc_t forward);
dnnl_status_t agn__dnnl_plan_backward_weights(dnnl_primitive_desc_t *plan, const struct agn__dnnl_conv *conv,
                                              const_dnnl_primitive_desc_t forward);

#endif
