/* What the demo's files share. */
#ifndef AGN_EVAL_DEMO_INTERNAL_H
#define AGN_EVAL_DEMO_INTERNAL_H

#include "agilenn/bench_codec.h"
#include "agilenn/run.h"
#include "eval/child.h"

enum { AGN__PATH_BYTES = 1100 };

struct agn__demo {
    const struct agn_demo_config *config;
    struct agn_preset preset; /* with what it leaves to the data */
    double begin_s, wall_seconds;
    struct agn_dataset *train, *test, *validation;
    struct agn_model *model;
    struct agn_train_report training;
    uint8_t *device_model;
    size_t device_model_bytes;
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
