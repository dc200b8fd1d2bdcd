/* What `agilenn curves --progressive` shows. */
#ifndef AGN_CLI_PROGRESSIVE_REPORT_H
#define AGN_CLI_PROGRESSIVE_REPORT_H

#include <jansson.h>

#include "agilenn/progressive.h"

/* The member "progress". NULL: no memory. */
json_t *agn__progressive_json(const struct agn_progressive *result, int seed);

void agn__progressive_print(const struct agn_progressive *result);

#endif
