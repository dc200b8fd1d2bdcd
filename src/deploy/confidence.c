/* How sure a device must be of its local prediction to leave a frame unsent: a margin of its logits, found on
 * images with the int8 device itself. */
#include <stdlib.h>

#include "agilenn/deploy.h"
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

static int run_images(struct agn_dev *dev, const struct agn_dataset *data, struct sample *samples)
{
    size_t pixels = (size_t)data->height * (size_t)data->width * (size_t)data->channels;
    for (int i = 0; i < data->count; i++) {
        if (agn_interrupt_requested())
            return agn_fail(AGN_ERR_INTERRUPTED, "calibration was interrupted");
        int status = agn_dev_frame_begin(dev, 0, 0);
        if (status == AGN_OK)
            status = agn_dev_push_rows(dev, data->pixels + (size_t)i * pixels, (unsigned)data->height);
        if (status < 0)
            return agn_fail(status, "the device refused image %d: %s", i, agn_status_text(status));
        unsigned class_index = agn_argmax_s16(agn_dev_local(dev), dev->model.classes);
        samples[i] = (struct sample){agn_dev_margin(dev), class_index == data->labels[i]};
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
    struct agn_dev_model model;
    struct agn_dev dev;
    if (!(confidence >= 0.0 && confidence <= 1.0) || data->count < 1)
        return agn_fail(AGN_ERR_ARG, "a confidence of %g on %d images; expected 0 to 1, and images",
                        confidence, data->count);
    int status = agn_dev_model_open(&model, bytes, size_bytes);
    if (status < 0)
        return agn_fail(status, "%s", agn_model_agn_problem(status));
    if (data->height != model.input_h || data->width != model.input_w || data->channels != model.input_c)
        return agn_fail(AGN_ERR_MISMATCH, "the images are %dx%dx%d, but the model takes %dx%dx%d",
                        data->height, data->width, data->channels, model.input_h, model.input_w,
                        model.input_c);
    size_t arena_bytes = agn_dev_arena_bytes(&model);
    void *arena = agn_alloc(arena_bytes, 1);
    struct sample *samples = agn_alloc((size_t)data->count, sizeof *samples);
    status = arena && samples ? agn_dev_init(&dev, bytes, size_bytes, arena, arena_bytes) : AGN_ERR_MEMORY;
    if (status == AGN_OK)
        status = run_images(&dev, data, samples);
    if (status == AGN_OK) {
        choose(samples, data->count, confidence, &report);
        agn__store_u16(bytes + AGN__AT_SURE_MARGIN, (uint16_t)report.margin);
        agn__store_u32(bytes + size_bytes - 4, agn_crc32(0, bytes, size_bytes - 4));
        if (result != NULL)
            *result = report;
    }
    agn_free(samples);
    agn_free(arena);
    return status;
}
