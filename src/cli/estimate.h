/* Parts of `agilenn estimate`: systems that are looked at, and how what they cost is shown. */
#ifndef AGN_CLI_ESTIMATE_H
#define AGN_CLI_ESTIMATE_H

#include "agilenn/cost.h"
#include "agilenn/targets.h"
#include "cli/cli.h"
#include "cli/options.h"

enum { AGN__ESTIMATE_MOST = 12, AGN__ESTIMATE_LEVERS = 5 };

struct agn__estimate_options {
    struct agn_cli_list models, presets, assignments;
    const char *board, *radio, *run, *firmware, *csv, *plot;
    double clock_mhz, rate_kbps, bytes, sent, server_ms, loss,
        deadline_ms; /* clock, rate, bytes, sent: < 0: not given */
    bool boards, radios, any, compare, json;
};

struct agn__estimate {
    char name[128];
    uint8_t *bytes; /* of model.agn */
    struct agn_dev_model model;
    struct agn_work work;
    bool counted; /* instructions are QEMU's, else modelled */
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

/* How things are shown; each returns an exit code. */
int agn__estimate_print(const struct agn__estimate_options *o, const struct agn__estimate *e);
int agn__estimate_print_together(const struct agn__estimate_options *o, const struct agn__estimate *list,
                                 int count);
int agn__estimate_print_json(const struct agn__estimate_options *o, const struct agn__estimate *list,
                             int count);
int agn__estimate_list(enum agn_profile_kind kind, bool json);
int agn__estimate_write_csv(const char *path, const struct agn__estimate *list, int count);
int agn__estimate_plot(const char *path, const struct agn__estimate *list, int count);

#endif
