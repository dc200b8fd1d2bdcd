/* Reports of predictions that were judged against labels, as they come in. */
#ifndef AGN_MONITOR_TRUTH_H
#define AGN_MONITOR_TRUTH_H

#include <stddef.h>

#include "agilenn/monitor.h"

enum { AGN__REPORT_BYTES = 512 }; /* a longer one is refused */

/* Adds a report, {"predictions": N, "correct": N, "fallbacks": N, "paused": N}, to `total`; "paused" may be
 * left out. AGN_ERR_FORMAT: it is not one; AGN_ERR_RANGE: impossible counts. */
int agn__truth_add(struct agn_monitor_truth *total, const char *text, size_t size_bytes);

#endif
