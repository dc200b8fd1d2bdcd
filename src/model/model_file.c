/* model.safetensors, and the model in a checkpoint: tensors, and everything else as JSON in the metadata. */
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "agn_build.h"
#include "model/model_internal.h"

enum { PRESET_BYTES = 8192 };
static const char format_name[] = "agilenn-model-1";

/* ---- small values as one tensor ------------------------------------------------------- */

/* Values that are not network parameters, in this order. */
enum { SCALAR_ALPHA, SCALAR_ALPHA_MOMENTUM, SCALAR_SKEWNESS_BEFORE, SCALAR_REFERENCE_ACCURACY, SCALARS };

struct extra {
    const char *name;
    float *values;
    int count;
};

enum { EXTRAS = 7, CONTEXT_TENSORS = 2, WRITTEN = EXTRAS + CONTEXT_TENSORS + 2 };

static void list_extras(const struct agn_model *model, float scalars[SCALARS],
                        float norm[2 * AGN_MAX_CHANNELS], struct extra extras[EXTRAS])
{
    struct agn_model *m = (struct agn_model *)model; /* the writer only reads */
    extras[0] = (struct extra){"quantiser.centroids", m->centroids, AGN_LEVELS};
    extras[1] = (struct extra){"quantiser.usage", m->usage, AGN_LEVELS};
    extras[2] = (struct extra){"fill", m->fill, m->sent_channels};
    extras[3] = (struct extra){"importance.before", m->importance_before, m->map.channels};
    extras[4] = (struct extra){"importance.after", m->importance_after, m->map.channels};
    extras[5] = (struct extra){"scalars", scalars, SCALARS};
    extras[6] = (struct extra){"normalisation", norm, 2 * AGN_MAX_CHANNELS};
}

static int append_extras(struct agn_tensor_file *file, const struct extra *extras, int count)
{
    struct agn_tensor_view views[WRITTEN];
    for (int i = 0; i < count; i++)
        views[i] = agn_tensor_view_f32(extras[i].name, extras[i].values, (size_t)extras[i].count);
    return agn_tensor_file_append(file, views, count);
}

static int load_extras(const struct agn_tensor_file *file, const struct extra extras[EXTRAS])
{
    for (int i = 0; i < EXTRAS; i++) {
        const struct agn_tensor_view *view = agn_tensor_file_find(file, extras[i].name);
        if (view == NULL || view->dtype != AGN_F32 ||
            view->size_bytes != (size_t)extras[i].count * sizeof(float)) {
            return agn_fail(AGN_ERR_FORMAT, "tensor '%s' is missing or has another size than %d floats",
                            extras[i].name, extras[i].count);
        }
        memcpy(extras[i].values, view->data, view->size_bytes);
        for (int v = 0; v < extras[i].count; v++) {
            if (!isfinite(extras[i].values[v])) {
                return agn_fail(AGN_ERR_FORMAT, "tensor '%s' holds a value that is not finite",
                                extras[i].name);
            }
        }
    }
    return AGN_OK;
}

/* ---- the context model: whole numbers as floats ------------------------------------------ */

static const char map_name[] = "codec.contexts", cumulative_name[] = "codec.distributions";

/* Owned by the caller: the map's values, then the distributions'. */
static float *context_values(const struct agn_model *model)
{
    size_t map = (size_t)model->sent_channels * AGN_CONTEXTS, all = (size_t)model->distributions * AGN_LEVELS;
    float *values = agn_alloc(map + all, sizeof(*values));
    for (size_t i = 0; values != NULL && i < map; i++)
        values[i] = (float)model->context_map[i];
    for (size_t i = 0; values != NULL && i < all; i++) {
        const uint8_t *at = model->context_cumulative + 2 * i;
        values[map + i] = (float)(at[0] | at[1] << 8);
    }
    return values;
}

/* Files of before there were context models have none: the fresh model's stands then, as it does where
 * nothing is sent. */
static int load_contexts(struct agn_model *model, const struct agn_tensor_file *file)
{
    const struct agn_tensor_view *map = agn_tensor_file_find(file, map_name),
                                 *cumulative = agn_tensor_file_find(file, cumulative_name);
    size_t contexts = (size_t)model->sent_channels * AGN_CONTEXTS, row = AGN_LEVELS * sizeof(float);
    if ((map == NULL && cumulative == NULL) || contexts == 0)
        return AGN_OK;
    bool fits = map != NULL && cumulative != NULL && map->dtype == AGN_F32 && cumulative->dtype == AGN_F32 &&
                map->size_bytes == contexts * sizeof(float) && cumulative->size_bytes % row == 0 &&
                cumulative->size_bytes / row <= AGN_MODEL_DISTRIBUTIONS;
    for (size_t i = 0; fits && i < contexts; i++) {
        float value = ((const float *)map->data)[i];
        fits = value >= 0.0F && value < AGN_MODEL_DISTRIBUTIONS && value == truncf(value);
        model->context_map[i] = fits ? (uint8_t)value : 0;
    }
    model->distributions = fits ? (int)(cumulative->size_bytes / row) : 0;
    for (size_t i = 0; fits && i < (size_t)model->distributions * AGN_LEVELS; i++) {
        float value = ((const float *)cumulative->data)[i];
        fits = value >= 1.0F && value <= 32768.0F && value == truncf(value);
        unsigned whole = fits ? (unsigned)value : 0;
        model->context_cumulative[2 * i] = (uint8_t)whole;
        model->context_cumulative[2 * i + 1] = (uint8_t)(whole >> 8);
    }
    struct agn_context_model contexts_of = {0};
    agn_model_contexts(model, &contexts_of);
    if (!fits || agn_context_model_check(&contexts_of) < 0) {
        return agn_fail(AGN_ERR_FORMAT, "tensors '%s' and '%s' are no context model: train again", map_name,
                        cumulative_name);
    }
    return AGN_OK;
}

/* ---- trust ------------------------------------------------------------------------------ */

static const char trust_name[] = "fusion.trust", leading_trust_name[] = "fusion.leading_trust";

static int read_trust(const struct agn_tensor_view *view, size_t count, float *trust)
{
    bool fits = view->dtype == AGN_F32 && view->size_bytes == count * sizeof(float);
    for (size_t i = 0; fits && i < count; i++) {
        trust[i] = ((const float *)view->data)[i];
        fits = trust[i] >= 0.0F && trust[i] <= 1.0F;
    }
    return fits ? AGN_OK
                : agn_fail(AGN_ERR_FORMAT, "tensor '%s' is not %zu numbers from 0 to 1: train again",
                           view->name, count);
}

/* Files of before there was trust have none, somewhat younger ones none for the first channels alone. */
static int load_trust(struct agn_model *model, const struct agn_tensor_file *file)
{
    const struct agn_tensor_view *any = agn_tensor_file_find(file, trust_name);
    const struct agn_tensor_view *leading = agn_tensor_file_find(file, leading_trust_name);
    size_t count = (size_t)model->sent_channels + 1;
    if (any == NULL) {
        agn__trust_guess(model);
        return AGN_OK;
    }
    int status = read_trust(any, count, model->trust);
    return status < 0 ? status : read_trust(leading != NULL ? leading : any, count, model->leading_trust);
}

/* ---- writing ------------------------------------------------------------------------------ */

/* Class names come from folder names: bytes that JSON cannot hold become '?'. */
static json_t *class_name_json(const char *name)
{
    json_t *string = json_string(name);
    if (string != NULL)
        return string;
    char ascii[256];
    snprintf(ascii, sizeof(ascii), "%s", name);
    for (char *at = ascii; *at != '\0'; at++)
        if ((unsigned char)*at > 0x7F)
            *at = '?';
    return json_string(ascii);
}

static char *class_names_json(const struct agn_model *model)
{
    json_t *list = json_array();
    for (int i = 0; i < model->classes; i++) {
        if (json_array_append_new(list, class_name_json(model->class_names[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    char *text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    return text;
}

/* What Adam remembers of alpha, in checkpoints of trainings with it. */
static const char alpha_name[] = "alpha.second";
enum { ALPHA_VALUES = 2 };

static int append_alpha(const struct agn_model *model, float values[ALPHA_VALUES],
                        struct agn_tensor_file *file)
{
    values[0] = model->alpha_second;
    values[1] = model->alpha_steps;
    const struct agn_tensor_view view = agn_tensor_view_f32(alpha_name, values, ALPHA_VALUES);
    return model->alpha_steps > 0.0F ? agn_tensor_file_append(file, &view, 1) : AGN_OK;
}

static int load_alpha(struct agn_model *model, const struct agn_tensor_file *file)
{
    const struct agn_tensor_view *view = agn_tensor_file_find(file, alpha_name);
    float values[ALPHA_VALUES];
    if (view == NULL)
        return AGN_OK;
    if (view->dtype != AGN_F32 || view->size_bytes != sizeof(values))
        return agn_fail(AGN_ERR_FORMAT, "tensor '%s' has another size than %d floats", alpha_name,
                        (int)ALPHA_VALUES);
    memcpy(values, view->data, sizeof(values));
    if (!isfinite(values[0]) || !isfinite(values[1]) || values[0] < 0.0F || values[1] < 0.0F)
        return agn_fail(AGN_ERR_FORMAT, "tensor '%s' holds impossible values", alpha_name);
    model->alpha_second = values[0];
    model->alpha_steps = values[1];
    return AGN_OK;
}

static int append_all(const struct agn_model *model, const struct extra extras[WRITTEN],
                      const struct agn_model_sections *sections, struct agn_tensor_file *file)
{
    int status = AGN_OK;
    for (int role = 0; role < AGN_ROLES && status == AGN_OK; role++)
        status = agn_params_append(model->parts[role].params, file, sections != NULL);
    if (status == AGN_OK)
        status = append_extras(file, extras, WRITTEN);
    if (status == AGN_OK && sections != NULL)
        status = agn_tensor_file_append(file, sections->tensors, sections->count);
    return status;
}

static int save(const struct agn_model *model, const char *path, const struct agn_model_sections *sections)
{
    char preset[PRESET_BYTES], state[512];
    float scalars[SCALARS] = {model->alpha_weight, model->alpha_momentum, (float)model->skewness_before,
                              (float)model->reference_accuracy};
    float norm[2 * AGN_MAX_CHANNELS], alpha[ALPHA_VALUES];
    struct extra extras[WRITTEN];
    struct agn_tensor_file file = {0};
    float *contexts = context_values(model);
    char *names = class_names_json(model);
    int status = names == NULL || contexts == NULL
                     ? AGN_ERR_MEMORY
                     : agn_preset_format(&model->preset, preset, sizeof(preset));
    for (int c = 0; c < AGN_MAX_CHANNELS; c++) {
        norm[c] = (float)model->normalisation.mean[c];
        norm[AGN_MAX_CHANNELS + c] = model->normalisation.std[c];
    }
    list_extras(model, scalars, norm, extras);
    int map = model->sent_channels * AGN_CONTEXTS;
    extras[EXTRAS] = (struct extra){map_name, contexts, map};
    extras[EXTRAS + 1] = (struct extra){cumulative_name, contexts + map, model->distributions * AGN_LEVELS};
    extras[WRITTEN - 2] =
        (struct extra){trust_name, ((struct agn_model *)model)->trust, model->sent_channels + 1};
    extras[WRITTEN - 1] = (struct extra){leading_trust_name, ((struct agn_model *)model)->leading_trust,
                                         model->sent_channels + 1};
    if (status >= 0)
        status = append_all(model, extras, sections, &file);
    if (status >= 0 && sections != NULL)
        status = append_alpha(model, alpha, &file);
    if (status >= 0) {
        char preset_name[64];
        snprintf(preset_name, sizeof(preset_name), "%s", model->preset.name);
        char format[sizeof(format_name)];
        memcpy(format, format_name, sizeof(format));
        char k_format[] = "format", k_preset[] = "preset", k_name[] = "preset_name", k_classes[] = "classes",
             k_version[] = "version", version[] = AGN_VERSION, k_state[] = "training_state";
        /* A model's bytes do not depend on the version that trained it; a checkpoint tells. */
        char *metadata[6][2] = {{k_format, format}, {k_preset, preset}, {k_name, preset_name},
                                {k_classes, names}, {k_state, state},   {k_version, version}};
        snprintf(state, sizeof(state), "%s", sections == NULL ? "" : sections->state);
        file.metadata = metadata;
        file.metadata_count = sections != NULL ? 6 : 4;
        status = agn_tensor_file_write(path, &file);
    }
    agn_free(file.tensors);
    agn_free(contexts);
    free(names);
    return status;
}

int agn_model_save(const struct agn_model *model, const char *path)
{
    return save(model, path, NULL);
}

int agn_model_save_checkpoint(const struct agn_model *model, const char *path,
                              const struct agn_model_sections *sections)
{
    return save(model, path, sections);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Who made a file that cannot be read, and what to do; older files do not say. */
static int fail_with_maker(const struct agn_tensor_file *file, int status, const char *problem)
{
    const char *version = agn_tensor_file_metadata(file, "version");
    return agn_fail(status,
                    "%s; agilenn %.32s made this file, and this is " AGN_VERSION
                    ": use the version that made it, or train again with this one",
                    problem, version == NULL ? "of another version" : version);
}

static int read_preset(const struct agn_tensor_file *file, struct agn_preset *preset)
{
    const char *format = agn_tensor_file_metadata(file, "format");
    const char *text = agn_tensor_file_metadata(file, "preset"),
               *name = agn_tensor_file_metadata(file, "preset_name");
    char problem[512];
    if (format != NULL && strcmp(format, format_name) != 0 && strncmp(format, "agilenn-", 8) == 0) {
        snprintf(problem, sizeof(problem), "its format is '%.64s', here it is '%s'", format, format_name);
        return fail_with_maker(file, AGN_ERR_VERSION, problem);
    }
    if (format == NULL || strcmp(format, format_name) != 0 || text == NULL) {
        return agn_fail(AGN_ERR_FORMAT, "its metadata lacks format = %s and a preset: not a model of agilenn",
                        format_name);
    }
    agn_preset_defaults(preset);
    snprintf(preset->name, sizeof(preset->name), "%s", name == NULL ? "" : name);
    int status = agn_preset_parse(text, preset);
    if (status >= 0)
        return status;
    snprintf(problem, sizeof(problem), "%.400s", agn_error_message());
    return fail_with_maker(file, status, problem);
}

static int read_class_names(const struct agn_tensor_file *file, struct agn_model *model)
{
    const char *text = agn_tensor_file_metadata(file, "classes");
    json_t *list = text == NULL ? NULL : json_loads(text, 0, NULL);
    int status = AGN_OK;
    if (!json_is_array(list) || json_array_size(list) != (size_t)model->classes)
        status = agn_fail(AGN_ERR_FORMAT, "metadata 'classes' is not a list of %d names", model->classes);
    for (int i = 0; i < model->classes && status == AGN_OK; i++) {
        const char *name = json_string_value(json_array_get(list, (size_t)i));
        if (name == NULL) {
            status = agn_fail(AGN_ERR_FORMAT, "metadata 'classes': name %d is not a string", i);
            continue;
        }
        size_t size = strlen(name) + 1;
        model->class_names[i] = agn_alloc(size, 1);
        if (model->class_names[i] == NULL)
            status = AGN_ERR_MEMORY;
        else
            memcpy(model->class_names[i], name, size);
    }
    json_decref(list);
    return status;
}

static int load_params(struct agn_model *model, const struct agn_tensor_file *file)
{
    bool momentum = agn_tensor_file_metadata(file, "training_state") != NULL;
    int status = AGN_OK;
    for (int role = 0; role < AGN_ROLES && status == AGN_OK; role++)
        status = agn_params_load(model->parts[role].params, file, momentum);
    return status;
}

int agn_model_check_levels(const struct agn_model *model, const float levels[AGN_LEVELS], const char *tensor)
{
    const float most = 1e4F; /* of levels that may be anything */
    bool from_zero = model->decoded == 0, fits = from_zero ? levels[0] == 0.0F : levels[0] >= -most;
    for (int level = 1; level < AGN_LEVELS; level++) {
        float low = from_zero ? fabsf(levels[level - 1]) : levels[level - 1];
        float high = from_zero ? fabsf(levels[level]) : levels[level];
        fits = fits && high >= low && high <= (from_zero ? 6.0F : most);
    }
    return fits ? AGN_OK
                : agn_fail(AGN_ERR_FORMAT, "tensor '%s': the levels do not ascend%s", tensor,
                           from_zero ? " in size from 0 to at most 6" : "");
}

/* Takes over the values that are not network parameters; refuses what would do harm later. */
static int load_values(struct agn_model *model, const struct agn_tensor_file *file)
{
    float scalars[SCALARS], norm[2 * AGN_MAX_CHANNELS];
    struct extra extras[EXTRAS];
    list_extras(model, scalars, norm, extras);
    int status = load_extras(file, extras);
    if (status < 0)
        return status;
    model->alpha_weight = scalars[SCALAR_ALPHA];
    model->alpha_momentum = scalars[SCALAR_ALPHA_MOMENTUM];
    model->skewness_before = (double)scalars[SCALAR_SKEWNESS_BEFORE];
    model->reference_accuracy = (double)scalars[SCALAR_REFERENCE_ACCURACY];
    for (int c = 0; c < AGN_MAX_CHANNELS; c++) {
        if (!(norm[c] >= 0.0F && norm[c] <= 255.0F) ||
            (c < model->preset.data.channels && !(norm[AGN_MAX_CHANNELS + c] > 0.0F)))
            return agn_fail(AGN_ERR_FORMAT, "tensor 'normalisation' holds impossible values");
        model->normalisation.mean[c] = (uint8_t)norm[c];
        model->normalisation.std[c] = norm[AGN_MAX_CHANNELS + c];
    }
    status = agn_model_check_levels(model, model->centroids, "quantiser.centroids");
    if (status == AGN_OK)
        status = load_alpha(model, file);
    if (status == AGN_OK)
        status = load_contexts(model, file);
    return status < 0 ? status : load_trust(model, file);
}

int agn_model_from_tensors(const struct agn_tensor_file *file, struct agn_model **result)
{
    struct agn_preset preset;
    struct agn_model *model = NULL;
    size_t floats = 0; /* no network can have more weights than the file has values */
    for (int i = 0; i < file->count; i++)
        floats += file->tensors[i].size_bytes / sizeof(float);
    int status = read_preset(file, &preset);
    if (status == AGN_OK)
        status = agn__model_allocate(&preset, floats, &model);
    if (status == AGN_OK)
        status = read_class_names(file, model);
    if (status == AGN_OK)
        status = load_params(model, file);
    if (status == AGN_OK)
        status = load_values(model, file);
    if (status == AGN_OK)
        status = agn_model_check_finite(model);
    if (status != AGN_OK) {
        agn_model_free(model);
        return status;
    }
    *result = model;
    return AGN_OK;
}

/* A checkpoint's moving averages (src/train/average.c) in place of the weights that they are of. They are
 * rows of floats there, and have the shapes of the weights here. */
static int take_average(struct agn_model *model, const struct agn_tensor_file *file)
{
    static const char prefix[] = "average.";
    struct agn_tensor_file averaged = {.tensors = agn_alloc((size_t)file->count, sizeof(*file->tensors))};
    const struct agn_tensor_view *small = agn_tensor_file_find(file, "average.small");
    int status = averaged.tensors == NULL ? AGN_ERR_MEMORY : AGN_OK;
    for (int i = 0; i < file->count && status == AGN_OK; i++) {
        const struct agn_tensor_view *average = &file->tensors[i];
        bool is_one = strncmp(average->name, prefix, sizeof(prefix) - 1) == 0;
        const struct agn_tensor_view *weights =
            is_one ? agn_tensor_file_find(file, average->name + sizeof(prefix) - 1) : NULL;
        if (weights != NULL && weights->size_bytes == average->size_bytes) {
            averaged.tensors[averaged.count] = *weights;
            averaged.tensors[averaged.count++].data = average->data;
        }
    }
    for (int role = 0; role < AGN_REFERENCE && status == AGN_OK; role++)
        status = agn_params_load(model->parts[role].params, &averaged, false);
    agn_free(averaged.tensors);
    if (status == AGN_OK &&
        (small->dtype != AGN_F32 || small->size_bytes != (1 + AGN_LEVELS) * sizeof(float)))
        status = agn_fail(AGN_ERR_FORMAT, "tensor 'average.small' has another size than %d floats",
                          1 + AGN_LEVELS);
    if (status == AGN_OK) {
        memcpy(&model->alpha_weight, small->data, sizeof(float));
        memcpy(model->centroids, (const float *)small->data + 1, AGN_LEVELS * sizeof(float));
        status = agn_model_check_levels(model, model->centroids, "average.small");
    }
    return status == AGN_OK ? agn_model_check_finite(model) : status;
}

int agn_model_load(const char *path, struct agn_model **model)
{
    struct agn_tensor_file file = {0};
    struct agn_model *loaded = NULL;
    int status = agn_tensor_file_read(path, &file);
    if (status < 0)
        return status;
    status = agn_model_from_tensors(&file, &loaded);
    if (status == AGN_OK && agn_tensor_file_find(&file, "average.small") != NULL)
        status = take_average(loaded, &file);
    agn_tensor_file_free(&file);
    if (status != AGN_OK) {
        char reason[768];
        agn_model_free(loaded);
        snprintf(reason, sizeof(reason), "%s", agn_error_message());
        return agn_fail(status, "%s: %s", path, reason);
    }
    *model = loaded;
    return AGN_OK;
}
