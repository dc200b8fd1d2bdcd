/* A good checksum for a packet of version 2 that a test has made. */
#ifndef AGN_TESTS_COMPACT_SEAL_H
#define AGN_TESTS_COMPACT_SEAL_H

#include "agn_compact.h"

static inline void compact_seal(uint8_t *packet, size_t len, uint32_t model_id)
{
    const uint8_t id[4] = {(uint8_t)model_id, (uint8_t)(model_id >> 8), (uint8_t)(model_id >> 16),
                           (uint8_t)(model_id >> 24)};
    uint32_t sum = agn_crc32(agn_crc32(0, id, sizeof id), packet, len - AGN_WIRE_CRC_BYTES);
    for (unsigned i = 0; i < AGN_WIRE_CRC_BYTES; i++)
        packet[len - AGN_WIRE_CRC_BYTES + i] = (uint8_t)(sum >> 8 * i);
}

#endif
