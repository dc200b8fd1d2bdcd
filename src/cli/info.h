/* The kinds of file that `agilenn info` shows. */
#ifndef AGN_CLI_INFO_H
#define AGN_CLI_INFO_H

#include "agilenn/train.h"
#include "cli/cli.h"

struct agn__info_options {
    bool trained; /* a model; else the networks of a preset */
    bool code;    /* and what computes each layer of the Remote NN on this machine */
    bool json;
};

/* info_model.c: a model's networks. Returns an exit code, as all do. `name` is what the user called it. */
int agn__info_model(const struct agn_model *model, const char *name, const struct agn__info_options *options);

/* info_tensors.c: a reference network, or other tensors. */
int agn__info_tensors(const struct agn_tensor_file *file, const char *name, bool json);

/* info_device.c: the bytes of a model.agn, 4-byte aligned. */
int agn__info_device(const uint8_t *bytes, size_t size_bytes, const char *name, bool json);

#endif
