/* Reads metrics.jsonl. See metrics_file.h. */
#include "plot/metrics_file.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum { MAX_METRICS_BYTES = 64 << 20, MAX_POINTS = 1 << 20 };

static const char *const series_keys[AGN__SERIES] = {"accuracy", "skewness", "reference_valid",
                                                     "disorder_rate", "loss"};

static int make_room(void **items, int count, int *capacity, size_t each)
{
    if (count < *capacity)
        return AGN_OK;
    int larger = *capacity ? 2 * *capacity : 1024;
    void *grown = larger <= MAX_POINTS ? agn_alloc((size_t)larger, each) : NULL;
    if (!grown)
        return agn_fail(AGN_ERR_RANGE, "more than %d lines", MAX_POINTS);
    if (count > 0)
        memcpy(grown, *items, (size_t)count * each);
    agn_free(*items);
    *items = grown;
    *capacity = larger;
    return AGN_OK;
}

static int add_validation(struct agn__metrics *metrics, const struct agn__metrics_validation *validation)
{
    while (metrics->validation_count > 0 &&
           metrics->validations[metrics->validation_count - 1].images >= validation->images)
        metrics->validation_count--;
    void *validations = metrics->validations;
    int status = make_room(&validations, metrics->validation_count, &metrics->validation_capacity,
                           sizeof *metrics->validations);
    metrics->validations = validations;
    if (status == AGN_OK)
        metrics->validations[metrics->validation_count++] = *validation;
    return status;
}

static int add_point(struct agn__metrics *metrics, const struct agn__metrics_point *point)
{
    /* A resumed training goes back to its checkpoint: what it repeats replaces what was there. */
    while (metrics->count > 0 && metrics->points[metrics->count - 1].images >= point->images)
        metrics->count--;
    while (metrics->validation_count > 0 &&
           metrics->validations[metrics->validation_count - 1].images >= point->images)
        metrics->validation_count--;
    void *points = metrics->points;
    int status = make_room(&points, metrics->count, &metrics->capacity, sizeof *metrics->points);
    metrics->points = points;
    if (status < 0)
        return status;
    metrics->points[metrics->count++] = *point;
    return AGN_OK;
}

/* The figures of the training images, in `point`, or accuracy on the validation images alone. */
static int read_figures(const json_t *line, struct agn__metrics_point *point)
{
    for (int s = 0; s < AGN__SERIES; s++) {
        const json_t *value = json_object_get(line, series_keys[s]);
        point->values[s] = json_is_number(value) ? json_number_value(value) : (double)NAN;
    }
    if (!isfinite(point->values[AGN__ACCURACY]) || !isfinite(point->values[AGN__LOSS]))
        return agn_fail(AGN_ERR_FORMAT, "'accuracy' or 'loss' is missing or no number");
    return AGN_OK;
}

/* Phases that train what predicts in the end. */
static bool is_whole(const char *phase)
{
    static const char *const names[] = {"joint", "remote", "local", "exits", "coder"};
    for (size_t i = 0; i < AGN_COUNT_OF(names); i++)
        if (strcmp(phase, names[i]) == 0)
            return true;
    return false;
}

static int read_line(const char *text, size_t length, struct agn__metrics *metrics)
{
    struct agn__metrics_point place, *point = &place;
    json_error_t error;
    json_t *line = json_loadb(text, length, 0, &error);
    if (!line)
        return agn_fail(AGN_ERR_FORMAT, "no JSON object: %s", error.text);
    int status = AGN_OK;
    const char *phase = json_string_value(json_object_get(line, "phase"));
    const json_t *images = json_object_get(line, "images");
    bool imitation = phase && strcmp(phase, "imitation") == 0;
    bool joint = phase && is_whole(phase);
    bool before = phase && (strcmp(phase, "reference") == 0 || strcmp(phase, "classifier") == 0);
    if (!phase || (!imitation && !joint && !before))
        status = agn_fail(AGN_ERR_FORMAT,
                          "'phase' is none of \"reference\", \"imitation\", \"joint\", \"remote\", "
                          "\"local\", \"exits\", \"classifier\", \"coder\"");
    else if (!json_is_number(images) || !(json_number_value(images) >= 0.0))
        status = agn_fail(AGN_ERR_FORMAT, "'images' is not a number of images");
    if (status == AGN_OK) {
        point->joint = joint;
        metrics->imitation = metrics->imitation || imitation;
        point->images = json_number_value(images);
        const json_t *validation = json_object_get(line, "validation_accuracy");
        if (json_is_number(validation)) {
            const struct agn__metrics_validation measured = {point->joint, point->images,
                                                             json_number_value(validation)};
            status = add_validation(metrics, &measured);
        } else {
            status = read_figures(line, point);
            if (status == AGN_OK)
                status = add_point(metrics, point);
        }
    }
    json_decref(line);
    return status;
}

int agn__metrics_read(const char *path, struct agn__metrics *metrics)
{
    uint8_t *data = NULL;
    size_t size = 0;
    int status = agn_file_read(path, MAX_METRICS_BYTES, &data, &size);
    if (status < 0)
        return status;
    int number = 0;
    for (size_t at = 0; at < size && status == AGN_OK;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t length = end ? (size_t)(end - data) - at : size - at;
        number++;
        /* A killed training may leave a last line without its end: not worth an error. */
        if (!end && metrics->count > 0)
            break;
        status = read_line((const char *)data + at, length, metrics);
        at += length + 1;
    }
    agn_free(data);
    if (status < 0) {
        char reason[256];
        snprintf(reason, sizeof reason, "%s", agn_error_message());
        return agn_fail(status, "%s, line %d: %s", path, number, reason);
    }
    return metrics->count > 0 ? AGN_OK : agn_fail(AGN_ERR_FORMAT, "%s holds no figures", path);
}

void agn__metrics_free(struct agn__metrics *metrics)
{
    agn_free(metrics->points);
    agn_free(metrics->validations);
    *metrics = (struct agn__metrics){0};
}
