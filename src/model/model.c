/* The split model: networks from a preset, as its system builds them. */
#include <math.h>
#include <string.h>

#include "model/model_internal.h"

enum { MOST_WEIGHTS = 1 << 28 };

static const struct {
    const char *name, *what;
} roles[] = {{"extractor", "an extractor"}, {"local", "a Local NN"},
             {"remote", "a Remote NN"},     {"stage2", "a second stage"},
             {"exit2", "a second exit"},    {"stage3", "a third stage"},
             {"exit3", "a third exit"},     {"reference", "a reference network"}};
_Static_assert(AGN_COUNT_OF(roles) == AGN_ROLES, "roles without a name");

const char *agn_role_name(enum agn_role role)
{
    return roles[role].name;
}

/* ---- networks -------------------------------------------------------------------- */

int agn_system_find(const char *name, const struct agn_system **system)
{
    char list[256] = "";
    for (int i = 0; agn_systems[i] != NULL; i++) {
        size_t at = strlen(list);
        if (name[0] == '\0' || strcmp(name, agn_systems[i]->name) == 0) {
            *system = agn_systems[i];
            return AGN_OK;
        }
        snprintf(list + at, sizeof(list) - at, "%s%s", i > 0 ? " or " : "", agn_systems[i]->name);
    }
    return agn_fail(AGN_ERR_ARG, "model.system = '%s': expected %s", name, list);
}

int agn_model_need(const struct agn_model *model, enum agn_role role)
{
    return agn_part_is_empty(&model->parts[role])
               ? agn_fail(AGN_ERR_UNSUPPORTED,
                          "this needs a model with %s, and one of the system %s has none", roles[role].what,
                          model->system->name)
               : AGN_OK;
}

int agn_model_need_symbols(const struct agn_model *model)
{
    return agn_model_sends_symbols(model)
               ? AGN_OK
               : agn_fail(
                     AGN_ERR_UNSUPPORTED,
                     "this needs a model that sends features as symbols, and one of the system %s has none",
                     model->system->name);
}

/* Values of all convolutions and dense layers. */
static double count_weights(const struct agn_graph *graph)
{
    double sum = 0.0;
    for (int i = 1; i < graph->count; i++) {
        const struct agn_op_spec *op = &graph->ops[i];
        struct agn_shape in = graph->ops[op->src[0]].shape;
        double channels = (double)in.channels;
        if (op->type == AGN_OP_CONV)
            sum += (double)op->kernel * op->kernel * channels * (op->depthwise ? 1.0 : (double)op->oc);
        else if (op->type == AGN_OP_DENSE)
            sum += (double)op->oc * in.height * in.width * channels;
    }
    return sum;
}

/* A stage behind the first, or its exit? */
static bool is_further(int role)
{
    return role >= AGN_STAGE_2 && role < AGN_REFERENCE;
}

static int check_size(const struct agn_model *model, size_t most_floats)
{
    double weights = 0.0;
    char each[256] = "";
    for (int role = 0; role < AGN_ROLES; role++) {
        double of_part = count_weights(&model->parts[role].graph);
        size_t at = strlen(each);
        bool further = is_further(role), described = !further || !agn_part_is_empty(&model->parts[role]);
        weights += of_part;
        if (role == AGN_LOCAL ? model->preset.model.local[0] != '\0' : described) {
            snprintf(each + at, sizeof(each) - at, "%s%s%s %.0f", at > 0 ? ", " : "", further ? "" : "model.",
                     agn_role_name((enum agn_role)role), of_part);
        }
    }
    if (weights > (double)most_floats) {
        return agn_fail(AGN_ERR_RANGE, "the networks have %.0f weights; at most %zu are possible here (%s)",
                        weights, most_floats, each);
    }
    return AGN_OK;
}

/* Each network's is its own, whatever train.seed is; those of further stages lie behind all others. */
static uint64_t seed_of(const struct agn_model *model, int role)
{
    const uint64_t seed = (uint64_t)model->preset.train.seed * 4, behind = (uint64_t)1 << 40;
    if (is_further(role))
        return behind + seed + (uint64_t)(role - AGN_STAGE_2);
    return seed + (role == AGN_REFERENCE ? 3 : (uint64_t)role);
}

static int make_params(struct agn_model *model)
{
    int status = AGN_OK;
    for (int role = 0; role < AGN_ROLES && status == AGN_OK; role++) {
        status =
            agn_params_create(&model->parts[role].graph, seed_of(model, role), &model->parts[role].params);
    }
    return status;
}

int agn__model_allocate(const struct agn_preset *preset, size_t most_floats, struct agn_model **result)
{
    struct agn_model *model = agn_alloc(1, sizeof(*model));
    if (model == NULL)
        return AGN_ERR_MEMORY;
    model->preset = *preset;
    model->classes = preset->data.classes;
    agn__alpha_initialise(model);
    int status = agn_preset_check(preset);
    if (status == AGN_OK && preset->data.classes < 2)
        status =
            agn_fail(AGN_ERR_ARG, "data.classes is not set, and there are no data here to count them in: "
                                  "set it, for instance --set data.classes=10");
    if (status == AGN_OK)
        status = agn_system_find(preset->model.system, &model->system);
    for (int role = 0; role < AGN_ROLES && status >= 0; role++)
        status = agn_graph_init(
            &model->parts[role].graph,
            (struct agn_shape){preset->data.height, preset->data.width, preset->data.channels});
    if (status >= 0)
        status = model->system->build(model);
    if (status == AGN_OK)
        status = check_size(model, most_floats);
    if (status == AGN_OK)
        status = make_params(model);
    if (status == AGN_OK) {
        model->fill = agn_alloc((size_t)model->sent_channels, sizeof(float));
        model->context_map = agn_alloc((size_t)model->sent_channels, AGN_CONTEXTS);
        model->class_names = agn_alloc((size_t)model->classes, sizeof(char *));
        status = model->fill == NULL || model->context_map == NULL || model->class_names == NULL
                     ? AGN_ERR_MEMORY
                     : AGN_OK;
    }
    for (int level = 0; level < AGN_LEVELS; level++)
        model->centroids[level] = 6.0F * (float)level / AGN_LEVELS;
    if (status < 0) {
        agn_model_free(model);
        return status;
    }
    agn__contexts_initialise(model);
    agn__trust_initialise(model);
    *result = model;
    return AGN_OK;
}

static int set_class_name(struct agn_model *model, int index, const char *name)
{
    size_t length = strlen(name) + 1;
    model->class_names[index] = agn_alloc(length, 1);
    if (model->class_names[index] == NULL)
        return AGN_ERR_MEMORY;
    memcpy(model->class_names[index], name, length);
    return AGN_OK;
}

void agn_model_normalisation(const struct agn_model *model, const struct agn_dataset *data,
                             struct agn_normalisation *normalisation)
{
    const uint8_t middle = 128; /* a decoder's tanh makes images of -1 to 1 */
    if (model->decoded == 0) {
        agn_dataset_normalisation(data, normalisation);
        return;
    }
    *normalisation = (struct agn_normalisation){0};
    for (int c = 0; c < model->preset.data.channels; c++) {
        normalisation->mean[c] = middle;
        normalisation->std[c] = (float)middle;
    }
}

static int take_from_data(struct agn_model *model, const struct agn_dataset *data)
{
    char number[16];
    int named = data == NULL ? 0 : data->classes;
    if (named > model->classes) {
        return agn_fail(AGN_ERR_RANGE, "the data set has %d classes, but data.classes = %d", named,
                        model->classes);
    }
    for (int c = 0; c < model->preset.data.channels; c++)
        model->normalisation.std[c] = 255.0F;
    if (data != NULL)
        agn_model_normalisation(model, data, &model->normalisation);
    for (int i = 0; i < model->classes; i++) {
        snprintf(number, sizeof(number), "%d", i);
        int status = set_class_name(model, i, i < named ? data->class_names[i] : number);
        if (status < 0)
            return status;
    }
    return AGN_OK;
}

int agn_model_create(const struct agn_preset *preset, const struct agn_dataset *data,
                     struct agn_model **result)
{
    struct agn_model *model = NULL;
    int status = agn__model_allocate(preset, MOST_WEIGHTS, &model);
    if (status == AGN_OK)
        status = take_from_data(model, data);
    if (status < 0) {
        agn_model_free(model);
        return status;
    }
    *result = model;
    return AGN_OK;
}

void agn_model_free(struct agn_model *model)
{
    if (model == NULL)
        return;
    for (int i = 0; model->class_names != NULL && i < model->classes; i++)
        agn_free(model->class_names[i]);
    agn_free(model->class_names);
    for (int role = 0; role < AGN_ROLES; role++)
        agn_params_free(model->parts[role].params);
    agn_free(model->fill);
    agn_free(model->context_map);
    agn_free(model);
}

int agn_model_check_finite(const struct agn_model *model)
{
    int status = AGN_OK;
    for (int role = 0; role < AGN_ROLES && status == AGN_OK; role++)
        status = agn_params_check_finite(model->parts[role].params);
    if (status == AGN_OK && !isfinite(model->alpha_weight))
        status = agn_fail(AGN_ERR_NUMERIC, "the weight of alpha is not finite");
    return status;
}

uint32_t agn_model_id(const struct agn_model *model)
{
    int32_t shape[] = {model->map.height, model->map.width, model->map.channels,
                       model->preset.model.local_channels, model->classes};
    bool alone = agn_part_is_empty(&model->parts[AGN_REMOTE]);
    const struct agn_params *classifier = model->parts[alone ? AGN_LOCAL : AGN_REMOTE].params;
    uint32_t crc = agn_crc32(0, shape, sizeof(shape));
    size_t cumulative = (size_t)model->distributions * AGN_DISTRIBUTION_BYTES;
    crc = agn_crc32(crc, model->centroids, sizeof(model->centroids));
    crc = agn_crc32(crc, model->context_map, (size_t)model->sent_channels * AGN_CONTEXTS);
    crc = agn_crc32(crc, model->context_cumulative, cumulative);
    crc = agn_crc32(crc, &model->alpha_weight, sizeof(model->alpha_weight));
    if (model->preset.model.codec == AGN_CODEC_JPEG) { /* which no packet tells */
        int32_t quality = model->preset.model.jpeg_quality;
        crc = agn_crc32(crc, &quality, sizeof(quality));
    }
    for (int stage = 1; stage <= agn_model_stages(model); stage++) {
        const struct agn_params *params = model->parts[agn_stage_role(stage)].params;
        crc = agn_crc32(crc, params->value, params->total * sizeof(float));
    }
    return agn_crc32(crc, classifier->value, classifier->total * sizeof(float));
}
