/* Training speed of a preset on made-up images: matmul peak of the engine, then images/s of
 * pre-training and of joint training, min/median/max of several runs, and the share of the peak that
 * joint training reaches.
 *
 * usage: agn_bench_training [PRESET [RUNS]]   (standard: fashion-v1 5) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "agilenn/bench.h"
#include "agilenn/train.h"
#include "agn_build.h"

enum { IMAGES = 4096, MAX_RUNS = 50 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_spread(const char *what, const char *unit, double *values, int count)
{
    qsort(values, (size_t)count, sizeof(double), ascending);
    printf("%-28s %10.1f %10.1f %10.1f  %s (min/median/max of %d)\n", what, values[0], values[count / 2],
           values[count - 1], unit, count);
}

/* Images whose class shows in the mean of one quarter, over noise. */
static int make_images(const struct agn_preset *p, struct agn_dataset *data, char **names)
{
    size_t image = (size_t)p->data.height * (size_t)p->data.width * (size_t)p->data.channels;
    struct agn_rng rng;
    *data = (struct agn_dataset){.count = IMAGES,
                                 .height = p->data.height,
                                 .width = p->data.width,
                                 .channels = p->data.channels,
                                 .classes = p->data.classes,
                                 .class_names = names};
    data->pixels = agn_alloc(IMAGES, image);
    data->labels = agn_alloc(IMAGES, sizeof(uint16_t));
    if (data->pixels == NULL || data->labels == NULL)
        return AGN_ERR_MEMORY;
    agn_rng_seed(&rng, 1);
    for (int i = 0; i < IMAGES; i++) {
        data->labels[i] = (uint16_t)(i % p->data.classes);
        for (size_t e = 0; e < image; e++) {
            uint32_t noise = agn_rng_below(&rng, 128), level = (uint32_t)(i % p->data.classes) * 12;
            data->pixels[(size_t)i * image + e] = (uint8_t)(noise + (e < image / 4 ? level : 60));
        }
    }
    return AGN_OK;
}

static int64_t graph_macs(const struct agn_graph *graph)
{
    int64_t sum = 0;
    for (int i = 0; i < graph->count; i++)
        sum += agn_op_macs(graph, i);
    return sum;
}

/* Operations of a joint step for one image: four passes of the reference (forward, backward, tangent,
 * tangent-backward), three of each trained network (forward, gradient of source, gradient of weights). */
static double joint_flop(const struct agn_model *m)
{
    int64_t reference = graph_macs(&m->parts[AGN_REFERENCE].graph),
            trained = graph_macs(&m->parts[AGN_EXTRACTOR].graph) + graph_macs(&m->parts[AGN_LOCAL].graph) +
                      graph_macs(&m->parts[AGN_REMOTE].graph);
    return 2.0 * (4.0 * (double)reference + 3.0 * (double)trained);
}

static int measure(const struct agn_preset *preset, const struct agn_dataset *data, int runs, double peak)
{
    double joint[MAX_RUNS], all[MAX_RUNS], flop = 0.0;
    for (int r = 0; r < runs; r++) {
        struct agn_train_config config = {.preset = *preset, .train = data, .test = data};
        struct agn_train_report report;
        struct agn_model *model = NULL;
        int status = agn_train_run(&config, &model, &report);
        if (status < 0)
            return status;
        joint[r] = report.joint_images_per_s;
        all[r] = report.images_per_s;
        flop = joint_flop(model);
        agn_model_free(model);
    }
    print_spread("both phases", "images/s", all, runs);
    print_spread("joint training", "images/s", joint, runs);
    printf("%-28s %10.1f  MFLOP an image\n", "joint step", flop / 1e6);
    printf("%-28s %10.1f  GFLOP/s (median), %.0f %% of the matmul peak\n", "joint training",
           joint[runs / 2] * flop / 1e9, 100.0 * joint[runs / 2] * flop / 1e9 / peak);
    return AGN_OK;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "fashion-v1";
    int runs = argc > 2 ? atoi(argv[2]) : 5;
    static char *names[1000];
    struct agn_preset preset;
    struct agn_dataset data;
    struct rusage usage;
    double peak = 0.0;
    for (size_t i = 0; i < AGN_COUNT_OF(names); i++) {
        static char any[] = "class";
        names[i] = any;
    }
    runs = runs < 1 ? 1 : runs > MAX_RUNS ? MAX_RUNS : runs;
    int status = agn_preset_load(name, &preset);
    if (status == AGN_OK)
        status = make_images(&preset, &data, names);
    if (status == AGN_OK)
        status = agn_bench_peak(AGN_COMPUTE_F32, &peak);
    if (status >= 0) {
        preset.reference.epochs = preset.joint.epochs = 1.0;
        printf("training, preset %s, batch %d, %d threads, %s, gcc %s\n", preset.name, preset.train.batch,
               agn_nn_threads(), AGN_COMMIT, __VERSION__);
        printf("%-28s %10.1f  GFLOP/s (best of 12)\n", "matmul peak", peak);
        status = measure(&preset, &data, runs, peak);
    }
    if (status < 0) {
        fprintf(stderr, "agn_bench_training: %s\n", agn_error_message());
        return 1;
    }
    getrusage(RUSAGE_SELF, &usage);
    printf("%-28s %10.1f  MiB\n", "peak memory", (double)usage.ru_maxrss / 1024.0);
    agn_free(data.pixels);
    agn_free(data.labels);
    return 0;
}
