/* `agilenn report`: a page of results beside the paper's. The page is src/report's; --quick has `agilenn
 * sweep` make results first. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agilenn/base.h"
#include "agilenn/report.h"
#include "cli/child.h"
#include "cli/cli.h"
#include "cli/options.h"

enum { PATH_BYTES = 1024 };

struct report_options {
    struct agn_cli_list results;
    const char *folder, *title, *board, *radio;
    bool quick, no_plots, json;
};

static const char description[] =
    "Makes DIR/report.html, one page without anything outside it, and DIR/report.md with its pictures, from "
    "the "
    "results files of `agilenn sweep`: what was run and what failed; each table and figure of the AgileNN "
    "paper with "
    "our runs beside it; each plan with its question, a table of its designs (mean and 95 % interval over "
    "seeds), a "
    "picture, its curves and the command that makes it; what is missing and what would make it; and what the "
    "runs "
    "say to somebody with a new application.\n"
    "Figures that were measured, modelled and taken from the paper have marks and colours of their own. "
    "Latency and "
    "energy are modelled from counted instructions, bytes and packets (docs/COST.md).\n"
    "The same files give the same bytes. --quick trains all systems briefly on Fashion-MNIST first, which "
    "takes "
    "minutes; given again it goes on where it was, or only makes the page.";
static const char example[] =
    "  agilenn report --quick --out out/report\n"
    "  agilenn report --results out/sweep.sqlite --results out/shift.sqlite\n"
    "  agilenn sweep bench/plans/quick.ini --out q.sqlite && agilenn report --results q.sqlite";

static int parse(struct report_options *o, int argc, char **argv)
{
    const struct agn_cli_option options[] = {
        agn__cli_list("results", "FILE.sqlite", &o->results, "results file of `agilenn sweep`"),
        agn__cli_text("out", "DIR", &o->folder, "folder of the page"),
        agn__cli_text("title", "TEXT", &o->title, "title of the page"),
        agn__cli_flag("quick", &o->quick, "make DIR/quick.sqlite first, by a short sweep over all systems"),
        agn__cli_text("board", "B", &o->board,
                      "profile of the board that latency and energy are modelled for"),
        agn__cli_text("radio", "R", &o->radio, "profile of the radio"),
        agn__cli_flag("no-plots", &o->no_plots, "tables only, so that gnuplot is not needed"),
        agn__cli_flag("json", &o->json, "print paths and counts as one JSON object")};
    const struct agn_cli_command command = {.name = "report",
                                            .usage = "--results FILE.sqlite|--quick [options]",
                                            .description = description,
                                            .example = example,
                                            .options = options,
                                            .option_count = AGN_COUNT_OF(options)};
    return agn__cli_parse(&command, argc, argv);
}

/* ---- the quick sweep ------------------------------------------------------------------------ */

/* Writes the plan unless it is there as it should be, so that a sweep that is resumed finds its own. */
static int put_plan(const char *path)
{
    const char *text;
    uint8_t *there = NULL;
    size_t there_bytes = 0;
    int size = agn_report_quick_plan(&text);
    if (size < 0)
        return size;
    bool same = agn_file_exists(path) &&
                agn_file_read(path, PATH_BYTES * PATH_BYTES, &there, &there_bytes) >= 0 &&
                there_bytes == (size_t)size && memcmp(there, text, there_bytes) == 0;
    agn_free(there);
    return same ? AGN_OK : agn_file_write(path, text, (size_t)size);
}

static int sweep(const struct report_options *o, const char *results)
{
    char program[PATH_BYTES], plan[PATH_BYTES + 16], file[PATH_BYTES + 16], word[] = "sweep", out[] = "--out";
    ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
    program[length > 0 ? length : 0] = '\0';
    snprintf(plan, sizeof plan, "%s/quick.ini", o->folder);
    snprintf(file, sizeof file, "%s", results);
    char *arguments[] = {program, word, plan, out, file, NULL};
    int status = put_plan(plan);
    if (status >= 0)
        status = agn__child_run(arguments);
    if (status == AGN_CLI_INTERRUPTED)
        return agn_fail(AGN_ERR_INTERRUPTED, "interrupted; the same command goes on with %s", results);
    return status > 0 ? agn_fail(AGN_ERR_STATE, "`agilenn sweep %s --out %s` ended with %d; it has said why",
                                 plan, results, status)
                      : status;
}

/* ---- the page ---------------------------------------------------------------------------------- */

static int tell(const struct report_options *o, const struct agn_report_summary *s)
{
    if (o->json)
        return agn__cli_print_json("report",
                                   json_pack("{s:o, s:i, s:i, s:i, s:i}", "folder",
                                             agn__cli_json_string(o->folder), "plans", s->plans, "runs",
                                             s->runs, "done", s->done, "pictures", s->pictures));
    printf("%s/report.html and report.md: %d plans, %d runs (%d done), %d pictures\n", o->folder, s->plans,
           s->runs, s->done, s->pictures);
    return AGN_CLI_SUCCESS;
}

int agn__cmd_report(int argc, char **argv)
{
    struct report_options o = {.folder = "out/report",
                               .title = "AgileNN: results beside the paper",
                               .board = "stm32f746",
                               .radio = "esp8266"};
    const char *files[AGN_CLI_MAX_LIST + 1];
    char quick[PATH_BYTES + 16];
    struct agn_report_summary summary;
    int code = parse(&o, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    if (o.results.count == 0 && !o.quick)
        return agn__cli_usage_error("report", "--results FILE.sqlite or --quick is missing");
    if (strlen(o.folder) >= PATH_BYTES)
        return agn__cli_usage_error("report", "--out is longer than %d bytes", PATH_BYTES - 1);
    struct agn_report_config config = {.results = files,
                                       .folder = o.folder,
                                       .title = o.title,
                                       .board = o.board,
                                       .radio = o.radio,
                                       .pictures = !o.no_plots};
    for (int i = 0; i < o.results.count; i++)
        files[config.result_count++] = o.results.items[i];
    int status = agn_make_dirs(o.folder);
    snprintf(quick, sizeof quick, "%s/quick.sqlite", o.folder);
    if (status >= 0 && o.quick) {
        files[config.result_count++] = quick;
        status = sweep(&o, quick);
    }
    if (status >= 0)
        status = agn_report_write(&config, &summary);
    return status < 0 ? agn__cli_fail("report", status) : tell(&o, &summary);
}
