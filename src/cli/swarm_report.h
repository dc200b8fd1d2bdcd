/* The report of `agilenn swarm --report DIR`: tables and a picture of one run. */
#ifndef AGN_CLI_SWARM_REPORT_H
#define AGN_CLI_SWARM_REPORT_H

#include <stdio.h>

#include <jansson.h>

#include "agilenn/swarm.h"

/* The run's seconds, as they come; zero it to begin, agn_free `items`. */
struct agn__seconds {
    struct agn_swarm_second *items;
    size_t count, cap;
    bool lacks_some; /* no memory for them */
};
void agn__seconds_add(struct agn__seconds *seconds, const struct agn_swarm_second *second);

void agn__seconds_write_header(FILE *out);
void agn__seconds_write(FILE *out, const struct agn_swarm_second *second);

/* Writes seconds.csv, latency.csv, report.json and load.png into the folder, which is made where it is not
 * there. `figures` stays the caller's. Errors as for agn_plot_load, AGN_ERR_MEMORY. */
int agn__swarm_report_write(const char *folder, const struct agn_swarm *swarm,
                            const struct agn_swarm_report *report, const struct agn__seconds *seconds,
                            const json_t *figures);

#endif
