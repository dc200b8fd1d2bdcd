/* The device on a host; see hosted.h. What is done with packets and answers is the caller's. */
#include "agilenn/hosted.h"

#include <string.h>

#include "agilenn/base.h"
#include "agn_layout.h"

enum { MAX_MODEL_BYTES = 64 << 20, HUFFMAN = 3 /* a codec of earlier versions */ };

static const char *problem_of(int status)
{
    switch (status) {
    case AGN_ERR_ARG:
        return "the memory it lies in is not 4-byte aligned";
    case AGN_ERR_FORMAT:
        return "not a model.agn, or truncated; export it again";
    case AGN_ERR_CHECKSUM:
        return "the checksum is wrong: the file is damaged; export or copy it again";
    case AGN_ERR_RANGE:
        return "a size, offset, shape or table value is out of bounds";
    case AGN_ERR_UNSUPPORTED:
        return "a layer kind or codec that this build does not know; export it again";
    default:
        return agn_status_text(status);
    }
}

int agn_hosted_check(const char *name, const uint8_t *bytes, size_t size_bytes, struct agn_dev_model *model)
{
    int status = agn_dev_model_open(model, bytes, size_bytes);
    if (status == AGN_ERR_VERSION)
        return agn_fail(status,
                        "%s is version %d of model.agn, and this command reads version %d; export its "
                        "model.safetensors again with `agilenn export`",
                        name, agn__load_u16(bytes + AGN__AT_VERSION), AGN_MODEL_VERSION);
    if (status == AGN_ERR_UNSUPPORTED && bytes[AGN__AT_CODEC] == HUFFMAN)
        return agn_fail(status,
                        "%s has the codec huffman, which is no more; export its model.safetensors again with "
                        "`agilenn export`, which takes range in its place",
                        name);
    return status < 0 ? agn_fail(status, "%s: %s", name, problem_of(status)) : AGN_OK;
}

int agn_hosted_read(const char *path, uint8_t **bytes, size_t *size_bytes, struct agn_dev_model *model)
{
    uint8_t *read;
    size_t size;
    int status = agn_file_read(path, MAX_MODEL_BYTES, &read, &size);
    if (status < 0)
        return status;
    status = agn_hosted_check(path, read, size, model);
    if (status < 0) {
        agn_free(read);
        return status;
    }
    *bytes = read;
    *size_bytes = size;
    return AGN_OK;
}

int agn_hosted_open(struct agn_hosted *hosted, const void *model, size_t model_bytes)
{
    struct agn_dev_model checked;
    struct agn_hosted made = {.model = agn_alloc(model_bytes > 0 ? model_bytes : 1, 1)};
    if (made.model == NULL)
        return AGN_ERR_MEMORY;
    memcpy(made.model, model, model_bytes);
    int status = agn_hosted_check("the device model", made.model, model_bytes, &checked);
    if (status == AGN_OK) {
        size_t arena_bytes = agn_dev_arena_bytes(&checked);
        made.arena = agn_alloc(arena_bytes, 1);
        status = made.arena == NULL
                     ? AGN_ERR_MEMORY
                     : agn_dev_init(&made.dev, made.model, model_bytes, made.arena, arena_bytes);
    }
    if (status == AGN_OK)
        *hosted = made;
    else
        agn_hosted_close(&made);
    return status;
}

void agn_hosted_close(struct agn_hosted *hosted)
{
    agn_free(hosted->model);
    agn_free(hosted->arena);
    hosted->model = hosted->arena = NULL;
}

int agn_hosted_check_data(const struct agn_dev_model *model, const struct agn_dataset *data)
{
    if (data->count < 1)
        return agn_fail(AGN_ERR_ARG, "the data set holds no image");
    if (data->height != model->input_h || data->width != model->input_w || data->channels != model->input_c)
        return agn_fail(AGN_ERR_MISMATCH, "the images are %dx%dx%d, but the device model takes %ux%ux%u",
                        data->height, data->width, data->channels, model->input_h, model->input_w,
                        model->input_c);
    if (data->classes > model->classes)
        return agn_fail(AGN_ERR_MISMATCH, "the data set has %d classes, but the device model knows only %u",
                        data->classes, model->classes);
    return AGN_OK;
}

int agn_hosted_image(struct agn_hosted *hosted, const uint8_t *pixels, uint16_t frame, uint16_t deadline_ms)
{
    struct agn_dev *dev = &hosted->dev;
    int status = agn_dev_frame_begin(dev, frame, deadline_ms);
    if (status == AGN_OK)
        status = agn_dev_push_rows(dev, pixels, dev->model.input_h);
    if (status < 0)
        return agn_fail(status, "the device refused frame %u: %s", frame, agn_status_text(status));
    return agn_dev_model_answers(&dev->model) ? (int)agn_argmax_s16(agn_dev_local(dev), dev->model.classes)
                                              : AGN_DEV_NO_CLASS;
}

struct agn_map_shape agn_hosted_shape(const struct agn_dev_model *model)
{
    return (struct agn_map_shape){(uint8_t)(model->map_c - model->local_c), (uint8_t)model->map_h,
                                  (uint8_t)model->map_w};
}

void agn_hosted_symbols(const struct agn_hosted *hosted, uint8_t *symbols)
{
    struct agn_map_shape shape = agn_hosted_shape(&hosted->dev.model);
    for (unsigned c = 0; c < shape.channels; c++)
        for (unsigned y = 0; y < shape.height; y++)
            for (unsigned x = 0; x < shape.width; x++)
                *symbols++ = (uint8_t)agn_dev_symbol(&hosted->dev, c, y, x);
}
