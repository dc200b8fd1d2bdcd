/* The parts of models: networks from what a preset says of them. */
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

int agn__expand_bytes(const struct agn_model *model, const struct agn_map_shape *shape,
                      const struct agn_normalisation *by, int channels, const uint8_t *symbols,
                      float *features)
{
    int missing = 0, run = model->map.width * model->map.channels / shape->height;
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

int agn__build_extractor(struct agn_model *model, bool device)
{
    const struct agn_preset *p = &model->preset;
    struct agn_part *part = &model->parts[AGN_EXTRACTOR];
    int op =
        agn_graph_init(&part->graph, (struct agn_shape){p->data.height, p->data.width, p->data.channels});
    if (op >= 0 && device)
        op = agn_graph_check_device(p->model.extractor);
    if (op >= 0)
        op = agn_graph_parse(&part->graph, 0, "extractor", p->model.extractor);
    if (op < 0)
        return agn__explain_network(op, "extractor");
    if (agn_part_is_empty(part))
        return agn_fail(AGN_ERR_RANGE, "model.extractor has no layer");
    struct agn_shape map = model->map = agn_graph_output_shape(&part->graph);
    if (map.channels > AGN_MAX_FEATURES || map.height > 255 || map.width > 255) {
        return agn_fail(
            AGN_ERR_RANGE,
            "model.extractor makes a %dx%dx%d map of a %dx%d image; at most 255 each are possible",
            map.height, map.width, map.channels, p->data.height, p->data.width);
    }
    return AGN_OK;
}

/* The grid must fit the map that it pools. */
static int check_grid(const struct agn_model *model, struct agn_shape map)
{
    const struct agn_preset *p = &model->preset;
    int most = map.height < map.width ? map.height : map.width;
    if (p->model.grid <= most)
        return AGN_OK;
    if (p->model.local[0] != '\0') {
        return agn_fail(AGN_ERR_RANGE,
                        "model.grid = %d, but model.local makes a %dx%dx%d map: choose a grid of at most %d",
                        p->model.grid, map.height, map.width, map.channels, most);
    }
    return agn_fail(AGN_ERR_RANGE,
                    "model.grid = %d, but model.extractor makes a %dx%dx%d map: choose a grid of at most %d",
                    p->model.grid, model->map.height, model->map.width, model->map.channels, most);
}

int agn__build_local(struct agn_model *model)
{
    const struct agn_preset *p = &model->preset;
    struct agn_graph *graph = &model->parts[AGN_LOCAL].graph;
    const char *name = agn_role_name(AGN_LOCAL); /* the setting's, too */
    struct agn_shape first = model->map;
    first.channels = agn_model_local_channels(model);
    int op = agn_graph_check_device(p->model.local);
    if (op >= 0)
        op = agn_graph_init(graph, first);
    if (op >= 0)
        op = agn_graph_parse(graph, op, name, p->model.local);
    if (op < 0)
        return agn__explain_network(op, name);
    int status = check_grid(model, graph->ops[op].shape);
    if (status < 0)
        return status;
    op = agn_graph_pool(graph, op, p->model.grid);
    op = append_logits(graph, op, name, model->classes, p->model.logits_bn != 0);
    return op < 0 ? op : AGN_OK;
}
