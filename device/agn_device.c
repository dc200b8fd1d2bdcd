/* A frame's life: begin, rows, local answer, reply, prediction. The order of calls is
 * checked here; what happens to rows and packets is in agn_extract.c and agn_send.c. */
#include "agn_device_internal.h"

/* From the arena's end: answer, logits, sums, symbols; from its begin, scratch. Every size is a multiple of
 * 4, so all stay aligned. Of several cuts the arena holds each. */
static void lay_out(struct agn_dev *dev, uint8_t *arena, const struct agn_dev_memory *memory)
{
    const struct agn_dev_model *model = &dev->model;
    uint8_t *end = arena + memory->arena_bytes;
    memset(arena, 0, memory->arena_bytes); /* what a model without layers leaves as it is must be 0 */
    dev->scratch = arena;
    dev->answer = (int16_t *)(void *)(end - memory->logit_bytes / 2);
    dev->local = (int16_t *)(void *)(end - memory->logit_bytes);
    dev->pool = (uint32_t *)(void *)(end - memory->logit_bytes - memory->pool_bytes);
    uint32_t symbol_bytes = memory->symbol_bytes; /* the most of all cuts */
    if (agn__further_cuts(model) > 0)
        symbol_bytes = AGN_DEV_SYMBOL_BYTES(model->map_c - model->local_c, model->map_h, model->map_w);
    dev->symbols = (uint8_t *)dev->pool - symbol_bytes;
}

int agn_dev_init(struct agn_dev *dev, const void *data, size_t model_bytes, void *arena, size_t arena_bytes)
{
    struct agn_dev_model model;
    struct agn_dev_memory memory;
    int status = agn__model_read(&model, data, model_bytes);
    if (status < 0)
        return status;
    if (!arena || !agn__is_aligned_32(arena))
        return AGN_ERR_ARG;
    agn_dev_memory(&model, &memory);
    if (arena_bytes < memory.arena_bytes)
        return AGN_ERR_SPACE;

    memset(dev, 0, sizeof *dev);
    dev->model = model;
    lay_out(dev, (uint8_t *)arena, &memory);
#if AGN_WITH_PROTOCOL_2
    dev->protocol = AGN__FIRST_PROTOCOL;
#endif
    dev->budget = AGN_DEV_NO_BUDGET;
    dev->phase = AGN__PHASE_IDLE;
    return 0;
}

/* ---- rows: to a network with branches, or to a chain ------------------------------------- */

static void begin_rows(struct agn_dev *dev)
{
    if (agn__is_graph(&dev->model))
        agn__graph_begin(dev);
    else
        agn__extract_begin(dev);
}

static void take_row(struct agn_dev *dev, const uint8_t *pixels)
{
    if (agn__is_graph(&dev->model))
        agn__graph_row(dev, pixels);
    else
        agn__extract_row(dev, pixels);
}

static void end_rows(struct agn_dev *dev)
{
    if (agn__is_graph(&dev->model))
        agn__graph_end(dev);
    else
        agn__extract_end(dev);
}

/* ---- a frame --------------------------------------------------------------------------------- */

int agn_dev_frame_begin(struct agn_dev *dev, uint16_t frame, uint16_t deadline_ms)
{
    dev->frame = frame;
    dev->deadline_ms = deadline_ms;
    dev->rows_in = 0;
    dev->packet_count = 0;
    dev->spent = dev->made = 0;
    dev->made_channels = 0;
    dev->next_channel = 0;
    dev->next_row = 0;
    dev->fused = 0;
#if AGN_WITH_PROTOCOL_2
    dev->asks_now = 0;
#endif
    dev->channels_missing = 0;
    dev->class_index = 0;
    begin_rows(dev);
    dev->phase = AGN__PHASE_ROWS;
    return 0;
}

int agn_dev_select_cut(struct agn_dev *dev, unsigned cut)
{
    unsigned before = dev->model.graph.cut;
    int status = agn_dev_model_cut(&dev->model, cut, &dev->model);
    if (status < 0)
        return status;
    if (agn__further_cuts(&dev->model) > 0 && cut != before) {
        struct agn_dev_memory memory;
        agn_dev_memory(&dev->model, &memory);
        lay_out(dev, dev->scratch, &memory);
        dev->left_early = 0; /* the image has no exits to set it */
    }
    status = agn_dev_frame_begin(dev, dev->frame, dev->deadline_ms); /* forgets what there was */
    dev->phase = AGN__PHASE_IDLE;
    return status;
}

unsigned agn_dev_cut(const struct agn_dev *dev)
{
    return dev->model.graph.cut;
}

int agn_dev_set_exit(struct agn_dev *dev, uint16_t softmax_q15)
{
    if (softmax_q15 > INT16_MAX)
        return AGN_ERR_RANGE;
    dev->exit_softmax = softmax_q15;
    return 0;
}

int agn_dev_push_rows(struct agn_dev *dev, const uint8_t *rows, unsigned row_count)
{
    const struct agn_dev_model *model = &dev->model;
    size_t row_bytes = (size_t)model->input_w * model->input_c;
    if (dev->phase == AGN__PHASE_IDLE)
        return AGN_ERR_STATE;
    if (row_count > (unsigned)(model->input_h - dev->rows_in))
        return AGN_ERR_RANGE;
    for (unsigned i = 0; i < row_count; i++)
        take_row(dev, rows + i * row_bytes);
    dev->rows_in = (uint16_t)(dev->rows_in + row_count);
    if (dev->rows_in == model->input_h && dev->phase == AGN__PHASE_ROWS) {
        end_rows(dev);
        memcpy(dev->answer, dev->local, (size_t)model->classes * sizeof *dev->answer);
        dev->class_index = (uint16_t)agn_argmax_s16(dev->local, model->classes);
        dev->phase = AGN__PHASE_READY;
    }
    return 0;
}

const int16_t *agn_dev_local(const struct agn_dev *dev)
{
    return dev->phase >= AGN__PHASE_READY ? dev->local : NULL;
}

int32_t agn__margin_of(const int16_t *logits, unsigned classes)
{
    unsigned best = agn_argmax_s16(logits, classes);
    int32_t margin = -1;
    for (unsigned i = 0; i < classes; i++) {
        int32_t below = (int32_t)logits[best] - logits[i];
        if (i != best && (margin < 0 || below < margin))
            margin = below;
    }
    return margin < 0 ? 0 : margin;
}

int32_t agn__margin(const struct agn_dev *dev)
{
    return agn__margin_of(dev->local, dev->model.classes);
}

int32_t agn_dev_margin(const struct agn_dev *dev)
{
    return dev->phase < AGN__PHASE_READY ? AGN_ERR_STATE : agn__margin(dev);
}

int agn_dev_is_sure(const struct agn_dev *dev)
{
    int32_t margin = agn_dev_margin(dev);
    if (margin < 0)
        return (int)margin;
    if (agn__left_early(dev))
        return 1;
    unsigned least = dev->model.sure_margin;
    if (dev->model.sure_margins)
        least = agn__load_u16(dev->model.sure_margins + 2 * agn_argmax_s16(dev->local, dev->model.classes));
    return least > 0 && (uint32_t)margin >= least;
}

static int server_error(unsigned status)
{
    switch (status) {
    case AGN_REPLY_BUSY:
        return AGN_ERR_BUSY;
    case AGN_REPLY_VERSION:
        return AGN_ERR_VERSION;
    case AGN_REPLY_MISMATCH:
        return AGN_ERR_MISMATCH;
    default:
        return AGN_ERR_ENGINE;
    }
}

/* Fuses into ->answer and picks the class from the exact sums, before they are rounded. */
static void fuse(struct agn_dev *dev, const struct agn_reply_packet *reply)
{
    int32_t best = 0;
    for (unsigned i = 0; i < dev->model.classes; i++) {
        int32_t sum = agn_fuse(dev->local[i], AGN__LOGIT(dev)(reply, i), dev->model.alpha_q15);
        if (i == 0 || sum > best) {
            best = sum;
            dev->class_index = (uint16_t)i;
        }
        dev->answer[i] = (int16_t)((sum + 16384) >> 15);
    }
    dev->fused = 1;
    dev->channels_missing = reply->channels_missing;
}

int agn_dev_accept_reply(struct agn_dev *dev, const uint8_t *bytes, size_t len)
{
    struct agn_reply_packet reply;
    int status = AGN__READ_REPLY(dev)(bytes, len, dev->model.model_id, &reply);
    if (status < 0)
        return status;
    if (reply.model_id != dev->model.model_id)
        return agn__is_cut(&dev->model, reply.model_id) ? AGN_ERR_TIMEOUT : AGN_ERR_MISMATCH;
    if (dev->phase == AGN__PHASE_IDLE)
        return AGN_ERR_STATE;
    if (((reply.frame ^ dev->frame) & agn__frame_mask(dev)) != 0 || dev->phase == AGN__PHASE_CLOSED)
        return AGN_ERR_TIMEOUT;
    /* A packet may bring a part of a channel only: of a frame that asks, as many may be missing as before. */
    if (dev->packet_count == 0 ||
        (dev->fused && (agn__version(dev) == AGN_WIRE_VERSION ||
                        reply.channels_missing + !dev->asks_now > dev->channels_missing)))
        return AGN_ERR_STATE;
    if (reply.status != AGN_REPLY_OK)
        return server_error(reply.status);
    if (reply.class_count != dev->model.classes)
        return AGN_ERR_MISMATCH;
    if (reply.channels_missing > dev->model.map_c - dev->model.local_c)
        return AGN_ERR_RANGE;
    fuse(dev, &reply);
    return 0;
}

int agn_dev_predict(struct agn_dev *dev, struct agn_dev_prediction *prediction)
{
    if (dev->phase < AGN__PHASE_READY)
        return AGN_ERR_STATE;
    dev->phase = AGN__PHASE_CLOSED;
    prediction->class_index = dev->class_index;
    prediction->fused = dev->fused;
    prediction->channels_missing = dev->channels_missing;
    prediction->logits = dev->answer;
    if (!dev->fused && !agn_dev_model_answers(&dev->model)) {
        prediction->class_index = AGN_DEV_NO_CLASS;
        return AGN_ERR_TIMEOUT;
    }
    return 0;
}
