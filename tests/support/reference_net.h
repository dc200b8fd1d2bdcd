/* A naive interpreter of graphs in double precision, the yardstick of the engine.
 *
 * Plain loops straight from the definitions; shares no code with src/nn beyond the structs of
 * nn.h and the lookup of parameters by name. Tensors are NHWC, batch first, like the engine's
 * borders. Every operator keeps its tensors, so any intermediate may be looked at. It computes
 * all gradients, whether asked for or not. Allocation failures end the program. */
#ifndef AGN_TEST_REFERENCE_NET_H
#define AGN_TEST_REFERENCE_NET_H

#include "agilenn/nn.h"

struct reference_node {
    size_t count; /* doubles, batch included */
    double *value, *diff, *tangent, *tangent_diff;
    double *before;     /* what went into the ReLU6, for BATCHNORM with relu6 and RELU6; else NULL */
    double *mean, *var; /* the batch's, per channel (BATCHNORM in training) */
    double *branch;     /* (batch) 1 unless set: ADD in training takes so much of its second source */
};

struct reference_net {
    struct agn_graph graph;
    const struct agn_params *layout; /* names, shapes, offsets; must outlive this */
    int batch;
    bool train;
    double bn_momentum;
    double *param, *grad; /* layout->total, same offsets as the store's arrays */
    struct reference_node *nodes;
};

/* Copies the graph and the parameters' values. */
struct reference_net *reference_create(const struct agn_graph *graph, const struct agn_params *params,
                                       int batch, bool train);
/* Copies the values anew. */
void reference_load(struct reference_net *net, const struct agn_params *params);
void reference_free(struct reference_net *net);

/* The node that the input is written to, and the result's node. */
struct reference_node *reference_input(struct reference_net *net);
struct reference_node *reference_output(struct reference_net *net);

void reference_forward(struct reference_net *net);          /* input.value -> output.value */
void reference_backward(struct reference_net *net);         /* output.diff -> input.diff, grad */
void reference_tangent(struct reference_net *net);          /* frozen: input.tangent -> output.tangent */
void reference_tangent_backward(struct reference_net *net); /* frozen: output.tangent_diff -> input's */

/* Smallest distance of any ReLU6 unit from its kinks at 0 and 6 after a forward; INFINITY without units.
 * Units exactly at a kink do not count: they are sums of clipped values, the same in any precision. */
double reference_kink_distance(const struct reference_net *net);

/* Softmax cross-entropy of (n, classes); label < 0 skips a row. */
void reference_ce_forward(const double *logits, const int32_t *labels, int n, int classes, double *prob,
                          double *loss);
void reference_ce_backward(const double *prob, const int32_t *labels, int n, int classes, double scale,
                           double *diff);
void reference_ce_tangent(const double *prob, const int32_t *labels, const double *tangent, int n,
                          int classes, double *loss_dot);
void reference_ce_tangent_backward(const double *prob, const int32_t *labels, const double *tangent, int n,
                                   int classes, double *diff_dot);

#endif
