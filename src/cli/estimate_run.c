/* What `agilenn run --json` measured of a model: bytes, packets, frames not sent, accuracy, and instructions
 * if they were counted. */
#include <math.h>
#include <string.h>

#include "cli/estimate.h"

enum { MOST_JSON = 1 << 22 };

static double number_of(const json_t *object, const char *key)
{
    const json_t *found = json_object_get(object, key);
    return json_is_number(found) ? json_number_value(found) : (double)NAN;
}

/* Frames of which nothing was sent. */
static double unsent_of(const json_t *object)
{
    static const char *const keys[] = {"sure", "alone", "unsent", "paused", "skipped"};
    const json_t *reasons = json_object_get(object, "reasons");
    double sum = 0.0;
    for (size_t i = 0; i < AGN_COUNT_OF(keys); i++) {
        double count = number_of(reasons, keys[i]);
        sum += isfinite(count) ? count : 0.0;
    }
    return sum;
}

/* A run of another model is found out where one of the two sends and the other does not. */
static int check_run(const char *path, const json_t *run, const struct agn__estimate *e)
{
    double images = number_of(run, "images");
    if (!(images > 0.0) || json_object_get(run, "reasons") == NULL)
        return agn_fail(AGN_ERR_FORMAT,
                        "%s: expected what `agilenn run --json` prints, with images and reasons", path);
    bool sends = agn_dev_model_sends(&e->model), sent = isfinite(number_of(run, "packets_mean"));
    bool alone = number_of(json_object_get(run, "reasons"), "alone") >= images;
    if (sends ? alone : sent)
        return agn_fail(
            AGN_ERR_MISMATCH,
            "%s: in this run the device %s, but %s %s: expected the run of this model; --run goes "
            "by the order of the models",
            path, sent ? "sends" : "answers alone", e->name, sends ? "sends" : "answers alone");
    return AGN_OK;
}

static int take_run(const char *path, const json_t *run, struct agn__estimate *e)
{
    struct agn_work *w = &e->work;
    double images = number_of(run, "images"), rows = number_of(run, "row_instructions"),
           packing = number_of(run, "packet_instructions");
    const struct agn_work_measured measured = {.packets = number_of(run, "packets_mean"),
                                               .payload_bytes = number_of(run, "payload_bytes_mean"),
                                               .datagram_bytes = number_of(run, "datagram_bytes_mean"),
                                               .reply_bytes = number_of(run, "reply_bytes_mean"),
                                               .protocol = number_of(run, "protocol") == 2.0 ? 2 : 1};
    int status = check_run(path, run, e);
    if (status < 0)
        return status;
    e->bytes_are = AGN__FIGURES_MEASURED;
    e->accuracy = number_of(run, "accuracy");
    e->silent_accuracy = number_of(run, "local_accuracy");
    if (agn_dev_model_sends(&e->model))
        w->sent_share = 1.0 - unsent_of(run) / images;
    status = agn_work_set_measured(&e->model, &measured, w);
    if (status < 0)
        return status;
    if (isfinite(rows)) {
        double scale = rows / (w->extract_instructions + w->local_instructions);
        w->extract_instructions *= scale;
        w->local_instructions *= scale;
        e->counted = true;
    }
    if (isfinite(rows) && isfinite(packing))
        w->encode_instructions = packing;
    return AGN_OK;
}

int agn__estimate_read_run(const char *path, struct agn__estimate *e)
{
    uint8_t *text = NULL;
    size_t size = 0;
    json_error_t error;
    int status = agn_file_read(path, MOST_JSON, &text, &size);
    if (status < 0)
        return status;
    json_t *run = json_loadb((const char *)text, size, 0, &error);
    agn_free(text);
    if (run == NULL)
        return agn_fail(AGN_ERR_FORMAT, "%s, line %d: %s: expected what `agilenn run --json` prints", path,
                        error.line, error.text);
    status = take_run(path, run, e);
    json_decref(run);
    return status;
}
