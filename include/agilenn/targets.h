/* What a device model takes of a microcontroller, by processor: RAM, stack and flash, before anything is
 * flashed. */
#ifndef AGILENN_TARGETS_H
#define AGILENN_TARGETS_H

#include <stdint.h>

#include "agn_device.h"

/* How the firmware's compiler is told to optimise: -O2 or -Os. */
enum agn_optimise { AGN_OPTIMISE_SPEED, AGN_OPTIMISE_SIZE, AGN_OPTIMISE_COUNT };

/* What a model needs of the device library (agn_parts.h): its least, or what sends JPEG, or what runs
 * networks with branches. */
enum agn_runtime { AGN_RUNTIME_LEAST, AGN_RUNTIME_JPEG, AGN_RUNTIME_GRAPHS, AGN_RUNTIME_COUNT };

/* A processor, with what the device library takes of it whatever the model: measured by cross-compiling
 * (scripts/measure-targets.sh). */
struct agn_target {
    const char *name;     /* "cortex-m7" */
    const char *kernels;  /* "plain", "dsp" or "mve": those that device/agn_kernel.h chooses there */
    uint32_t state_bytes; /* sizeof(struct agn_dev) there */
    struct {
        uint32_t code_bytes;  /* code and constants that are linked, without memcpy and memset */
        uint32_t stack_bytes; /* the deepest chain of calls into the library: a bound */
    } sizes[AGN_OPTIMISE_COUNT][AGN_RUNTIME_COUNT];
};

/* All of them, `*count` in number, from the weakest Cortex-M up; then by name, NULL for none such. */
const struct agn_target *agn_targets(int *count);
const struct agn_target *agn_target_find(const char *name);

/* A model on a target, in bytes. The frame is not part of it: its rows may be pushed one by one. */
struct agn_target_needs {
    uint32_t arena_bytes, state_bytes;
    uint32_t packet_bytes; /* the caller's buffer: AGN_WIRE_MAX_PACKET; less makes more and smaller packets */
    uint32_t stack_bytes;
    uint32_t ram_bytes; /* all of the above */
    uint32_t code_bytes, model_bytes;
    uint32_t flash_bytes; /* both */
};
void agn_target_needs(const struct agn_target *target, enum agn_optimise optimise,
                      const struct agn_dev_model *model, struct agn_target_needs *needs);

/* Does the model fit? `ram_bytes` and `flash_bytes` are what the firmware can spare, 0 for any. AGN_ERR_SPACE
 * says what exceeds which by how much, and what would make it smaller. */
int agn_target_check(const struct agn_target *target, enum agn_optimise optimise,
                     const struct agn_dev_model *model, uint32_t ram_bytes, uint32_t flash_bytes);

#endif
