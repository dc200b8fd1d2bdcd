/* Speed of training, measured on made-up images. */
#ifndef AGILENN_BENCH_H
#define AGILENN_BENCH_H

#include "agilenn/distributed.h"
#include "agilenn/inference.h"
#include "agilenn/nn.h"
#include "agilenn/preset.h"

struct agn_bench_operator {
    const char *network, *type; /* "reference", "conv" */
    double share;               /* of the time in all timed operators */
};

enum { AGN_BENCH_MAX_OPERATORS = 64 };

struct agn_bench_step {
    int batch, steps, threads;   /* threads: of one process */
    int ranks;                   /* processes */
    struct agn_group_times sums; /* of a step; each figure the median over the timed ones */
    double images_per_s_min, images_per_s_median, images_per_s_max; /* over single steps */
    double step_flop; /* floating-point operations of a joint step for one image: four passes of
                         the reference, three of each trained network, 2 a multiply-accumulate */
    double gflops, peak_gflops,
        peak_share;  /* median step; engine's matrix product in this run, in train.compute; their ratio */
    double peak_mib; /* largest resident memory of the process so far, Linux only (0 elsewhere) */
    struct agn_bench_operator operators[AGN_BENCH_MAX_OPERATORS]; /* by falling share */
    int operator_count;
};

/* Best GFLOP/s of the engine's matrix product in these numbers: a 1x1 convolution 512 -> 512 over 128 maps of
 * 14x14. AGN_ERR_UNSUPPORTED where the CPU does not have them. */
int agn_bench_peak(enum agn_compute compute, double *gflops);

/* Times joint training steps, in all processes of `group` (or NULL) together, of a preset's networks at their
 * initial weights, after one step not counted. `batch` 0 = the preset's. No data set is needed: data.path and
 * limits are ignored. Every sample counts for the importance losses, so that the step does all of its work.
 */
int agn_bench_joint_step(const struct agn_preset *preset, int batch, int steps, struct agn_group *group,
                         struct agn_bench_step *result);

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
