/* The split model: networks from a preset. */
#include <math.h>
#include <string.h>

#include "model/model_internal.h"

enum { MOST_WEIGHTS = 1 << 28 };

const char *agn_role_name(enum agn_role role)
{
    static const char *const names[AGN_ROLES] = {"extractor", "local", "remote", "reference"};
    return names[role];
}

/* ---- networks -------------------------------------------------------------------- */

/* A dense layer to the logits, with a BN where `bn`: frozen nets and the device fold it into the layer. */
static int append_logits(struct agn_graph *graph, int op, const char *prefix, int classes, bool bn)
{
    char name[AGN_NAME_BYTES];
    snprintf(name, sizeof(name), "%s.dense", prefix);
    op = op < 0 ? op : agn_graph_dense(graph, op, name, classes);
    snprintf(name, sizeof(name), "%s.dense.bn", prefix);
    return op < 0 || !bn ? op : agn_graph_batchnorm(graph, op, name, false);
}

/* Puts the setting that describes a network into the message of a failure. */
static int explain(int status, const char *setting)
{
    char reason[512];
    snprintf(reason, sizeof(reason), "%s", agn_error_message());
    const char *block = strstr(reason, "block '"); /* what stands before is the setting's name, too */
    return agn_fail(status, "model.%s, %s", setting, block == NULL ? reason : block);
}

struct classifier {
    const char *prefix, *text; /* the prefix is the setting's name, too */
    double width;
    bool logits_bn;
};

/* A described network, global average pooling if it lacks it, and the logits. */
static int build_classifier(struct agn_graph *graph, struct agn_shape input, const struct classifier *c,
                            int classes)
{
    int op = agn_graph_init(graph, input);
    if (op >= 0)
        op = agn_graph_parse_scaled(graph, op, c->prefix, c->text, c->width);
    if (op >= 0 && (graph->ops[op].shape.height > 1 || graph->ops[op].shape.width > 1))
        op = agn_graph_pool(graph, op, 1);
    op = append_logits(graph, op, c->prefix, classes, c->logits_bn);
    return op < 0 ? explain(op, c->prefix) : AGN_OK;
}

static int build_extractor(struct agn_model *model)
{
    const struct agn_preset *p = &model->preset;
    int op = agn_graph_init(&model->parts[AGN_EXTRACTOR].graph,
                            (struct agn_shape){p->data.height, p->data.width, p->data.channels});
    if (op >= 0)
        op = agn_graph_parse(&model->parts[AGN_EXTRACTOR].graph, op, "extractor", p->model.extractor);
    if (op < 0)
        return explain(op, "extractor");
    struct agn_shape map = model->map = agn_graph_output_shape(&model->parts[AGN_EXTRACTOR].graph);
    if (map.channels > AGN_MAX_FEATURES || map.height > 255 || map.width > 255) {
        return agn_fail(
            AGN_ERR_RANGE,
            "model.extractor makes a %dx%dx%d map of a %dx%d image; at most 255 each are possible",
            map.height, map.width, map.channels, p->data.height, p->data.width);
    }
    if (p->model.local_channels >= map.channels) {
        return agn_fail(
            AGN_ERR_RANGE,
            "model.local_channels = %d, but model.extractor makes a %dx%dx%d map: of its %d channels "
            "at least one must be left to send",
            p->model.local_channels, map.height, map.width, map.channels, map.channels);
    }
    return AGN_OK;
}

static int build_local(struct agn_model *model)
{
    const struct agn_preset *p = &model->preset;
    struct agn_shape first = model->map;
    first.channels = p->model.local_channels;
    if (p->model.grid > first.height || p->model.grid > first.width) {
        return agn_fail(
            AGN_ERR_RANGE,
            "model.grid = %d, but model.extractor makes a %dx%dx%d map: choose a grid of at most %d",
            p->model.grid, model->map.height, model->map.width, model->map.channels,
            first.height < first.width ? first.height : first.width);
    }
    int op = agn_graph_init(&model->parts[AGN_LOCAL].graph, first);
    op = op < 0 ? op : agn_graph_pool(&model->parts[AGN_LOCAL].graph, op, p->model.grid);
    op = append_logits(&model->parts[AGN_LOCAL].graph, op, "local", model->classes, p->model.logits_bn != 0);
    return op < 0 ? op : AGN_OK;
}

static int build_graphs(struct agn_model *model)
{
    const struct agn_preset *p = &model->preset;
    struct classifier remote = {"remote", p->model.remote, p->model.remote_width, p->model.logits_bn != 0};
    struct classifier reference = {"reference", p->model.reference, p->model.reference_width, false};
    int status = build_extractor(model);
    if (status == AGN_OK)
        status = build_local(model);
    if (status == AGN_OK) {
        struct agn_shape rest = model->map;
        rest.channels = model->sent_channels = model->map.channels - p->model.local_channels;
        status = build_classifier(&model->parts[AGN_REMOTE].graph, rest, &remote, model->classes);
    }
    if (status == AGN_OK)
        status = build_classifier(&model->parts[AGN_REFERENCE].graph, model->map, &reference, model->classes);
    return status;
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

static int check_size(const struct agn_model *model, size_t most_floats)
{
    double weights = 0.0;
    char each[160] = "";
    for (int role = 0; role < AGN_ROLES; role++) {
        double of_part = count_weights(&model->parts[role].graph);
        size_t at = strlen(each);
        weights += of_part;
        if (role != AGN_LOCAL) {
            snprintf(each + at, sizeof(each) - at, "%smodel.%s %.0f", at > 0 ? ", " : "",
                     agn_role_name((enum agn_role)role), of_part);
        }
    }
    if (weights > (double)most_floats) {
        return agn_fail(AGN_ERR_RANGE, "the networks have %.0f weights; at most %zu are possible here (%s)",
                        weights, most_floats, each);
    }
    return AGN_OK;
}

static int make_params(struct agn_model *model)
{
    uint64_t seed = (uint64_t)model->preset.train.seed * 4;
    int status = AGN_OK;
    for (int role = 0; role < AGN_ROLES && status == AGN_OK; role++) {
        status =
            agn_params_create(&model->parts[role].graph, seed + (uint64_t)role, &model->parts[role].params);
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
        status = build_graphs(model);
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
        agn_dataset_normalisation(data, &model->normalisation);
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
    const struct agn_params *extractor = model->parts[AGN_EXTRACTOR].params,
                            *remote = model->parts[AGN_REMOTE].params;
    uint32_t crc = agn_crc32(0, shape, sizeof(shape));
    size_t cumulative = (size_t)model->distributions * AGN_DISTRIBUTION_BYTES;
    crc = agn_crc32(crc, model->centroids, sizeof(model->centroids));
    crc = agn_crc32(crc, model->context_map, (size_t)model->sent_channels * AGN_CONTEXTS);
    crc = agn_crc32(crc, model->context_cumulative, cumulative);
    crc = agn_crc32(crc, &model->alpha_weight, sizeof(model->alpha_weight));
    crc = agn_crc32(crc, extractor->value, extractor->total * sizeof(float));
    return agn_crc32(crc, remote->value, remote->total * sizeof(float));
}
