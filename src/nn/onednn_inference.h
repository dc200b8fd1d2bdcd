/* Convolutions for inference through oneDNN: with activation, sum and 8-bit types in the same primitive, and
 * packed weights that several primitives share. On NHWC tensors, as in onednn.h. */
#ifndef AGN_NN_ONEDNN_INFERENCE_H
#define AGN_NN_ONEDNN_INFERENCE_H

#include "nn/onednn.h"

/* Of a stored tensor; a value is its number times the tensor's scale. */
enum agn__type { AGN__F32, AGN__U8, AGN__S8 };

enum agn__act { AGN__ACT_NONE, AGN__ACT_RELU6, AGN__ACT_SILU, AGN__ACT_SIGMOID, AGN__ACT_TANH };

/* How much of dst = activation(convolution(src) + bias) [+ what stands in dst] the primitive itself does. Not
 * every processor has fast code for all of it; the rest is agn__activate_add's (op_activation.c). */
enum agn__form { AGN__FORM_WHOLE, AGN__FORM_ACTIVATION, AGN__FORM_PLAIN, AGN__FORMS };

/* dst = activation(convolution(src) + bias) [+ what stands in dst], as far as `form` has it */
struct agn__infer_config {
    struct agn__conv_shape shape;
    enum agn__act activation;
    bool sum;
    /* Of integers; 8-bit weights go with an 8-bit src. */
    enum agn__type src, dst;
    float src_scale, dst_scale; /* 1 for floats */
    float sum_scale;            /* of what stands in dst */
    const float *weight_scales; /* (oc): value of a weight's step; NULL with a float src */
    enum agn__form form;
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

/* The form for which the library has its best code, the one that leaves least to do where several have;
 * `fast`: is it made for this processor? Forms that are the same as an earlier one (no activation, no sum)
 * are not looked at. `config->form` is not read. */
int agn__infer_conv_choose(const struct agn__infer_config *config, enum agn__form *form, bool *fast);
/* The library's name of the code that was chosen, such as "jit:avx2"; lives as long as `conv`. */
const char *agn__infer_conv_name(const struct agn__infer_conv *conv);
/* Is that reference code, a hundred times slower than the processor can? */
bool agn__infer_conv_is_reference(const struct agn__infer_conv *conv);

size_t agn__infer_conv_scratch_bytes(const struct agn__infer_conv *conv);
/* Takes the weights number `key` from `pool`, or packs plain floats (oc, ic/groups, kh, kw) into it. The pool
 * must outlive the primitive. */
int agn__infer_conv_pack(struct agn__infer_conv *conv, struct agn__weights_pool *pool, int key,
                         const float *plain);
/* bias: floats, in units of src_scale * weight_scales where there are such. */
int agn__infer_conv_bind(struct agn__infer_conv *conv, void *src, float *bias, void *dst, void *scratch);
int agn__infer_conv_run(struct agn__infer_conv *conv);
/* The same with the result elsewhere. */
int agn__infer_conv_run_to(struct agn__infer_conv *conv, void *dst);

/* Has this CPU 8-bit dot products that oneDNN uses, and has this oneDNN the interface? */
int agn__onednn_check_int8(void);

#endif
