/* A device model made in memory, as `agilenn export` makes one. */
#ifndef AGN_CLI_IN_MEMORY_H
#define AGN_CLI_IN_MEMORY_H

#include "agilenn/data.h"
#include "agilenn/model.h"

/* `count` random images of soft blobs, as smooth as photographs are on average; pixels and labels are the
 * caller's to agn_free. */
int agn__cli_random_images(const struct agn_preset *preset, int count, struct agn_dataset *data);

/* The model quantised on such images: shapes, sizes and work are those of a model that was calibrated on real
 * ones, answers are not. `*bytes` is the caller's to agn_free. */
int agn__cli_export_in_memory(const struct agn_model *model, uint8_t **bytes, size_t *size);

#endif
