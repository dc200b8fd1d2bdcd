/* Reads metrics.jsonl. See history.h. */
#include "plot/history.h"

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

static int add_validation(struct agn__history *history, const struct agn__history_validation *validation)
{
    while (history->validation_count > 0 &&
           history->validations[history->validation_count - 1].images >= validation->images)
        history->validation_count--;
    void *validations = history->validations;
    int status = make_room(&validations, history->validation_count, &history->validation_capacity,
                           sizeof *history->validations);
    history->validations = validations;
    if (status == AGN_OK)
        history->validations[history->validation_count++] = *validation;
    return status;
}

static int add_point(struct agn__history *history, const struct agn__history_point *point)
{
    /* A resumed training goes back to its checkpoint: what it repeats replaces what was there. */
    while (history->count > 0 && history->points[history->count - 1].images >= point->images)
        history->count--;
    while (history->validation_count > 0 &&
           history->validations[history->validation_count - 1].images >= point->images)
        history->validation_count--;
    void *points = history->points;
    int status = make_room(&points, history->count, &history->capacity, sizeof *history->points);
    history->points = points;
    if (status < 0)
        return status;
    history->points[history->count++] = *point;
    return AGN_OK;
}

/* The figures of the training images, in `point`, or accuracy on the validation images alone. */
static int read_figures(const json_t *line, struct agn__history_point *point)
{
    for (int s = 0; s < AGN__SERIES; s++) {
        const json_t *value = json_object_get(line, series_keys[s]);
        point->values[s] = json_is_number(value) ? json_number_value(value) : (double)NAN;
    }
    if (!isfinite(point->values[AGN__ACCURACY]) || !isfinite(point->values[AGN__LOSS]))
        return agn_fail(AGN_ERR_FORMAT, "'accuracy' or 'loss' is missing or no number");
    return AGN_OK;
}

static int read_line(const char *text, size_t length, struct agn__history *history)
{
    struct agn__history_point place, *point = &place;
    json_error_t error;
    json_t *line = json_loadb(text, length, 0, &error);
    if (!line)
        return agn_fail(AGN_ERR_FORMAT, "no JSON object: %s", error.text);
    int status = AGN_OK;
    const char *phase = json_string_value(json_object_get(line, "phase"));
    const json_t *images = json_object_get(line, "images");
    bool imitation = phase && strcmp(phase, "imitation") == 0;
    if (!phase || (!imitation && strcmp(phase, "reference") != 0 && strcmp(phase, "joint") != 0))
        status = agn_fail(AGN_ERR_FORMAT, "'phase' is none of \"reference\", \"imitation\", \"joint\"");
    else if (!json_is_number(images) || !(json_number_value(images) >= 0.0))
        status = agn_fail(AGN_ERR_FORMAT, "'images' is not a number of images");
    if (status == AGN_OK) {
        point->joint = phase[0] == 'j';
        history->imitation = history->imitation || imitation;
        point->images = json_number_value(images);
        const json_t *validation = json_object_get(line, "validation_accuracy");
        if (json_is_number(validation)) {
            const struct agn__history_validation measured = {point->joint, point->images,
                                                             json_number_value(validation)};
            status = add_validation(history, &measured);
        } else {
            status = read_figures(line, point);
            if (status == AGN_OK)
                status = add_point(history, point);
        }
    }
    json_decref(line);
    return status;
}

int agn__history_read(const char *path, struct agn__history *history)
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
        if (!end && history->count > 0)
            break;
        status = read_line((const char *)data + at, length, history);
        at += length + 1;
    }
    agn_free(data);
    if (status < 0) {
        char reason[256];
        snprintf(reason, sizeof reason, "%s", agn_error_message());
        return agn_fail(status, "%s, line %d: %s", path, number, reason);
    }
    return history->count > 0 ? AGN_OK : agn_fail(AGN_ERR_FORMAT, "%s holds no figures", path);
}

void agn__history_free(struct agn__history *history)
{
    agn_free(history->points);
    agn_free(history->validations);
    *history = (struct agn__history){0};
}
