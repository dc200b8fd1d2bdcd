/* Stages of an extractor, and the cuts between device and server that they make possible. */
#include <string.h>

#include "agilenn/model.h"

static const char blanks[] = " \t\r\n";

int agn_model_stages(const struct agn_model *model)
{
    int stages = 0;
    while (stages < AGN_MAX_STAGES && !agn_part_is_empty(&model->parts[agn_stage_role(stages + 1)]))
        stages++;
    return stages;
}

int agn_stage_texts(const char *text)
{
    int count = 1;
    while ((text = strchr(text, '|')) != NULL) {
        text++;
        count++;
    }
    return count;
}

void agn_stage_text(const char *text, int stage, char part[AGN_PRESET_TEXT_BYTES])
{
    for (int s = 1; s < stage; s++) {
        text += strcspn(text, "|");
        text += *text == '|';
    }
    text += strspn(text, blanks);
    size_t length = strcspn(text, "|");
    while (length > 0 && strchr(blanks, text[length - 1]) != NULL)
        length--;
    snprintf(part, AGN_PRESET_TEXT_BYTES, "%.*s", (int)length, text);
}

/* ---- cuts -------------------------------------------------------------------------- */

int agn_model_cuts(const struct agn_model *model)
{
    return model->system->cut != NULL ? agn_model_stages(model) + 1 : 1;
}

/* What the server does behind a cut. */
static void list_roles(const struct agn_model *model, int cut, struct agn_cut *result)
{
    for (int stage = cut + 1; model->system->cut != NULL && stage <= agn_model_stages(model); stage++)
        result->roles[result->role_count++] = agn_stage_role(stage);
    result->roles[result->role_count++] = AGN_REMOTE;
}

int agn_model_cut(const struct agn_model *model, int cut, struct agn_cut *result)
{
    const struct agn_system *system = model->system;
    int usual = agn_model_cuts(model) - 1, status = agn_model_need(model, AGN_REMOTE);
    *result = (struct agn_cut){.map = model->map, .model_id = agn_model_id(model)};
    if (status == AGN_OK && (cut < 0 || cut > usual))
        status = agn_fail(AGN_ERR_RANGE, "there is no cut %d: this model has 0 to %d", cut, usual);
    if (status < 0)
        return status;
    list_roles(model, cut, result);
    if (cut < usual)
        result->model_id = agn_crc32(result->model_id, (const uint8_t[]){(uint8_t)cut}, 1);
    if (system->cut != NULL)
        return system->cut(model, cut, result);
    result->feature_limit = system->feature_limit == NULL ? 0.0F : system->feature_limit(model);
    return system->sent_shape(model, &result->sent);
}

int agn_model_cut_expand(const struct agn_model *model, int cut, const uint8_t *symbols, float *features)
{
    const struct agn_system *system = model->system;
    if (system->cut_expand != NULL)
        return system->cut_expand(model, cut, symbols, features);
    if (system->expand != NULL)
        return system->expand(model, symbols, features);
    return agn_fail(AGN_ERR_UNSUPPORTED, "the system %s sends symbols of the learned quantiser",
                    system->name);
}
