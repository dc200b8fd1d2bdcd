/* Convolutions for inference through oneDNN: with activation, sum and 8-bit types in the same primitive, and
 * packed weights that several primitives share. On NHWC tensors, as in onednn.h. */
#ifndef AGN_NN_ONEDNN_INFERENCE_H
#define AGN_NN_ONEDNN_INFERENCE_H

#include "nn/onednn.h"

/* Of a stored tensor; a value is its number times the tensor's scale. */
enum agn__type { AGN__F32, AGN__U8, AGN__S8 };

enum agn__act { AGN__ACT_NONE, AGN__ACT_RELU6, AGN__ACT_SILU, AGN__ACT_SIGMOID };

/* dst = activation(convolution(src) + bias) [+ what stands in dst] */
struct agn__infer_config {
    struct agn__conv_shape shape;
    enum agn__act activation;
    bool sum;
    /* Of integers; 8-bit weights go with an 8-bit src. */
    enum agn__type src, dst;
    float src_scale, dst_scale; /* 1 for floats */
    float sum_scale;            /* of what stands in dst */
    const float *weight_scales; /* (oc): value of a weight's step; NULL with a float src */
};

struct agn__infer_conv;

/* Packed weights by number and format; primitives that find theirs there share them. What is in a pool does
 * not change any more, so that primitives in any thread may read it; only one may be added at a time. */
struct agn__weights_pool;
int agn__weights_pool_create(struct agn__weights_pool **pool);
/* One more owner; each of them frees it, and the last one's call does so. NULL is allowed there. */
struct agn__weights_pool *agn__weights_pool_share(struct agn__weights_pool *pool);
void agn__weights_pool_free(struct agn__weights_pool *pool);
size_t agn__weights_pool_bytes(const struct agn__weights_pool *pool);

/* AGN_ERR_UNSUPPORTED: no 8-bit convolutions of this kind that are faster than those on floats. */
int agn__infer_conv_create(const struct agn__infer_config *config, struct agn__infer_conv **conv);
void agn__infer_conv_free(struct agn__infer_conv *conv);

size_t agn__infer_conv_scratch_bytes(const struct agn__infer_conv *conv);
/* Takes the weights number `key` from `pool`, or packs plain floats (oc, ic/groups, kh, kw) into it. The pool
 * must outlive the primitive. */
int agn__infer_conv_pack(struct agn__infer_conv *conv, struct agn__weights_pool *pool, int key,
                         const float *plain);
/* bias: floats, in units of src_scale * weight_scales where there are such. */
int agn__infer_conv_bind(struct agn__infer_conv *conv, void *src, float *bias, void *dst, void *scratch);
int agn__infer_conv_run(struct agn__infer_conv *conv);

/* Has this CPU 8-bit dot products that oneDNN uses, and has this oneDNN the interface? */
int agn__onednn_check_int8(void);

#endif
