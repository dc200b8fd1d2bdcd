/* Device and server in one process; see both_ends.h. */
#include "measure/both_ends.h"

#include <string.h>

#include "agilenn/features.h"
#include "agn_compact.h"

/* ---- packets ------------------------------------------------------------------------ */

static int unpack(const struct agn__ends *ends, const uint8_t *bytes, size_t length,
                  struct agn_feature_packet *packet)
{
    if (agn_dev_protocol(&ends->device.dev) != AGN_COMPACT_VERSION)
        return agn_feature_unpack(bytes, length, packet);
    int status = agn_compact_unpack(bytes, length, packet);
    return status < 0 ? status : agn_compact_place(packet, &ends->shape);
}

static int take_packet(const struct agn__ends *ends, const uint8_t *bytes, size_t length,
                       struct agn__frame_packets *packets)
{
    struct agn_feature_packet packet;
    int status = unpack(ends, bytes, length, &packet);
    if (status == 0)
        status = agn_feature_decode(&packet, &ends->shape, &ends->contexts, packets->map);
    if (status < 0)
        return status;
    size_t row = (size_t)packet.channel_first * ends->shape.height + packet.row_first;
    int number = packets->count++;
    packets->runs[number].start = row * ends->shape.width;
    packets->runs[number].count = (size_t)packet.channel_count * packet.row_count * (size_t)ends->shape.width;
    packets->runs[number].bytes = length + (size_t)ends->extra_bytes;
    packets->bytes += packets->runs[number].bytes;
    return AGN_OK;
}

int agn__ends_collect(struct agn__ends *ends, size_t cap, uint32_t budget, struct agn__frame_packets *packets)
{
    uint8_t bytes[AGN_WIRE_MAX_PACKET];
    int length = 0;
    packets->count = 0;
    packets->bytes = 0;
    memset(packets->map, AGN_SYMBOL_ABSENT, ends->map_bytes);
    agn_dev_set_budget(&ends->device.dev, budget, (uint16_t)ends->extra_bytes);
    int status = agn_dev_packets_again(&ends->device.dev);
    while (status == 0 && (length = agn_dev_next_packet(&ends->device.dev, bytes, cap)) > 0)
        status = take_packet(ends, bytes, (size_t)length, packets);
    if (length == AGN_ERR_SPACE)
        return agn_fail(AGN_ERR_RANGE,
                        "packets of %zu bytes are too small for this model: a row of symbols does "
                        "not fit, or a frame takes more than %d of them",
                        cap, (int)AGN__MAX_PACKETS);
    status = status < 0 ? status : length;
    return status < 0 ? agn_fail(status, "the device's own packets: %s", agn_status_text(status)) : AGN_OK;
}

/* ---- answers -------------------------------------------------------------------------------- */

/* The class if the answer is fused, whatever it lacks. */
static int fuse_any(const struct agn_dev *dev, const int16_t *remote)
{
    const int16_t *local = agn_dev_local(dev);
    int32_t best = 0;
    int best_class = 0;
    for (int i = 0; i < dev->model.classes; i++) {
        int32_t sum = agn_fuse(local[i], remote[i], dev->model.alpha_q15);
        if (i == 0 || sum > best) {
            best = sum;
            best_class = i;
        }
    }
    return best_class;
}

static int margin_of(const struct agn_dev_prediction *prediction, int classes)
{
    int top = prediction->class_index, next = INT16_MIN;
    for (int c = 0; c < classes && prediction->logits != NULL; c++)
        if (c != top && prediction->logits[c] > next)
            next = prediction->logits[c];
    return classes > 1 && prediction->logits != NULL ? prediction->logits[top] - next : 0;
}

static int pack_reply(const struct agn_dev *dev, const struct agn_reply_packet *reply, const int16_t *logits,
                      uint8_t bytes[AGN_WIRE_MAX_REPLY])
{
    int length = agn_dev_protocol(dev) == AGN_COMPACT_VERSION
                     ? agn_compact_reply_pack(reply, logits, bytes, AGN_WIRE_MAX_REPLY)
                     : agn_reply_pack(reply, logits, bytes, AGN_WIRE_MAX_REPLY);
    return length < 0 ? agn_fail(length, "a reply for %d classes: %s", (int)dev->model.classes,
                                 agn_status_text(length))
                      : length;
}

/* A frame takes one answer. A copy of the device takes it, so that the frame stays open for the next; the
 * arena's vector of fused logits is all that they share and change. */
static int answer(const struct agn__ends *ends, float *logits, struct agn__outcome *outcome)
{
    struct agn_dev dev = ends->device.dev;
    struct agn_dev_prediction prediction = {0};
    uint8_t bytes[AGN_WIRE_MAX_REPLY];
    int classes = dev.model.classes, status = agn_logits_to_q8(logits, classes, ends->fixed);
    if (status == AGN_OK) {
        outcome->any_class = fuse_any(&dev, ends->fixed);
        agn_logits_scale(
            logits, classes,
            agn_model_trust(ends->model, ends->shape.channels - outcome->missing, outcome->leading));
        status = agn_logits_to_q8(logits, classes, ends->fixed);
    }
    if (status < 0)
        return agn_fail(status, "the Remote NN gave a logit that is no finite number");
    struct agn_reply_packet reply = {.model_id = dev.model.model_id,
                                     .frame = dev.frame,
                                     .channels_missing = (uint8_t)outcome->missing,
                                     .class_count = dev.model.classes};
    int length = pack_reply(&dev, &reply, ends->fixed, bytes);
    if (length < 0)
        return length;
    status = agn_dev_accept_reply(&dev, bytes, (size_t)length);
    if (status == AGN_OK)
        status = agn_dev_predict(&dev, &prediction);
    if (status < 0)
        return agn_fail(status, "the device does not predict: %s", agn_status_text(status));
    outcome->device_class = prediction.class_index;
    outcome->fused = prediction.fused != 0;
    outcome->margin = margin_of(&prediction, classes);
    return AGN_OK;
}

static int answer_some(struct agn__ends *ends, const uint8_t *maps, int count, struct agn__outcome *outcomes)
{
    size_t classes = ends->device.dev.model.classes;
    for (int i = 0; i < count; i++) {
        struct agn_received received = agn_map_received(maps + (size_t)i * ends->map_bytes, &ends->shape);
        outcomes[i].missing = received.missing;
        outcomes[i].leading = received.leading;
        (void)agn_features_expand(maps + (size_t)i * ends->map_bytes, &ends->shape, ends->model->centroids,
                                  ends->model->fill, ends->features + (size_t)i * ends->map_bytes);
    }
    int status = agn_remote_infer(ends->remote, ends->features, count, ends->logits);
    for (int i = 0; status == AGN_OK && i < count; i++)
        status = answer(ends, ends->logits + (size_t)i * classes, &outcomes[i]);
    return status;
}

int agn__ends_answer(struct agn__ends *ends, const uint8_t *maps, int count, struct agn__outcome *outcomes)
{
    int status = AGN_OK;
    for (int first = 0; first < count && status == AGN_OK; first += ends->max_maps) {
        int some = count - first < ends->max_maps ? count - first : ends->max_maps;
        status = answer_some(ends, maps + (size_t)first * ends->map_bytes, some, outcomes + first);
    }
    return status;
}

/* ---- both ends ---------------------------------------------------------------------------------- */

static int open_device(struct agn__ends *ends, const struct agn__ends_config *config)
{
    const struct agn_dev_model *model = &ends->device.dev.model;
    int protocol = config->protocol == 0 ? 1 : config->protocol;
    int status = agn_hosted_open(&ends->device, config->device, config->device_bytes);
    if (status < 0)
        return status;
    if (model->model_id != agn_model_id(config->model))
        return agn_fail(AGN_ERR_MISMATCH, "device model %08x, but the model is %08x: export it anew",
                        (unsigned)model->model_id, (unsigned)agn_model_id(config->model));
    if (protocol < 0 || agn_dev_set_protocol(&ends->device.dev, (unsigned)protocol) < 0)
        return agn_fail(AGN_ERR_RANGE, "version %d of the protocol, expected 1 or 2", protocol);
    ends->shape = agn_hosted_shape(model);
    ends->map_bytes = (size_t)ends->shape.channels * ends->shape.height * ends->shape.width;
    agn_model_contexts(config->model, &ends->contexts);
    return AGN_OK;
}

static int allocate(struct agn__ends *ends)
{
    size_t maps = (size_t)ends->max_maps, classes = ends->device.dev.model.classes;
    ends->features = agn_alloc(maps * ends->map_bytes, sizeof(float));
    ends->logits = agn_alloc(maps * classes, sizeof(float));
    ends->fixed = agn_alloc(classes, sizeof *ends->fixed);
    return ends->features && ends->logits && ends->fixed ? AGN_OK : AGN_ERR_MEMORY;
}

int agn__ends_open(struct agn__ends *ends, const struct agn__ends_config *config)
{
    *ends = (struct agn__ends){
        .model = config->model, .extra_bytes = config->extra_bytes, .max_maps = config->max_maps};
    if (config->extra_bytes < 0 || config->extra_bytes > 1000)
        return agn_fail(AGN_ERR_RANGE, "%d bytes around a packet, expected 0 to 1000", config->extra_bytes);
    int status = open_device(ends, config);
    if (status == AGN_OK)
        status = agn_remote_create(config->model, &ends->remote);
    if (status == AGN_OK)
        status = allocate(ends);
    return status;
}

void agn__ends_close(struct agn__ends *ends)
{
    agn_remote_free(ends->remote);
    agn_hosted_close(&ends->device);
    agn_free(ends->features);
    agn_free(ends->logits);
    agn_free(ends->fixed);
}
