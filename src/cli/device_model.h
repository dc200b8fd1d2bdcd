/* model.agn as a command's operand. */
#ifndef AGN_CLI_DEVICE_MODEL_H
#define AGN_CLI_DEVICE_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "agn_device.h"

/* agn_dev_model_open with a sentence that names the file and, where another version made it, says so. */
int agn__cli_open_device_model(const char *name, const uint8_t *bytes, size_t size_bytes,
                               struct agn_dev_model *model);

/* Reads the file and opens it once, so that errors name it. *model, which must be NULL before, is the
 * caller's to agn_free, after an error as well. Errors of agn_file_read and agn_dev_model_open. */
int agn__cli_read_device_model(const char *path, uint8_t **model, size_t *model_bytes);

#endif
