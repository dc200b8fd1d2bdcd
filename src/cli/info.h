/* The kinds of file that `agilenn info` shows. */
#ifndef AGN_CLI_INFO_H
#define AGN_CLI_INFO_H

#include "agilenn/train.h"
#include "cli/cli.h"

/* info_model.c: a trained model, or with `trained` false the networks of a preset. Both return an exit
 * code. `name` is what the user called it. */
int agn__info_model(const struct agn_model *model, const char *name, bool trained, bool json);

/* info_tensors.c: a reference network, or other tensors. */
int agn__info_tensors(const struct agn_tensor_file *file, const char *name, bool json);

/* info_device.c: the bytes of a model.agn, 4-byte aligned. */
int agn__info_device(const uint8_t *bytes, size_t size_bytes, const char *name, bool json);

#endif
