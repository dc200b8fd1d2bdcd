/* Accuracy by class, in text and JSON, as `agilenn eval`, `run` and `train` report it. */
#ifndef AGN_CLI_CLASS_REPORT_H
#define AGN_CLI_CLASS_REPORT_H

#include <stdio.h>

#include <jansson.h>

#include "agilenn/train.h"
#include "cli/options.h"

struct agn__class_report {
    int classes;
    char *const *names; /* classes */
    const struct agn_class_count *counts;
    const int *confusion; /* (true class, predicted class); NULL: not known */
    bool of_run;          /* predictions are a device's final ones, fused or local, not the fused ones */
    bool no_local;        /* there is no Local NN */
};

/* A table of all classes, or with many of the worst, and with few the confusion matrix. */
void agn__cli_print_classes(FILE *stream, const struct agn__class_report *report);
/* A line of the classes that have images but no prediction; nothing where there are none. */
void agn__cli_print_never_predicted(FILE *stream, const struct agn__class_report *report);

/* Both NULL: out of memory. */
json_t *agn__cli_json_classes(const struct agn__class_report *report);
json_t *agn__cli_json_confusion(const struct agn__class_report *report);

/* --confusion, as every command that has it takes it. */
struct agn_cli_option agn__cli_confusion_option(struct agn_cli_list *files);
/* Before long work: can these files be written, as far as that is known without trying? */
int agn__cli_check_confusion(const struct agn_cli_list *files);
/* The confusion matrix: a file whose name ends in .png is drawn, any other is CSV with names in the first row
 * and column. Each is whole or not touched. */
int agn__cli_write_confusion(const struct agn_cli_list *files, const struct agn__class_report *report);

#endif
