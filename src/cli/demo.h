/* The demo: all of the system on Fashion-MNIST. */
#ifndef AGN_CLI_DEMO_H
#define AGN_CLI_DEMO_H

#include "agilenn/bench_codec.h"
#include "agilenn/deploy.h"
#include "agilenn/run.h"
#include "cli/child.h"
#include "cli/export_decision.h"

enum { AGN__PATH_BYTES = 1100 };

struct agn__demo_config {
    struct agn_preset preset;
    const char *folder;  /* for everything that it writes */
    const char *program; /* path of agilenn, started as the server */
    int images;          /* through device + socket + server, 0 = the whole test set */
    int kill_images;     /* in the run in which the server is killed half-way */
    uint32_t deadline_ms;
    FILE *text; /* headings, progress and the final table */
};

/* Trains, exports, serves, runs, kills the server, and writes summary.json, report.md and plots. */
int agn__demo_run(const struct agn__demo_config *config);

struct agn__demo {
    const struct agn__demo_config *config;
    struct agn_preset preset; /* with what it leaves to the data */
    double begin_s, wall_seconds;
    struct agn_dataset *train, *test, *validation;
    struct agn_model *model;
    struct agn_train_report training;
    uint8_t *device_model;
    size_t device_model_bytes;
    struct agn__export_decision decision; /* which frames stay unsent */
    struct agn_dev_memory memory;
    struct agn__child server;
    struct agn_run_report run, killed;
    struct agn_bench_codec codecs; /* on the test images */
};

/* FOLDER/name */
void agn__demo_path(const struct agn__demo *demo, const char *name, char path[AGN__PATH_BYTES]);

/* summary.json, report.md and the table on the screen. */
int agn__demo_write(const struct agn__demo *demo);

#endif
