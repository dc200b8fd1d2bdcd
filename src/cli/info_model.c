/* `agilenn info` on a trained model or a preset: its networks layer by layer, and what training learned. */
#include <string.h>

#include "agilenn/inference.h"
#include "cli/info.h"
#include "cli/preset_options.h"

struct network {
    const char *name, *place;
    const struct agn_graph *graph;
    const struct agn_params *params;
    char text[AGN_PRESET_TEXT_BYTES]; /* as the preset has it */
    double width;
    const struct agn_inference *inference; /* says what computes its layers here; NULL: not asked */
};

enum { NETWORKS = AGN_ROLES, BLOCKS_BYTES = 4096 };

struct totals {
    int64_t macs, parameters;
};

/* In the order in which a frame meets them. */
static const enum agn_role met[] = {AGN_EXTRACTOR, AGN_LOCAL,  AGN_STAGE_2, AGN_EXIT_2,
                                    AGN_STAGE_3,   AGN_EXIT_3, AGN_REMOTE,  AGN_REFERENCE};
_Static_assert(AGN_COUNT_OF(met) == AGN_ROLES, "roles that are not described");

static void describe_role(const struct agn_model *model, enum agn_role role, struct network *network)
{
    const struct agn_preset *p = &model->preset;
    *network = (struct network){.name = agn_role_name(role),
                                .place = "device",
                                .graph = &model->parts[role].graph,
                                .params = model->parts[role].params,
                                .width = 1.0};
    for (int stage = 1; stage <= AGN_MAX_STAGES; stage++)
        if (role == agn_stage_role(stage) || role == agn_exit_role(stage))
            agn_stage_text(role == agn_stage_role(stage) ? p->model.extractor : p->model.local, stage,
                           network->text);
    if (role == AGN_REMOTE) {
        network->place = "server";
        network->width = p->model.remote_width;
        snprintf(network->text, sizeof network->text, "%s", p->model.remote);
    }
    if (role == AGN_REFERENCE) {
        network->place = "training only";
        network->width = p->model.reference_width;
        snprintf(network->text, sizeof network->text, "%s", p->model.reference);
    }
}

static void list_networks(const struct agn_model *model, const struct agn_inference *remote,
                          struct network networks[NETWORKS])
{
    for (int i = 0; i < NETWORKS; i++) {
        describe_role(model, met[i], &networks[i]);
        networks[i].inference = met[i] == AGN_REMOTE ? remote : NULL;
    }
}

/* Its description with names and widths worked out; empty without one. */
static void list_blocks(const struct network *network, char blocks[BLOCKS_BYTES])
{
    blocks[0] = '\0';
    if (agn_graph_expand(network->text, network->width, blocks, BLOCKS_BYTES) < 0)
        blocks[0] = '\0';
}

/* Trainable values that carry the operator's name as their prefix. */
static int64_t parameters_of(const struct network *network, int op)
{
    const char *name = network->graph->ops[op].name;
    size_t length = strlen(name);
    int64_t sum = 0;
    for (int i = 0; i < network->params->count && length > 0; i++) {
        const struct agn_param *param = &network->params->list[i];
        if (param->trainable && strncmp(param->name, name, length) == 0 && param->name[length] == '.' &&
            !strchr(param->name + length + 1, '.'))
            sum += (int64_t)param->count;
    }
    return sum;
}

static struct totals totals_of(const struct network *network)
{
    struct totals totals = {0, 0};
    for (int op = 0; op < network->graph->count; op++)
        totals.macs += agn_op_macs(network->graph, op);
    for (int i = 0; i < network->params->count; i++)
        if (network->params->list[i].trainable)
            totals.parameters += (int64_t)network->params->list[i].count;
    return totals;
}

/* "3x3 /2": kernel and stride of a convolution, grid of a pooling, factor of an
 * upsampling. */
static void describe_kernel(const struct agn_op_spec *op, char *text, size_t size)
{
    text[0] = '\0';
    if (op->type == AGN_OP_CONV && op->stride > 1)
        snprintf(text, size, "%dx%d /%d", op->kernel, op->kernel, op->stride);
    else if (op->type == AGN_OP_CONV)
        snprintf(text, size, "%dx%d", op->kernel, op->kernel);
    if (op->type == AGN_OP_POOL)
        snprintf(text, size, "to %dx%d", op->grid, op->grid);
    if (op->type == AGN_OP_UP || op->type == AGN_OP_SHUFFLE)
        snprintf(text, size, "x%d", op->stride);
}

static const char *type_name(const struct agn_op_spec *op)
{
    if (op->type == AGN_OP_CONV && op->depthwise)
        return "depthwise";
    return agn_op_type_name(op->type);
}

/* The code of a convolution or dense layer, as "jit:avx2, gathered, then silu"; false: none was asked for, or
 * the operator is part of another one. */
static bool find_code(const struct network *network, int op, char *text, size_t size)
{
    enum agn_op_type type = network->graph->ops[op].type;
    struct agn_inference_layer layer;
    if (!network->inference || (type != AGN_OP_CONV && type != AGN_OP_DENSE))
        return false;
    for (int i = 0; agn_inference_layer(network->inference, i, &layer); i++)
        if (strcmp(layer.name, network->graph->ops[op].name) == 0) {
            snprintf(text, size, "%s%s%s%s", layer.code, layer.gathered ? ", gathered" : "",
                     layer.rest[0] ? ", then " : "", layer.rest);
            return true;
        }
    return false;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void print_network(const struct network *network)
{
    struct totals totals = totals_of(network);
    char blocks[BLOCKS_BYTES];
    list_blocks(network, blocks);
    printf("\n%s (%s)%s%s\n", network->name, network->place, blocks[0] ? ": " : "", blocks);
    printf("  %-30s %-10s %-8s %-12s %12s %11s%s\n", "layer", "type", "kernel", "output", "MACs",
           "parameters", network->inference ? "  code" : "");
    for (int i = 0; i < network->graph->count; i++) {
        const struct agn_op_spec *op = &network->graph->ops[i];
        char kernel[24], shape[48], code[96];
        bool has_code = find_code(network, i, code, sizeof code);
        describe_kernel(op, kernel, sizeof kernel);
        snprintf(shape, sizeof shape, "%dx%dx%d", op->shape.height, op->shape.width, op->shape.channels);
        printf("  %-30s %-10s %-8s %-12s %12lld %11lld%s%s\n", op->name[0] ? op->name : "-", type_name(op),
               kernel, shape, (long long)agn_op_macs(network->graph, i), (long long)parameters_of(network, i),
               has_code ? "  " : "", has_code ? code : "");
    }
    printf("  %-30s %-10s %-8s %-12s %12lld %11lld\n", "total", "", "", "", (long long)totals.macs,
           (long long)totals.parameters);
}

static void print_values(const char *name, const float *values, int count, double scale, const char *unit)
{
    printf("%-14s", name);
    for (int i = 0; i < count; i++)
        printf(" %7.3f", scale * (double)values[i]);
    printf("%s\n", unit);
}

static void print_learned(const struct agn_model *model)
{
    int image_channels = model->preset.data.channels;
    printf("\nalpha          %7.3f   weight of the local prediction\n", agn_model_alpha(model));
    printf("pixel mean    ");
    for (int c = 0; c < image_channels; c++)
        printf(" %7d", model->normalisation.mean[c]);
    printf("\n");
    print_values("pixel std", model->normalisation.std, image_channels, 1.0, "");
    if (!agn_model_sends_symbols(model))
        return;
    print_values("centroids", model->centroids, AGN_LEVELS, 1.0, "");
    print_values("usage", model->usage, AGN_LEVELS, 100.0, " %");
    if (model->decoded > 0) {
        printf("accuracy of the classifier on the images themselves %.2f %%\n",
               100.0 * model->reference_accuracy);
        return;
    }
    printf("skewness before joint training %.2f %%, reference accuracy before %.2f %%\n",
           100.0 * model->skewness_before, 100.0 * model->reference_accuracy);
}

/* MACs of a part. */
static int64_t macs_of(const struct agn_part *part)
{
    int64_t macs = 0;
    for (int op = 0; op < part->graph.count; op++)
        macs += agn_op_macs(&part->graph, op);
    return macs;
}

/* What a device computes before a cut where no exit is sure. */
static int64_t macs_before(const struct agn_model *model, int cut)
{
    int64_t macs = 0;
    for (int stage = 1; stage <= cut; stage++)
        macs += macs_of(&model->parts[agn_stage_role(stage)]) + macs_of(&model->parts[agn_exit_role(stage)]);
    return macs;
}

/* Where it may be cut; nothing of a cut that is not possible. */
static void print_cuts(const struct agn_model *model)
{
    const char *title = "cuts";
    for (int i = 0; i < agn_model_cuts(model); i++) {
        struct agn_cut cut;
        char place[32] = "the image itself", shape[48];
        if (agn_model_cut(model, i, &cut) < 0)
            continue;
        if (i > 0)
            snprintf(place, sizeof place, "behind stage %d", i);
        snprintf(shape, sizeof shape, "%dx%dx%d", cut.map.height, cut.map.width, cut.map.channels);
        printf("%-14s %d  %-18s %-10s %6d bytes, %lld MACs before it\n", title, i, place, shape,
               cut.map.height * cut.map.width * cut.map.channels, (long long)macs_before(model, i));
        title = "";
    }
}

static void print_text(const struct agn_model *model, const struct network *networks, const char *name,
                       bool trained)
{
    const struct agn_preset *preset = &model->preset;
    printf("%s: %s%s\n", name, trained ? "trained model, preset " : "preset ", preset->name);
    printf("image          %dx%dx%d, %d classes\n", preset->data.height, preset->data.width,
           preset->data.channels, model->classes);
    printf("system         %s: %s\n", model->system->name, model->system->meaning);
    if (model->system->exits)
        printf("feature map    %dx%dx%d: sent in 8 bits a value (codec %s), unless %s softmax reaches %g\n",
               model->map.height, model->map.width, model->map.channels, agn_codec_name(preset->model.codec),
               agn_model_stages(model) > 1 ? "an exit's" : "the exit's", preset->model.exit_threshold);
    else if (!agn_part_is_empty(&model->parts[AGN_EXTRACTOR]))
        printf(
            "feature map    %dx%dx%d: the first %d channels stay, %d are sent as 3-bit symbols (codec %s)\n",
            model->map.height, model->map.width, model->map.channels,
            model->map.channels - model->sent_channels, model->sent_channels,
            agn_codec_name(preset->model.codec));
    if (agn_model_cuts(model) > 1)
        print_cuts(model);
    const char *undeployable = agn__cli_undeployable(preset);
    if (undeployable)
        printf("device         none can run this: %s\n", undeployable);
    if (trained)
        print_learned(model);
    for (int i = 0; i < NETWORKS; i++)
        if (!agn_part_is_empty(&model->parts[met[i]]))
            print_network(&networks[i]);
}

/* ---- JSON ---------------------------------------------------------------------------------------- */

static json_t *json_from_network(const struct network *network)
{
    struct totals totals = totals_of(network);
    char blocks[BLOCKS_BYTES];
    json_t *layers = json_array();
    list_blocks(network, blocks);
    for (int i = 0; i < network->graph->count; i++) {
        const struct agn_op_spec *op = &network->graph->ops[i];
        json_t *layer = json_pack("{s:s, s:s, s:[i,i,i], s:i, s:i, s:I, s:I}", "name", op->name, "type",
                                  type_name(op), "output", op->shape.height, op->shape.width,
                                  op->shape.channels, "kernel", op->type == AGN_OP_CONV ? op->kernel : 0,
                                  "stride", op->type == AGN_OP_CONV ? op->stride : 0, "macs",
                                  (json_int_t)agn_op_macs(network->graph, i), "parameters",
                                  (json_int_t)parameters_of(network, i));
        char code[96];
        if (find_code(network, i, code, sizeof code))
            json_object_set_new(layer, "code", json_string(code));
        if (json_array_append_new(layers, layer)) {
            json_decref(layers);
            return NULL;
        }
    }
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:o}", "name", network->name, "place", network->place,
                     "blocks", blocks, "macs", (json_int_t)totals.macs, "parameters",
                     (json_int_t)totals.parameters, "layers", layers);
}

/* NULL: out of memory. */
static json_t *json_from_cuts(const struct agn_model *model)
{
    json_t *list = json_array();
    for (int i = 0; i < agn_model_cuts(model) && list; i++) {
        struct agn_cut cut;
        if (agn_model_cut(model, i, &cut) < 0)
            continue;
        json_array_append_new(list, json_pack("{s:i, s:[i,i,i], s:I}", "cut", i, "map", cut.map.height,
                                              cut.map.width, cut.map.channels, "macs_before",
                                              (json_int_t)macs_before(model, i)));
    }
    return list;
}

static json_t *json_from_learned(const struct agn_model *model)
{
    float mean[AGN_MAX_CHANNELS];
    int image_channels = model->preset.data.channels;
    for (int c = 0; c < image_channels; c++)
        mean[c] = model->normalisation.mean[c];
    return json_pack("{s:f, s:o, s:o, s:o, s:o, s:f, s:f, s:o, s:o}", "alpha", agn_model_alpha(model),
                     "pixel_mean", agn__cli_json_floats(mean, image_channels), "pixel_std",
                     agn__cli_json_floats(model->normalisation.std, image_channels), "centroids",
                     agn__cli_json_floats(model->centroids, AGN_LEVELS), "usage",
                     agn__cli_json_floats(model->usage, AGN_LEVELS), "skewness_before",
                     model->skewness_before, "reference_accuracy_before", model->reference_accuracy,
                     "importance_before", agn__cli_json_importance(model, model->importance_before),
                     "importance_after", agn__cli_json_importance(model, model->importance_after));
}

static json_t *json_from_class_names(const struct agn_model *model)
{
    json_t *names = json_array();
    for (int i = 0; i < model->classes; i++)
        if (json_array_append_new(names, agn__cli_json_string(model->class_names[i]))) {
            json_decref(names);
            return NULL;
        }
    return names;
}

static json_t *json_from(const struct agn_model *model, const struct network *networks, const char *name,
                         bool trained)
{
    json_t *list = json_array();
    for (int i = 0; i < NETWORKS; i++)
        if (!agn_part_is_empty(&model->parts[met[i]]) &&
            json_array_append_new(list, json_from_network(&networks[i]))) {
            json_decref(list);
            return NULL;
        }
    json_t *object = json_pack(
        "{s:s, s:o, s:o, s:s, s:[i,i,i], s:[i,i,i], s:i, s:i, s:s, s:o, s:o}", "kind",
        trained ? "model" : "preset", "name", agn__cli_json_string(name), "preset",
        agn__cli_json_string(model->preset.name), "system", model->system->name, "image",
        model->preset.data.height, model->preset.data.width, model->preset.data.channels, "map",
        model->map.height, model->map.width, model->map.channels, "local_channels",
        model->map.channels - model->sent_channels, "sent_channels", model->sent_channels, "codec",
        agn_codec_name(model->preset.model.codec), "classes", json_from_class_names(model), "networks", list);
    if (object && agn_model_cuts(model) > 1)
        json_object_set_new(object, "cuts", json_from_cuts(model));
    if (object && trained && json_object_set_new(object, "learned", json_from_learned(model))) {
        json_decref(object);
        return NULL;
    }
    return object;
}

int agn__info_model(const struct agn_model *model, const char *name, const struct agn__info_options *options)
{
    struct network networks[NETWORKS];
    struct agn_inference *remote = NULL;
    const struct agn_inference_config config = {
        .graph = &model->parts[AGN_REMOTE].graph, .params = model->parts[AGN_REMOTE].params, .max_batch = 1};
    bool ask = options->code && !agn_part_is_empty(&model->parts[AGN_REMOTE]);
    int status = ask ? agn_inference_create(&config, &remote) : AGN_OK, code = AGN_CLI_SUCCESS;
    if (status < 0)
        return agn__cli_fail("info", status);
    list_networks(model, remote, networks);
    if (options->json)
        code = agn__cli_print_json("info", json_from(model, networks, name, options->trained));
    else
        print_text(model, networks, name, options->trained);
    agn_inference_free(remote);
    return code;
}
