/* A device model of random images. See in_memory.h. */
#include "cli/in_memory.h"

#include "agilenn/deploy.h"

int agn__cli_random_images(const struct agn_preset *preset, int count, struct agn_dataset *data)
{
    int height = preset->data.height, width = preset->data.width, channels = preset->data.channels;
    size_t pixels = (size_t)height * (size_t)width * (size_t)channels;
    struct agn_rng rng;
    *data = (struct agn_dataset){.count = count,
                                 .height = height,
                                 .width = width,
                                 .channels = channels,
                                 .classes = preset->data.classes,
                                 .pixels = agn_alloc((size_t)count * pixels, 1),
                                 .labels = agn_alloc((size_t)count, sizeof(*data->labels))};
    if (data->pixels == NULL || data->labels == NULL)
        return AGN_ERR_MEMORY;
    agn_rng_seed(&rng, 1);
    for (size_t i = 0; i < (size_t)count; i++) {
        double level = 255.0 * agn_rng_uniform(&rng);
        for (size_t p = 0; p < pixels; p++) {
            level += 12.0 * agn_rng_normal(&rng);
            level = level < 0.0 ? 0.0 : level > 255.0 ? 255.0 : level;
            data->pixels[i * pixels + p] = (uint8_t)level;
        }
    }
    return AGN_OK;
}

int agn__cli_export_in_memory(const struct agn_model *model, uint8_t **bytes, size_t *size)
{
    enum { IMAGES = 16 };
    struct agn_dataset data = {0};
    int status = agn__cli_random_images(&model->preset, IMAGES, &data);
    data.class_names = model->class_names;
    if (status >= 0)
        status = agn_deploy_device(model, &data, IMAGES, bytes, size, NULL);
    agn_free(data.pixels);
    agn_free(data.labels);
    return status;
}
