/* Speed of the Remote NN's forward pass, measured on made-up features. */
#ifndef AGILENN_BENCH_FORWARD_H
#define AGILENN_BENCH_FORWARD_H

#include "agilenn/inference.h"
#include "agilenn/preset.h"

struct agn_bench_forward_config {
    int batch, repeats, threads; /* threads 0 = agn_nn_threads() */
    bool int8;
    enum agn_inference_engine engine;
};

struct agn_bench_layer {
    char name[AGN_NAME_BYTES], code[32], rest[16]; /* as struct agn_inference_layer has them */
    double macs;
    bool gathered, int8, reference;
};

struct agn_bench_forward {
    int batch, repeats, threads;
    bool int8;                                                      /* asked for, and possible here */
    double images_per_s_min, images_per_s_median, images_per_s_max; /* over single calls */
    double flop, gflops;        /* of one image, 2 a multiply-accumulate; at the median */
    double int8_share;          /* of the multiply-accumulates */
    double images_per_s_mean;   /* of all calls together: what others on the cores cost shows here */
    double images_per_s_window; /* least over windows of 0.1 s of calls; the mean where all took less */
    double create_s, memory_mib;
    struct agn_bench_layer layers[AGN_MAX_OPS];
    int layer_count, reference_layers;
};

/* Times the forward pass of a preset's Remote NN as the server runs it, at its initial weights, after some
 * calls not counted. Without 8-bit code on this CPU it computes in floats, and the log has a line. */
int agn_bench_forward(const struct agn_preset *preset, const struct agn_bench_forward_config *config,
                      struct agn_bench_forward *result);

#endif
