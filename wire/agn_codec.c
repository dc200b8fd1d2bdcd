/* The table of encoders, their entry points, and raw 3-bit packing. Decoders: agn_decode.c, so that a device
 * links none. */
#include "agn_codec_internal.h"

#include "agn_memory.h"

/* ---- raw: 3 bits a symbol ---------------------------------------------------- */

static void raw_begin(struct agn_encoder *encoder)
{
    (void)encoder;
}

/* A row's bits are the stream's already; its last byte may have fewer than 8. */
static void raw_put_rows(struct agn_encoder *encoder, const uint8_t *rows, unsigned count)
{
    unsigned row_bits = AGN_WIRE_SYMBOL_BITS * (unsigned)encoder->tile.width;
    for (; count > 0; count--) {
        unsigned bits = row_bits;
        for (; bits >= 16; bits -= 16, rows += 2)
            agn__put_bits(encoder, agn__load_u16(rows), 16);
        for (; bits >= 8; bits -= 8)
            agn__put_bits(encoder, *rows++, 8);
        if (bits > 0)
            agn__put_bits(encoder, *rows++ & ((1u << bits) - 1), bits);
    }
}

static unsigned raw_tail_bits(const struct agn_encoder *encoder)
{
    (void)encoder;
    return 0;
}

static void raw_finish(struct agn_encoder *encoder)
{
    (void)encoder;
}

static const struct agn__codec agn__codec_raw3 = {
    "raw3", 0, 0, raw_begin, NULL, raw_put_rows, raw_tail_bits, raw_finish,
};

/* ---- the table ---------------------------------------------------------------- */

static const struct agn__codec *codec_of(int codec)
{
    switch (codec) {
    case AGN_CODEC_RAW3:
        return &agn__codec_raw3;
    case AGN_CODEC_LZW:
        return &agn__codec_lzw;
    case AGN_CODEC_RANGE:
        return &agn__codec_range;
    default:
        return NULL;
    }
}

const char *agn_codec_name(int codec)
{
    const struct agn__codec *row = codec_of(codec);
    return row ? row->name : codec == AGN_CODEC_JPEG ? "jpeg" : NULL;
}

int agn_codec_from_name(const char *name)
{
    for (int codec = 0; codec < AGN_CODEC_COUNT; codec++) {
        const char *a = codec_of(codec)->name, *b = name;
        while (*a != '\0' && *a == *b) {
            a++;
            b++;
        }
        if (*a == *b)
            return codec;
    }
    return AGN_ERR_UNSUPPORTED;
}

int agn_codec_state_bytes(int codec)
{
    const struct agn__codec *row = codec_of(codec);
    return row ? (int)row->state_bytes : AGN_ERR_UNSUPPORTED;
}

int agn_codec_needs_contexts(int codec)
{
    const struct agn__codec *row = codec_of(codec);
    return row && row->contexts;
}

void agn_row_pack(const uint8_t *symbols, unsigned width, uint8_t *packed)
{
    memset(packed, 0, AGN_ROW_BYTES(width));
    for (unsigned x = 0, bit = 0; x < width; x++, bit += AGN_WIRE_SYMBOL_BITS) {
        unsigned word = (symbols[x] & (AGN_WIRE_LEVELS - 1u)) << bit % 8;
        packed[bit / 8] = (uint8_t)(packed[bit / 8] | word);
        if (word >> 8)
            packed[bit / 8 + 1] = (uint8_t)(word >> 8);
    }
}

/* ---- entry points --------------------------------------------------------------- */

int agn_encoder_begin(struct agn_encoder *encoder, int codec, const struct agn_tile *tile, void *state,
                      size_t state_bytes, uint8_t *dst, size_t cap)
{
    const struct agn__codec *row = codec_of(codec);
    if (!row)
        return AGN_ERR_UNSUPPORTED;
    if (row->state_bytes > state_bytes)
        return AGN_ERR_SPACE;
    if (row->state_bytes > 0 && (!state || !agn__is_aligned_16(state)))
        return AGN_ERR_ARG;
    if (row->contexts && !agn__has_contexts(tile))
        return AGN_ERR_ARG;
    memset(encoder, 0, sizeof *encoder);
    encoder->dst = dst;
    encoder->cap = cap;
    encoder->codec = (uint8_t)codec;
    encoder->state = (uint16_t *)state;
    encoder->tile = *tile;
    encoder->channel = tile->channel_first;
    row->begin(encoder);
    return 0;
}

static void put_symbols(struct agn_encoder *encoder, const uint8_t *packed)
{
    const struct agn__codec *codec = codec_of(encoder->codec);
    uint32_t bits = 0;
    unsigned have = 0;
    for (unsigned x = 0; x < encoder->tile.width; x++) {
        if (have < AGN_WIRE_SYMBOL_BITS) {
            bits |= (uint32_t)*packed++ << have;
            have += 8;
        }
        codec->put(encoder, bits & (AGN_WIRE_LEVELS - 1));
        bits >>= AGN_WIRE_SYMBOL_BITS;
        have -= AGN_WIRE_SYMBOL_BITS;
    }
}

void agn_encoder_put_rows(struct agn_encoder *encoder, const uint8_t *rows, unsigned count)
{
    const struct agn__codec *codec = codec_of(encoder->codec);
    size_t bytes = AGN_ROW_BYTES(encoder->tile.width);
    if (codec->put_rows)
        codec->put_rows(encoder, rows, count);
    else
        for (; count > 0; count--, rows += bytes)
            put_symbols(encoder, rows);
}

int agn_encoder_size(const struct agn_encoder *encoder)
{
    unsigned bits = encoder->bit_count + codec_of(encoder->codec)->tail_bits(encoder);
    size_t size = encoder->length + (bits + 7) / 8;
    return encoder->overflow || size > encoder->cap ? AGN_ERR_SPACE : (int)size;
}

int agn_encoder_finish(struct agn_encoder *encoder)
{
    codec_of(encoder->codec)->finish(encoder);
    if (encoder->bit_count > 0)
        agn__put_bits(encoder, 0, 8u - encoder->bit_count);
    return encoder->overflow ? AGN_ERR_SPACE : (int)encoder->length;
}
