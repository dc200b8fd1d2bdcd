/* Compares the engine with the double-precision reference on any graph. Failures end the cmocka
 * test with a message that starts with `label`. */
#ifndef AGN_TEST_NET_CHECK_H
#define AGN_TEST_NET_CHECK_H

#include "agilenn/nn.h"

struct net_check {
    const char *label;
    const struct agn_graph *graph;
    int batch;
    uint64_t seed;
    double tolerance; /* of each tensor, relative to its largest magnitude */
    float stochastic_depth;
    enum agn_compute compute;
    bool bf16_data; /* inputs and parameters that bf16 represents exactly */
};

/* Random values for every parameter of a store: weights keep their initial values, BN and biases
 * get values that matter (some gammas negative). */
void net_check_randomise(struct agn_params *params, uint64_t seed);

/* Fills count floats with normal values, exactly representable in float. */
void net_check_fill(float *values, size_t count, uint64_t seed);

/* Values of one batch of the input, the output. */
size_t net_check_inputs(const struct agn_graph *graph, int batch);
size_t net_check_outputs(const struct agn_graph *graph, int batch);

/* A training net: value, gradient of the input and of every parameter, running statistics. Then
 * the same net on other data, bit for bit like a fresh net and like itself run again. */
void net_check_train(const struct net_check *check);

/* The same for a frozen net: value, input gradient, tangent, tangent-backward. */
void net_check_frozen(const struct net_check *check);

/* Both. */
void net_check_both(const struct net_check *check);

/* Largest |got - expected| relative to the largest |expected| (but at least `floor`) is at most tolerance. */
void net_check_close(const char *label, const char *what, const float *got, const double *expected,
                     size_t count, double floor, double tolerance);

/* Largest relative error that net_check_close has seen in this process. */
double net_check_worst(void);

#endif
