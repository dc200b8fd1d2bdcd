/* Plans the memory of a network with branches: how rows lie, where one segment ends and the next begins, how
 * many rows each tensor keeps, and where.
 *
 * What a frame needs is played by the device's own code (agn__graph_play). More segments mean that more is
 * kept whole, but also that rings which are never in use together share memory; ends of segments are tried
 * one after the other, and the one that saves most is kept, as long as one saves. Places are given by size,
 * the largest first, each at the lowest place that is free while it lives (Pisarchyk & Lee 2020, greedy by
 * size). */
#include <string.h>

#include "agilenn/base.h"
#include "agn_graph.h"
#include "deploy/writer.h"

struct plan {
    uint8_t *bytes;
    size_t size;
    struct agn_dev_model model; /* reads `bytes` */
    struct agn__life lives[AGN__GRAPH_TENSORS];
    /* Whether a segment ends before layer i. */
    bool ends[AGN_DEV_MAX_GRAPH_LAYERS];
};

static uint8_t *record_of(const struct plan *p, unsigned layer)
{
    return p->bytes + (agn__graph_record(&p->model, layer) - p->bytes);
}

/* Where a tensor's storage stands: in a layer's record or, for the image, in the header. */
static uint8_t *storage_of(const struct plan *p, unsigned tensor)
{
    return tensor == 0 ? p->bytes + AGN__AT_IMAGE : record_of(p, tensor - 1) + AGN__GRAPH_STORAGE;
}

static uint8_t *offset_of(const struct plan *p, unsigned tensor)
{
    return tensor == 0 ? p->bytes + AGN__AT_IMAGE + 4 : record_of(p, tensor - 1) + AGN__GRAPH_OFFSET;
}

static bool reads(const uint8_t *record, unsigned tensor)
{
    return record[AGN__GRAPH_SOURCES] == tensor ||
           (record[AGN__LAYER_KIND] == AGN_LAYER_ADD && record[AGN__GRAPH_SOURCES + 1] == tensor);
}

/* ---- how rows lie ---------------------------------------------------------------------------- */

/* Is the tensor one of those that a device may choose to send? */
static bool is_cut(const struct plan *p, unsigned tensor)
{
    unsigned count = agn__load_u16(p->bytes + AGN__AT_CUT_COUNT);
    for (unsigned i = 0; i < count; i++)
        if (agn__graph_cut_record(&p->model, i)[AGN__CUT_TENSOR] == tensor)
            return true;
    return false;
}

/* Channels that layers and heads read, and a sender of values. */
static unsigned channels_kept(const struct plan *p, unsigned tensor)
{
    unsigned kept = 0;
    if (tensor > 0 &&
        ((p->model.graph.value_bits > 0 && p->model.graph.sender == tensor) || is_cut(p, tensor)))
        return agn__load_u16(record_of(p, tensor - 1) + AGN__LAYER_SHAPE + 10);
    for (unsigned i = tensor; i < p->model.layer_count; i++) {
        const uint8_t *record = record_of(p, i);
        unsigned end =
            agn__load_u16(record + AGN__GRAPH_FIRST) + agn__load_u16(record + AGN__LAYER_SHAPE + 4);
        kept = reads(record, tensor) && end > kept ? end : kept;
    }
    for (unsigned i = 0; i < p->model.graph.head_count; i++) {
        struct agn__head head;
        agn__graph_head(&p->model, i, &head);
        unsigned end = (unsigned)head.first + head.count;
        kept = head.tensor == tensor && end > kept ? end : kept;
    }
    return kept;
}

/* int8 rows where they wait for readers, int16 ones where a kernel takes them as they are. `waits`: for
 * readers besides the next row's. */
static int choose_storage(const struct plan *p, unsigned tensor, bool waits)
{
    uint8_t *storage = storage_of(p, tensor);
    int depthwise = -1, window = -1;
    storage[0] = waits ? AGN__STORED_NARROW : AGN__STORED_WIDE;
    storage[1] = 0;
    for (unsigned i = tensor; i < p->model.layer_count; i++) {
        const uint8_t *record = record_of(p, i);
        int pad = record[AGN__LAYER_KIND + 6];
        if (!reads(record, tensor))
            continue;
        if (record[AGN__LAYER_KIND] == AGN_LAYER_DWCONV) {
            if (depthwise >= 0 && depthwise != pad)
                return agn_fail(AGN_ERR_UNSUPPORTED,
                                "model.agn: depthwise convolutions of padding %d and %d read the same tensor",
                                depthwise, pad);
            depthwise = pad;
        } else if (record[AGN__LAYER_KIND + 1] > 1 && record[AGN__LAYER_KIND] == AGN_LAYER_CONV) {
            window = pad;
        }
    }
    if (depthwise >= 0) {
        storage[0] = AGN__STORED_PLANAR;
        storage[1] = (uint8_t)depthwise;
    } else if (window >= 0) { /* each row is used several times */
        storage[0] = AGN__STORED_WIDE;
        storage[1] = (uint8_t)window;
    }
    return 0;
}

static void keep(const struct plan *p, unsigned tensor)
{
    uint8_t *record;
    unsigned kept = channels_kept(p, tensor), last = AGN__GRAPH_NEVER;
    if (tensor == 0)
        return;
    record = record_of(p, tensor - 1);
    if (record[AGN__LAYER_KIND] == AGN_LAYER_ADD)
        kept = agn__load_u16(record + AGN__LAYER_SHAPE + 10);
    agn__store_u16(record + AGN__GRAPH_KEPT, (uint16_t)kept);
    for (unsigned i = tensor; i < p->model.layer_count; i++)
        if (reads(record_of(p, i), tensor))
            last = i;
    record[AGN__GRAPH_LAST_READER] = (uint8_t)last;
    if (kept == 0)
        memset(record + AGN__GRAPH_STORAGE, 0, 4);
}

/* ---- places ------------------------------------------------------------------------------------- */

struct place {
    uint32_t offset, bytes;
    unsigned tensor;
};

static bool meet(const struct agn__life *a, const struct agn__life *b)
{
    return a->begin <= b->end && b->begin <= a->end;
}

/* The lowest place where `bytes` are free during `life`, among the first `count` places, sorted by offset. */
static uint32_t find_place(const struct plan *p, const struct place *places, unsigned count, uint32_t bytes,
                           const struct agn__life *life)
{
    uint32_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!meet(&p->lives[places[i].tensor], life))
            continue;
        if (places[i].offset >= at + bytes)
            break;
        if (places[i].offset + places[i].bytes > at)
            at = places[i].offset + places[i].bytes;
    }
    return at;
}

static uint32_t give_places(const struct plan *p)
{
    struct place places[AGN__GRAPH_TENSORS], done[AGN__GRAPH_TENSORS];
    unsigned count = 0, placed = 0;
    uint32_t end = 0;
    for (unsigned t = 0; t <= p->model.layer_count; t++) {
        struct agn__tensor tensor;
        agn__graph_tensor(&p->model, t, &tensor);
        if (tensor.storage == AGN__STORED_NOT)
            continue;
        struct place place = {0, agn__tensor_row_bytes(&tensor) * tensor.rows, t};
        unsigned at = count++;
        for (; at > 0 && places[at - 1].bytes < place.bytes; at--)
            places[at] = places[at - 1];
        places[at] = place;
    }
    for (unsigned i = 0; i < count; i++) {
        struct place place = places[i];
        place.offset = find_place(p, done, placed, place.bytes, &p->lives[place.tensor]);
        unsigned at = placed++;
        for (; at > 0 && done[at - 1].offset > place.offset; at--)
            done[at] = done[at - 1];
        done[at] = place;
        agn__store_u32(offset_of(p, place.tensor), place.offset);
        end = place.offset + place.bytes > end ? place.offset + place.bytes : end;
    }
    return end;
}

/* ---- segments -------------------------------------------------------------------------------------- */

static void set_segments(const struct plan *p)
{
    uint8_t segment = 0;
    for (unsigned i = 0; i < p->model.layer_count; i++) {
        segment = (uint8_t)(segment + (i > 0 && p->ends[i]));
        record_of(p, i)[AGN__GRAPH_SEGMENT] = segment;
    }
}

/* With the ends of segments as they are in `p`: everything else of the plan. The bytes that tensors take. */
static int lay_out(struct plan *p, uint32_t *bytes)
{
    int status = 0;
    set_segments(p);
    for (unsigned t = 0; t <= p->model.layer_count && status == 0; t++) {
        status = choose_storage(p, t, false);
        keep(p, t);
    }
    if (status == 0)
        status = agn__graph_play(&p->model, p->lives);
    if (status < 0)
        return status;
    for (unsigned t = 0; t <= p->model.layer_count; t++) {
        agn__store_u16(storage_of(p, t) + 2, p->lives[t].rows);
        if (p->lives[t].rows > 1 && storage_of(p, t)[0] == AGN__STORED_WIDE && storage_of(p, t)[1] == 0)
            choose_storage(p, t, true);
        keep(p, t);
    }
    *bytes = give_places(p);
    agn__store_u32(p->bytes + AGN__AT_TENSOR_BYTES, *bytes);
    return 0;
}

/* One more end of a segment, where it saves most; false: nowhere. */
static int add_end(struct plan *p, uint32_t *bytes, bool *added)
{
    unsigned best = 0;
    uint32_t least = *bytes, tried;
    for (unsigned i = 1; i < p->model.layer_count; i++) {
        if (p->ends[i])
            continue;
        p->ends[i] = true;
        int status = lay_out(p, &tried);
        p->ends[i] = false;
        if (status < 0)
            return status;
        if (tried < least) {
            least = tried;
            best = i;
        }
    }
    *added = best > 0;
    if (best == 0)
        return 0;
    p->ends[best] = true;
    *bytes = least;
    return 0;
}

/* An exit decides before the next layer begins. */
static void end_at_exits(struct plan *p)
{
    for (unsigned i = 0; i < p->model.graph.head_count; i++) {
        struct agn__head head;
        agn__graph_head(&p->model, i, &head);
        if (head.margin > 0 && head.tensor < p->model.layer_count)
            p->ends[head.tensor] = true;
    }
}

/* Layers behind a cut may be left out. */
static void end_at_cuts(struct plan *p)
{
    unsigned count = agn__load_u16(p->bytes + AGN__AT_CUT_COUNT);
    for (unsigned i = 0; i < count; i++) {
        unsigned layers = agn__graph_cut_record(&p->model, i)[AGN__CUT_LAYERS];
        if (layers > 0 && layers < p->model.layer_count)
            p->ends[layers] = true;
    }
}

int agn__plan_graph(uint8_t *bytes, size_t size, const struct agn_dev_model *model)
{
    struct plan p = {.bytes = bytes, .size = size, .model = *model};
    uint32_t needed = 0;
    bool added = true;
    p.model.data = bytes;
    p.model.graph.layers = bytes + agn__load_u32(bytes + AGN__AT_LAYERS);
    p.model.graph.heads = bytes + agn__load_u32(bytes + AGN__AT_HEADS);
    end_at_exits(&p);
    end_at_cuts(&p);
    int status = lay_out(&p, &needed);
    while (status == 0 && added)
        status = add_end(&p, &needed, &added);
    return status < 0 ? status : lay_out(&p, &needed);
}
