/* Models of version 4 that may be cut in one of several places: what lies behind the tensor that is sent, and
 * behind an exit on it, is not computed. A cut is a view of the file that ends there, so that all else need
 * not know of it. */
#include "agn_device_internal.h"
#include "agn_graph.h"

#if AGN_WITH_GRAPHS

unsigned agn__further_cuts(const struct agn_dev_model *model)
{
    if (agn__load_u16(model->data + AGN__AT_VERSION) != AGN_MODEL_VERSION_GRAPH)
        return 0;
    return agn__load_u16(model->data + AGN__AT_CUT_COUNT);
}

/* Memory up to the end of the last tensor that is left. */
static uint32_t tensors_end(const struct agn_dev_model *model)
{
    uint32_t most = 0;
    for (unsigned i = 0; i <= model->layer_count; i++) {
        struct agn__tensor tensor;
        agn__graph_tensor(model, i, &tensor);
        uint32_t end = tensor.offset + agn__tensor_bytes(&tensor);
        most = tensor.storage != AGN__STORED_NOT && end > most ? end : most;
    }
    return most;
}

static unsigned heads_up_to(const struct agn_dev_model *model, unsigned tensor)
{
    const uint8_t *record = model->graph.heads;
    unsigned count = 0;
    for (; count < model->graph.head_count && record[AGN__HEAD_TENSOR] <= tensor; count++)
        record += AGN__GRAPH_HEAD_BYTES;
    return count;
}

static void read_map(struct agn_dev_model *model, const uint8_t *from)
{
    model->map_h = agn__load_u16(from);
    model->map_w = agn__load_u16(from + 2);
    model->map_c = agn__load_u16(from + 4);
}

/* The view of all of the file; what cuts do not change stays as it is. */
static void restore(struct agn_dev_model *model)
{
    const uint8_t *data = model->data;
    struct agn_dev_graph *graph = &model->graph;
    model->model_id = agn__load_u32(data + AGN__AT_MODEL_ID);
    model->alpha_q15 = agn__load_u16(data + AGN__AT_ALPHA);
    agn__read_sure(model);
    model->layer_count = data[AGN__AT_LAYER_COUNT];
    read_map(model, data + AGN__AT_MAP);
    graph->layers = data + agn__load_u32(data + AGN__AT_LAYERS);
    graph->heads = data + agn__load_u32(data + AGN__AT_HEADS);
    graph->tensor_bytes = agn__load_u32(data + AGN__AT_TENSOR_BYTES);
    graph->head_count = data[AGN__AT_HEAD_COUNT];
    graph->sender = data[AGN__AT_SENDER];
    graph->value_bits = data[AGN__AT_VALUE_BITS];
}

static void truncate_at(struct agn_dev_model *model, const uint8_t *record)
{
    struct agn_dev_graph *graph = &model->graph;
    unsigned tensor = record[AGN__CUT_TENSOR];
    model->model_id = agn__load_u32(record + AGN__CUT_MODEL_ID);
    read_map(model, record + AGN__CUT_MAP);
    model->layer_count = record[AGN__CUT_LAYERS];
    graph->head_count = (uint8_t)heads_up_to(model, model->layer_count);
    if (graph->head_count == 0) { /* there is no answer that could have a weight */
        model->alpha_q15 = model->sure_margin = 0;
        model->sure_margins = NULL;
    }
    graph->sender = (uint8_t)tensor;
    graph->value_bits = record[AGN__CUT_VALUE_BITS];
    if (tensor > 0)
        graph->tensor_bytes = tensors_end(model);
    else
        memset(graph, 0, sizeof *graph); /* pixels are sent: no network with branches */
}

void agn__graph_cut(struct agn_dev_model *model, unsigned cut)
{
    restore(model);
    if (cut < agn__further_cuts(model))
        truncate_at(model, agn__graph_cut_record(model, cut));
    model->graph.cut = (uint8_t)cut;
}

int agn__is_cut(const struct agn_dev_model *model, uint32_t model_id)
{
    unsigned count = agn__further_cuts(model);
    for (unsigned i = 0; i < count; i++)
        if (agn__load_u32(agn__graph_cut_record(model, i) + AGN__CUT_MODEL_ID) == model_id)
            return 1;
    return count > 0 && agn__load_u32(model->data + AGN__AT_MODEL_ID) == model_id;
}

/* ---- checks ------------------------------------------------------------------------------------- */

static int check_cut(const struct agn_dev_model *model, unsigned cut)
{
    const uint8_t *record = agn__graph_cut_record(model, cut);
    unsigned tensor = record[AGN__CUT_TENSOR], bits = record[AGN__CUT_VALUE_BITS];
    unsigned layers = record[AGN__CUT_LAYERS];
    struct agn_dev_model view = *model;
    if (tensor >= model->graph.sender || layers < tensor || layers > model->layer_count ||
        (tensor == 0 && layers > 0) || bits < (tensor == 0 ? 8u : 1u) || bits > 8 ||
        !agn__is_zero(record + AGN__CUT_ZERO, AGN__GRAPH_CUT_BYTES - AGN__CUT_ZERO))
        return AGN_ERR_RANGE;
    if (cut > 0 && agn__graph_cut_record(model, cut - 1)[AGN__CUT_TENSOR] >= tensor)
        return AGN_ERR_RANGE;
    /* What lies behind belongs to another segment: the order of work up to here does not depend on it. */
    if (tensor > 0 && layers < model->layer_count &&
        agn__graph_record(model, layers)[AGN__GRAPH_SEGMENT] ==
            agn__graph_record(model, layers - 1u)[AGN__GRAPH_SEGMENT])
        return AGN_ERR_RANGE;
    agn__graph_cut(&view, cut);
    int status = agn__model_check(&view);
    return status == 0 && tensor > 0 ? agn__graph_check_sender(&view) : status;
}

int agn__graph_check_cuts(const struct agn_dev_model *model, size_t body)
{
    unsigned count = agn__further_cuts(model);
    int status = 0;
    if (count == 0)
        return 0;
    if (count >= AGN_DEV_MAX_CUTS || !agn__sends_values(model) ||
        !agn__model_section(model->data, body, model->data + AGN__AT_CUTS, count * AGN__GRAPH_CUT_BYTES))
        return AGN_ERR_RANGE;
    for (unsigned i = 0; i < count && status == 0; i++)
        status = check_cut(model, i);
    return status;
}

#endif

typedef int agn__graph_cut_is_not_empty;
