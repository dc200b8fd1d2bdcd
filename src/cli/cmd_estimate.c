/* `agilenn estimate`: what a frame costs on a board with a radio, before there is one. The cost model is
 * src/measure/cost.c's; the work estimate_system.c finds out; estimate_results.c takes
 * it from a sweep; estimate_report.c, estimate_together.c and estimate_map.c show it. */
#include <math.h>
#include <string.h>

#include "agilenn/plot.h"
#include "cli/estimate.h"
#include "cli/preset_options.h"

static void fill_options(struct agn__estimate_options *o, struct agn_cli_option *to)
{
    const struct agn_cli_option options[] = {
        agn__cli_text("board", "NAME", &o->board,
                      "profile of the processor's board: a name of --boards, or an .ini file"),
        agn__cli_text("radio", "NAME", &o->radio,
                      "profile of the radio: a name of --radios, or an .ini file"),
        agn__cli_real("clock", "MHZ", &o->clock_mhz, -1, 5000, "clock of the processor; -1 = the board's"),
        agn__cli_real("rate", "KBIT/S", &o->rate_kbps, -1, 1e8, "rate on the air; -1 = the radio's"),
        agn__cli_real(
            "bytes", "N", &o->bytes, -1, 1e8,
            "bytes of a frame's packets, as `agilenn run` has them in payload_bytes_mean; -1 = by the codec"),
        agn__cli_real("sent", "SHARE", &o->sent, -1, 1,
                      "share of the frames that are sent; -1 = all, if the model sends"),
        agn__cli_real("server-ms", "MS", &o->server_ms, 0, 1e6, "queue and Remote NN"),
        agn__cli_list(
            "run", "FILE", &o->runs,
            "bytes, packets, frames not sent, accuracy, and instructions if they were counted, from "
            "what `agilenn run --json` printed; one for each model, files before presets, - for "
            "none"),
        agn__cli_list("name", "NAME", &o->names,
                      "what a model is called in tables and pictures; one for each, likewise"),
        agn__cli_real("accuracy", "SHARE", &o->accuracy, -1, 1,
                      "who takes part: models that reach it in their --run; -1 = all"),
        agn__cli_text(
            "firmware", "DIR", &o->firmware,
            "the source tree's firmware folder: counts instructions under QEMU, instead of modelling them"),
        agn__cli_real("loss", "SHARE", &o->loss, 0, 0.99, "chance that a datagram is lost"),
        agn__cli_real("deadline", "MS", &o->deadline_ms, 0, 1e6,
                      "with --loss, after which the device answers alone"),
        agn__cli_list("preset", "NAME", &o->presets,
                      "a preset's networks with random weights, instead of a file"),
        agn__cli_list("set", "SECTION.KEY=VALUE", &o->assignments, "with --preset, " AGN_CLI_HELP_SET),
        agn__cli_text(
            "results", "FILE", &o->results,
            "designs of a results file of `agilenn sweep`, in place of models: what was measured of them, "
            "means over seeds"),
        agn__cli_text("plan", "NAME", &o->plan, "with --results, those of this plan alone"),
        agn__cli_flag("compare", &o->compare, "one table for all models, even if it is only one"),
        agn__cli_text(
            "plot", "FILE", &o->plot,
            "which model is best at which rate and clock, in latency and in energy: a PNG, or an SVG "
            "where FILE ends in .svg"),
        agn__cli_text("plot-csv", "FILE", &o->plot_csv,
                      "the same as CSV: rate, clock, measure, winner, its value, the second and its value"),
        agn__cli_text("rates", "LIST", &o->rates_text,
                      "kbit/s of --plot and --plot-csv: LOW:HIGH, or A,B,..."),
        agn__cli_text("clocks", "LIST", &o->clocks_text, "MHz likewise"),
        agn__cli_flag("any", &o->any, "show models that do not fit the board, too"),
        agn__cli_flag("boards", &o->boards,
                      "list the boards; with --json every input, its source and how sure it is"),
        agn__cli_flag("radios", &o->radios, "list the radios likewise"),
        agn__cli_text("csv", "FILE", &o->csv, "write the stages as CSV"),
        agn__cli_flag("json", &o->json, "print one JSON object"),
    };
    memcpy(to, options, sizeof options);
}

static int parse(struct agn__estimate_options *o, int argc, char **argv)
{
    enum { OPTIONS = 27 };
    struct agn_cli_option options[OPTIONS];
    fill_options(o, options);
    const struct agn_cli_command command = {
        .name = "estimate",
        .usage = "[options] MODEL... | --preset NAME | --results FILE",
        .description = "Latency and energy of a frame by stage, on a board with a radio. All of it is "
                       "modelled: instructions times "
                       "cycles, bytes over lines, time times current, each input with a low, a typical and a "
                       "high value from a "
                       "profile that says where it has it from. docs/COST.md has the model, its inputs and "
                       "how it compares with "
                       "what others measured. A MODEL is a model.agn, or a model.safetensors, which is "
                       "exported in memory.",
        .example = "  agilenn estimate out/fashion/model.agn --board stm32f746 --radio esp8266\n"
                   "  agilenn run out/fashion/model.agn --preset fashion --json >run.json\n"
                   "  agilenn estimate out/fashion/model.agn --run run.json --rate 270 --clock 64\n"
                   "  agilenn estimate --preset fashion --preset fashion-local --plot best.png\n"
                   "  agilenn estimate a.agn b.agn --run a.json --run b.json --accuracy 0.9 --plot best.svg\n"
                   "  agilenn estimate --results systems.sqlite --accuracy 0.9 --plot best.svg",
        .options = options,
        .option_count = OPTIONS,
        .operands = &o->models,
        .min_operands = 0,
        .max_operands = AGN__ESTIMATE_MOST,
        .operand_name = "MODEL"};
    return agn__cli_parse(&command, argc, argv);
}

/* Picture and table of which is best where. */
static int show_map(const struct agn__estimate_options *o, const struct agn__estimate *list, int count)
{
    if (o->plot == NULL && o->plot_csv == NULL)
        return AGN_OK;
    struct agn__estimate_map *map = agn_alloc(1, sizeof *map);
    int status = map == NULL ? AGN_ERR_MEMORY : agn__estimate_map_make(o, list, count, map);
    if (status >= 0 && o->plot != NULL)
        status = agn__estimate_plot(o->plot, o, map);
    if (status >= 0 && o->plot_csv != NULL)
        status = agn__estimate_map_write(o->plot_csv, map);
    agn_free(map);
    return status;
}

static int show(const struct agn__estimate_options *o, const struct agn__estimate *list, int count)
{
    int status = o->csv != NULL ? agn__estimate_write_csv(o->csv, list, count) : AGN_OK;
    if (status >= 0)
        status = show_map(o, list, count);
    if (status < 0)
        return agn__cli_fail("estimate", status);
    if (o->json)
        return agn__estimate_print_json(o, list, count);
    return count > 1 || o->compare ? agn__estimate_print_together(o, list, count)
                                   : agn__estimate_print(o, list);
}

/* Of the models, or of --results; how many. */
static int make_all(const struct agn__estimate_options *o, struct agn__estimate *list)
{
    if (o->results != NULL)
        return agn__estimate_read_results(o, list);
    int count = o->models.count + o->presets.count, status = AGN_OK;
    for (int i = 0; i < count && status >= 0; i++)
        status = agn__estimate_make(o, i, &list[i]);
    return status < 0 ? status : count;
}

static int estimate_all(const struct agn__estimate_options *o)
{
    struct agn__estimate *list = agn_alloc(AGN__ESTIMATE_MOST, sizeof *list);
    int count = list == NULL ? AGN_ERR_MEMORY : make_all(o, list);
    int code = count < 0 ? agn__cli_fail("estimate", count) : show(o, list, count);
    for (int i = 0; i < AGN__ESTIMATE_MOST && list != NULL; i++)
        agn__estimate_free(&list[i]);
    agn_free(list);
    return code;
}

/* A list of an option that is given for each model, or not at all. */
static int check_each(const char *option, const struct agn_cli_list *list, int count)
{
    if (list->count == 0 || list->count == count)
        return AGN_CLI_GO_ON;
    return agn__cli_usage_error("estimate",
                                "%s is given %d times for %d models: give it once for each, files "
                                "before presets",
                                option, list->count, count);
}

static int check_models(struct agn__estimate_options *o, int count)
{
    bool others = count > 0 || o->runs.count > 0 || o->names.count > 0 || o->firmware != NULL ||
                  o->bytes >= 0.0 || o->sent >= 0.0;
    if (o->results != NULL && others)
        return agn__cli_usage_error("estimate",
                                    "--results has its own models and figures: leave out MODEL, --preset, "
                                    "--run, --name, --firmware, --bytes and --sent");
    if (o->results == NULL && o->plan != NULL)
        return agn__cli_usage_error("estimate", "--plan goes with --results");
    o->compare = o->compare || o->accuracy >= 0.0 || o->results != NULL;
    if (o->results != NULL)
        return AGN_CLI_GO_ON;
    if (count < 1 || count > AGN__ESTIMATE_MOST)
        return agn__cli_usage_error("estimate", "give 1 to %d models: files, or --preset NAME",
                                    AGN__ESTIMATE_MOST);
    int code = check_each("--run", &o->runs, count);
    if (code == AGN_CLI_GO_ON)
        code = check_each("--name", &o->names, count);
    if (code != AGN_CLI_GO_ON)
        return code;
    if (o->accuracy >= 0.0 && o->runs.count == 0)
        return agn__cli_usage_error("estimate",
                                    "--accuracy goes with --run, which says what each model reaches");
    if (o->assignments.count > 0 && o->presets.count == 0)
        return agn__cli_usage_error("estimate", "--set goes with --preset");
    return AGN_CLI_GO_ON;
}

static int check_numbers(struct agn__estimate_options *o)
{
    if (o->clock_mhz == 0.0 || o->rate_kbps == 0.0 || o->bytes == 0.0)
        return agn__cli_usage_error("estimate", "--clock, --rate and --bytes are more than 0");
    if (agn__estimate_read_axis("--rates", o->rates_text, true, &o->rates) < 0 ||
        agn__estimate_read_axis("--clocks", o->clocks_text, false, &o->clocks) < 0)
        return agn__cli_usage_error("estimate", "%s", agn_error_message());
    return AGN_CLI_GO_ON;
}

int agn__cmd_estimate(int argc, char **argv)
{
    struct agn__estimate_options o = {.board = "stm32f746",
                                      .radio = "esp8266",
                                      .rates_text = "50:6000",
                                      .clocks_text = "64:216",
                                      .clock_mhz = -1,
                                      .rate_kbps = -1,
                                      .bytes = -1,
                                      .sent = -1,
                                      .accuracy = -1,
                                      .deadline_ms = 200};
    int code = parse(&o, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    int count = o.models.count + o.presets.count;
    if ((o.boards || o.radios) && count > 0)
        return agn__cli_usage_error("estimate", "--boards and --radios list profiles: leave the models out");
    if (o.boards || o.radios)
        return agn__estimate_list(o.boards ? AGN_PROFILE_BOARD : AGN_PROFILE_RADIO, o.json);
    code = check_models(&o, count);
    if (code == AGN_CLI_GO_ON)
        code = check_numbers(&o);
    if (code != AGN_CLI_GO_ON)
        return code;
    int status = o.plot != NULL ? agn_plot_available() : AGN_OK;
    return status < 0 ? agn__cli_fail("estimate", status) : estimate_all(&o);
}
