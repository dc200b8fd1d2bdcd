/* Inference: a graph with fixed parameters, planned for nothing but fast forward passes.
 *
 * Batch normalisation, activations and sums of residual blocks become part of the convolutions before them,
 * weights are scaled and packed once and shared by all batch sizes, and nothing is kept for other passes.
 *
 * Batches are split: each thread takes images of its own through the whole network, a few at a time, so that
 * what lies between two layers stays in its core's cache. A single image is computed by all threads together.
 * Where that is slower than the calling thread alone, on cores that other work keeps busy, that one does. */
#ifndef AGILENN_INFERENCE_H
#define AGILENN_INFERENCE_H

#include "agilenn/nn.h"

enum { AGN_INFERENCE_MAX_BATCH = 4096, AGN_INFERENCE_MAX_THREADS = 256 };

/* Which library computes convolutions. BEST: oneDNN where it has code for this processor, else XNNPACK, which
 * has it for arm64. The others are for comparisons and tests. */
enum agn_inference_engine { AGN_ENGINE_BEST, AGN_ENGINE_ONEDNN, AGN_ENGINE_XNNPACK };

struct agn_inference_config {
    const struct agn_graph *graph; /* copied */
    struct agn_params *params;     /* only read, and not after creation */
    int max_batch;                 /* most images of one call, at least 1 */
    int threads;                   /* of one call; 0 = agn_nn_threads() */
    /* Convolutions in 8-bit integers: weights with a scale for each output channel, activations with one for
     * each tensor, from the statistics that BN carries; no images are needed. Dense layers stay in floats,
     * and so does whatever oneDNN has no fast 8-bit code for. Needs a CPU with AVX512_VNNI, and oneDNN 2. */
    bool int8;
    /* One of the same graph and parameters, whose packed weights are used as well instead of a copy; it may
     * be freed first. Creations that share must not happen at the same time. NULL: a copy. */
    const struct agn_inference *weights_of;
    enum agn_inference_engine engine;
    float source_limit; /* int8: sources lie between 0 and this, others are cut off; 0 = 6, ReLU6's */
    bool source_signed; /* between -source_limit and source_limit instead */
};

struct agn_inference;

/* Can this CPU and this oneDNN compute in 8 bits? AGN_ERR_UNSUPPORTED with a message that says what is
 * missing. */
int agn_inference_check_int8(void);

/* AGN_ERR_RANGE: batch, threads or limit; AGN_ERR_UNSUPPORTED: int8 on this CPU, with this oneDNN or with
 * XNNPACK, or XNNPACK where it is not (the message says what is missing); AGN_ERR_ARG: parameters that do not
 * fit the graph. */
int agn_inference_create(const struct agn_inference_config *config, struct agn_inference **inference);
void agn_inference_free(struct agn_inference *inference);

/* src (count, height, width, channels) -> dst (count, outputs), count from 0 to max_batch. Not by two threads
 * at once; several inferences may run at the same time. An image's result depends on how many images come
 * with it, and on how busy the machine is, by rounding only. */
int agn_inference_run(struct agn_inference *inference, const float *src, int count, float *dst);

/* Memory of weights, shared ones too, and activations. */
size_t agn_inference_bytes(const struct agn_inference *inference);
/* Share of the multiply-accumulates that are done in 8 bits: 0 without int8. */
double agn_inference_int8_share(const struct agn_inference *inference);

/* What computes one convolution or dense layer. */
struct agn_inference_layer {
    const char *name; /* its parameters' prefix, "remote.block1.expand"; these strings live as long as the
                         inference */
    const char *code; /* the library's name of its code, "jit:avx2" */
    const char *rest; /* what of activation and sum comes after it in a loop of its own: "silu + add"; "" */
    double macs;      /* of an image */
    bool gathered;    /* as a matrix product of rows gathered from the source */
    bool int8;
    bool reference; /* code for no processor in particular, some hundred times slower than others */
};

/* Layer `index` of a net for single images, from 0; false past the last. */
bool agn_inference_layer(const struct agn_inference *inference, int index, struct agn_inference_layer *layer);

#endif
