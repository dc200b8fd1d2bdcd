/* What `agilenn fit` shows of a search. */
#ifndef AGN_CLI_FIT_REPORT_H
#define AGN_CLI_FIT_REPORT_H

#include "agilenn/fit.h"
#include "cli/cli.h"

struct agn__fit_outcome {
    struct agn_fit_report *report;
    struct agn_fit_point test; /* the recommended design on the test images */
    double test_local;
    int test_images; /* 0: nothing was recommended */
};

void agn__fit_print(FILE *stream, const struct agn_fit_config *config,
                    const struct agn__fit_outcome *outcome);
/* NULL: out of memory. */
json_t *agn__fit_json(const struct agn_fit_config *config, const struct agn__fit_outcome *outcome);
/* DIR/fit.png; nothing where nothing was trained. */
int agn__fit_draw(const struct agn_fit_config *config, const struct agn_fit_report *report);

#endif
