/* Feature packets, as a server sees them: the bytes as they are, and once more with a good
 * checksum, so that the checks behind it are reached. The map is 5 x 9 x 7; the context model is chosen by
 * the frame number. */
#include <stdlib.h>
#include <string.h>

#include "agn_wire.h"
#include "fuzz_contexts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const uint8_t *data, size_t size)
{
    const struct agn_map_shape shape = {5, 9, 7};
    struct agn_feature_packet packet;
    struct fuzz_contexts contexts;
    if (agn_feature_unpack(data, size, &packet) != 0)
        return;
    uint8_t *map = malloc(5 * 9 * 7);
    if (!map)
        abort();
    memset(map, 0, 5 * 9 * 7);
    fuzz_contexts_make(&contexts, (uint8_t)packet.frame);
    contexts.model.channels = shape.channels;
    agn_feature_decode(&packet, &shape, &contexts.model, map);
    for (size_t i = 0; i < 5 * 9 * 7; i++)
        if (map[i] >= AGN_WIRE_LEVELS)
            abort();
    uint8_t again[AGN_WIRE_MAX_PACKET];
    if (agn_feature_pack(&packet, again, sizeof again) != (int)size || memcmp(again, data, size) != 0)
        abort();
    free(map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(data, size);
    if (size < AGN_WIRE_CRC_BYTES)
        return 0;
    uint8_t *sealed = malloc(size);
    if (!sealed)
        abort();
    memcpy(sealed, data, size);
    uint32_t crc = agn_crc32(0, sealed, size - AGN_WIRE_CRC_BYTES);
    for (size_t i = 0; i < AGN_WIRE_CRC_BYTES; i++)
        sealed[size - AGN_WIRE_CRC_BYTES + i] = (uint8_t)(crc >> 8 * i);
    decode(sealed, size);
    free(sealed);
    return 0;
}
