/* `agilenn bench`: train-step here, the others in files of their own. Measuring is src/train's work. */
#include <string.h>

#include "agilenn/bench.h"
#include "cli/bench.h"
#include "cli/beside.h"
#include "cli/preset_options.h"
#include "cli/together.h"

struct bench_options {
    const char *preset;
    int batch, steps, threads, beside;
    bool json;
    struct agn_cli_list what, set;
};

static int parse(struct bench_options *o, int argc, char **argv)
{
    const struct agn_cli_option options[] = {
        agn__cli_text("preset", "NAME", &o->preset, AGN_CLI_HELP_PRESET),
        agn__cli_list("set", "SECTION.KEY=VALUE", &o->set, AGN_CLI_HELP_SET),
        agn__cli_whole("batch", "B", &o->batch, 0, 4096,
                       "images a step, in all processes together; 0 = the preset's"),
        agn__cli_whole("steps", "N", &o->steps, 1, 100000, "timed steps, after three not counted"),
        agn__cli_whole("threads", "N", &o->threads, 0, 1024, AGN_CLI_HELP_THREADS),
        AGN_CLI_BESIDE(&o->beside),
        agn__cli_flag("json", &o->json, "print one JSON object")};
    const struct agn_cli_command command = {
        .name = "bench",
        .usage = "train-step | forward | codec MODEL [options]",
        .description =
            "train-step: times joint training steps (extractor, Local NN, Remote NN, integrated gradients "
            "through the reference with their exact gradient) on made-up images, beside the engine's own "
            "matrix product in the same run, with the time by operator. No data set is needed. Under mpirun, "
            "all processes train together, and what their sums cost is shown. `agilenn bench forward --help` "
            "and `agilenn bench codec --help` tell of the others.",
        .example = "  agilenn bench train-step --preset fashion\n"
                   "  agilenn bench train-step --preset cifar10 --batch 32 --json",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .operands = &o->what,
        .min_operands = 1,
        .max_operands = 1,
        .operand_name = "what to measure (train-step, forward or codec MODEL)"};
    return agn__cli_parse(&command, argc, argv);
}

static int print_json(const struct bench_options *o, const struct agn_bench_step *r)
{
    json_t *operators = json_array();
    for (int i = 0; i < r->operator_count; i++) {
        json_array_append_new(operators,
                              json_pack("{s:s, s:s, s:f}", "network", r->operators[i].network, "operator",
                                        r->operators[i].type, "share", r->operators[i].share));
    }
    json_t *sums = json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "allreduce_ms", 1e3 * r->sums.sums_seconds,
                             "allreduce_hidden_ms", 1e3 * r->sums.hidden_seconds, "allreduce_mb",
                             r->sums.megabytes, "allreduces", (double)r->sums.sums, "synchronisation_ms",
                             1e3 * r->sums.other_seconds, "synchronisations", (double)r->sums.others);
    json_t *object = json_pack(
        "{s:o, s:i, s:i, s:i, s:i, s:i, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "preset",
        agn__cli_json_string(o->preset), "batch", r->batch, "processes", r->ranks, "threads", r->threads,
        "beside", o->beside, "steps", r->steps, "sums_per_step", sums, "images_per_s", r->images_per_s_median,
        "images_per_s_min", r->images_per_s_min, "images_per_s_max", r->images_per_s_max, "mflop_per_image",
        r->step_flop / 1e6, "gflops", r->gflops, "matmul_peak_gflops", r->peak_gflops, "peak_share",
        r->peak_share, "peak_mib", r->peak_mib, "operators", operators);
    return agn__cli_print_json("bench", object);
}

static int print_text(const struct bench_options *o, const struct agn_bench_step *r)
{
    printf("joint training step, preset %s, batch %d, %d threads, %d steps\n\n", o->preset, r->batch,
           r->threads, r->steps);
    printf("images/s        %.1f (min %.1f, max %.1f)\n", r->images_per_s_median, r->images_per_s_min,
           r->images_per_s_max);
    printf("speed           %.1f GFLOP/s, %.0f %% of the matrix product's %.1f in this run\n", r->gflops,
           100.0 * r->peak_share, r->peak_gflops);
    printf("work            %.1f MFLOP an image\n", r->step_flop / 1e6);
    if (r->ranks > 1) {
        printf("processes       %d; a step sums %.2f MB of gradients in %.1f ms (%.0f MB/s), %.0f %% of it "
               "while computing\n",
               r->ranks, r->sums.megabytes, 1e3 * r->sums.sums_seconds,
               r->sums.megabytes / (r->sums.sums_seconds + 1e-9),
               100.0 * r->sums.hidden_seconds / (r->sums.sums_seconds + 1e-9));
        printf("                and takes %.1f ms for %.0f other sums, waiting for each other included\n",
               1e3 * r->sums.other_seconds, (double)r->sums.others);
    }
    printf("peak memory     %.0f MiB\n\n%-12s %-12s share of the operators' time\n", r->peak_mib, "network",
           "operator");
    for (int i = 0; i < r->operator_count; i++) {
        printf("%-12s %-12s %5.1f %%\n", r->operators[i].network, r->operators[i].type,
               100.0 * r->operators[i].share);
    }
    return AGN_CLI_SUCCESS;
}

int agn__cmd_bench(int argc, char **argv)
{
    struct bench_options o = {.preset = "fashion", .steps = 10};
    struct agn_group *group = NULL;
    struct agn_preset preset;
    struct agn_bench_step result = {0};
    if (argc > 1 && strcmp(argv[1], "codec") == 0)
        return agn__cmd_bench_codec(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "forward") == 0)
        return agn__cmd_bench_forward(argc - 1, argv + 1);
    int code = parse(&o, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    if (strcmp(o.what.items[0], "train-step") != 0) {
        return agn__cli_usage_error("bench", "there is no benchmark '%s': train-step, forward or codec",
                                    o.what.items[0]);
    }
    agn__cli_set_threads(o.threads);
    int status = agn_group_open(&group);
    if (status >= 0)
        status = agn_group_agree(group, agn__cli_load_preset(o.preset, &o.set, &preset));
    struct agn__beside beside = {.count = 0};
    if (status >= 0)
        status = agn__beside_start(&beside, o.beside);
    if (status >= 0)
        status = agn_bench_joint_step(&preset, o.batch, o.steps, group, &result);
    agn__beside_stop(&beside);
    bool first = agn_group_rank(group) == 0;
    code = agn__cli_leave_group("bench", group, status);
    if (code != AGN_CLI_SUCCESS || !first)
        return code;
    return o.json ? print_json(&o, &result) : print_text(&o, &result);
}
