/* Reply packets: the bytes as they are, and once more with a good checksum. */
#include <stdlib.h>
#include <string.h>

#include "agn_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void unpack(const uint8_t *data, size_t size)
{
    struct agn_reply_packet reply;
    if (agn_reply_unpack(data, size, &reply) != 0)
        return;
    int16_t logits[AGN_WIRE_MAX_CLASSES];
    for (unsigned i = 0; i < reply.class_count; i++)
        logits[i] = agn_reply_logit(&reply, i);
    uint8_t again[AGN_WIRE_MAX_REPLY];
    if (agn_reply_pack(&reply, logits, again, sizeof again) != (int)size || memcmp(again, data, size) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unpack(data, size);
    if (size < AGN_WIRE_CRC_BYTES)
        return 0;
    uint8_t *sealed = malloc(size);
    if (!sealed)
        abort();
    memcpy(sealed, data, size);
    uint32_t crc = agn_crc32(0, sealed, size - AGN_WIRE_CRC_BYTES);
    for (size_t i = 0; i < AGN_WIRE_CRC_BYTES; i++)
        sealed[size - AGN_WIRE_CRC_BYTES + i] = (uint8_t)(crc >> 8 * i);
    unpack(sealed, size);
    free(sealed);
    return 0;
}
