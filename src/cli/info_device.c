/* `agilenn info` on a model.agn: what the device library itself says of it. */
#include <string.h>

#include "agilenn/hosted.h"
#include "cli/info.h"
#include "cli/target_table.h"

/* Where MODEL_FORMAT.md puts what is there for people only. */
enum { INPUT_SCALES_AT = 60, CENTROIDS_AT = 76, CENTROIDS = 8, JPEG_QUALITY_AT = 113 };

static float float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float float_at(const struct agn_dev_model *model, size_t offset)
{
    const uint8_t *b = model->data + offset;
    return float_from_bits((uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
                           (uint32_t)b[3] << 24);
}

static const char *codec_name(int codec)
{
    const char *name = agn_codec_name(codec);
    return name ? name : "unknown";
}

static const char *kind_name(int kind)
{
    return kind == AGN_LAYER_DWCONV ? "depthwise" : kind == AGN_LAYER_ADD ? "add" : "conv";
}

/* ---- text -------------------------------------------------------------------------------- */

/* Of a model without layers. */
static void print_pixels(const struct agn_dev_model *model)
{
    if (model->codec == AGN_CODEC_JPEG)
        printf("sends          the image as JPEG of quality %u, rows that it would not make shorter as they "
               "are;",
               model->data[JPEG_QUALITY_AT]);
    else
        printf(
            "sends          the image as it is: %d rows of %d bytes, as %dx%d 3-bit symbols each (codec %s);",
            model->input_h, model->input_w * model->input_c, model->map_h, model->map_w,
            codec_name(model->codec));
    printf(" no prediction without an answer\n\n");
}

/* What may be sent, where there is a choice. */
static void print_cuts(const struct agn_dev_model *model)
{
    unsigned cuts = agn_dev_cuts(model);
    for (unsigned i = 0; i < cuts && cuts > 1; i++) {
        struct agn_dev_model view;
        struct agn_dev_memory memory;
        if (agn_dev_model_cut(model, i, &view) < 0)
            continue;
        agn_dev_memory(&view, &memory);
        if (view.layer_count == 0)
            printf("cut %u          the image as it is", i);
        else
            printf("cut %u          the result of layer %d as values of %d bits", i, view.graph.sender - 1,
                   view.graph.value_bits);
        printf(": %d rows of %u bytes, %u bytes in all; model id %08x%s\n", view.map_c,
               view.map_h * (view.map_w * (unsigned)AGN_WIRE_SYMBOL_BITS / 8), (unsigned)memory.raw_bytes,
               (unsigned)view.model_id, i + 1 == cuts ? " (at first)" : "");
    }
}

static void print_head(const struct agn_dev_model *model, const char *name)
{
    printf("%s: device model, version %d, %u bytes, model id %08x\n", name,
           model->graph.layers != NULL ? AGN_MODEL_VERSION_GRAPH : AGN_MODEL_VERSION,
           (unsigned)model->size_bytes, (unsigned)model->model_id);
    printf("image          %dx%dx%d, %d classes\n", model->input_h, model->input_w, model->input_c,
           model->classes);
    if (model->layer_count == 0) {
        print_pixels(model);
        return;
    }
    if (model->graph.value_bits > 0) {
        printf("feature map    %d rows of %u bytes are sent, values of %d bits (codec %s), unless the device "
               "is sure\n",
               model->map_c, model->map_h * (model->map_w * (unsigned)AGN_WIRE_SYMBOL_BITS / 8),
               model->graph.value_bits, codec_name(model->codec));
        print_cuts(model);
    } else if (agn_dev_model_sends(model)) {
        printf(
            "feature map    %dx%dx%d: the first %d channels stay, %d are sent as 3-bit symbols (codec %s)\n",
            model->map_h, model->map_w, model->map_c, model->local_c, model->map_c - model->local_c,
            codec_name(model->codec));
        printf("alpha          %7.4f   weight of the local prediction", model->alpha_q15 / 32768.0);
        if (model->graph.layers == NULL)
            printf("; Local NN pools to %dx%d", model->grid, model->grid);
        printf("\n");
        if (model->sure_margins != NULL)
            printf("sends          unless the best local logit leads by the margin of its class\n");
        else if (model->sure_margin > 0)
            printf("sends          unless the best local logit leads by %.2f\n", model->sure_margin / 256.0);
    } else {
        printf("sends          nothing: the device answers alone\n");
    }
    printf("input scale   ");
    for (int c = 0; c < model->input_c; c++)
        printf(" %7.4f", (double)float_at(model, INPUT_SCALES_AT + 4 * (size_t)c));
    if (agn_dev_model_sends(model) && model->graph.value_bits == 0) {
        printf("\ncentroids     ");
        for (int i = 0; i < CENTROIDS; i++)
            printf(" %7.3f", (double)float_at(model, CENTROIDS_AT + 4 * (size_t)i));
    }
    printf("\n\n");
}

static void print_layers(const struct agn_dev_model *model, const struct agn_dev_memory *memory)
{
    uint64_t macs = 0;
    printf("%5s  %-10s %-7s %-11s %-11s %9s %8s %7s %10s %10s\n", "layer", "type", "kernel", "input",
           "output", "MACs", "flash B", "RAM B", "in scale", "out scale");
    for (unsigned i = 0; i < model->layer_count; i++) {
        struct agn_dev_layer_info info;
        char kernel[24], in[32], out[32];
        if (agn_dev_layer_info(model, i, &info) < 0)
            continue;
        const struct agn_dev_layer *shape = &info.shape;
        snprintf(kernel, sizeof kernel, "%dx%d /%d", shape->kernel_h, shape->kernel_w, shape->stride_h);
        snprintf(in, sizeof in, "%dx%dx%d", shape->in_h, shape->in_w, shape->in_c);
        snprintf(out, sizeof out, "%dx%dx%d", shape->out_h, shape->out_w, shape->out_c);
        printf("%5u  %-10s %-7s %-11s %-11s %9llu %8u %7u %10.3g %10.3g\n", i, kind_name(shape->kind), kernel,
               in, out, (unsigned long long)info.macs, (unsigned)(info.weight_bytes + info.channel_bytes),
               (unsigned)info.line_bytes, (double)float_from_bits(info.in_scale_bits),
               (double)float_from_bits(info.out_scale_bits));
        macs += info.macs;
    }
    printf("%5s  %-10s %-7s %-11s %-11s %9u %8u %7s\n", "", "local", "", "", "", (unsigned)memory->dense_macs,
           (unsigned)(memory->dense_weight_bytes + memory->dense_channel_bytes), "");
    printf("%5s  %-10s %-7s %-11s %-11s %9llu %8u %7u   whole file; all of RAM\n", "", "total", "", "", "",
           (unsigned long long)(macs + memory->dense_macs), (unsigned)memory->flash_bytes,
           (unsigned)memory->ram_bytes);
}

static void print_memory(const struct agn_dev_memory *memory)
{
    const struct {
        const char *name;
        unsigned bytes;
        const char *remark;
    } rows[] = {{"line buffers", (unsigned)memory->line_bytes, ""},
                {"map row", (unsigned)memory->map_row_bytes, ""},
                {"encoder", (unsigned)memory->encoder_bytes, "shares memory with the two above"},
                {"symbols", (unsigned)memory->symbol_bytes, "3 bits each, of the sent channels"},
                {"pooled sums", (unsigned)memory->pool_bytes, ""},
                {"logits", (unsigned)memory->logit_bytes, ""},
                {"arena", (unsigned)memory->arena_bytes, "all of the above"},
                {"state", (unsigned)memory->state_bytes, "struct agn_dev on this machine"},
                {"RAM", (unsigned)memory->ram_bytes, "arena and state; a packet buffer is extra"},
                {"flash", (unsigned)memory->flash_bytes, "the model file; code is extra"},
                {"frame, raw", (unsigned)memory->raw_bytes, "sent symbols at 3 bits, without headers"}};
    printf("\nmemory              bytes\n");
    for (size_t i = 0; i < AGN_COUNT_OF(rows); i++)
        printf("  %-14s %8u%s%s\n", rows[i].name, rows[i].bytes, rows[i].remark[0] ? "   " : "",
               rows[i].remark);
}

/* ---- JSON ------------------------------------------------------------------------------------- */

static json_t *json_from_layers(const struct agn_dev_model *model)
{
    json_t *layers = json_array();
    for (unsigned i = 0; i < model->layer_count; i++) {
        struct agn_dev_layer_info info;
        if (agn_dev_layer_info(model, i, &info) < 0)
            continue;
        const struct agn_dev_layer *shape = &info.shape;
        json_t *layer =
            json_pack("{s:s, s:[i,i,i], s:[i,i,i], s:[i,i], s:[i,i], s:I, s:I, s:I, s:f, s:f}", "type",
                      kind_name(shape->kind), "input", shape->in_h, shape->in_w, shape->in_c, "output",
                      shape->out_h, shape->out_w, shape->out_c, "kernel", shape->kernel_h, shape->kernel_w,
                      "stride", shape->stride_h, shape->stride_w, "macs", (json_int_t)info.macs,
                      "flash_bytes", (json_int_t)(info.weight_bytes + info.channel_bytes), "ram_bytes",
                      (json_int_t)info.line_bytes, "in_scale", (double)float_from_bits(info.in_scale_bits),
                      "out_scale", (double)float_from_bits(info.out_scale_bits));
        if (json_array_append_new(layers, layer)) {
            json_decref(layers);
            return NULL;
        }
    }
    return layers;
}

/* All that may be sent, the one that is at first last; a model that sends nothing has none. */
static json_t *json_from_cuts(const struct agn_dev_model *model)
{
    json_t *cuts = json_array();
    for (unsigned i = 0; i < agn_dev_cuts(model); i++) {
        struct agn_dev_model view;
        struct agn_dev_memory memory;
        char id[16];
        if (agn_dev_model_cut(model, i, &view) < 0)
            continue;
        agn_dev_memory(&view, &memory);
        snprintf(id, sizeof id, "%08x", (unsigned)view.model_id);
        json_t *cut =
            json_pack("{s:s, s:i, s:i, s:[i,i,i], s:I}", "model_id", id, "layers", view.layer_count,
                      "value_bits", view.layer_count > 0 ? view.graph.value_bits : 8, "map", view.map_h,
                      view.map_w, view.map_c, "bytes_raw", (json_int_t)memory.raw_bytes);
        if (json_array_append_new(cuts, cut)) {
            json_decref(cuts);
            return NULL;
        }
    }
    return cuts;
}

static json_t *json_from(const struct agn_dev_model *model, const struct agn_dev_memory *memory,
                         const char *name)
{
    char id[16];
    snprintf(id, sizeof id, "%08x", (unsigned)model->model_id);
    json_t *layers = json_from_layers(model), *cuts = json_from_cuts(model);
    return json_pack(
        "{s:s, s:o, s:s, s:[i,i,i], s:[i,i,i], s:i, s:i, s:i, s:s, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:o, s:o, s:o}",
        "kind", "device", "name", agn__cli_json_string(name), "model_id", id, "image", model->input_h,
        model->input_w, model->input_c, "map", model->map_h, model->map_w, model->map_c, "local_channels",
        model->local_c, "grid", model->grid, "classes", model->classes, "codec", codec_name(model->codec),
        "alpha", model->alpha_q15 / 32768.0, "device_flash_bytes", (json_int_t)memory->flash_bytes,
        "device_ram_bytes", (json_int_t)memory->ram_bytes, "arena_bytes", (json_int_t)memory->arena_bytes,
        "bytes_raw", (json_int_t)memory->raw_bytes, "dense_macs", (json_int_t)memory->dense_macs,
        "dense_flash_bytes", (json_int_t)memory->dense_weight_bytes + (json_int_t)memory->dense_channel_bytes,
        "symbol_bytes", (json_int_t)memory->symbol_bytes, "layers", layers, "cuts", cuts, "targets",
        agn__cli_json_targets(model, NULL, AGN_OPTIMISE_SPEED));
}

int agn__info_device(const uint8_t *bytes, size_t size_bytes, const char *name, bool json)
{
    struct agn_dev_model model;
    struct agn_dev_memory memory;
    int status = agn_hosted_check(name, bytes, size_bytes, &model);
    if (status < 0)
        return agn__cli_fail("info", status);
    agn_dev_memory(&model, &memory);
    if (json)
        return agn__cli_print_json("info", json_from(&model, &memory, name));
    print_head(&model, name);
    print_layers(&model, &memory);
    print_memory(&memory);
    agn__cli_print_targets(&model, NULL, AGN_OPTIMISE_SPEED);
    return AGN_CLI_SUCCESS;
}
