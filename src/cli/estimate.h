/* Parts of `agilenn estimate`: systems that are looked at, and how what they cost is shown. */
#ifndef AGN_CLI_ESTIMATE_H
#define AGN_CLI_ESTIMATE_H

#include "agilenn/cost.h"
#include "agilenn/targets.h"
#include "cli/cli.h"
#include "cli/options.h"

enum { AGN__ESTIMATE_MOST = 24, AGN__ESTIMATE_LEVERS = 8, AGN__ESTIMATE_AXIS = 40 };

/* Stands for a file of --run where a model has none. */
#define AGN__ESTIMATE_NO_RUN "-"

/* Where bytes, packets and the share of frames that are sent come from. */
enum agn__figures { AGN__FIGURES_MODELLED, AGN__FIGURES_MEASURED, AGN__FIGURES_GIVEN };

/* As in tables and JSON. */
const char *agn__figures_name(enum agn__figures figures);

/* Ascending numbers above 0. */
struct agn__estimate_axis {
    double values[AGN__ESTIMATE_AXIS];
    int count;
};

struct agn__estimate_options {
    struct agn_cli_list models, presets, assignments;
    struct agn_cli_list runs, names; /* one for each of models, then presets; or none */
    const char *board, *radio, *firmware, *csv, *plot, *plot_csv, *rates_text, *clocks_text;
    const char *results, *plan; /* designs of a sweep in place of models */
    double clock_mhz, rate_kbps, bytes, sent, server_ms, loss, deadline_ms,
        accuracy;                            /* clock, rate, bytes, sent, accuracy: < 0: not given */
    struct agn__estimate_axis rates, clocks; /* of picture and map */
    bool boards, radios, any, compare, json;
};

struct agn__estimate {
    char name[128];
    uint8_t *bytes; /* of model.agn; NULL: of a design in a results file */
    struct agn_dev_model model;
    struct agn_work work;
    bool counted; /* instructions are QEMU's, else modelled */
    enum agn__figures bytes_are;
    double accuracy, silent_accuracy; /* of the run, and without a server; NAN: none, or it does not say */
    struct agn_target_needs needs;
    struct agn_board board; /* widened by the error of modelled instructions */
    struct agn_radio radio;
    struct agn_cost cost;
    struct agn_cost_loss with_loss;
    struct agn_cost_lever levers[AGN__ESTIMATE_LEVERS];
    int lever_count;
};

/* Loads number `index` of the models and presets and finds out what it costs. Status < 0 with a sentence. */
int agn__estimate_make(const struct agn__estimate_options *o, int index, struct agn__estimate *e);
void agn__estimate_free(struct agn__estimate *e);

/* What agn__estimate_make begins and ends with, before and after the work is known: profiles; the cost. */
int agn__estimate_begin(const struct agn__estimate_options *o, struct agn__estimate *e);
int agn__estimate_end(const struct agn__estimate_options *o, struct agn__estimate *e);

/* estimate_results.c: the designs of --results, AGN__ESTIMATE_MOST at most; how many. */
int agn__estimate_read_results(const struct agn__estimate_options *o, struct agn__estimate *list);

/* How things are shown; each returns an exit code. */
int agn__estimate_print(const struct agn__estimate_options *o, const struct agn__estimate *e);
int agn__estimate_print_together(const struct agn__estimate_options *o, const struct agn__estimate *list,
                                 int count);
int agn__estimate_print_json(const struct agn__estimate_options *o, const struct agn__estimate *list,
                             int count);
int agn__estimate_list(enum agn_profile_kind kind, bool json);
int agn__estimate_write_csv(const char *path, const struct agn__estimate *list, int count);

/* estimate_run.c: takes over what the file says that `agilenn run --json` made. */
int agn__estimate_read_run(const char *path, struct agn__estimate *e);

/* ---- which system is best where: estimate_map.c, estimate_plot.c ------------------------------------ */

/* "LOW:HIGH", which is divided evenly (rates by factors), or "A,B,...". AGN_ERR_ARG. */
int agn__estimate_read_axis(const char *option, const char *text, bool by_factors,
                            struct agn__estimate_axis *axis);

/* Whether a model takes part: it reaches --accuracy in its run, where that is given. */
bool agn__estimate_takes_part(const struct agn__estimate_options *o, const struct agn__estimate *e);

enum { AGN__LATENCY, AGN__ENERGY, AGN__MEASURES };
/* Means over all frames, typical inputs. */
struct agn__estimate_place {
    int winner, second; /* numbers of systems; second: -1 where there is only one */
    double value, second_value;
};
struct agn__estimate_map {
    const struct agn__estimate *systems; /* all of them: a system keeps its number and colour */
    bool takes_part[AGN__ESTIMATE_MOST];
    int count;
    const struct agn__estimate_axis *rates, *clocks;
    struct agn__estimate_place places[AGN__MEASURES][AGN__ESTIMATE_AXIS]
                                     [AGN__ESTIMATE_AXIS]; /* clock, rate */
};
/* `map` points into `o` and `list`. AGN_ERR_RANGE: no model takes part. */
int agn__estimate_map_make(const struct agn__estimate_options *o, const struct agn__estimate *list, int count,
                           struct agn__estimate_map *map);
int agn__estimate_map_write(const char *path, const struct agn__estimate_map *map);
int agn__estimate_plot(const char *path, const struct agn__estimate_options *o,
                       const struct agn__estimate_map *map);

#endif
