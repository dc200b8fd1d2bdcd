/* From a model's file or preset, and what was measured of it, to its cost. */
#include <math.h>
#include <string.h>

#include "agilenn/hosted.h"
#include "cli/estimate.h"
#include "cli/in_memory.h"
#include "cli/preset_options.h"

enum { MOST_JSON = 1 << 22 };

/* ---- the model ----------------------------------------------------------------------------------- */

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length > tail && strcmp(text + length - tail, end) == 0;
}

static int load_trained(const char *path, struct agn__estimate *e, size_t *size)
{
    struct agn_model *model = NULL;
    int status = agn_model_load(path, &model);
    if (status >= 0)
        status = agn__cli_export_in_memory(model, &e->bytes, size);
    agn_model_free(model);
    return status;
}

static int load_preset(const struct agn__estimate_options *o, const char *name, struct agn__estimate *e,
                       size_t *size)
{
    struct agn_preset preset;
    struct agn_model *model = NULL;
    int status = agn__cli_load_preset(name, &o->assignments, &preset);
    if (status >= 0)
        status = agn_model_create(&preset, NULL, &model);
    if (status >= 0)
        status = agn__cli_export_in_memory(model, &e->bytes, size);
    agn_model_free(model);
    return status;
}

static int load(const struct agn__estimate_options *o, int index, struct agn__estimate *e)
{
    bool is_file = index < o->models.count;
    const char *name = is_file ? o->models.items[index] : o->presets.items[index - o->models.count];
    size_t size = 0;
    snprintf(e->name, sizeof e->name, "%s", name);
    if (is_file && !ends_in(name, ".safetensors"))
        return agn_hosted_read(name, &e->bytes, &size, &e->model);
    int status = is_file ? load_trained(name, e, &size) : load_preset(o, name, e, &size);
    return status < 0 ? status : agn_hosted_check(name, e->bytes, size, &e->model);
}

/* ---- what was measured ----------------------------------------------------------------------------- */

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

static int take_run(const char *path, const json_t *run, struct agn__estimate *e)
{
    struct agn_work *w = &e->work;
    double images = number_of(run, "images"), packets = number_of(run, "packets_mean"),
           payload = number_of(run, "payload_bytes_mean"), datagrams = number_of(run, "datagram_bytes_mean");
    double reply = number_of(run, "reply_bytes_mean"), rows = number_of(run, "row_instructions"),
           packing = number_of(run, "packet_instructions");
    if (!(images > 0.0) || json_object_get(run, "reasons") == NULL)
        return agn_fail(AGN_ERR_FORMAT,
                        "%s: expected what `agilenn run --json` prints, with images and reasons", path);
    if (agn_dev_model_sends(&e->model)) {
        w->sent_share = 1.0 - unsent_of(run) / images;
        if (packets >= 1.0 && payload > 0.0) {
            int status = agn_work_set_bytes(&e->model, payload, packets, w);
            if (status < 0)
                return status;
        }
        if (packets >= 1.0 && datagrams > 0.0)
            w->packet_bytes = datagrams;
        if (reply > 0.0)
            w->reply_bytes = reply + AGN_WORK_COAP_BYTES;
    }
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

static int read_run(const char *path, struct agn__estimate *e)
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

/* ---- together ----------------------------------------------------------------------------------------- */

static int find_work(const struct agn__estimate_options *o, struct agn__estimate *e)
{
    int status = agn_work_of_model(&e->model, &e->work);
    if (status >= 0 && o->firmware != NULL)
        status = agn_work_count(o->firmware, e->model.data, e->model.size_bytes, &e->work);
    e->counted = o->firmware != NULL;
    if (status >= 0 && o->run != NULL)
        status = read_run(o->run, e);
    if (status >= 0 && o->bytes >= 0.0 && agn_dev_model_sends(&e->model)) {
        double encode = e->work.encode_instructions;
        status = agn_work_set_bytes(&e->model, o->bytes, fmax(ceil(o->bytes / AGN_WIRE_MAX_PACKET), 1.0),
                                    &e->work);
        e->work.encode_instructions = e->counted ? encode : e->work.encode_instructions;
    }
    if (status >= 0 && o->sent >= 0.0 && agn_dev_model_sends(&e->model))
        e->work.sent_share = o->sent;
    e->work.server_ms = agn_dev_model_sends(&e->model) ? o->server_ms : 0.0;
    return status < 0 ? status : agn_work_fit_radio(&e->model, &e->radio, &e->work);
}

static int load_profiles(const struct agn__estimate_options *o, struct agn__estimate *e)
{
    int status = agn_board_load(o->board, &e->board);
    if (status >= 0)
        status = agn_radio_load(o->radio, &e->radio);
    if (status < 0)
        return status;
    if (o->clock_mhz >= 0.0)
        e->board.clock_mhz = o->clock_mhz;
    if (o->rate_kbps >= 0.0)
        e->radio.rate_kbps = o->rate_kbps;
    return AGN_OK;
}

/* Modelled instructions are not known exactly. */
static void widen(struct agn__estimate *e)
{
    if (e->counted)
        return;
    e->board.relative_instructions.low *= 1.0 - AGN_WORK_ERROR;
    e->board.relative_instructions.high *= 1.0 + AGN_WORK_ERROR;
}

static int check_memory(const struct agn__estimate_options *o, struct agn__estimate *e)
{
    const struct agn_target *target = agn_target_find(e->board.target);
    agn_target_needs(target, AGN_OPTIMISE_SPEED, &e->model, &e->needs);
    double ram = fmin(e->board.ram_bytes, UINT32_MAX), flash = fmin(e->board.flash_bytes, UINT32_MAX);
    return o->any ? AGN_OK
                  : agn_target_check(target, AGN_OPTIMISE_SPEED, &e->model, (uint32_t)ram, (uint32_t)flash);
}

int agn__estimate_make(const struct agn__estimate_options *o, int index, struct agn__estimate *e)
{
    *e = (struct agn__estimate){.bytes = NULL};
    int status = load_profiles(o, e);
    if (status >= 0)
        status = load(o, index, e);
    if (status >= 0)
        status = check_memory(o, e);
    if (status >= 0)
        status = find_work(o, e);
    if (status < 0)
        return status;
    widen(e);
    status = agn_cost_frame(&e->board, &e->radio, &e->work, &e->cost);
    if (status >= 0)
        status = agn_cost_with_loss(&e->board, &e->radio, &e->work, o->loss, o->deadline_ms, &e->with_loss);
    e->lever_count = agn_cost_levers(&e->board, &e->radio, &e->work, e->levers, AGN__ESTIMATE_LEVERS);
    return status;
}

void agn__estimate_free(struct agn__estimate *e)
{
    agn_free(e->bytes);
}
