/* How much memory a model needs, and where: for the arena's layout, `info` and export. */
#include "agn_device_internal.h"

uint32_t agn__line_bytes(const struct agn_dev_layer *layer)
{
    return AGN_DEV_LINE_BYTES(layer->kernel_h, layer->in_w, layer->pad_w, layer->in_c);
}

int agn_dev_layer_info(const struct agn_dev_model *model, unsigned index, struct agn_dev_layer_info *info)
{
    if (index >= model->layer_count)
        return AGN_ERR_ARG;
    if (agn__is_graph(model)) {
        agn__graph_layer_info(model, index, info);
        return 0;
    }
    const struct agn_dev_layer *layer = &model->layers[index];
    const uint8_t *record =
        model->data + agn__load_u32(model->data + AGN__AT_LAYERS) + (size_t)index * AGN_MODEL_LAYER_BYTES;
    uint32_t weights = agn__layer_weight_count(layer);
    info->shape = *layer;
    /* Every weight is used once at every output place, in both kinds of layer. */
    info->macs = (uint64_t)layer->out_h * layer->out_w * weights;
    info->weight_bytes = agn__layer_weight_bytes(layer);
    info->channel_bytes = (uint32_t)layer->out_c * AGN_MODEL_CHANNEL_BYTES;
    info->line_bytes = agn__line_bytes(layer);
    info->in_scale_bits = agn__load_u32(record + AGN__LAYER_IN_SCALE);
    info->out_scale_bits = agn__load_u32(record + AGN__LAYER_OUT_SCALE);
    return 0;
}

/* Of the model as it is cut now. */
static void memory_of(const struct agn_dev_model *model, struct agn_dev_memory *memory)
{
    uint32_t sent = (uint32_t)(model->map_c - model->local_c);
    uint32_t inputs = (uint32_t)model->grid * model->grid * model->local_c;
    memset(memory, 0, sizeof *memory);
    for (unsigned i = 0; i < model->layer_count && !agn__is_graph(model); i++)
        memory->line_bytes += agn__line_bytes(&model->layers[i]);
    memory->map_row_bytes = AGN_DEV_MAP_ROW_BYTES(model->map_w, model->local_c);
    memory->encoder_bytes = agn__encoder_bytes(model);
    memory->symbol_bytes = AGN_DEV_SYMBOL_BYTES(sent, model->map_h, model->map_w);
    memory->pool_bytes = AGN_DEV_POOL_BYTES(model->grid, model->local_c);
    memory->logit_bytes = AGN_DEV_LOGIT_BYTES(model->classes);
    memory->dense_macs = memory->dense_weight_bytes = inputs * model->classes;
    memory->dense_channel_bytes = inputs > 0 ? (uint32_t)model->classes * AGN_MODEL_CHANNEL_BYTES : 0;
    if (agn__is_graph(model))
        agn__graph_memory(model, memory);

    uint32_t scratch = memory->line_bytes + memory->map_row_bytes;
    if (scratch < memory->encoder_bytes)
        scratch = memory->encoder_bytes;
    memory->arena_bytes = scratch + memory->symbol_bytes + memory->pool_bytes + memory->logit_bytes;
    memory->state_bytes = (uint32_t)sizeof(struct agn_dev);
    memory->flash_bytes = model->size_bytes;
    memory->raw_bytes = (sent * model->map_h * model->map_w * AGN_WIRE_SYMBOL_BITS + 7) / 8;
}

void agn_dev_memory(const struct agn_dev_model *model, struct agn_dev_memory *memory)
{
    unsigned further = agn__further_cuts(model);
    memory_of(model, memory);
    for (unsigned cut = 0; further > 0 && cut <= further; cut++) {
        struct agn_dev_model view = *model;
        struct agn_dev_memory other;
        agn__graph_cut(&view, cut);
        memory_of(&view, &other);
        if (other.symbol_bytes > memory->symbol_bytes)
            memory->symbol_bytes = other.symbol_bytes;
        if (other.arena_bytes > memory->arena_bytes)
            memory->arena_bytes = other.arena_bytes;
    }
    memory->ram_bytes = memory->arena_bytes + memory->state_bytes;
}

uint32_t agn_dev_arena_bytes(const struct agn_dev_model *model)
{
    struct agn_dev_memory memory;
    agn_dev_memory(model, &memory);
    return memory.arena_bytes;
}
