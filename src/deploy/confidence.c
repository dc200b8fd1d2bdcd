/* How sure a device must be of its local prediction to leave a frame unsent: a margin of its logits, found on
 * images with the int8 device itself, or one for each class that others found. */
#include <stdlib.h>
#include <string.h>

#include "agilenn/deploy.h"
#include "agilenn/hosted.h"
#include "agn_layout.h"

/* One image on the device. */
struct sample {
    int margin;
    bool right;
};

static int surest_first(const void *a, const void *b)
{
    int x = ((const struct sample *)a)->margin, y = ((const struct sample *)b)->margin;
    return (x < y) - (x > y);
}

static int run_images(struct agn_hosted *device, const struct agn_dataset *data, struct sample *samples)
{
    size_t pixels = (size_t)data->height * (size_t)data->width * (size_t)data->channels;
    for (int i = 0; i < data->count; i++) {
        if (agn_interrupt_requested())
            return agn_fail(AGN_ERR_INTERRUPTED, "calibration was interrupted");
        int local_class = agn_hosted_image(device, data->pixels + (size_t)i * pixels, 0, 0);
        if (local_class < 0)
            return local_class;
        samples[i] = (struct sample){agn_dev_margin(&device->dev), local_class == data->labels[i]};
    }
    return AGN_OK;
}

static void choose(struct sample *samples, int count, double confidence, struct agn_confidence_report *report)
{
    qsort(samples, (size_t)count, sizeof *samples, surest_first);
    int wrong = 0;
    for (int i = 0; i < count && samples[i].margin > 0; i++) {
        int seen = i + 1, margin = samples[i].margin < INT16_MAX ? samples[i].margin : INT16_MAX;
        wrong += !samples[i].right;
        bool is_border = seen == count || samples[seen].margin < margin; /* equal ones go together */
        if (is_border && wrong + 1 <= (1.0 - confidence) * (seen + 1)) {
            report->margin = margin;
            report->sure_accuracy = 1.0 - (double)wrong / seen;
            report->sure_share = (double)seen / count;
        }
    }
}

int agn_deploy_confidence(uint8_t *bytes, size_t size_bytes, const struct agn_dataset *data,
                          double confidence, struct agn_confidence_report *result)
{
    struct agn_confidence_report report = {.images = data->count};
    struct agn_hosted device;
    if (!(confidence >= 0.0 && confidence <= 1.0) || data->count < 1)
        return agn_fail(AGN_ERR_ARG, "a confidence of %g on %d images; expected 0 to 1, and images",
                        confidence, data->count);
    int status = agn_hosted_open(&device, bytes, size_bytes);
    if (status < 0)
        return status;
    struct sample *samples = agn_alloc((size_t)data->count, sizeof *samples);
    if (!agn_dev_model_answers(&device.dev.model))
        status = agn_fail(AGN_ERR_UNSUPPORTED, "this needs a model with a Local NN, and the device has none");
    else
        status = samples == NULL ? AGN_ERR_MEMORY : agn_hosted_check_data(&device.dev.model, data);
    if (status == AGN_OK)
        status = run_images(&device, data, samples);
    if (status == AGN_OK) {
        choose(samples, data->count, confidence, &report);
        agn__store_u16(bytes + AGN__AT_SURE_MARGIN,
                       (uint16_t)report.margin); /* a table, if there is one, is idle */
        agn__store_u32(bytes + size_bytes - 4, agn_crc32(0, bytes, size_bytes - 4));
        if (result != NULL)
            *result = report;
    }
    agn_free(samples);
    agn_hosted_close(&device);
    return status;
}

int agn_deploy_margins(const uint8_t *bytes, size_t size_bytes, const uint16_t *margins, int classes,
                       uint8_t **result, size_t *result_bytes)
{
    struct agn_dev_model model;
    int status = agn_hosted_check("the device model", bytes, size_bytes, &model);
    if (status < 0)
        return status;
    if (!agn_dev_model_answers(&model))
        return agn_fail(AGN_ERR_UNSUPPORTED, "this needs a model with a Local NN, and the device has none");
    for (int c = 0; c < classes; c++)
        if (margins[c] > INT16_MAX)
            return agn_fail(AGN_ERR_ARG, "class %d: a margin of %u; expected 0 to %d", c, margins[c],
                            INT16_MAX);
    if (classes != model.classes)
        return agn_fail(AGN_ERR_ARG, "%d margins for a model of %d classes", classes, model.classes);
    size_t table = 2 * (size_t)classes, kept = size_bytes - 4 - (model.sure_margins != NULL ? table : 0);
    uint8_t *made = agn_alloc(kept + table + 4, 1);
    if (made == NULL)
        return AGN_ERR_MEMORY;
    memcpy(made, bytes, kept);
    for (int c = 0; c < classes; c++)
        agn__store_u16(made + kept + 2 * (size_t)c, margins[c]);
    agn__store_u16(made + AGN__AT_SURE_MARGIN, AGN__SURE_BY_CLASS);
    agn__store_u32(made + AGN__AT_SIZE, (uint32_t)(kept + table + 4));
    agn__store_u32(made + kept + table, agn_crc32(0, made, kept + table));
    *result = made;
    *result_bytes = kept + table + 4;
    return AGN_OK;
}
