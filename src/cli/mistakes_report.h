/* The worst mistakes of an evaluation as a table, a picture, text and JSON, as `agilenn eval --mistakes`
 * shows them. */
#ifndef AGN_CLI_MISTAKES_REPORT_H
#define AGN_CLI_MISTAKES_REPORT_H

#include <stdio.h>

#include <jansson.h>

#include "agilenn/measure.h"

/* Owns nothing. */
struct agn__mistakes_report {
    const struct agn_mistakes *mistakes;
    const struct agn_dataset *data;
    char *const *names; /* of the model's classes */
    int images;         /* evaluated */
    const char *split;  /* that they are of: "test" */
};

/* FOLDER/mistakes.csv and FOLDER/mistakes.png; the folder is made. Each is whole or not touched. */
int agn__cli_write_mistakes(const char *folder, const struct agn__mistakes_report *report);

/* The first few, a line each. */
void agn__cli_print_mistakes(FILE *stream, const struct agn__mistakes_report *report);

/* All of them, in an array; NULL: out of memory. */
json_t *agn__cli_json_mistakes(const struct agn__mistakes_report *report);

#endif
