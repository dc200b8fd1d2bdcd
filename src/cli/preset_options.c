/* Presets, their data sets and evaluations, for the commands that work on them. */
#include "cli/preset_options.h"

#include "cli/class_report.h"

#include "agilenn/deploy.h"
#include "agilenn/sets.h"

#include <string.h>

int agn__cli_load_preset(const char *name, const struct agn_cli_list *assignments, struct agn_preset *preset)
{
    int status = agn_preset_load(name, preset);
    for (int i = 0; i < assignments->count && status >= 0; i++)
        status = agn_preset_set(preset, assignments->items[i]);
    return status < 0 ? status : agn_preset_check(preset);
}

int agn__cli_replace_data(struct agn_preset *preset, const char *folder)
{
    if (!folder)
        return AGN_OK;
    if (folder[0] == '\0' || strlen(folder) >= sizeof preset->data.path)
        return agn_fail(AGN_ERR_ARG, "--data: a path has 1 to %zu bytes", sizeof preset->data.path - 1);
    return agn_path_expand(folder, preset->data.path, sizeof preset->data.path);
}

/* A few wrong labels look like a data set of more classes: the first image beyond the model's is named. */
static int refuse_classes(const struct agn_dataset_source *source, const struct agn_dataset *data,
                          int classes)
{
    int first = 0;
    while (first < data->count && data->labels[first] < classes)
        first++;
    char where[64] = "";
    if (first < data->count)
        snprintf(where, sizeof where, " (%s image %d has label %d)", source->split, first,
                 data->labels[first]);
    return agn_fail(
        AGN_ERR_RANGE,
        "the data set in %s has %d classes, but the model only %d%s: set data.classes=%d and train, "
        "or choose another data set",
        source->path, data->classes, classes, where, data->classes);
}

int agn__cli_open_taken(const struct agn_preset *preset, const char *split, int limit,
                        struct agn_dataset **dataset)
{
    if (preset->data.path[0] == '\0')
        return agn_fail(AGN_ERR_ARG,
                        "the preset names no data set: pass its folder with --data DIR, or set data.path");
    const struct agn_dataset_source source = agn_preset_source(preset, split, limit);
    struct agn_dataset *opened = NULL;
    int status = agn_dataset_open(&source, &opened);
    if (status < 0)
        return status;
    if (preset->data.classes > 0 && opened->classes > preset->data.classes) {
        status = refuse_classes(&source, opened, preset->data.classes);
        agn_dataset_free(opened);
        return status;
    }
    *dataset = opened;
    return AGN_OK;
}

int agn__cli_open_images(const char *name, const struct agn_cli_list *assignments, const char *folder,
                         const char *split, int limit, struct agn_dataset **dataset)
{
    struct agn_preset preset;
    int status = agn__cli_load_preset(name, assignments, &preset);
    if (status == AGN_OK)
        status = agn__cli_replace_data(&preset, folder);
    return status == AGN_OK ? agn__cli_open_taken(&preset, split, limit, dataset) : status;
}

int agn__cli_open_dataset(const struct agn_preset *preset, const char *split, int limit,
                          struct agn_dataset **dataset)
{
    struct agn_dataset *opened = NULL;
    int status = agn__cli_open_taken(preset, split, limit, &opened);
    if (status == AGN_OK)
        status = agn_preset_as_sent(preset, opened);
    if (status < 0) {
        agn_dataset_free(opened);
        return status;
    }
    *dataset = opened;
    return AGN_OK;
}

const char *agn__cli_undeployable(const struct agn_preset *preset)
{
    struct agn_model *model = agn_alloc(1, sizeof(*model)); /* its graphs only */
    int status = model == NULL ? AGN_ERR_MEMORY : agn_system_find(preset->model.system, &model->system);
    if (status < 0)
        return NULL;
    model->preset = *preset;
    model->classes = preset->data.classes;
    status = model->system->build(model) == AGN_OK ? agn_deploy_check(model) : AGN_OK;
    agn_free(model);
    return status < 0 ? agn_error_message() : NULL;
}

json_t *agn__cli_json_floats(const float *values, int count)
{
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        if (json_array_append_new(array, json_real((double)values[i]))) {
            json_decref(array);
            return NULL;
        }
    return array;
}

json_t *agn__cli_json_importance(const struct agn_model *model, const float *importance)
{
    return agn_part_is_empty(&model->parts[AGN_REFERENCE])
               ? json_null()
               : agn__cli_json_floats(importance, model->map.channels);
}

/* What docs/TRAINING.md advises where a figure misses what it should reach. */
static void print_advice(FILE *stream, const struct agn_model *model, const struct agn_evaluation *e)
{
    const double much_worse = 0.1, much_disorder = 0.1;
    if (e->reference_valid < e->fused_accuracy - much_worse || e->reference_valid == 0.0)
        fprintf(stream, "advice: the reference gets few images right, so that skewness and disorder say "
                        "little: raise joint.anchor (docs/TRAINING.md)\n");
    if (e->reference_valid > 0.0 && e->skewness < model->preset.joint.rho)
        fprintf(stream,
                "advice: skewness is below rho = %g: set reference.channel_dropout to 0.1 to 0.3, train "
                "longer, or lower joint.lambda (docs/TRAINING.md)\n",
                model->preset.joint.rho);
    if (e->reference_valid > 0.0 && e->disorder_rate > much_disorder)
        fprintf(stream, "advice: many images are out of order: raise joint.disorder_margin, and let the "
                        "learning rate's cosine finish (docs/TRAINING.md)\n");
}

void agn__cli_print_evaluation(FILE *stream, const struct agn_figures *figures, const struct agn_model *model,
                               const struct agn_evaluation *evaluation)
{
    agn_figures_print(figures, stream);
    if (agn_model_sends_symbols(model)) {
        fprintf(stream, "share of symbols by level of the quantiser:");
        for (int level = 0; level < AGN_LEVELS; level++)
            fprintf(stream, " %.1f", 100.0 * evaluation->level_share[level]);
        fprintf(stream, " %%\n");
    }
    print_advice(stream, model, evaluation);
    struct agn__class_report classes = {
        .classes = model->classes, .names = model->class_names, .counts = evaluation->by_class};
    agn__cli_print_never_predicted(stream, &classes);
}

json_t *agn__cli_json_evaluation(const struct agn_figures *figures, const struct agn_model *model,
                                 const struct agn_evaluation *evaluation)
{
    float shares[AGN_LEVELS];
    for (int level = 0; level < AGN_LEVELS; level++)
        shares[level] = (float)evaluation->level_share[level];
    struct agn__class_report classes = {.classes = model->classes,
                                        .names = model->class_names,
                                        .counts = evaluation->by_class,
                                        .no_local = agn_part_is_empty(&model->parts[AGN_LOCAL])};
    json_t *object = agn_figures_json(figures);
    if (!json_object_set_new(object, "level_share",
                             agn_model_sends_symbols(model) ? agn__cli_json_floats(shares, AGN_LEVELS)
                                                            : json_null()) &&
        !json_object_set_new(object, "channel_importance",
                             agn__cli_json_importance(model, evaluation->channel_importance)) &&
        !json_object_set_new(object, "classes", agn__cli_json_classes(&classes)))
        return object;
    json_decref(object);
    return NULL;
}
