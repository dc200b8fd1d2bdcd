/* What frames cost a Cortex-M7: builds the source tree's firmware around a model and runs it under QEMU. */
#ifndef AGN_MEASURE_FIRMWARE_COUNT_H
#define AGN_MEASURE_FIRMWARE_COUNT_H

#include <stddef.h>
#include <stdint.h>

#include "agilenn/data.h"

struct agn__firmware_images {
    const uint8_t *pixels;
    size_t bytes; /* of an image */
    int count;
};

/* The first ones of a data set: `most`, or 20 where that is 0. */
struct agn__firmware_images agn__firmware_images_of(const struct agn_dataset *data, int most);

/* Instructions a frame, mean over the images; docs/BOARDS.md. */
struct agn__firmware_count {
    uint32_t rows, packets,
        packet;     /* extractor and Local NN; making all packets; of that, headers and checksums */
    uint32_t bytes; /* of all packets */
};

/* Why nothing can be counted ("arm-none-eabi-gcc is not installed"), or NULL. `folder`: firmware/, may be
 * NULL. */
const char *agn__firmware_missing(const char *folder);

/* AGN_ERR_IO: the build or the run failed; agn_error_message has its last lines. */
int agn__firmware_count_frames(const char *folder, const uint8_t *model, size_t model_bytes,
                               const struct agn__firmware_images *images, struct agn__firmware_count *count);

#endif
