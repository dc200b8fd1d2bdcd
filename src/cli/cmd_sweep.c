/* `agilenn sweep`: the runs of a plan, one after the other or some at once. The work is src/sweep's; what is
 * done with its results is sweep_report.c's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agilenn/distributed.h"
#include "agilenn/sweep.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/preset_options.h"
#include "cli/sweep_report.h"

struct job {
    struct agn_cli_list plan_path;
    const char *out, *shard, *only;
    int jobs, threads, limit;
    bool retry, keep, dry_run, json;

    struct agn_sweep_plan *plan;
    char path[1024]; /* of the results */
    int shard_index, shards;
};

/* ---- what is to be done ---------------------------------------------------------------------- */

/* I/N, from 1 to N; mpirun's processes are shards. */
static int read_shard(struct job *job)
{
    char *end;
    if (job->shard == NULL) {
        job->shards = agn_launch_size() > 1 ? agn_launch_size() : 0;
        job->shard_index = agn_launch_rank();
        return AGN_OK;
    }
    long index = strtol(job->shard, &end, 10), count = 0;
    bool good = end != job->shard && *end == '/';
    if (good) {
        const char *from = end + 1;
        count = strtol(from, &end, 10);
        good = end != from && *end == '\0';
    }
    if (!good || index < 1 || count < 1 || index > count || count > AGN_SWEEP_MOST_RUNS)
        return agn_fail(AGN_ERR_ARG, "--shard %s: expected I/N with I from 1 to N, as 2/8", job->shard);
    job->shard_index = (int)index - 1;
    job->shards = (int)count;
    return AGN_OK;
}

/* out/NAME.sqlite; of a shard without a name of its own, NAME-IofN. */
static int name_output(struct job *job)
{
    char shard[32] = "", base[1024];
    bool ours = job->out == NULL, launched = job->shard == NULL && job->shards > 0;
    if (job->shards > 0 && (ours || launched))
        snprintf(shard, sizeof shard, "-%dof%d", job->shard_index + 1, job->shards);
    if (ours)
        snprintf(base, sizeof base, "out/%s.sqlite", agn_sweep_plan_name(job->plan));
    else
        snprintf(base, sizeof base, "%s", job->out);
    size_t stem = strlen(base);
    const char *ending = "";
    if (stem > 7 && strcmp(base + stem - 7, ".sqlite") == 0) {
        stem -= 7;
        ending = ".sqlite";
    }
    int length = snprintf(job->path, sizeof job->path, "%.*s%s%s", (int)stem, base, shard, ending);
    if (stem == 0 || length < 0 || length > 900 || (!ours && strlen(job->out) >= sizeof base))
        return agn_fail(AGN_ERR_ARG, "--out: a path has 1 to about 900 bytes");
    return AGN_OK;
}

/* ---- what there is to do: --dry-run ------------------------------------------------------------- */

static json_t *json_of_task(const struct agn_sweep_task *task)
{
    return json_pack("{s:i, s:s, s:o, s:o, s:o, s:i}", "place", task->place, "id", task->id, "preset",
                     agn__cli_json_string(task->preset_name), "dataset", agn__cli_json_string(task->dataset),
                     "design", agn__cli_json_string(task->design), "seed", task->preset.train.seed);
}

static int list_runs(const struct job *job)
{
    json_t *list = json_array();
    struct agn_sweep_task *task = agn_alloc(1, sizeof *task);
    int status = task == NULL || list == NULL ? AGN_ERR_MEMORY : AGN_OK, runs = 0;
    for (int i = 0; i < agn_sweep_plan_count(job->plan) && status == AGN_OK; i++) {
        if (job->shards > 0 && i % job->shards != job->shard_index)
            continue;
        status = agn_sweep_plan_task(job->plan, i, task);
        if (status < 0 || (job->only != NULL && strcmp(job->only, task->id) != 0))
            continue;
        runs++;
        if (job->json)
            json_array_append_new(list, json_of_task(task));
        else
            printf("%6d %s %s %s seed %d\n", task->place, task->id, task->preset_name, task->design,
                   task->preset.train.seed);
    }
    agn_free(task);
    if (status < 0) {
        json_decref(list);
        return agn__cli_fail("sweep", status);
    }
    if (job->json)
        return agn__cli_print_json(
            "sweep",
            json_pack("{s:s, s:i, s:o}", "plan", agn_sweep_plan_name(job->plan), "runs", runs, "list", list));
    json_decref(list);
    printf("%d runs\n", runs);
    return AGN_CLI_SUCCESS;
}

/* ---- telling ---------------------------------------------------------------------------------------- */

static void print_time(FILE *stream, double seconds)
{
    if (seconds < 100.0)
        fprintf(stream, "%.0f s", seconds);
    else if (seconds < 6000.0)
        fprintf(stream, "%.0f min", seconds / 60.0);
    else
        fprintf(stream, "%.1f h", seconds / 3600.0);
}

static void tell_run(void *user, const struct agn_sweep_row *row, const struct agn_sweep_report *r,
                     double eta_s)
{
    const struct job *job = user;
    FILE *text = agn__cli_text_stream(job->json);
    int over = r->before + r->copied + r->done + r->failed + r->diverged;
    if (isatty(STDERR_FILENO))
        fputc('\n', stderr); /* ends the line that rewrites itself */
    fprintf(text, "[%d/%d] %s %s %s%sseed %d: ", over, r->runs, row->id, row->preset, row->design,
            row->design[0] != '\0' ? " " : "", row->seed);
    if (strcmp(row->state, "done") == 0)
        fprintf(text, "accuracy %.2f %%, %.1f bytes a frame, ", 100.0 * row->accuracy, row->bytes_mean);
    else
        fprintf(text, "%s: %s, ", row->state, row->reason);
    print_time(text, row->seconds);
    if (isfinite(eta_s) && over < r->runs) {
        fprintf(text, "; %d left, about ", r->runs - over);
        print_time(text, eta_s);
    }
    fputc('\n', text);
    fflush(text);
}

static int print_report(const struct job *job, const struct agn_sweep_report *r)
{
    struct agn_figures f = {.count = 0};
    agn_figures_add_text(&f, "plan", agn_sweep_plan_name(job->plan), "what was asked for");
    agn_figures_add_text(&f, "file", job->path, "the results");
    agn_figures_add_whole(&f, "runs", r->runs, "of the plan, or of this shard");
    agn_figures_add_whole(&f, "before", r->before, "had ended before");
    agn_figures_add_whole(&f, "copied", r->copied, "taken from other plans of the file");
    agn_figures_add_whole(&f, "done", r->done, "trained and measured now");
    agn_figures_add_whole(&f, "diverged", r->diverged, "whose training left the finite numbers");
    agn_figures_add_whole(&f, "failed", r->failed, "for another reason");
    agn_figures_add_whole(&f, "left", r->left, "not begun yet, or interrupted");
    agn_figures_add_real(&f, "seconds", r->seconds, "s", "of this part of the sweep");
    if (job->json)
        return agn__cli_print_json("sweep", agn_figures_json(&f));
    agn_figures_print(&f, stdout);
    return AGN_CLI_SUCCESS;
}

static int sweep(struct job *job)
{
    struct agn_sweep_report report;
    const struct agn_sweep_config config = {.plan = job->plan,
                                            .plan_path = job->plan_path.items[0],
                                            .out = job->path,
                                            .jobs = job->jobs,
                                            .threads = job->threads,
                                            .shard = job->shard_index,
                                            .shards = job->shards,
                                            .only = job->only,
                                            .limit = job->limit,
                                            .retry = job->retry,
                                            .keep = job->keep,
                                            .progress = isatty(STDERR_FILENO) ? agn_progress_print : NULL,
                                            .ended = tell_run,
                                            .ended_user = job};
    int status = job->out == NULL ? agn_make_dirs("out") : AGN_OK;
    if (status >= 0)
        status = agn_sweep_run(&config, &report);
    if (status < 0)
        return agn__cli_fail("sweep", status);
    int code = print_report(job, &report);
    return report.failed > 0 ? AGN_CLI_FAILURE : code;
}

/* ---- the command ------------------------------------------------------------------------------------- */

static const char description[] = "Trains and measures all runs of a plan: presets, seeds and settings that "
                                  "are varied (docs/SWEEP.md). Each run is "
                                  "trained, quantised and measured end to end, by the device library in int8 "
                                  "over a socket with the real server, and "
                                  "becomes a row of an SQLite file.\n"
                                  "A run is a process of its own: one that diverges, crashes or runs out of "
                                  "memory is recorded, and the others go on. "
                                  "Ctrl-C saves what is under way; the same command goes on, after a kill, "
                                  "too. The exit code is 1 when a run "
                                  "failed.\n"
                                  "With --shard, or under mpirun, several machines share a plan, each with a "
                                  "file of its own; `agilenn sweep merge` "
                                  "joins them. `agilenn sweep show`, `csv` and `plot` tell of the results.";
static const char example[] =
    "  agilenn sweep bench/plans/example.ini --dry-run\n"
    "  agilenn sweep bench/plans/example.ini --out out/example.sqlite --jobs 2\n"
    "  agilenn sweep bench/plans/example.ini --shard 2/8 --out out/example-2.sqlite\n"
    "  agilenn sweep merge out/all.sqlite out/example-*.sqlite\n"
    "  agilenn sweep show out/all.sqlite";

static int parse(struct job *job, int argc, char **argv)
{
    const struct agn_cli_option options[] = {
        agn__cli_text(
            "out", "FILE", &job->out,
            "the results, an SQLite file; out/PLAN.sqlite if not given, out/PLAN-IofN.sqlite of a shard"),
        agn__cli_whole("jobs", "N", &job->jobs, 1, 256, "runs at once"),
        agn__cli_text("shard", "I/N", &job->shard,
                      "only the I-th of N shares of the runs, for N machines with a file each"),
        agn__cli_whole("threads", "N", &job->threads, 0, 1024, "threads of each run; 0 = cores / jobs"),
        agn__cli_text("only", "ID", &job->only, "only the run of this id, even if it is done already"),
        agn__cli_whole("limit", "N", &job->limit, 0, AGN_SWEEP_MOST_RUNS,
                       "begin no more than so many runs; 0 = all"),
        agn__cli_flag("retry", &job->retry, "runs that failed or diverged again"),
        agn__cli_flag(
            "keep", &job->keep,
            "keep the folder of each run, FILE.d/ID, with model.safetensors, model.agn and metrics.jsonl"),
        agn__cli_flag("dry-run", &job->dry_run, "check the plan and list its runs"),
        agn__cli_flag("json", &job->json,
                      "print what was done, or with --dry-run is to be done, as one JSON object"),
    };
    const struct agn_cli_command command = {.name = "sweep",
                                            .usage = "PLAN.ini [options]",
                                            .description = description,
                                            .example = example,
                                            .options = options,
                                            .option_count = AGN_COUNT_OF(options),
                                            .operands = &job->plan_path,
                                            .min_operands = 1,
                                            .max_operands = 1,
                                            .operand_name = "PLAN.ini"};
    return agn__cli_parse(&command, argc, argv);
}

int agn__cmd_sweep(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } parts[] = {{"show", agn__sweep_show},
                 {"csv", agn__sweep_csv},
                 {"plot", agn__sweep_plot},
                 {"merge", agn__sweep_merge}};
    struct job job = {.jobs = 1};
    for (size_t i = 0; i < AGN_COUNT_OF(parts) && argc > 1; i++)
        if (strcmp(argv[1], parts[i].name) == 0)
            return parts[i].run(argc - 1, argv + 1);
    int code = parse(&job, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    if (job.only != NULL && (job.shard != NULL || job.retry))
        return agn__cli_usage_error("sweep", "--only excludes --shard and --retry");
    int status = agn_sweep_plan_load(job.plan_path.items[0], &job.plan);
    if (status >= 0)
        status = read_shard(&job);
    if (status >= 0)
        status = name_output(&job);
    code = status < 0 ? agn__cli_fail("sweep", status) : job.dry_run ? list_runs(&job) : sweep(&job);
    agn_sweep_plan_free(job.plan);
    return code;
}
