/* The decoders' entry point, and raw 3-bit unpacking. */
#include "agn_codec_internal.h"

/* ---- raw: 3 bits a symbol ---------------------------------------------------- */

static int raw_decode(const struct agn_tile *tile, const uint8_t *src, size_t len, uint8_t *symbols,
                      size_t count)
{
    (void)tile;
    /* count <= len * 8 first, so that count * 3 cannot wrap. */
    if (count / 8 > len || !agn__ends_cleanly(src, len, count * AGN_WIRE_SYMBOL_BITS))
        return AGN_ERR_FORMAT;
    for (size_t i = 0; i < count; i++)
        symbols[i] = (uint8_t)agn__get_bits(src, i * AGN_WIRE_SYMBOL_BITS, AGN_WIRE_SYMBOL_BITS);
    return 0;
}

/* ---- entry point ---------------------------------------------------------------- */

int agn_decode(int codec, const struct agn_tile *tile, const uint8_t *src, size_t len, uint8_t *symbols,
               size_t count)
{
    if (agn_codec_needs_contexts(codec) &&
        (!agn__has_contexts(tile) || count != (uint32_t)tile->channel_count * tile->row_count * tile->width))
        return AGN_ERR_ARG;
    if (len > SIZE_MAX / 32) /* so that no number of bits wraps, even where a size_t has 16 */
        return AGN_ERR_FORMAT;
    switch (codec) {
    case AGN_CODEC_RAW3:
        return raw_decode(tile, src, len, symbols, count);
    case AGN_CODEC_LZW:
        return agn__lzw_decode(tile, src, len, symbols, count);
    case AGN_CODEC_RANGE:
        return agn__range_decode(tile, src, len, symbols, count);
    default:
        return AGN_ERR_UNSUPPORTED;
    }
}
