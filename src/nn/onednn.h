/* The engine's only door to oneDNN: convolutions on NHWC tensors.
 *
 * What differs between oneDNN 2 and 3 is in onednn_compat.c. Weights outside are plain
 * (oc, ic/groups, kh, kw); inside each primitive has the format it prefers, and
 * agn__conv_load_weights / agn__conv_store_weights convert. */
#ifndef AGN_NN_ONEDNN_H
#define AGN_NN_ONEDNN_H

#include <stdbool.h>
#include <stddef.h>

struct agn__conv_shape {
    int batch, ic, ih, iw, oc, oh, ow, kernel_h, kernel_w, stride, pad_h, pad_w;
    bool depthwise;
    bool bf16; /* what a pass reads (but a bias) is bf16, what it writes is float */
};

enum agn__conv_pass {
    AGN__CONV_FORWARD,         /* src, weights[, bias] -> dst */
    AGN__CONV_BACKWARD_DATA,   /* dst, weights -> src */
    AGN__CONV_BACKWARD_WEIGHTS /* src, dst -> weights[, bias] */
};

/* A planned convolution pass. It is made of `lanes` equal parts of the batch, each computed by one thread
 * from its beginning to its end: which thread computes a lane, and whether two compute at the same time, does
 * not change a bit. With one lane the calling team computes the whole batch together. */
struct agn__conv;

/* What of the CPU oneDNN uses, as a name, and whether that has bf16 arithmetic. */
const char *agn__onednn_isa(void);
/* Has oneDNN code for this processor? Debian's has for x86 from SSE4.1 on, and for little else. */
bool agn__onednn_knows_processor(void);
/* x86 with vectors of 8 floats or less: there oneDNN's direct convolutions make 35 to 46 of the 75 GFLOP/s
 * that its matrix product makes on a Zen 3 core; with AVX-512 some 80 %. */
bool agn__onednn_isa_is_narrow(void);
bool agn__onednn_has_bf16(void);

/* `relu6` clips the forward result to [0, 6]. Status: AGN_ERR_ENGINE with a message; AGN_ERR_UNSUPPORTED
 * where oneDNN has no bf16 convolutions for this CPU. `shape` is that of a lane; src and dst of the lanes
 * follow each other. */
struct agn__conv_config {
    struct agn__conv_shape shape;
    enum agn__conv_pass pass;
    bool bias, relu6;
    int lanes;   /* 1 to AGN__MAX_LANES */
    bool direct; /* never by Winograd: to compare */
};
enum { AGN__MAX_LANES = 16 };
int agn__conv_create(const struct agn__conv_config *config, struct agn__conv **conv);
void agn__conv_free(struct agn__conv *conv);

/* Bytes of the weights in this pass's own format (gradients: of each lane), of the bias (likewise), and of
 * scratch memory. */
size_t agn__conv_weights_bytes(const struct agn__conv *conv);
size_t agn__conv_bias_bytes(const struct agn__conv *conv);
size_t agn__conv_scratch_bytes(const struct agn__conv *conv);
/* True when two passes keep weights in one format, so that a copy can serve both. */
bool agn__conv_same_weights(const struct agn__conv *a, const struct agn__conv *b);

/* Sets the memory that runs use; weights and scratch are of the sizes above, bias is float. */
struct agn__conv_memory {
    void *src, *weights, *bias, *dst, *scratch;
};
int agn__conv_bind(struct agn__conv *conv, const struct agn__conv_memory *memory);
/* Gradients of weights and bias are summed over lanes then: the bias's stands at the start of its memory. */
int agn__conv_run(struct agn__conv *conv);
/* One lane, by the calling thread alone. Of gradients it leaves the lane's own. */
int agn__conv_run_lane(const struct agn__conv *conv, int lane);

/* Plain floats -> the pass's format, and back (for gradients). */
int agn__conv_load_weights(struct agn__conv *conv, const float *plain);
int agn__conv_store_weights(struct agn__conv *conv, float *plain);

#endif
