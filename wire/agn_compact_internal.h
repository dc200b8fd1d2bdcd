/* What both halves of version 2 share: bits, and the checksum. */
#ifndef AGN_COMPACT_INTERNAL_H
#define AGN_COMPACT_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

enum {
    /* Byte 0. */
    AGN__COMPACT_REPLY = 0x80,
    AGN__COMPACT_VERSION_SHIFT = 4,
    AGN__COMPACT_VERSION_MASK = 7,
    AGN__COMPACT_DEADLINE = 0x08, /* of feature packets */
    AGN__COMPACT_WHOLE = 0x04,
    AGN__COMPACT_CODEC_MASK = 0x03,
    AGN__COMPACT_STATUS_MASK = 0x0F, /* of replies */
    /* The index's byte. */
    AGN__COMPACT_LAST = 0x80,
    AGN__COMPACT_NOW = 0x40,
    AGN__COMPACT_LONG_INDEX = 63, /* and what is left in another byte */
};

/* Of the id and the bytes behind it. */
uint32_t agn__compact_crc(uint32_t model_id, const uint8_t *bytes, size_t len);

#endif
