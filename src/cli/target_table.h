/* What a device model takes of each processor, as `agilenn export` and `agilenn info` show it. */
#ifndef AGN_CLI_TARGET_TABLE_H
#define AGN_CLI_TARGET_TABLE_H

#include "agilenn/targets.h"
#include "cli/cli.h"

/* A table for people; `only` is one target, or NULL for all. */
void agn__cli_print_targets(const struct agn_dev_model *model, const struct agn_target *only,
                            enum agn_optimise optimise);

/* The same as an array of objects; NULL when memory is short. */
json_t *agn__cli_json_targets(const struct agn_dev_model *model, const struct agn_target *only,
                              enum agn_optimise optimise);

/* Bytes from "4096", "24K" (x 1024) or "1M", from 1 on; false for anything else. */
bool agn__cli_parse_bytes(const char *text, uint32_t *bytes);

#endif
