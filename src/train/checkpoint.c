/* Checkpoints: a model with the momenta of its networks (src/model/model_file.c), where training stands, and
 * what training keeps beside the model. */
#include <string.h>

#include <jansson.h>

#include "train/beside.h"

/* ---- where training stands ------------------------------------------------------------------ */

static void write_state(const struct agn_train_state *state, char *text, size_t size)
{
    snprintf(text, size,
             "{\"phase\": %d, \"step\": %lld, \"seconds\": %.3f, \"images\": %lld, "
             "\"train_images\": %lld, \"data_hash\": %lld}",
             (int)state->phase, (long long)state->step, state->seconds, (long long)state->images,
             (long long)state->train_images, (long long)state->data_hash);
}

static bool has_phase(const struct agn_system *system, int phase)
{
    const enum agn_phase *one = system->phases;
    while (*one != AGN_PHASE_DONE && (int)*one != phase)
        one++;
    return (int)*one == phase;
}

static int read_state(const struct agn_tensor_file *file, const struct agn_model *model,
                      struct agn_train_state *state)
{
    const char *text = agn_tensor_file_metadata(file, "training_state");
    *state = (struct agn_train_state){.phase = AGN_PHASE_DONE};
    if (text == NULL)
        return AGN_OK;
    int phase = 0;
    json_int_t step = 0, images = 0, train_images = 0, data_hash = 0;
    json_t *json = json_loads(text, 0, NULL);
    int bad = json == NULL ? -1
                           : json_unpack(json, "{s:i, s:I, s:F, s:I, s?I, s?I}", "phase", &phase, "step",
                                         &step, "seconds", &state->seconds, "images", &images, "train_images",
                                         &train_images, "data_hash", &data_hash);
    json_decref(json);
    if (bad != 0 || !has_phase(model->system, phase) || step < 0 || images < 0 || train_images < 0 ||
        data_hash < 0 || !(state->seconds >= 0.0))
        return agn_fail(AGN_ERR_FORMAT, "metadata 'training_state' is damaged: %.100s", text);
    state->phase = (enum agn_phase)phase;
    state->step = step;
    state->images = images;
    state->train_images = train_images;
    state->data_hash = data_hash;
    return AGN_OK;
}

/* ---- writing ------------------------------------------------------------------------------ */

int agn__checkpoint_save(const char *path, const struct agn_model *model, const struct agn__beside *beside,
                         const struct agn_train_state *state)
{
    char text[256];
    struct agn_tensor_file file = {0};
    int status = AGN_OK;
    write_state(state, text, sizeof(text));
    if (beside->average != NULL)
        status = agn__average_append(beside, model, &file);
    if (status == AGN_OK && beside->best != NULL)
        status = agn__best_append(beside, &file);
    if (status == AGN_OK && beside->symbol_counts != NULL)
        status = agn__symbol_counts_append(beside, model, &file);
    if (status == AGN_OK && beside->centre_moments != NULL)
        status = agn__centre_moments_append(beside, &file);
    const struct agn_model_sections sections = {file.tensors, file.count, text};
    if (status == AGN_OK)
        status = agn_model_save_checkpoint(model, path, &sections);
    agn_free(file.tensors);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* Rank 0's bytes of a file, for all. */
static int read_shared(const char *path, struct agn_group *group, struct agn_tensor_file *file)
{
    const size_t most = (size_t)1 << 33;
    uint8_t *data = NULL;
    size_t size = 0;
    if (group == NULL)
        return agn_tensor_file_read(path, file);
    bool first = agn_group_rank(group) == 0;
    int status = agn_group_agree(group, first ? agn_file_read(path, most, &data, &size) : AGN_OK);
    if (status < 0)
        return status;
    status = agn_group_broadcast(group, &size, sizeof(size));
    if (status >= 0 && !first)
        data = agn_alloc(size + 1, 1);
    if (status >= 0)
        status = agn_group_agree(group, data == NULL ? AGN_ERR_MEMORY : AGN_OK);
    if (status >= 0)
        status = agn_group_broadcast(group, data, size);
    if (status >= 0)
        status = agn_tensor_file_parse(data, size, file);
    agn_free(data);
    return status < 0 ? agn_fail(status, "%s: %s", path, agn_error_message()) : status;
}

static int load(const struct agn_tensor_file *file, struct agn_model **model, struct agn__beside *beside,
                struct agn_train_state *state)
{
    int status = agn_model_from_tensors(file, model);
    if (status == AGN_OK)
        status = read_state(file, *model, state);
    if (status < 0)
        return status;
    const struct agn_preset *preset = &(*model)->preset;
    bool joint = state->phase == AGN_PHASE_JOINT,
         averaged = !agn_phase_prepares(state->phase) && state->phase != AGN_PHASE_DONE;
    if (preset->train.ema > 0.0 && averaged)
        status = agn__average_load(beside, *model, file);
    if (status == AGN_OK && preset->train.choose == AGN_CHOOSE_BEST && state->phase != AGN_PHASE_DONE)
        status = agn__best_load(beside, *model, file, state->phase);
    if (status == AGN_OK && preset->joint.bits > 0.0 && joint)
        status = agn__symbol_counts_load(beside, *model, file);
    if (status == AGN_OK && state->phase == AGN_PHASE_CODER)
        status = agn__centre_moments_load(beside, file);
    return status;
}

int agn__checkpoint_load(const char *path, struct agn_group *group, struct agn_model **model,
                         struct agn__beside *beside, struct agn_train_state *state)
{
    struct agn_tensor_file file = {0};
    struct agn_model *loaded = NULL;
    struct agn__beside kept = {0};
    int status = read_shared(path, group, &file);
    if (status < 0)
        return status;
    status = load(&file, &loaded, &kept, state);
    agn_tensor_file_free(&file);
    if (status != AGN_OK) {
        char reason[768];
        agn__beside_free(&kept);
        agn_model_free(loaded);
        snprintf(reason, sizeof(reason), "%s", agn_error_message());
        return agn_fail(status, "%s: %s", path, reason);
    }
    *model = loaded;
    *beside = kept;
    return AGN_OK;
}

int agn_checkpoint_state(const char *path, struct agn_train_state *state)
{
    struct agn_model *model = NULL;
    struct agn_tensor_file file = {0};
    int status = agn_tensor_file_read(path, &file);
    if (status == AGN_OK)
        status = agn_model_from_tensors(&file, &model);
    if (status == AGN_OK)
        status = read_state(&file, model, state);
    agn_model_free(model);
    agn_tensor_file_free(&file);
    return status;
}

void agn__beside_free(struct agn__beside *beside)
{
    agn__average_free(beside->average);
    agn__best_free(beside->best);
    agn_free(beside->symbol_counts);
    agn_free(beside->centre_moments);
    *beside = (struct agn__beside){0};
}
