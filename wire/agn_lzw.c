/* LZW over the 8 symbols.
 *
 * Codes 0..7 stand for the symbols. After each code but the first, both sides learn one
 * string: the previous string and the next symbol; it gets the next free code, until
 * AGN_LZW_MAX_CODES are taken: then the dictionary stays as it is. The n-th code (from 0)
 * has as many bits as the largest code that can occur there, min(8 + n, 1024) - 1: 3 bits
 * for the first one, 4 for the next eight, and so on up to 10. There are no clear or end
 * codes: the number of symbols is known from the tile. Bits are packed from the least
 * significant one; the last byte's spare bits are zero. */
#include "agn_codec_internal.h"

enum { NO_CODE = AGN_LZW_MAX_CODES, LINK_MASK = AGN_LZW_MAX_CODES - 1, LINK_SYMBOL_SHIFT = 12 };

/* ---- encoder -------------------------------------------------------------------
 * The dictionary is a tree. state[code] is the code of a node's first child, state[1024 +
 * code] its next sibling (low 10 bits) and its own last symbol (from bit 12). 0 ends a
 * chain: code 0 is a root, never a child. Entries are set when a code is taken, so the
 * memory needs no clearing but for the 8 roots. A node has at most 8 children: the
 * work for a symbol is bounded. */

static void lzw_begin(struct agn_encoder *encoder)
{
    for (unsigned code = 0; code < AGN_WIRE_LEVELS; code++)
        encoder->state[code] = 0;
    encoder->code = NO_CODE;
    encoder->next_code = AGN_WIRE_LEVELS;
    encoder->code_width = AGN_WIRE_SYMBOL_BITS;
}

static void lzw_learn(struct agn_encoder *encoder, unsigned symbol)
{
    uint16_t *first_child = encoder->state, *link = encoder->state + AGN_LZW_MAX_CODES;
    unsigned parent = encoder->code, code = encoder->next_code;
    if (code >= AGN_LZW_MAX_CODES)
        return;
    link[code] = (uint16_t)(first_child[parent] | symbol << LINK_SYMBOL_SHIFT);
    first_child[code] = 0;
    first_child[parent] = (uint16_t)code;
    encoder->next_code = (uint16_t)(code + 1);
    if (code >> encoder->code_width)
        encoder->code_width++;
}

static void lzw_put(struct agn_encoder *encoder, unsigned symbol)
{
    const uint16_t *link = encoder->state + AGN_LZW_MAX_CODES;
    if (encoder->code == NO_CODE) {
        encoder->code = (uint16_t)symbol;
        return;
    }
    for (unsigned child = encoder->state[encoder->code]; child != 0; child = link[child] & LINK_MASK)
        if ((unsigned)link[child] >> LINK_SYMBOL_SHIFT == symbol) {
            encoder->code = (uint16_t)child;
            return;
        }
    agn__put_bits(encoder, encoder->code, encoder->code_width);
    lzw_learn(encoder, symbol);
    encoder->code = (uint16_t)symbol;
}

static unsigned lzw_tail_bits(const struct agn_encoder *encoder)
{
    return encoder->code == NO_CODE ? 0 : encoder->code_width;
}

static void lzw_finish(struct agn_encoder *encoder)
{
    if (encoder->code != NO_CODE)
        agn__put_bits(encoder, encoder->code, encoder->code_width);
    encoder->code = NO_CODE;
}

/* ---- decoder -------------------------------------------------------------------
 * A learned string is always a run of what was already decoded, so the dictionary holds
 * places and lengths, and copying forward also handles the code that is learned and used
 * in the same step (its last symbol is its first one, written just before it is read). */

struct lzw_strings {
    size_t start[AGN_LZW_MAX_CODES];
    uint16_t length[AGN_LZW_MAX_CODES];
};

static void lzw_emit(const struct lzw_strings *strings, unsigned code, uint8_t *to, const uint8_t *decoded)
{
    if (code < AGN_WIRE_LEVELS) {
        *to = (uint8_t)code;
        return;
    }
    const uint8_t *from = decoded + strings->start[code];
    for (unsigned i = 0; i < strings->length[code]; i++)
        to[i] = from[i];
}

int agn__lzw_decode(const struct agn_tile *tile, const uint8_t *src, size_t len, uint8_t *symbols,
                    size_t count)
{
    struct lzw_strings strings;
    (void)tile;
    unsigned next_code = AGN_WIRE_LEVELS, width = AGN_WIRE_SYMBOL_BITS;
    size_t bit = 0, done = 0, previous_start = 0;
    unsigned previous_length = 0;
    while (done < count) {
        if (previous_length > 0 && next_code < AGN_LZW_MAX_CODES) {
            strings.start[next_code] = previous_start;
            strings.length[next_code] = (uint16_t)(previous_length + 1);
            if (next_code >> width)
                width++;
            next_code++;
        }
        if (width > len * 8 - bit)
            return AGN_ERR_FORMAT;
        unsigned code = agn__get_bits(src, bit, width);
        bit += width;
        if (code >= next_code)
            return AGN_ERR_FORMAT;
        unsigned length = code < AGN_WIRE_LEVELS ? 1 : strings.length[code];
        if (length > count - done)
            return AGN_ERR_FORMAT;
        lzw_emit(&strings, code, symbols + done, symbols);
        previous_start = done;
        previous_length = length;
        done += length;
    }
    return agn__ends_cleanly(src, len, bit) ? 0 : AGN_ERR_FORMAT;
}

const struct agn__codec agn__codec_lzw = {
    "lzw", AGN_LZW_STATE_BYTES, 0, lzw_begin, lzw_put, NULL, lzw_tail_bits, lzw_finish,
};
