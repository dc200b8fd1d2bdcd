/* Winograd's F(2x2, 3x3) beside oneDNN's direct convolutions: a lane of a training step (one thread, 16
 * images), forward and to the source, by turns in one run. Speeds count the direct one's operations.
 *
 * usage: agn_bench_convolution [RUNS]   (standard: 15) */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "agilenn/base.h"
#include "nn/net_internal.h"

enum { IMAGES = 16, MAX_RUNS = 1000, WAYS = 2 };

struct conv_case {
    int ic, oc, side;
};

struct way {
    struct agn__conv *conv;
    struct agn__conv_memory memory;
    double gflops[MAX_RUNS];
};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static float *random_floats(size_t count)
{
    struct agn_rng rng;
    float *values = agn_alloc(count, sizeof(float));
    agn_rng_seed(&rng, count);
    for (size_t i = 0; values != NULL && i < count; i++)
        values[i] = (float)agn_rng_normal(&rng);
    return values;
}

static int make(const struct conv_case *c, enum agn__conv_pass pass, bool direct, struct way *way)
{
    const struct agn__conv_config config = {.shape = {.batch = IMAGES,
                                                      .ic = c->ic,
                                                      .ih = c->side,
                                                      .iw = c->side,
                                                      .oc = c->oc,
                                                      .oh = c->side,
                                                      .ow = c->side,
                                                      .kernel_h = 3,
                                                      .kernel_w = 3,
                                                      .stride = 1,
                                                      .pad_h = 1,
                                                      .pad_w = 1},
                                            .pass = pass,
                                            .lanes = 1,
                                            .direct = direct};
    size_t places = (size_t)IMAGES * (size_t)c->side * (size_t)c->side;
    int status = agn__conv_create(&config, &way->conv);
    float *plain = random_floats((size_t)c->ic * (size_t)c->oc * 9);
    if (status == AGN_OK) {
        way->memory = (struct agn__conv_memory){.src = random_floats(places * (size_t)c->ic),
                                                .dst = random_floats(places * (size_t)c->oc),
                                                .weights = agn_alloc(agn__conv_weights_bytes(way->conv), 1),
                                                .scratch = agn_alloc(agn__conv_scratch_bytes(way->conv), 1)};
        bool complete = plain != NULL && way->memory.src != NULL && way->memory.dst != NULL &&
                        way->memory.weights != NULL && way->memory.scratch != NULL;
        status = complete ? agn__conv_bind(way->conv, &way->memory) : AGN_ERR_MEMORY;
    }
    if (status == AGN_OK)
        status = agn__conv_load_weights(way->conv, plain);
    agn_free(plain);
    return status == AGN_OK ? agn__conv_run(way->conv) : status; /* warm */
}

static void release(struct way *way)
{
    agn__conv_free(way->conv);
    agn_free(way->memory.src);
    agn_free(way->memory.dst);
    agn_free(way->memory.weights);
    agn_free(way->memory.scratch);
    *way = (struct way){0};
}

static int compare(const struct conv_case *c, enum agn__conv_pass pass, int runs)
{
    static struct way ways[WAYS]; /* direct, as the engine chooses */
    double gflop = 2e-9 * 9 * IMAGES * c->ic * c->oc * c->side * c->side;
    int status = AGN_OK;
    for (int w = 0; w < WAYS && status == AGN_OK; w++)
        status = make(c, pass, w == 0, &ways[w]);
    for (int r = 0; r < runs && status == AGN_OK; r++) {
        for (int w = 0; w < WAYS && status == AGN_OK; w++) {
            double begin = agn_now_s();
            status = agn__conv_run(ways[w].conv);
            ways[w].gflops[r] = gflop / (agn_now_s() - begin);
        }
    }
    for (int w = 0; w < WAYS; w++)
        qsort(ways[w].gflops, (size_t)runs, sizeof(double), ascending);
    if (status == AGN_OK)
        printf("%3d to %3d, %2dx%-2d %-8s  direct %5.1f / %5.1f / %5.1f   engine %5.1f / %5.1f / %5.1f   x "
               "%.2f\n",
               c->ic, c->oc, c->side, c->side, pass == AGN__CONV_FORWARD ? "forward" : "backward",
               ways[0].gflops[0], ways[0].gflops[runs / 2], ways[0].gflops[runs - 1], ways[1].gflops[0],
               ways[1].gflops[runs / 2], ways[1].gflops[runs - 1],
               ways[1].gflops[runs / 2] / ways[0].gflops[runs / 2]);
    for (int w = 0; w < WAYS; w++)
        release(&ways[w]);
    return status;
}

int main(int argc, char **argv)
{
    static const struct conv_case cases[] = {{32, 32, 16}, {48, 192, 16}, {64, 64, 16},
                                             {64, 256, 8}, {128, 128, 8}, {256, 256, 4}};
    int runs = argc > 1 ? atoi(argv[1]) : 15, status = AGN_OK;
    if (argc > 2 || runs < 1 || runs > MAX_RUNS) {
        fprintf(stderr, "usage: agn_bench_convolution [RUNS]   (1 to %d)\n", MAX_RUNS);
        return 2;
    }
    omp_set_num_threads(1);
    printf("3x3 convolutions, %d images, one thread, %s\n"
           "GFLOP/s, min / median / max of %d; \"engine\" is Winograd where that suits\n\n",
           IMAGES, agn_nn_machine(), runs);
    for (size_t i = 0; i < AGN_COUNT_OF(cases) && status == AGN_OK; i++) {
        status = compare(&cases[i], AGN__CONV_FORWARD, runs);
        if (status == AGN_OK)
            status = compare(&cases[i], AGN__CONV_BACKWARD_DATA, runs);
    }
    if (status < 0)
        fprintf(stderr, "agn_bench_convolution: %s\n", agn_error_message());
    return status < 0;
}
