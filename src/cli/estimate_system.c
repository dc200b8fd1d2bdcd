/* From a model's file or preset to its cost; what was measured of it is estimate_run.c's. */
#include <math.h>
#include <string.h>

#include "agilenn/hosted.h"
#include "cli/estimate.h"
#include "cli/in_memory.h"
#include "cli/preset_options.h"

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
    snprintf(e->name, sizeof e->name, "%s", o->names.count > 0 ? o->names.items[index] : name);
    if (is_file && !ends_in(name, ".safetensors"))
        return agn_hosted_read(name, &e->bytes, &size, &e->model);
    int status = is_file ? load_trained(name, e, &size) : load_preset(o, name, e, &size);
    return status < 0 ? status : agn_hosted_check(name, e->bytes, size, &e->model);
}

/* ---- together ----------------------------------------------------------------------------------------- */

static int find_work(const struct agn__estimate_options *o, int index, struct agn__estimate *e)
{
    const char *run = o->runs.count > 0 ? o->runs.items[index] : AGN__ESTIMATE_NO_RUN;
    int status = agn_work_of_model(&e->model, &e->work);
    if (status >= 0 && o->firmware != NULL)
        status = agn_work_count(o->firmware, e->model.data, e->model.size_bytes, &e->work);
    e->counted = o->firmware != NULL;
    if (status >= 0 && strcmp(run, AGN__ESTIMATE_NO_RUN) != 0)
        status = agn__estimate_read_run(run, e);
    if (status >= 0 && o->bytes >= 0.0 && agn_dev_model_sends(&e->model)) {
        double encode = e->work.encode_instructions;
        status = agn_work_set_bytes(&e->model, o->bytes, fmax(ceil(o->bytes / AGN_WIRE_MAX_PACKET), 1.0),
                                    &e->work);
        e->work.encode_instructions = e->counted ? encode : e->work.encode_instructions;
        e->bytes_are = AGN__FIGURES_GIVEN;
    }
    if (status >= 0 && o->sent >= 0.0 && agn_dev_model_sends(&e->model)) {
        e->work.sent_share = o->sent;
        e->bytes_are = AGN__FIGURES_GIVEN;
    }
    e->work.server_ms = agn_dev_model_sends(&e->model) ? o->server_ms : 0.0;
    return status < 0 ? status : agn_work_fit_radio(&e->model, &e->radio, &e->work);
}

int agn__estimate_begin(const struct agn__estimate_options *o, struct agn__estimate *e)
{
    *e = (struct agn__estimate){.bytes = NULL, .accuracy = NAN, .silent_accuracy = NAN};
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

int agn__estimate_end(const struct agn__estimate_options *o, struct agn__estimate *e)
{
    widen(e);
    int status = agn_cost_frame(&e->board, &e->radio, &e->work, &e->cost);
    if (status >= 0)
        status = agn_cost_with_loss(&e->board, &e->radio, &e->work, o->loss, o->deadline_ms, &e->with_loss);
    e->lever_count = agn_cost_levers(&e->board, &e->radio, &e->work, e->levers, AGN__ESTIMATE_LEVERS);
    return status;
}

int agn__estimate_make(const struct agn__estimate_options *o, int index, struct agn__estimate *e)
{
    int status = agn__estimate_begin(o, e);
    if (status >= 0)
        status = load(o, index, e);
    if (status >= 0)
        status = check_memory(o, e);
    if (status >= 0)
        status = find_work(o, index, e);
    return status < 0 ? status : agn__estimate_end(o, e);
}

void agn__estimate_free(struct agn__estimate *e)
{
    agn_free(e->bytes);
}
