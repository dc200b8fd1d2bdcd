/* The seam between agn_codec.c, agn_decode.c and the codecs: one row of operations an encoder, a function a
 * decoder.
 *
 * A new codec is one file, one row in agn_codec.c, one case in agn_decode.c and one value of enum agn_codec.
 * Finishing must not read the codec's state memory, only the struct agn_encoder, so
 * that a copy of that struct can be finished after the original went on. */
#ifndef AGN_CODEC_INTERNAL_H
#define AGN_CODEC_INTERNAL_H

#include "agn_wire.h"

struct agn__codec {
    const char *name;
    uint16_t state_bytes;
    uint8_t contexts; /* needs a context model */
    void (*begin)(struct agn_encoder *encoder);
    /* One of the two: a symbol, or packed rows. */
    void (*put)(struct agn_encoder *encoder, unsigned symbol);
    void (*put_rows)(struct agn_encoder *encoder, const uint8_t *rows, unsigned count);
    /* Bits that `finish` would still add to those already in ->bits, or a few more. */
    unsigned (*tail_bits)(const struct agn_encoder *encoder);
    void (*finish)(struct agn_encoder *encoder);
};

extern const struct agn__codec agn__codec_lzw, agn__codec_range;

/* agn_decode for one codec each; arguments checked. */
int agn__lzw_decode(const struct agn_tile *tile, const uint8_t *src, size_t len, uint8_t *symbols,
                    size_t count);
int agn__range_decode(const struct agn_tile *tile, const uint8_t *src, size_t len, uint8_t *symbols,
                      size_t count);

/* Does the tile have a context model for all of its channels? */
static inline int agn__has_contexts(const struct agn_tile *tile)
{
    return tile->contexts && tile->channel_first + tile->channel_count <= tile->contexts->channels;
}

/* Appends `count` (at most 16) bits, least significant first; remembers an overflow. */
static inline void agn__put_bits(struct agn_encoder *encoder, uint32_t bits, unsigned count)
{
    uint32_t pending = encoder->bits | bits << encoder->bit_count;
    unsigned pending_count = encoder->bit_count + count;
    while (pending_count >= 8) {
        if (encoder->length < encoder->cap)
            encoder->dst[encoder->length++] = (uint8_t)pending;
        else
            encoder->overflow = 1;
        pending >>= 8;
        pending_count -= 8;
    }
    encoder->bits = pending;
    encoder->bit_count = (uint8_t)pending_count;
}

/* Takes `count` (at most 16) bits from a place that the caller knows to be inside src. */
static inline unsigned agn__get_bits(const uint8_t *src, size_t bit, unsigned count)
{
    const uint8_t *from = src + (bit >> 3);
    unsigned shift = (unsigned)(bit & 7);
    uint32_t word = (uint32_t)from[0] >> shift;
    for (unsigned have = 8 - shift; have < count; have += 8)
        word |= (uint32_t) * ++from << have;
    return (unsigned)(word & ((UINT32_C(1) << count) - 1));
}

/* Whether a stream that ends at `bit` fills exactly `len` bytes, its spare bits being zero. */
static inline int agn__ends_cleanly(const uint8_t *src, size_t len, size_t bit)
{
    if ((bit + 7) / 8 != len)
        return 0;
    return (bit & 7) == 0 || (unsigned)src[len - 1] >> (bit & 7) == 0;
}

#endif
