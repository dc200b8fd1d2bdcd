/* Times joint training steps. See agilenn/bench.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/bench.h"
#include "train/joint.h"

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int by_share(const void *a, const void *b)
{
    return -ascending(&((const struct agn_bench_operator *)a)->share,
                      &((const struct agn_bench_operator *)b)->share);
}

int agn_bench_peak(enum agn_compute compute, double *gflops)
{
    enum { BATCH = 128, RUNS = 12 };
    struct agn_graph *graph = agn_alloc(1, sizeof(*graph));
    struct agn_params *params = NULL;
    struct agn_net *net = NULL;
    double best = 0.0;
    int status = graph == NULL ? AGN_ERR_MEMORY : agn_graph_init(graph, (struct agn_shape){14, 14, 512});
    if (status >= 0)
        status = agn_graph_conv(graph, 0, "peak", 512, 1, 1, false);
    if (status >= 0)
        status = agn_params_create(graph, 1, &params);
    struct agn_net_config config = {
        .graph = graph, .params = params, .batch = BATCH, .mode = AGN_NET_FROZEN, .compute = compute};
    if (status >= 0)
        status = agn_net_create(&config, &net);
    for (int i = 0; i < RUNS && status >= 0; i++) {
        double begin = agn_now_s();
        status = agn_net_forward(net);
        double rate = 2e-9 * BATCH * (double)agn_op_macs(graph, 1) / (agn_now_s() - begin);
        best = rate > best ? rate : best;
    }
    agn_net_free(net);
    agn_params_free(params);
    agn_free(graph);
    if (status >= 0)
        *gflops = best;
    return status < 0 ? status : AGN_OK;
}

/* Largest resident memory of this program, MiB. (getrusage counts that of the program that started this one,
 * too.) */
static double peak_memory(void)
{
    char line[256];
    double kib = 0.0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status != NULL && fgets(line, sizeof(line), status) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtod(line + 6, NULL);
    if (status != NULL)
        fclose(status);
    return kib / 1024.0;
}

static double graph_flop(const struct agn_graph *graph)
{
    double sum = 0.0;
    for (int i = 0; i < graph->count; i++)
        sum += 2.0 * (double)agn_op_macs(graph, i);
    return sum;
}

/* ---- time by operator ------------------------------------------------------------ */

static void add_operators(struct agn_bench_step *result, const char *network, const struct agn_graph *graph,
                          const struct agn_net *net)
{
    double seconds[AGN_OP_TYPES] = {0.0};
    for (int i = 0; i < graph->count; i++)
        seconds[graph->ops[i].type] += agn_net_seconds(net, i);
    for (int type = 0; type < AGN_OP_TYPES; type++) {
        if (seconds[type] > 0.0 && result->operator_count < AGN_BENCH_MAX_OPERATORS) {
            result->operators[result->operator_count++] =
                (struct agn_bench_operator){network, agn_op_type_name((enum agn_op_type)type), seconds[type]};
        }
    }
}

static int start_profiles(struct agn__joint *j)
{
    int status = agn_net_profile(j->extractor);
    if (status == AGN_OK)
        status = agn_net_profile(j->local);
    if (status == AGN_OK)
        status = agn_net_profile(j->remote);
    return status == AGN_OK ? agn_net_profile(agn_xai_net(j->xai)) : status;
}

static void collect_operators(struct agn__joint *j, struct agn_bench_step *result)
{
    const struct agn_model *m = j->model;
    double sum = 0.0;
    add_operators(result, "extractor", &m->parts[AGN_EXTRACTOR].graph, j->extractor);
    add_operators(result, "local", &m->parts[AGN_LOCAL].graph, j->local);
    add_operators(result, "remote", &m->parts[AGN_REMOTE].graph, j->remote);
    add_operators(result, "reference", &m->parts[AGN_REFERENCE].graph, agn_xai_net(j->xai));
    for (int i = 0; i < result->operator_count; i++)
        sum += result->operators[i].share;
    for (int i = 0; i < result->operator_count; i++)
        result->operators[i].share /= sum;
    qsort(result->operators, (size_t)result->operator_count, sizeof(result->operators[0]), by_share);
}

/* ---- steps ---------------------------------------------------------------------------- */

/* Steps that are not counted: in the third, half of the threads may be tried (agn__run_step). */
enum { WARM_UP = 3 };

struct made_batch {
    float *images;
    int32_t *labels, *indices;
};

/* A batch of noise whose mean depends on the class. */
static int make_batch(const struct agn_model *model, struct made_batch *made)
{
    struct agn_shape in = agn_graph_input_shape(&model->parts[AGN_EXTRACTOR].graph);
    size_t image = (size_t)in.height * (size_t)in.width * (size_t)in.channels;
    int n = model->preset.train.batch; /* of all processes: mixup mixes across them */
    struct agn_rng rng;
    made->images = agn_alloc((size_t)n * image, sizeof(float));
    made->labels = agn_alloc((size_t)n, sizeof(int32_t));
    made->indices = agn_alloc((size_t)n, sizeof(int32_t));
    if (made->images == NULL || made->labels == NULL || made->indices == NULL)
        return AGN_ERR_MEMORY;
    agn_rng_seed(&rng, 1);
    for (int i = 0; i < n; i++) {
        made->labels[i] = i % model->classes;
        made->indices[i] = i;
        for (size_t e = 0; e < image; e++)
            made->images[(size_t)i * image + e] = (float)agn_rng_normal(&rng) + 0.1F * (float)made->labels[i];
    }
    return AGN_OK;
}

/* Figures of the timed steps, one array each. */
enum figure { RATE, SUMS_SECONDS, HIDDEN_SECONDS, OTHER_SECONDS, FIGURES };

/* One step, timed. */
static int time_step(struct agn__joint *j, const struct agn_batch *batch, double figures[FIGURES],
                     struct agn_group_times *sums)
{
    struct agn__tally tally = {0};
    struct agn_group_times before, after;
    agn_group_times(j->group, &before);
    double begin = agn_now_s();
    int status = agn_interrupt_requested()
                     ? agn_fail(AGN_ERR_INTERRUPTED, "the benchmark was interrupted")
                     : agn__run_step(j->trainer, agn__joint_step, j, batch, 1e-3, &tally);
    figures[RATE] = (double)j->whole / (agn_now_s() - begin);
    agn_group_times(j->group, &after);
    figures[SUMS_SECONDS] = after.sums_seconds - before.sums_seconds;
    figures[HIDDEN_SECONDS] = after.hidden_seconds - before.hidden_seconds;
    figures[OTHER_SECONDS] = after.other_seconds - before.other_seconds;
    *sums = (struct agn_group_times){.megabytes = after.megabytes - before.megabytes,
                                     .sums = after.sums - before.sums,
                                     .others = after.others - before.others};
    j->trainer->state.step++;
    return status;
}

static int time_steps(struct agn__joint *j, const struct agn_batch *batch, struct agn_bench_step *result)
{
    size_t steps = (size_t)result->steps;
    double *table = agn_alloc(FIGURES * steps, sizeof(double)), figures[FIGURES];
    int status = table == NULL ? AGN_ERR_MEMORY : AGN_OK;
    for (int i = 0; i < WARM_UP && status == AGN_OK; i++)
        status = time_step(j, batch, figures, &result->sums);
    if (status == AGN_OK)
        status = start_profiles(j);
    for (size_t i = 0; i < steps && status == AGN_OK; i++) {
        status = time_step(j, batch, figures, &result->sums);
        for (size_t f = 0; f < FIGURES; f++)
            table[f * steps + i] = figures[f];
    }
    for (size_t f = 0; f < FIGURES && status == AGN_OK; f++)
        qsort(table + f * steps, steps, sizeof(double), ascending);
    if (status == AGN_OK) {
        result->images_per_s_min = table[0];
        result->images_per_s_median = table[steps / 2];
        result->images_per_s_max = table[steps - 1];
        result->sums.sums_seconds = table[SUMS_SECONDS * steps + steps / 2];
        result->sums.hidden_seconds = table[HIDDEN_SECONDS * steps + steps / 2];
        result->sums.other_seconds = table[OTHER_SECONDS * steps + steps / 2];
    }
    agn_free(table);
    return status;
}

static void summarise(struct agn__joint *j, struct agn_bench_step *result)
{
    const struct agn_model *m = j->model;
    double trained = graph_flop(&m->parts[AGN_EXTRACTOR].graph) + graph_flop(&m->parts[AGN_LOCAL].graph) +
                     graph_flop(&m->parts[AGN_REMOTE].graph);
    result->step_flop = 4.0 * graph_flop(&m->parts[AGN_REFERENCE].graph) + 3.0 * trained;
    result->gflops = 1e-9 * result->step_flop * result->images_per_s_median;
    result->peak_share = result->gflops / result->peak_gflops;
    result->peak_mib = peak_memory();
    collect_operators(j, result);
}

/* This process's images of the batch. */
static struct agn_batch own_part(const struct agn_model *model, const struct made_batch *made,
                                 const struct agn_group *group)
{
    struct agn_shape in = agn_graph_input_shape(&model->parts[AGN_EXTRACTOR].graph);
    size_t image = (size_t)in.height * (size_t)in.width * (size_t)in.channels;
    int count = model->preset.train.batch / agn_group_size(group);
    size_t first = (size_t)count * (size_t)agn_group_rank(group);
    return (struct agn_batch){.images = made->images + first * image,
                              .labels = made->labels + first,
                              .indices = made->indices + first,
                              .count = count,
                              .whole_images = made->images,
                              .whole_labels = made->labels};
}

static int run_steps(struct agn__trainer *trainer, struct agn_bench_step *result)
{
    const struct agn_train_config *config = trainer->config;
    struct agn__joint j = {0};
    struct made_batch made = {0};
    int status = agn_model_create(&config->preset, NULL, &trainer->model);
    if (status == AGN_OK)
        status = agn_model_need(trainer->model, AGN_REFERENCE);
    if (status == AGN_OK)
        status = make_batch(trainer->model, &made);
    if (status == AGN_OK)
        status = agn__joint_open(trainer, &j);
    if (status == AGN_OK) {
        struct agn_batch images = own_part(trainer->model, &made, config->group);
        status = time_steps(&j, &images, result);
    }
    if (status == AGN_OK)
        summarise(&j, result);
    agn__joint_close(&j);
    agn_free(made.images);
    agn_free(made.labels);
    agn_free(made.indices);
    return status;
}

int agn_bench_joint_step(const struct agn_preset *preset, int batch, int steps, struct agn_group *group,
                         struct agn_bench_step *out)
{
    struct agn_bench_step result = {
        .steps = steps, .threads = agn_nn_threads(), .ranks = agn_group_size(group)};
    struct agn_train_config config = {.preset = *preset, .group = group};
    struct agn__trainer trainer = {.config = &config, .state = {.phase = AGN_PHASE_JOINT}};
    if (steps < 1 || batch < 0)
        return agn_fail(AGN_ERR_RANGE, "a benchmark needs at least one step");
    config.preset.joint.correct_only = 0;
    config.preset.train.batch = batch > 0 ? batch : preset->train.batch;
    result.batch = config.preset.train.batch;
    int status = agn_group_agree(group, agn__check_parts(&config));
    if (status == AGN_OK)
        status = agn_bench_peak((enum agn_compute)config.preset.train.compute, &result.peak_gflops);
    if (status == AGN_OK)
        status = agn_group_sum(group, &result.peak_gflops, 1);
    if (status == AGN_OK)
        status = run_steps(&trainer, &result);
    if (status == AGN_OK)
        *out = result;
    agn__beside_free(&trainer.beside);
    agn_model_free(trainer.model);
    return status;
}
