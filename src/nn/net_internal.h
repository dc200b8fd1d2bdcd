/* What the planner (net*.c), the operators (op_*.c) and the backends (backend.h) share.
 *
 * An operator is a type in nn.h, and a file with its graph function, what it means whoever computes it (a
 * `struct agn__op_kind`, a row of agn__op_kinds in graph.c) and how the CPU computes it (a `struct
 * agn__op_class`, a row of the table in backend_cpu.c). Another backend has a table of its own. */
#ifndef AGN_NN_NET_INTERNAL_H
#define AGN_NN_NET_INTERNAL_H

#include "agilenn/nn.h"
#include "agilenn/vector.h"
#include "nn/backend.h"
#include "nn/onednn.h"
#include "nn/onednn_inference.h"
#include "nn/xnnpack.h"

enum { AGN__MAX_THREADS = 256 };

struct agn__op;

/* A stretch of the arena, needed from time `first` to time `last` (see agn__time). */
struct agn__buffer {
    size_t size_bytes, offset;
    int first, last;
    bool shared; /* of a part: it is that of the first part */
};

/* The tensor that an operator makes, with its companions. A pointer is NULL when no planned
 * pass needs it. */
struct agn__node {
    struct agn_shape shape;
    size_t floats; /* batch included */
    float *value, *diff, *tangent, *tangent_diff;
    int value_buffer, diff_buffer, tangent_buffer, tangent_diff_buffer; /* -1: none */
    int producer;                                                       /* operator that makes it */
    int consumers, last_consumer;                                       /* operators that read it */
    bool gradient;                                                      /* backward must reach it */
    enum agn__type type; /* of `value`: integers only in nets for inference */
    float scale;         /* of an integer's step; 1 for floats */
};

/* How an operator hands its gradient to source `s`. The first consumer to run backward writes
 * the source's buffer, later ones add to it; ADD may share its own buffer with a source. */
enum agn__flow { AGN__FLOW_NONE, AGN__FLOW_WRITE, AGN__FLOW_ADD, AGN__FLOW_SHARE };

struct agn__op {
    const struct agn_op_spec *spec;
    const struct agn__op_class *cls;
    struct agn_net *net;
    int index;
    struct agn__node *src[2], *dst;
    enum agn__flow flow[2];
    const struct agn_op_spec *folded_bn; /* a convolution that does the work of the BN after it */
    bool absorbed;                       /* that BN: its convolution writes its node */
    enum agn__act activation; /* inference: of the convolution's result, that of a folded BN included */
    struct agn__node *sum;    /* inference: what an absorbed ADD adds to the result, or NULL */
    bool sum_in_place;        /* it stands where the result goes */
    bool int8;                /* inference: the convolution computes in 8 bits */
    bool xnn;                 /* inference: XNNPACK computes the convolution */
    bool gather;              /* inference: the convolution is a matrix product of gathered rows */
    enum agn__form form;      /* inference: what of activation and sum its primitive does */
    float skip_chance;        /* ADD: of its second source, for each image of a training batch */
    void *state;              /* the operator's own */
};

/* What an operator is. */
struct agn__op_kind {
    const char *name;
    /* Fills spec->shape from its sources; status. */
    int (*shape)(const struct agn_graph *graph, struct agn_op_spec *spec);
    int64_t (*macs)(const struct agn_graph *graph, const struct agn_op_spec *spec);
    /* Declares parameters (may be NULL). */
    int (*declare)(const struct agn_graph *graph, const struct agn_op_spec *spec, struct agn_params *params);
    /* Draws initial values (may be NULL). */
    void (*initialise)(const struct agn_op_spec *spec, struct agn_params *params, struct agn_rng *rng);
    bool two_sources; /* reads spec->src[1] too */
};

/* How a backend computes it. */
struct agn__op_class {
    /* Makes state and primitives, asks for buffers (agn__net_buffer). */
    int (*plan)(struct agn__op *op);
    /* Buffers have addresses now (agn__net_address). May be NULL. */
    int (*bind)(struct agn__op *op);
    /* Parameters changed: refresh copies. May be NULL. */
    int (*load)(struct agn__op *op);
    int (*forward)(struct agn__op *op);
    int (*backward)(struct agn__op *op);
    int (*tangent)(struct agn__op *op);
    int (*tangent_backward)(struct agn__op *op);
    /* ADD with a chance to be skipped: host memory for what its second source is multiplied with, for each
     * image; all 1 at first. */
    float *(*factors)(const struct agn__op *op);
    void (*release)(struct agn__op *op);
    /* What the later passes read; decides how long tensors live. */
    bool keeps_src;          /* backward needs the source's value when training */
    bool keeps_dst;          /* backward and tangents need the result's value */
    bool keeps_second_order; /* tangent-backward needs source values, tangents and result's diff */
    bool shares_diff;        /* ADD: backward hands on its own diff, sharing memory where that is safe */
};

/* Values that a tensor takes; high < low: not known. */
struct agn__range {
    float low, high;
};

/* What nets for inference share. */
struct agn__fusion {
    struct agn__weights_pool *weights;
    struct agn__xnn_set *xnn; /* of those that compute by turns; NULL: oneDNN alone */
    bool xnn_alone;
    int first; /* the graph's operator 0 is this one of the whole network's: weights are known by their number
                */
    const struct agn__range *ranges; /* of each operator's result; NULL: all in floats */
};

/* A border where the backend's memory is not the host's: what the caller reads and writes. */
struct agn__border {
    float *host;
    bool host_is_newer, net_is_newer;
};

enum { AGN__BORDERS = AGN_BORDER_TANGENT_DIFF_INPUT + 1 };

struct agn_net {
    const struct agn__backend *backend;
    struct agn_graph graph;
    struct agn_params *params;
    int batch;
    float stochastic_depth;
    enum agn_net_mode mode;
    unsigned passes;
    bool bf16; /* convolutions read bf16 */
    float bn_momentum;
    const struct agn__fusion *fusion; /* NULL but in nets for inference */
    struct agn_net_peers peers;       /* .sum NULL: none */
    size_t *settled; /* graph.count, with peers.gradients: after an operator's backward, from here on */
    int threads;     /* of every pass: primitives are made for this number */
    int lanes;       /* equal parts of the batch that convolutions work on, each by one thread */
    struct agn_net **parts; /* part_count, see net_parts.c, or NULL: this net computes by itself */
    int part_count;
    struct agn_net *whole; /* of a part: whose it is, and its number; else NULL */
    int part;
    bool moves_statistics; /* forward changes the running statistics in `params` */
    uint64_t loaded_version;
    bool loaded;
    struct agn__op *ops;     /* graph.count */
    struct agn__node *nodes; /* graph.count */
    struct agn__buffer *buffers;
    int buffer_count, buffer_capacity;
    double *seconds; /* graph.count, or NULL: not timed */
    int scratch_buffer;
    size_t scratch_bytes;
    uint8_t *arena; /* the backend's */
    size_t arena_bytes;
    struct agn__border borders[AGN__BORDERS];
    int border_status; /* of a download: the next pass tells it */
};

extern const struct agn__op_kind *const agn__op_kinds[AGN_OP_TYPES];
extern const struct agn__op_kind agn__kind_conv, agn__kind_batchnorm, agn__kind_relu6, agn__kind_add,
    agn__kind_pool, agn__kind_dense, agn__kind_silu, agn__kind_sigmoid, agn__kind_tanh, agn__kind_scale,
    agn__kind_up, agn__kind_shuffle, agn__kind_attention;

/* The CPU's. */
extern const struct agn__op_class agn__op_conv, agn__op_batchnorm, agn__op_relu6, agn__op_add, agn__op_pool,
    agn__op_dense, agn__op_smooth, agn__op_scale, agn__op_up, agn__op_shuffle, agn__op_attention;

/* Of CONV and DENSE in nets for inference (op_conv_inference.c). */
extern const struct agn__op_class agn__op_conv_inference;

/* The library's name of the code of `op`, one of these, and whether that is reference code. */
const char *agn__conv_inference_code(const struct agn__op *op, bool *reference);

/* A net for inference: config->mode FROZEN, no passes. Parameters are read now and never again. */
int agn__net_create_inference(const struct agn_net_config *config, int threads,
                              const struct agn__fusion *fusion, struct agn_net **net);
/* Makes activations and sums part of the convolutions before them and chooses the tensors' types, in a net
 * whose BN are folded and whose buffers are not yet planned (fusion.c). Status. */
int agn__net_fuse(struct agn_net *net);
/* Ranges from the statistics in BN, for sources of this range (ranges.c). `ranges`: (count). Status. */
int agn__ranges_from_statistics(const struct agn_graph *graph, const struct agn_params *params,
                                const struct agn__range *source, struct agn__range *ranges);
/* How values of a range are stored in 8 bits (fusion.c). */
enum agn__type agn__integer_type(const struct agn__range *range);
float agn__integer_scale(const struct agn__range *range);
/* dst = src in dst's type and scale; in dst's numbers integers are rounded and saturated. */
void agn__convert(const struct agn__node *src, const void *values, enum agn__type type, float scale,
                  void *dst);
size_t agn__type_bytes(enum agn__type type);

/* dst = activation(dst) [+ sum]: what a convolution for inference leaves to do. `sum` may be NULL, or dst's
 * neighbour, but does not overlap it. (op_activation.c) */
void agn__activate_add(enum agn__act activation, float *dst, const float *sum, size_t count);

/* The convolution that does the work of `op`, a CONV or DENSE. */
struct agn__conv_shape agn__conv_primitive_shape(const struct agn__op *op);
/* Does it run faster as a matrix product of gathered rows, on this processor? Then this is the product of as
 * many images as are gathered at once. (op_conv_inference.c) */
bool agn__conv_prefers_gathering(const struct agn__conv_shape *shape);
struct agn__conv_shape agn__conv_gathered_shape(const struct agn__conv_shape *shape);
/* Weights and bias (zeros if there is none) with the BN after it folded in. Status. */
int agn__conv_fold(const struct agn__op *op, float *weights, float *bias);

/* Appends `spec` to the graph: checks sources, computes the shape. Index or status. */
int agn__graph_append(struct agn_graph *graph, const struct agn_op_spec *spec);
/* Sets spec->name; AGN_ERR_RANGE when it does not fit. */
int agn__spec_name(struct agn_op_spec *spec, const char *name);

/* Time of operator `index` in a pass: a pass is a stretch of graph.count ticks. */
enum agn__pass { AGN__FORWARD, AGN__BACKWARD, AGN__TANGENT, AGN__TANGENT_BACKWARD, AGN__PASSES };
int agn__time(const struct agn_net *net, enum agn__pass pass, int index);

/* In how many parts `net` computes: 1 where it has to by itself (net_parts.c). */
int agn__net_parts(const struct agn_net *net);
/* Makes part `part` of `whole`, whose borders have addresses. Status. (net.c) */
int agn__net_create_part(const struct agn_net_config *config, struct agn_net *whole, int part,
                         struct agn_net **net);
/* Makes net->part_count parts; status. On failure too, agn_net_free cleans up. */
int agn__net_make_parts(struct agn_net *net, const struct agn_net_config *config);
int agn__net_load_parts(struct agn_net *net);
int agn__net_run_parts(struct agn_net *net, enum agn__pass pass);
/* One pass, by the calling thread's team; status. Copies of changed parameters. (net.c) */
int agn__net_run(struct agn_net *net, enum agn__pass pass);
int agn__net_load(struct agn_net *net);

/* Makes nodes and operators; decides foldings, flows and lifetimes (net_plan.c). Status. */
int agn__net_decide(struct agn_net *net);
void agn__net_make_nodes(struct agn_net *net);
/* Asks for the buffers of one operator's result. */
void agn__net_plan_node(struct agn_net *net, int index);
/* Allocates the arena, as planned, and gives tensors their addresses (net_memory.c). Status. */
int agn__net_place(struct agn_net *net);
/* Of the net and its parts. */
size_t agn__net_arena_bytes(const struct agn_net *net);

/* What the ADD number `op` of the graph multiplies each image's second source with (stochastic_depth.c): 0,
 * or 1 / survival. NULL: nothing. */
const float *agn__net_branch_factors(const struct agn_net *net, int op);

/* AGN_ERR_UNSUPPORTED: this CPU cannot; the message says what it lacks. */
int agn__compute_check(enum agn_compute compute);

/* Borders where the backend's memory is not the host's, nothing elsewhere (net_borders.c): host memory for
 * them, a status; before a pass what was written goes to the net, a status; after it, the net has results. */
int agn__borders_create(struct agn_net *net);
void agn__borders_free(struct agn_net *net);
int agn__borders_send(struct agn_net *net, enum agn__pass pass);
void agn__borders_made(struct agn_net *net, enum agn__pass pass);

/* Asks for arena memory that lives from `first` to `last`; the buffer's number. An operator asks for
 * AGN__OP_BUFFERS at most. */
enum { AGN__OP_BUFFERS = 16 };
int agn__net_buffer(struct agn_net *net, size_t size_bytes, int first, int last);
/* The same for the net's whole life. */
int agn__net_buffer_always(struct agn_net *net, size_t size_bytes);
/* The same for what parameters are copied to: parts have one copy. Writers ask agn__net_owns_copies. */
int agn__net_buffer_of_parameters(struct agn_net *net, size_t size_bytes);
bool agn__net_owns_copies(const struct agn_net *net);
/* Working memory of a primitive while it runs; all operators share one piece, net->scratch_buffer. */
void agn__net_need_scratch(struct agn_net *net, size_t size_bytes);
/* Address of a buffer after planning; NULL for -1. */
void *agn__net_address(const struct agn_net *net, int buffer);

/* Places buffers so that those alive at the same time do not overlap; returns bytes needed. */
size_t agn__memory_plan(struct agn__buffer *buffers, int count);

/* Parameter of `op` called PREFIX.suffix: offset into the store's arrays, or -1. */
int64_t agn__param_offset(const struct agn_params *params, const struct agn_op_spec *spec,
                          const char *suffix);
/* Has `params` all that `graph` needs, in the right shapes? Names what is wrong. */
int agn__params_check(const struct agn_params *params, const struct agn_graph *graph);
struct agn__param_request {
    const char *suffix;
    int rank, dims[4];
    bool trainable, decay;
};
int agn__param_declare(struct agn_params *params, const struct agn_op_spec *spec,
                       const struct agn__param_request *request);

uint64_t agn__denormals_mode(void);
/* Lets all threads of the calling team treat denormal numbers as 0; returns the caller's mode, to which
 * agn__denormals_restore sets the calling thread back (the others are the team's own). */
uint64_t agn__denormals_flush(void);
void agn__denormals_restore(uint64_t mode);

/* ---- loops (loops.c): vectorised, split over threads ------------------------------ */

/* dst += src */
void agn__add_to(float *dst, const float *src, size_t count);
/* dst = a + b */
void agn__add(float *dst, const float *a, const float *b, size_t count);
/* dst = src, rounded to bfloat16 */
void agn__to_bf16(uint16_t *dst, const float *src, size_t count);
/* diff = 0 wherever value is outside the open interval (0, 6): ReLU6's derivative, in place */
void agn__relu6_mask(float *diff, const float *value, size_t count);

/* Part `part` of `parts` of `count` items: [*begin, *end), in multiples of `grain` but for the last. */
static inline void agn__split(size_t count, size_t grain, int part, int parts, size_t *begin, size_t *end)
{
    size_t grains = (count + grain - 1) / grain;
    size_t b = grains * (size_t)part / (size_t)parts * grain;
    size_t e = grains * ((size_t)part + 1) / (size_t)parts * grain;
    *begin = b < count ? b : count;
    *end = e < count ? e : count;
}

#endif
