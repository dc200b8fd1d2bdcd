/* Speed of training, measured on made-up images. */
#ifndef AGILENN_BENCH_H
#define AGILENN_BENCH_H

#include "agilenn/distributed.h"
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
 * limits are ignored. Every sample counts for the importance losses, so that the step does all its work. */
int agn_bench_joint_step(const struct agn_preset *preset, int batch, int steps, struct agn_group *group,
                         struct agn_bench_step *result);

#endif
