/* The weak device on a host: how images become int8 answers, by the very device library. Whoever runs a
 * device model on this machine goes this way.
 *
 *     agn_hosted_open(&hosted, model, model_bytes);
 *     agn_hosted_image(&hosted, pixels, frame, 0);
 *     ...                                             // agn_dev_* of hosted.dev: packets, answers,
 * prediction agn_hosted_close(&hosted);
 *
 * Not thread-safe; each thread may have one of its own. */
#ifndef AGILENN_HOSTED_H
#define AGILENN_HOSTED_H

#include "agilenn/data.h"
#include "agn_device.h"

struct agn_hosted {
    struct agn_dev dev;  /* open; dev.model is the checked model */
    void *model, *arena; /* private */
};

/* agn_dev_model_open and its errors, with a sentence about `name`, a path or so. `model` points into them. */
int agn_hosted_check(const char *name, const uint8_t *bytes, size_t size_bytes, struct agn_dev_model *model);

/* Reads and checks a file. *bytes is the caller's to agn_free, and untouched on failure. Errors of
 * agn_file_read and agn_dev_model_open. */
int agn_hosted_read(const char *path, uint8_t **bytes, size_t *size_bytes, struct agn_dev_model *model);

/* `model` is a model.agn of any alignment, copied. On failure nothing is open. Errors of agn_dev_model_open;
 * AGN_ERR_MEMORY. Zeroed or closed is good to close. */
int agn_hosted_open(struct agn_hosted *hosted, const void *model, size_t model_bytes);
void agn_hosted_close(struct agn_hosted *hosted);

/* AGN_ERR_MISMATCH: the data set has images of another size, or more classes; AGN_ERR_ARG: it has none. */
int agn_hosted_check_data(const struct agn_dev_model *model, const struct agn_dataset *data);

/* Puts a whole image, (height, width, channels) as the model wants it, through the device as a new frame of
 * this number and agn_dev_frame_begin's deadline. Returns the class that the local logits give;
 * AGN_DEV_NO_CLASS: the model has no Local NN. */
int agn_hosted_image(struct agn_hosted *hosted, const uint8_t *pixels, uint16_t frame, uint16_t deadline_ms);

/* The part of the feature map that is sent. */
struct agn_map_shape agn_hosted_shape(const struct agn_dev_model *model);

/* The image's symbols of all of that part, (channels, height, width). */
void agn_hosted_symbols(const struct agn_hosted *hosted, uint8_t *symbols);

#endif
