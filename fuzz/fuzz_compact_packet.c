/* Packets of version 2, both kinds, as a server and a device see them: the bytes as they are, and once more
 * with a good checksum. The map is 5 x 9 x 7; the context model is chosen by the frame number. */
#include <stdlib.h>
#include <string.h>

#include "agn_compact.h"
#include "fuzz_contexts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MODEL = 0x12345678, SYMBOLS = 5 * 9 * 7 };

static void demand(int condition)
{
    if (!condition)
        abort();
}

static void serve(const uint8_t *data, size_t size)
{
    const struct agn_map_shape shape = {5, 9, 7};
    struct agn_feature_packet packet;
    struct fuzz_contexts contexts;
    uint8_t again[AGN_WIRE_MAX_PACKET];
    if (agn_compact_unpack(data, size, &packet) != 0)
        return;
    demand(agn_compact_pack(&packet, again, sizeof again) == (int)size && memcmp(again, data, size) == 0);
    if (agn_compact_place(&packet, &shape) != 0)
        return;
    uint8_t *map = malloc(SYMBOLS);
    demand(map != NULL);
    memset(map, 0, SYMBOLS);
    fuzz_contexts_make(&contexts, (uint8_t)packet.frame);
    contexts.model.channels = shape.channels;
    agn_feature_decode(&packet, &shape, &contexts.model, map);
    for (size_t i = 0; i < SYMBOLS; i++)
        demand(map[i] < AGN_WIRE_LEVELS);
    free(map);
}

static void hear(const uint8_t *data, size_t size)
{
    struct agn_reply_packet reply;
    int version = agn_compact_reply_version(data, size, MODEL);
    if (agn_compact_reply_unpack(data, size, MODEL, &reply) != 0)
        return;
    demand(version == AGN_COMPACT_VERSION);
    for (unsigned i = 0; i < reply.class_count; i++) {
        int logit = agn_compact_logit(&reply, i);
        demand(logit == (int8_t)reply.logits[i] * (1 << reply.exponent));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    serve(data, size);
    hear(data, size);
    if (size < AGN_COMPACT_LEAST_OVERHEAD)
        return 0;
    uint8_t *sealed = malloc(size);
    demand(sealed != NULL);
    memcpy(sealed, data, size);
    if ((sealed[0] & 0x80) == 0) {
        sealed[1] = (uint8_t)agn_compact_handle(MODEL);
        sealed[2] = (uint8_t)(agn_compact_handle(MODEL) >> 8);
    }
    static const uint8_t id[4] = {0x78, 0x56, 0x34, 0x12};
    uint32_t crc = agn_crc32(agn_crc32(0, id, sizeof id), sealed, size - AGN_WIRE_CRC_BYTES);
    for (size_t i = 0; i < AGN_WIRE_CRC_BYTES; i++)
        sealed[size - AGN_WIRE_CRC_BYTES + i] = (uint8_t)(crc >> 8 * i);
    uint32_t model_id = 0;
    if ((sealed[0] & 0x80) == 0 && size <= AGN_WIRE_MAX_PACKET)
        demand(agn_compact_model(sealed, size, &model_id) == 0 && model_id == MODEL);
    serve(sealed, size);
    hear(sealed, size);
    free(sealed);
    return 0;
}
