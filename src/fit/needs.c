/* What a candidate takes before it is trained: its networks with random weights through the export, as
 * `agilenn export --preset` does it. Bytes are a guess until they are measured. */
#include <math.h>
#include <string.h>

#include "agilenn/deploy.h"
#include "agilenn/hosted.h"
#include "agilenn/targets.h"
#include "fit/fit_internal.h"

enum { IMAGES = 16 };

/* Smooth random images, as photographs are on average. */
static int blob_images(const struct agn_preset *preset, struct agn_dataset *data)
{
    size_t pixels = (size_t)preset->data.height * (size_t)preset->data.width * (size_t)preset->data.channels;
    struct agn_rng rng;
    *data = (struct agn_dataset){.count = IMAGES,
                                 .height = preset->data.height,
                                 .width = preset->data.width,
                                 .channels = preset->data.channels,
                                 .classes = preset->data.classes,
                                 .pixels = agn_alloc(IMAGES * pixels, 1),
                                 .labels = agn_alloc(IMAGES, sizeof(*data->labels))};
    if (data->pixels == NULL || data->labels == NULL)
        return AGN_ERR_MEMORY;
    agn_rng_seed(&rng, 1);
    double level = 128.0;
    for (size_t p = 0; p < IMAGES * pixels; p++) {
        if (p % pixels == 0)
            level = 255.0 * agn_rng_uniform(&rng);
        level = fmin(fmax(level + 12.0 * agn_rng_normal(&rng), 0.0), 255.0);
        data->pixels[p] = (uint8_t)level;
    }
    return AGN_OK;
}

int agn_fit_needs(const struct agn_board *board, struct agn_fit_candidate *candidate)
{
    const struct agn_target *target = agn_target_find(board->target);
    struct agn_target_needs needs;
    struct agn_model *model = NULL;
    struct agn_dataset data = {0};
    struct agn_dev_model device;
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (target == NULL)
        return agn_fail(AGN_ERR_RANGE, "board %s: target = %s is no processor that `agilenn export` knows",
                        board->name, board->target);
    int status = agn_model_create(&candidate->preset, NULL, &model);
    if (status >= 0)
        status = blob_images(&candidate->preset, &data);
    if (status >= 0) {
        data.class_names = model->class_names;
        status = agn_deploy_device(model, &data, IMAGES, &bytes, &size, NULL);
    }
    if (status >= 0)
        status = agn_hosted_check(candidate->name, bytes, size, &device);
    if (status >= 0) {
        agn_target_needs(target, AGN_OPTIMISE_SPEED, &device, &needs);
        candidate->ram_bytes = needs.ram_bytes;
        candidate->flash_bytes = needs.flash_bytes;
        status = agn__fit_count_work(model, &device, &candidate->work);
    }
    agn_free(bytes);
    agn_free(data.pixels);
    agn_free(data.labels);
    agn_model_free(model);
    return status < 0 ? status : AGN_OK;
}
