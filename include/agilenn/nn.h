/* The compute engine: graphs, parameters and planned networks.
 *
 * A *graph* is a static list of operators with fixed shapes. A *parameter store* holds
 * the weights that graphs name. A *net* is a graph planned for one batch size: all
 * memory in one arena and all primitives are made at creation, and a pass allocates
 * nothing. Several nets may share one parameter store.
 *
 * Tensors at a net's borders are plain float32, NHWC: (batch, height, width, channels).
 * What lies between is the engine's business.
 *
 * Denormal numbers count as 0 within a pass.
 *
 * Determinism: for a given number of OpenMP threads, every pass gives the same bits. */
#ifndef AGILENN_NN_H
#define AGILENN_NN_H

#include "agilenn/base.h"

/* ---- graphs -------------------------------------------------------------- */

enum { AGN_MAX_OPS = 512, AGN_NAME_BYTES = 64 };

enum agn_op_type {
    AGN_OP_INPUT,     /* the net's source */
    AGN_OP_CONV,      /* full or depthwise convolution, weights (oc, ic/groups, kh, kw), optional bias */
    AGN_OP_BATCHNORM, /* per-channel batch normalisation, optionally followed by ReLU6 */
    AGN_OP_RELU6,     /* min(max(x, 0), 6) */
    AGN_OP_ADD,       /* element-wise sum of two tensors of one shape */
    AGN_OP_POOL,      /* average over a grid x grid partition; grid 1 is global average pooling */
    AGN_OP_DENSE,     /* fully connected, weights (oc, h*w*ic) over the NHWC-flattened source, bias */
    AGN_OP_SILU,      /* x / (1 + exp(-x)) */
    AGN_OP_SIGMOID,   /* 1 / (1 + exp(-x)) */
    AGN_OP_TANH,
    AGN_OP_SCALE,   /* (h, w, c) times (1, 1, c), channel by channel */
    AGN_OP_UP,      /* upsampling by nearest neighbour: each pixel becomes stride x stride ones */
    AGN_OP_SHUFFLE, /* depth to space: each pixel becomes stride x stride ones of that much fewer channels */
    AGN_OP_ATTENTION, /* self-attention over positions, with a learned gamma; op_attention.c has the formula
                       */
    AGN_OP_TYPES
};

struct agn_shape {
    int height, width, channels;
};

struct agn_op_spec {
    enum agn_op_type type;
    char name[AGN_NAME_BYTES]; /* prefix of its parameters, e.g. "remote.block1.expand" */
    int src[2];                /* earlier operators; src[1] is -1 but for ADD, SCALE and ATTENTION */
    int oc, kernel, stride, pad;
    bool depthwise, bias;   /* CONV */
    bool relu6;             /* BATCHNORM */
    int grid;               /* POOL: cell i covers rows floor(i*h/grid) .. ceil((i+1)*h/grid) - 1 */
    float depth;            /* ADD at the end of residual block l of L (agn_graph_parse): l / L; else 0 */
    struct agn_shape shape; /* of the result; filled in by the graph functions */
};

struct agn_graph {
    int count; /* the last operator is the result */
    struct agn_op_spec ops[AGN_MAX_OPS];
};

/* Each function appends an operator and returns its index, or a status < 0 and leaves the graph as it was. */
int agn_graph_init(struct agn_graph *graph, struct agn_shape input);
int agn_graph_conv(struct agn_graph *graph, int src, const char *name, int oc, int kernel, int stride,
                   bool bias);
int agn_graph_depthwise(struct agn_graph *graph, int src, const char *name, int kernel, int stride);
int agn_graph_batchnorm(struct agn_graph *graph, int src, const char *name, bool relu6);
int agn_graph_relu6(struct agn_graph *graph, int src);
int agn_graph_add(struct agn_graph *graph, int src0, int src1);
int agn_graph_pool(struct agn_graph *graph, int src, int grid);
int agn_graph_silu(struct agn_graph *graph, int src);
int agn_graph_sigmoid(struct agn_graph *graph, int src);
int agn_graph_tanh(struct agn_graph *graph, int src);
int agn_graph_scale(struct agn_graph *graph, int src, int factors);
int agn_graph_up(struct agn_graph *graph, int src, int factor); /* 2 to 8 */
/* Channels, a multiple of factor x factor, become pixels: src (h, w, f f c) to (f h, f w, c). factor: 2 to 8.
 */
int agn_graph_shuffle(struct agn_graph *graph, int src, int factor);
/* qkv: of each position of src (h, w, c) n queries, n keys and c values, (h, w, 2 n + c). */
int agn_graph_attention(struct agn_graph *graph, int src, int qkv, const char *name);
int agn_graph_dense(struct agn_graph *graph, int src, const char *name, int oc);

/* Appends the network that `text` describes: blocks separated by blanks, each a kind
 * followed by letter-number pairs in any order:
 *   conv   c16 k3 s2 ("conv:c16:k3:s2")  convolution + BN + ReLU6
 *   dw     k3 s1                         depthwise convolution + BN + ReLU6
 *   mb     c32 e4 k3 s2 n2               n inverted residuals (MobileNetV2); the first has stride s
 *   mbse   c128 e6 k3 s2 n4              n MBConv with squeeze-and-excitation and SiLU (EfficientNet)
 *   fused  c48 e4 k3 s2 n4               n Fused-MBConv with SiLU (EfficientNetV2)
 *   pool   g1                            average pooling to a g x g grid
 *   up     s2                            upsampling by s, nearest neighbour
 *   shuffle s2                           depth to space: s x s channels become s x s pixels of one
 *   attention                            SAGAN's self-attention: 1x1 convolutions without bias to c/8 queries
 *                                        and keys (at least 1) and c values, gamma from 0, shortcut
 * Defaults: k3 s1 (up: s2) n1 e6 g1. Letter a1 makes conv, dw and mb use SiLU, a2 tanh; a `conv` or `dw` with
 * letter l1 has no activation (linear). Convolutions are padded by half their kernel; even kernels as large
 * as the stride are not padded at all: conv:c4:k4:s4 makes 7x7 of 28x28. A block may also be the name of a
 * network (graph_names.c), such as efficientnetv2-s or separable:s3, and stands for its blocks then.
 * Parameters are named PREFIX.0, PREFIX.1, ... by block. Returns the index of the last operator. */
int agn_graph_parse(struct agn_graph *graph, int src, const char *prefix, const char *text);
/* The same with all channels times `width` by MobileNetV2's rule (Sandler et al. 2018): multiples of 8, at
 * least 8 and 90 % of the product; the last block keeps its channels below width 1 if it is a `conv` with k1.
 * Width 1 changes nothing. */
int agn_graph_parse_scaled(struct agn_graph *graph, int src, const char *prefix, const char *text,
                           double width);
/* Is each block one that a device computes in integers: conv with k 1, 3, 5 or 7, or k2:s2 and k4:s4, dw and
 * mb with k 3, 5 or 7, strides up to 4, ReLU6 or linear? AGN_ERR_UNSUPPORTED names the first that is not. */
int agn_graph_check_device(const char *text);
/* Writes the blocks that agn_graph_parse_scaled makes of `text`: names replaced, channels multiplied. Their
 * length, or a status. */
int agn_graph_expand(const char *text, double width, char *blocks, size_t cap);

/* What follows operator `from`, whose result is the tail's input: with the same names, so that both graphs
 * share parameters. AGN_ERR_ARG: it reads something before `from`, too. */
int agn_graph_tail(const struct agn_graph *graph, int from, struct agn_graph *tail);

struct agn_shape agn_graph_input_shape(const struct agn_graph *graph);
struct agn_shape agn_graph_output_shape(const struct agn_graph *graph);
/* Multiply-accumulates of one operator for one image. */
int64_t agn_op_macs(const struct agn_graph *graph, int op);
const char *agn_op_type_name(enum agn_op_type type);

/* ---- parameters ------------------------------------------------------------- */

struct agn_param {
    char name[AGN_NAME_BYTES + 16];
    int rank, dims[4];
    size_t offset, count; /* in floats, into the store's arrays */
    bool trainable;       /* false: a running statistic */
    bool decay;           /* weight decay applies */
    bool frozen;          /* optimisers leave it alone; no matter of files */
};

/* Named float arrays; `value`, `grad`, `momentum` and `second` run in parallel. */
struct agn_params {
    int count, capacity;
    struct agn_param *list;
    size_t total; /* floats */
    float *value, *grad, *momentum;
    float *second; /* NULL, or Adam's second moments, and behind them its steps so far (total + 1 floats) */
    uint64_t version; /* raised by whoever changes values: nets then reload their copies */
};

/* Declares the parameters of `graph` and initialises them: He-normal convolutions (fan-out),
 * BN at identity, dense layers at zero mean and 1/sqrt(fan-in) deviation, attention's gamma at 0. */
int agn_params_create(const struct agn_graph *graph, uint64_t seed, struct agn_params **params);
void agn_params_free(struct agn_params *params);
const struct agn_param *agn_params_find(const struct agn_params *params, const char *name);
/* Values of a parameter, or NULL when there is none of that name. */
float *agn_params_values(const struct agn_params *params, const char *name);
/* The same from/to a tensor file. Loading demands every parameter: a missing or wrong one is
 * named in the error, and nothing is loaded. With `momentum`, reads/writes "momentum.NAME" as well; of
 * stores with second moments also "second.NAME", and "steps.NAME" of the first trainable parameter. Loading
 * makes room for second moments that the file has, and sets those that it has not to 0. Saving appends views
 * (pointing into `params`) to file->tensors. */
int agn_params_load(struct agn_params *params, const struct agn_tensor_file *file, bool momentum);
/* AGN_ERR_NUMERIC: a parameter or its momentum is infinite or no number, or a variance or second moment
 * negative; names it. */
int agn_params_check_finite(const struct agn_params *params);
int agn_params_append(const struct agn_params *params, struct agn_tensor_file *file, bool momentum);
/* The BN called `name` as a factor and a summand of channel `channel`, as frozen nets use it: y = scale x +
 * shift by the running statistics, in double. A status. */
int agn_batchnorm_fold(const struct agn_params *params, const char *name, int channel, double *scale,
                       double *shift);

/* ---- nets ---------------------------------------------------------------------- */

enum agn_net_mode {
    AGN_NET_TRAIN, /* BN normalises by the batch and updates its running statistics */
    AGN_NET_FROZEN /* BN by running statistics, folded into the convolution or dense layer before it */
};

enum {
    AGN_PASS_BACKWARD = 1,       /* also plan backward (TRAIN: weight gradients too) */
    AGN_PASS_TANGENT = 2,        /* also plan tangent and tangent-backward (FROZEN only) */
    AGN_PASS_INPUT_GRADIENT = 4, /* backward reaches the input */
};

/* Nets in several processes that train as one, each on as many images of a common batch. BN then normalises
 * by the whole batch. Gradients of parameters are those of the own images: who made the nets sums them. */
struct agn_net_peers {
    int count;  /* nets, this one included */
    void *user; /* passed on */
    /* Sums in place over all of them; a status. Called by the thread that runs the pass, in TRAIN's forward
     * and backward, as often by each. */
    int (*sum)(void *user, double *values, size_t count);
    /* Or NULL: in backward, after each operator: from now on grad[from] and all beyond it stay as they are
     * until the next backward. A status. */
    int (*gradients)(void *user, struct agn_params *params, size_t from);
};

/* In what numbers convolutions and dense layers compute. With bf16 they round their inputs (weights, sources,
 * gradients) to bfloat16, 8 significant bits, and add up and return floats; all else is float in either case:
 * stored weights, weight gradients, momenta, BN, activations. */
enum agn_compute {
    AGN_COMPUTE_F32,
    AGN_COMPUTE_BF16,         /* on CPUs with bf16 arithmetic */
    AGN_COMPUTE_BF16_EMULATED /* where oneDNN has it at all, natively or not: to measure accuracy */
};

struct agn_net_config {
    const struct agn_graph *graph; /* copied */
    struct agn_params *params;     /* must outlive the net */
    int batch;
    /* TRAIN: stochastic depth (Huang et al. 2016). An image skips residual branch l of L with l / L times
     * this chance, below 1; 0 = off. Frozen nets use every branch as it is. */
    float stochastic_depth;
    enum agn_net_mode mode;
    enum agn_compute compute;
    unsigned passes;
    float bn_momentum;                 /* weight of the new batch in running statistics; 0 = 0.1 */
    const struct agn_net_peers *peers; /* copied; NULL: none */
};

struct agn_net;

int agn_net_create(const struct agn_net_config *config, struct agn_net **net);
void agn_net_free(struct agn_net *net);

/* Border tensors. The caller writes a pass's source before it and reads its result after it:
 *   forward:          INPUT               -> OUTPUT
 *   backward:         DIFF_OUTPUT         -> DIFF_INPUT, and grad of the parameters (overwritten)
 *   tangent:          TANGENT_INPUT       -> TANGENT_OUTPUT      (needs the forward values)
 *   tangent-backward: TANGENT_DIFF_OUTPUT -> TANGENT_DIFF_INPUT: the derivative, along the tangent's
 *                     direction, of what backward computes; with the loss's own tangent as source
 *                     it is a Hessian-vector product
 * Memory is planned for one pass of each kind after a forward, in the order above; passes may be
 * left out, but a second backward or tangent needs a new forward. Backward passes may zero parts of
 * their source (where a ReLU6 is closed); all other sources stay as written. Forward and backward
 * results stay valid until the next forward. */
enum agn_border {
    AGN_BORDER_INPUT,
    AGN_BORDER_OUTPUT,
    AGN_BORDER_DIFF_OUTPUT,
    AGN_BORDER_DIFF_INPUT,
    AGN_BORDER_TANGENT_INPUT,
    AGN_BORDER_TANGENT_OUTPUT,
    AGN_BORDER_TANGENT_DIFF_OUTPUT,
    AGN_BORDER_TANGENT_DIFF_INPUT
};

/* Both lend memory of the host, (batch, height, width, channels), which is the net's and the same each time;
 * NULL: no planned pass needs it. On the CPU it is the tensor itself, elsewhere a copy, so ask anew after
 * each pass: a pointer says nothing about what later passes make, and takes nothing to them.
 *
 * write: a source, to fill or change until its pass begins, which is when it is taken; it holds what it was
 * given last, after a backward nothing certain.
 * read: what the border holds now. Where fetching it fails (a device is lost) that is NANs, and the net's
 * next pass returns why.
 *
 * One thread at a time, as for passes; but any number may use the memory lent. */
float *agn_net_write(struct agn_net *net, enum agn_border border);
const float *agn_net_read(struct agn_net *net, enum agn_border border);
/* Source `border` of `net` = border `other_border` of another net for as many floats: what write and read
 * would do, without a way over the host where both are elsewhere. Status. */
int agn_net_copy(struct agn_net *net, enum agn_border border, struct agn_net *other,
                 enum agn_border other_border);

/* Forward reloads the parameters first when their version has changed; in TRAIN with BN it moves the running
 * statistics and so raises the version itself. */
int agn_net_forward(struct agn_net *net);
int agn_net_backward(struct agn_net *net);
int agn_net_tangent(struct agn_net *net);
int agn_net_tangent_backward(struct agn_net *net);

/* Stochastic depth: draws which residual branches each image of the batch skips, in all passes up to the next
 * draw. Until the first one, and without net_config.stochastic_depth, none. Image i's draws come from `seed`
 * and first_image + i alone. */
void agn_net_draw_depth(struct agn_net *net, uint64_t seed, int64_t first_image);

struct agn_shape agn_net_input_shape(const struct agn_net *net);
struct agn_shape agn_net_output_shape(const struct agn_net *net);

/* Starts timing: from now on each operator's seconds are added up, over all passes. AGN_ERR_MEMORY. */
int agn_net_profile(struct agn_net *net);
/* Seconds of operator `op` of the graph since then; 0 when it is not timed or its work is done by the
 * convolution before it. */
double agn_net_seconds(const struct agn_net *net, int op);

/* Threads of the passes of every net made from now on, whichever thread calls them; 0 (the default) = what
 * OpenMP finds. At most 256. Also sets OpenMP's number for the calling thread. */
void agn_nn_set_threads(int threads);
int agn_nn_threads(void);
/* How many of these compute at the same time in passes that the calling thread runs from now on; 0 (the
 * default) = all. Results keep their bits: a net whose batch divides by its threads works on as many parts,
 * whoever computes them, and another net goes on with all of its threads. Fewer do not wait for a thread that
 * has no core. Also sets OpenMP's number for the calling thread. */
void agn_nn_set_workers(int workers);
int agn_nn_workers(void);
/* The CPU's name and what of it the engine uses, for reports: "Intel Xeon ..., 2 CPUs, AVX-512 with VNNI". */
const char *agn_nn_machine(void);

/* ---- softmax cross-entropy: the four passes of the loss ---------------------------
 * logits, prob, diff: (n, classes). A label < 0 marks a row to skip: loss 0, gradient 0. */

/* loss[i] (may be NULL) of each row, and prob = softmax(logits). */
void agn_softmax_ce_forward(const float *logits, const int32_t *labels, int n, int classes, float *prob,
                            float *loss);
/* diff = scale * (prob - onehot(label)). */
void agn_softmax_ce_backward(const float *prob, const int32_t *labels, int n, int classes, float scale,
                             float *diff);
/* diff_dot = (diag(prob) - prob prob^T) tangent: the derivative of backward (scale 1) along `tangent`. */
void agn_softmax_ce_tangent_backward(const float *prob, const int32_t *labels, const float *tangent, int n,
                                     int classes, float *diff_dot);

/* ---- mean squared error ------------------------------------------------------------
 * values, target, diff: (n, size), a row being an image, say. Rows are shared out over agn_nn_workers()
 * threads; results do not depend on how many there are. */

/* loss[i] = scale / size * the sum of (values - target)^2 over row i. */
void agn_mse_forward(const float *values, const float *target, int n, size_t size, float scale, float *loss);
/* diff = 2 scale / size * (values - target), the gradient of the sum of loss; may be `values` or `target`. */
void agn_mse_backward(const float *values, const float *target, int n, size_t size, float scale, float *diff);

/* ---- quantiser ---------------------------------------------------------------------
 * 8 centroids. Hard assignment to the nearest. */

enum { AGN_LEVELS = 8 };

/* Nearest centroid of each of `count` values; symbols and dst may be NULL, and dst may be src. */
void agn_quantise(const float centroids[AGN_LEVELS], const float *src, size_t count, uint8_t *symbols,
                  float *dst);

/* ---- optimiser ------------------------------------------------------------------------
 * SGD with momentum and decoupled weight decay (SGDW, Loshchilov & Hutter 2019):
 *   m = momentum*m + g;  w -= rate*(m [+ g look-ahead when nesterov]) + rate*decay*w
 * on the trainable parameters; raises params->version. */
struct agn_sgd {
    float rate, momentum, decay;
    bool nesterov;
};
void agn_sgd_step(struct agn_params *params, const struct agn_sgd *sgd);

/* Adam (Kingma & Ba 2015) with decoupled weight decay, as PyTorch's torch.optim.AdamW computes it, on the
 * trainable parameters; raises params->version. In step t, counted from 1, with m in `momentum`:
 *   w -= rate*decay*w;  m = beta1*m + (1 - beta1)*g;  v = beta2*v + (1 - beta2)*g*g
 *   w -= rate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon) */
struct agn_adam {
    float rate, beta1, beta2, epsilon, decay; /* betas from 0 to below 1 */
};
void agn_adam_step(struct agn_params *params, const struct agn_adam *adam); /* after agn_params_use_adam */
/* Makes room for second moments: 0, and no step taken. Where there are some they stay. AGN_ERR_MEMORY. */
int agn_params_use_adam(struct agn_params *params);
/* Momentum 0, as are second moments and steps where there are some. */
void agn_params_clear_moments(struct agn_params *params);

#endif
