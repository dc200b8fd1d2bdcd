/* Whether a device model fits a microcontroller. What the code takes there is a measured table; what the
 * model takes follows from its shapes, as on any machine. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agilenn/base.h"
#include "agilenn/targets.h"

static const struct agn_target targets[] = {
#include "deploy/target_sizes.inc"
};

const struct agn_target *agn_targets(int *count)
{
    *count = (int)AGN_COUNT_OF(targets);
    return targets;
}

const struct agn_target *agn_target_find(const char *name)
{
    for (size_t i = 0; i < AGN_COUNT_OF(targets); i++)
        if (strcmp(name, targets[i].name) == 0)
            return &targets[i];
    return NULL;
}

static enum agn_runtime runtime_of(const struct agn_dev_model *model)
{
    if (model->graph.layers != NULL)
        return AGN_RUNTIME_GRAPHS;
    return model->codec == AGN_CODEC_JPEG ? AGN_RUNTIME_JPEG : AGN_RUNTIME_LEAST;
}

void agn_target_needs(const struct agn_target *target, enum agn_optimise optimise,
                      const struct agn_dev_model *model, struct agn_target_needs *needs)
{
    needs->arena_bytes = (uint32_t)agn_dev_arena_bytes(model);
    needs->state_bytes = target->state_bytes;
    needs->packet_bytes = AGN_WIRE_MAX_PACKET;
    needs->stack_bytes = target->sizes[optimise][runtime_of(model)].stack_bytes;
    needs->ram_bytes = needs->arena_bytes + needs->state_bytes + needs->packet_bytes + needs->stack_bytes;
    needs->code_bytes = target->sizes[optimise][runtime_of(model)].code_bytes;
    needs->model_bytes = model->size_bytes;
    needs->flash_bytes = needs->code_bytes + needs->model_bytes;
}

/* ---- what to do about it ------------------------------------------------------------------- */

/* A sentence under way: what does not fit any more is cut, never written beyond `cap`. */
struct text {
    char *to;
    size_t cap, used;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text->to + text->used, text->cap - text->used, format, args);
    va_end(args);
    if (length > 0)
        text->used += (size_t)length < text->cap - text->used ? (size_t)length : text->cap - text->used - 1;
}

static void advise_ram(struct text *text, const struct agn_dev_model *model)
{
    struct agn_dev_model raw = *model;
    struct agn_dev_memory memory;
    unsigned widest = 0;
    uint32_t widest_bytes = 0;
    raw.codec = AGN_CODEC_RAW3;
    size_t arena = agn_dev_arena_bytes(model), raw_arena = agn_dev_arena_bytes(&raw);
    agn_dev_memory(model, &memory);
    for (unsigned i = 0; i < model->layer_count; i++) {
        struct agn_dev_layer_info info;
        if (agn_dev_layer_info(model, i, &info) == 0 && info.line_bytes > widest_bytes) {
            widest_bytes = info.line_bytes;
            widest = i;
        }
    }
    if (raw_arena < arena)
        add(text, "; the codec raw3 instead of %s saves %lu bytes of RAM (and sends more)",
            agn_codec_name(model->codec), (unsigned long)(arena - raw_arena));
    if (memory.symbol_bytes > memory.line_bytes)
        add(text,
            "; the symbols to be sent take %lu bytes: a smaller map (stride, image) or fewer channels help",
            (unsigned long)memory.symbol_bytes);
    else
        add(text,
            "; the line buffers take %lu bytes, %lu of them layer %u's: a narrower image or fewer channels "
            "(model.extractor) help",
            (unsigned long)memory.line_bytes, (unsigned long)widest_bytes, widest + 1);
}

static void advise_flash(struct text *text, const struct agn_target *target, enum agn_optimise optimise,
                         const struct agn_dev_model *model)
{
    struct agn_dev_memory memory;
    struct agn_dev_layer_info largest_info = {0};
    unsigned largest = 0;
    uint32_t largest_bytes = 0;
    enum agn_runtime part = runtime_of(model);
    uint32_t small = target->sizes[AGN_OPTIMISE_SIZE][part].code_bytes,
             code = target->sizes[optimise][part].code_bytes;
    agn_dev_memory(model, &memory);
    for (unsigned i = 0; i < model->layer_count; i++) {
        struct agn_dev_layer_info info;
        if (agn_dev_layer_info(model, i, &info) == 0 &&
            info.weight_bytes + info.channel_bytes > largest_bytes) {
            largest_bytes = info.weight_bytes + info.channel_bytes;
            largest_info = info;
            largest = i;
        }
    }
    uint32_t dense = memory.dense_weight_bytes + memory.dense_channel_bytes;
    if (small < code)
        add(text, "; compiled with -Os (--optimise size) the code takes %lu bytes less",
            (unsigned long)(code - small));
    if (dense > largest_bytes)
        add(text,
            "; the Local NN's weights take %lu bytes: a smaller model.grid or model.local_channels helps",
            (unsigned long)dense);
    else
        add(text, "; layer %u's weights take %lu bytes: fewer channels (model.extractor) help%s", largest + 1,
            (unsigned long)largest_bytes,
            largest_info.shape.kind == AGN_LAYER_CONV && largest_info.shape.kernel_h > 1
                ? ", or a depthwise and a 1x1 convolution in its place"
                : "");
}

int agn_target_check(const struct agn_target *target, enum agn_optimise optimise,
                     const struct agn_dev_model *model, uint32_t ram_bytes, uint32_t flash_bytes)
{
    char sentence[900];
    struct text text = {.to = sentence, .cap = sizeof sentence};
    struct agn_target_needs needs;
    agn_target_needs(target, optimise, model, &needs);
    bool ram = ram_bytes > 0 && needs.ram_bytes > ram_bytes;
    bool flash = flash_bytes > 0 && needs.flash_bytes > flash_bytes;
    if (!ram && !flash)
        return AGN_OK;
    sentence[0] = '\0';
    if (ram)
        add(&text,
            "it takes %lu bytes of RAM (arena %lu, struct agn_dev %lu, packet buffer %lu, stack %lu), %lu "
            "more "
            "than the %lu allowed",
            (unsigned long)needs.ram_bytes, (unsigned long)needs.arena_bytes,
            (unsigned long)needs.state_bytes, (unsigned long)needs.packet_bytes,
            (unsigned long)needs.stack_bytes, (unsigned long)(needs.ram_bytes - ram_bytes),
            (unsigned long)ram_bytes);
    if (flash)
        add(&text, "%s %lu bytes of flash (code %lu, model %lu), %lu more than the %lu allowed",
            ram ? ", and" : "it takes", (unsigned long)needs.flash_bytes, (unsigned long)needs.code_bytes,
            (unsigned long)needs.model_bytes, (unsigned long)(needs.flash_bytes - flash_bytes),
            (unsigned long)flash_bytes);
    if (ram)
        advise_ram(&text, model);
    if (flash)
        advise_flash(&text, target, optimise, model);
    return agn_fail(AGN_ERR_SPACE, "the model does not fit on a %s: %s", target->name, sentence);
}
