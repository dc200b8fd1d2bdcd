/* A model's work as QEMU counts it. */
#include "agilenn/cost.h"
#include "measure/firmware_count.h"

enum { PICTURES = 2 };

/* Soft random walks: how bright pixels are matters to codecs only. */
static void draw(uint8_t *pixels, size_t count)
{
    struct agn_rng rng;
    double level = 128.0;
    agn_rng_seed(&rng, 1);
    for (size_t i = 0; i < count; i++) {
        level += 12.0 * agn_rng_normal(&rng);
        level = level < 0.0 ? 0.0 : level > 255.0 ? 255.0 : level;
        pixels[i] = (uint8_t)level;
    }
}

int agn_work_count(const char *firmware, const void *bytes, size_t size_bytes, struct agn_work *work)
{
    struct agn_dev_model model;
    struct agn_work counted;
    struct agn__firmware_count count;
    const char *missing = agn__firmware_missing(firmware);
    if (missing != NULL)
        return agn_fail(AGN_ERR_NOT_FOUND, "cannot count instructions: %s", missing);
    int status = agn_dev_model_open(&model, bytes, size_bytes);
    if (status >= 0)
        status = agn_work_of_model(&model, &counted);
    if (status < 0)
        return status;
    struct agn__firmware_images images = {.count = PICTURES};
    images.bytes = (size_t)model.input_h * model.input_w * model.input_c;
    uint8_t *pixels = agn_alloc(images.bytes, PICTURES);
    if (pixels == NULL)
        return AGN_ERR_MEMORY;
    draw(pixels, images.bytes * PICTURES);
    images.pixels = pixels;
    status = agn__firmware_count_frames(firmware, bytes, size_bytes, &images, &count);
    agn_free(pixels);
    if (status < 0)
        return status;
    double scale = count.rows / (counted.extract_instructions + counted.local_instructions);
    work->extract_instructions = scale * counted.extract_instructions;
    work->local_instructions = scale * counted.local_instructions;
    work->encode_instructions = count.packets;
    return AGN_OK;
}
