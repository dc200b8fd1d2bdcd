/* Ranges of the device's layers: each is computed in float on some images, up to and including it, and the
 * least and the largest value are what int8 has to hold. */
#include <math.h>
#include <string.h>

#include "deploy/network.h"

enum { BATCH = 128 };

static const double smallest_range = 1e-3; /* of a layer that gave nothing but 0 */

/* The nets that lead to a layer: stages of the extractor as a whole before a layer of an exit or of a later
 * stage, then the layer's own part up to it. */
struct way {
    struct agn_net *nets[AGN_MAX_STAGES + 1]; /* the last one is the layer's own */
    int count;
    struct agn_graph *prefix;
};

static void close_way(struct way *way)
{
    for (int i = 0; i < way->count; i++)
        agn_net_free(way->nets[i]);
    agn_free(way->prefix);
}

static int add_net(struct way *way, const struct agn_graph *graph, struct agn_params *params)
{
    struct agn_net_config config = {.graph = graph, .params = params, .batch = BATCH, .mode = AGN_NET_FROZEN};
    return agn_net_create(&config, &way->nets[way->count++]);
}

static int open_way(const struct agn__network *n, const struct agn__layer *layer, struct way *way)
{
    const struct agn_part *part = &n->model->parts[layer->role];
    int status = AGN_OK, stages = agn__stage_of(layer->role) - !agn__is_exit(layer->role);
    *way = (struct way){.prefix = agn_alloc(1, sizeof(*way->prefix))};
    if (way->prefix == NULL)
        return AGN_ERR_MEMORY;
    for (int stage = 1; stage <= stages && stage <= n->stage_count && status == AGN_OK; stage++) {
        const struct agn_part *before = &n->model->parts[agn_stage_role(stage)];
        status = add_net(way, &before->graph, before->params);
    }
    *way->prefix = part->graph;
    way->prefix->count = layer->result + 1;
    return status == AGN_OK ? add_net(way, way->prefix, part->params) : status;
}

static size_t floats_of(struct agn_shape shape)
{
    return (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
}

/* The first channels of each place of the map. */
static void take_channels(const float *map, size_t places, int channels, float *to, int taken)
{
    for (size_t i = 0; i < places; i++, map += channels, to += taken)
        memcpy(to, map, (size_t)taken * sizeof(float));
}

static int run_way(struct way *way, const float *images)
{
    struct agn_net *first = way->nets[0];
    memcpy(agn_net_write(first, AGN_BORDER_INPUT), images,
           BATCH * floats_of(agn_net_input_shape(first)) * sizeof(float));
    int status = agn_interrupt_requested() ? agn_fail(AGN_ERR_INTERRUPTED, "calibration was interrupted")
                                           : agn_net_forward(first);
    for (int i = 1; i < way->count && status == AGN_OK; i++) {
        struct agn_net *before = way->nets[i - 1], *net = way->nets[i];
        struct agn_shape map = agn_net_output_shape(before), in = agn_net_input_shape(net);
        take_channels(agn_net_read(before, AGN_BORDER_OUTPUT), BATCH * (size_t)map.height * (size_t)map.width,
                      map.channels, agn_net_write(net, AGN_BORDER_INPUT), in.channels);
        status = agn_net_forward(net);
    }
    return status;
}

static void widen(const float *values, size_t count, struct agn__layer *layer)
{
    for (size_t i = 0; i < count; i++) {
        double v = (double)values[i];
        layer->low = v < layer->low ? v : layer->low;
        layer->high = v > layer->high ? v : layer->high;
    }
}

static int calibrate_layer(const struct agn__network *n, struct agn__layer *layer, struct agn_loader *loader)
{
    struct agn_batch batch;
    struct way way = {0};
    int seen = 0, more = 0, status = agn_loader_start(loader, 0);
    if (status == AGN_OK)
        status = open_way(n, layer, &way);
    while (status == AGN_OK && seen < n->images && (more = agn_loader_next(loader, &batch)) > 0) {
        status = run_way(&way, batch.images);
        if (status == AGN_OK) {
            int count = batch.count < n->images - seen ? batch.count : n->images - seen;
            struct agn_net *last = way.nets[way.count - 1];
            widen(agn_net_read(last, AGN_BORDER_OUTPUT),
                  floats_of(agn_net_output_shape(last)) * (size_t)count, layer);
            seen += count;
        }
    }
    close_way(&way);
    return status < 0 ? status : more < 0 ? more : AGN_OK;
}

/* What is sent as values, or may be, has the range that the server takes for granted. */
static void take_agreed_range(const struct agn__network *n, int index)
{
    for (int i = 0; i < n->stage_count && n->model->system->exits; i++) {
        if (n->stages[i].map != index + 1)
            continue;
        n->layers[index].low = 0.0;
        n->layers[index].high = (double)n->model->system->feature_limit(n->model);
    }
}

static int choose_scale(struct agn__layer *layer)
{
    double range = layer->high - layer->low;
    if (!isfinite(range))
        return agn_fail(AGN_ERR_RANGE, "%s gives infinite values on the calibration images", layer->op->name);
    layer->scale = fmax(range, smallest_range) / 255.0;
    layer->zero_point = (int)lround(-128.0 - layer->low / layer->scale);
    return AGN_OK;
}

int agn__calibrate(struct agn__network *n, const struct agn_dataset *data)
{
    struct agn_loader_config load = {
        .batch = BATCH, .shuffle = true, .normalisation = n->model->normalisation};
    struct agn_loader *loader = NULL;
    const struct agn_preset *preset = &n->model->preset;
    if (data->height != preset->data.height || data->width != preset->data.width ||
        data->channels != preset->data.channels) {
        return agn_fail(AGN_ERR_MISMATCH, "the calibration images are %dx%dx%d, but the model takes %dx%dx%d",
                        data->height, data->width, data->channels, preset->data.height, preset->data.width,
                        preset->data.channels);
    }
    int status = agn_loader_create(data, &load, &loader);
    for (int i = 0; i < n->layer_count && status == AGN_OK; i++) {
        status = calibrate_layer(n, &n->layers[i], loader);
        take_agreed_range(n, i);
        if (status == AGN_OK)
            status = choose_scale(&n->layers[i]);
    }
    agn_loader_free(loader);
    return status;
}
