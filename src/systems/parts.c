/* The parts of models: networks from what a preset says of them. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "systems/parts.h"

/* A dense layer to the logits, with a BN where `bn`: frozen nets and the device fold it into the layer. */
static int append_logits(struct agn_graph *graph, int op, const char *prefix, int classes, bool bn)
{
    char name[AGN_NAME_BYTES];
    snprintf(name, sizeof(name), "%s.dense", prefix);
    op = op < 0 ? op : agn_graph_dense(graph, op, name, classes);
    snprintf(name, sizeof(name), "%s.dense.bn", prefix);
    return op < 0 || !bn ? op : agn_graph_batchnorm(graph, op, name, false);
}

int agn__explain_network(int status, const char *setting)
{
    char reason[512];
    snprintf(reason, sizeof(reason), "%s", agn_error_message());
    const char *block = strstr(reason, "block '"); /* what stands before is the setting's name, too */
    return agn_fail(status, "model.%s, %s", setting, block == NULL ? reason : block);
}

int agn__append_classifier(struct agn_model *model, enum agn_role role, int op,
                           const struct agn__classifier *c)
{
    struct agn_graph *graph = &model->parts[role].graph;
    const char *name = agn_role_name(role); /* the setting's, too */
    if (op >= 0)
        op = agn_graph_parse_scaled(graph, op, name, c->text, c->width);
    if (op >= 0 && (graph->ops[op].shape.height > 1 || graph->ops[op].shape.width > 1))
        op = agn_graph_pool(graph, op, 1);
    op = append_logits(graph, op, name, model->classes, c->logits_bn);
    return op < 0 ? agn__explain_network(op, name) : AGN_OK;
}

int agn__build_classifier(struct agn_model *model, enum agn_role role, struct agn_shape input,
                          const struct agn__classifier *classifier)
{
    int op = agn_graph_init(&model->parts[role].graph, input);
    return agn__append_classifier(model, role, op, classifier);
}

int agn__sent_map(const struct agn_model *model, struct agn_map_shape *shape)
{
    *shape = (struct agn_map_shape){.channels = (uint8_t)model->sent_channels,
                                    .height = (uint8_t)model->map.height,
                                    .width = (uint8_t)model->map.width};
    return AGN_OK;
}

int agn__expand_bytes(struct agn_shape map, const struct agn_map_shape *shape,
                      const struct agn_normalisation *by, int channels, const uint8_t *symbols,
                      float *features)
{
    int missing = 0, run = map.width * map.channels / shape->height;
    for (int row = 0; row < shape->channels; row++) {
        bool whole = true;
        for (int i = 0; i < shape->height; i++, symbols += shape->width, features += run) {
            uint8_t bytes[AGN_WIRE_SYMBOL_BITS * 256 / 8] = {0};
            bool came = agn_pixels_read(symbols, shape->width, bytes) == 0;
            whole = whole && came;
            for (int b = 0; b < run; b++) {
                int c = (i * run + b) % channels;
                features[b] = came ? ((float)bytes[b] - (float)by->mean[c]) / by->std[c] : 0.0F;
            }
        }
        missing += !whole;
    }
    return missing;
}

/* ---- pixels that are sent as they are ----------------------------------------------- */

int agn__pixels_shape(const struct agn_preset *p, struct agn_map_shape *shape)
{
    int status =
        agn_pixels_shape((unsigned)p->data.height, (uint32_t)(p->data.width * p->data.channels), shape);
    return status == 0
               ? AGN_OK
               : agn_fail(status,
                          "data: an image of %dx%dx%d cannot be sent as it is: at most 255 rows of %d "
                          "bytes or so are possible",
                          p->data.height, p->data.width, p->data.channels, 255 * 95);
}

struct agn_shape agn__image_shape(const struct agn_preset *p)
{
    return (struct agn_shape){p->data.height, p->data.width, p->data.channels};
}

int agn__expand_pixels(const struct agn_model *model, const uint8_t *symbols, float *features)
{
    struct agn_shape image = agn__image_shape(&model->preset);
    struct agn_map_shape shape;
    int status = agn__pixels_shape(&model->preset, &shape);
    assert(status == AGN_OK); /* as when the model was built, or the cut was asked for */
    (void)status;
    return agn__expand_bytes(image, &shape, &model->normalisation, image.channels, symbols, features);
}

float agn__pixels_limit(const struct agn_model *model)
{
    float limit = 0.0F;
    for (int c = 0; c < model->preset.data.channels; c++) {
        float mean = (float)model->normalisation.mean[c];
        limit = fmaxf(limit, fmaxf(mean, 255.0F - mean) / model->normalisation.std[c]);
    }
    return limit;
}

/* ---- networks on the device ---------------------------------------------------------- */

/* Of a system whose extractor has one stage. */
static int refuse_stages(const struct agn_model *model, const char *setting, const char *text)
{
    return agn_stage_texts(text) == 1
               ? AGN_OK
               : agn_fail(
                     AGN_ERR_ARG,
                     "model.%s describes stages, with '|' between them, and the system %s has none: leave "
                     "'|' out",
                     setting, model->system->name);
}

/* A stage's layers on `input`. Failures name the setting. */
static int build_stage(struct agn_model *model, enum agn_role role, struct agn_shape input, const char *text,
                       bool device)
{
    const struct agn_preset *p = &model->preset;
    struct agn_part *part = &model->parts[role];
    int op = agn_graph_init(&part->graph, input);
    if (op >= 0 && device)
        op = agn_graph_check_device(text);
    if (op >= 0)
        op = agn_graph_parse(&part->graph, 0, agn_role_name(role), text);
    if (op < 0)
        return agn__explain_network(op, "extractor");
    if (agn_part_is_empty(part))
        return agn_fail(AGN_ERR_RANGE, "model.extractor has %s",
                        agn_stage_texts(p->model.extractor) == 1 ? "no layer" : "a stage without a layer");
    struct agn_shape map = model->map = agn_graph_output_shape(&part->graph);
    if (map.channels > AGN_MAX_FEATURES || map.height > 255 || map.width > 255) {
        return agn_fail(
            AGN_ERR_RANGE,
            "model.extractor makes a %dx%dx%d map of a %dx%d image; at most 255 each are possible",
            map.height, map.width, map.channels, p->data.height, p->data.width);
    }
    return AGN_OK;
}

int agn__build_extractor(struct agn_model *model, bool device)
{
    const struct agn_preset *p = &model->preset;
    int status = refuse_stages(model, "extractor", p->model.extractor);
    return status < 0 ? status
                      : build_stage(model, AGN_EXTRACTOR, agn__image_shape(p), p->model.extractor, device);
}

int agn__build_stages(struct agn_model *model)
{
    const struct agn_preset *p = &model->preset;
    int stages = agn_stage_texts(p->model.extractor), status = AGN_OK;
    struct agn_shape input = agn__image_shape(p);
    if (stages > AGN_MAX_STAGES)
        return agn_fail(AGN_ERR_RANGE,
                        "model.extractor has %d stages, with '|' between them: at most %d are "
                        "possible",
                        stages, (int)AGN_MAX_STAGES);
    for (int stage = 1; stage <= stages && status == AGN_OK; stage++) {
        char text[AGN_PRESET_TEXT_BYTES];
        agn_stage_text(p->model.extractor, stage, text);
        status = build_stage(model, agn_stage_role(stage), input, text, true);
        input = model->map;
    }
    return status;
}

/* What makes the map that a stage's network pools, as failures name it. */
static void name_maker(const struct agn_model *model, int stage, bool has_layers, char text[64])
{
    const char *setting = has_layers ? "model.local" : "model.extractor";
    if (agn_stage_texts(model->preset.model.extractor) == 1)
        snprintf(text, 64, "%s", setting);
    else
        snprintf(text, 64, "%s %d of %s", has_layers ? "exit" : "stage", stage, setting);
}

/* The grid must fit the map that it pools. */
static int check_grid(const struct agn_model *model, int stage, const struct agn_graph *graph)
{
    struct agn_shape map = agn_graph_output_shape(graph);
    int grid = model->preset.model.grid, most = map.height < map.width ? map.height : map.width;
    bool has_layers = graph->count > 1;
    char maker[64];
    if (grid <= most)
        return AGN_OK;
    if (!has_layers && stage == 1) /* may read some of the channels only */
        map.channels = agn_model_stage_map(model, stage).channels;
    name_maker(model, stage, has_layers, maker);
    return agn_fail(AGN_ERR_RANGE,
                    "model.grid = %d, but %s makes a %dx%dx%d map: choose a grid of at most %d", grid, maker,
                    map.height, map.width, map.channels, most);
}

/* Layers, a pooling grid and the logits on `input`. */
static int build_local(struct agn_model *model, int stage, struct agn_shape input, const char *text)
{
    const struct agn_preset *p = &model->preset;
    enum agn_role role = agn_exit_role(stage);
    struct agn_graph *graph = &model->parts[role].graph;
    int op = agn_graph_check_device(text);
    if (op >= 0)
        op = agn_graph_init(graph, input);
    if (op >= 0)
        op = agn_graph_parse(graph, op, agn_role_name(role), text);
    if (op < 0)
        return agn__explain_network(op, "local");
    int status = check_grid(model, stage, graph);
    if (status < 0)
        return status;
    op = agn_graph_pool(graph, op, p->model.grid);
    op = append_logits(graph, op, agn_role_name(role), model->classes, p->model.logits_bn != 0);
    return op < 0 ? op : AGN_OK;
}

int agn__build_local(struct agn_model *model)
{
    const char *text = model->preset.model.local;
    struct agn_shape first = model->map;
    first.channels = agn_model_local_channels(model);
    int status = refuse_stages(model, "local", text);
    return status < 0 ? status : build_local(model, 1, first, text);
}

int agn__build_exits(struct agn_model *model)
{
    const char *texts = model->preset.model.local;
    int stages = agn_model_stages(model), exits = agn_stage_texts(texts), status = AGN_OK;
    if (texts[0] != '\0' && exits != stages)
        return agn_fail(
            AGN_ERR_ARG,
            "model.local describes %d exits, with '|' between them, and model.extractor %d stages: "
            "expected one for each, of which some may be empty, or none at all",
            exits, stages);
    for (int stage = 1; stage <= stages && status == AGN_OK; stage++) {
        char text[AGN_PRESET_TEXT_BYTES];
        agn_stage_text(texts, stage, text);
        status = build_local(model, stage, agn_model_stage_map(model, stage), text);
    }
    return status;
}
