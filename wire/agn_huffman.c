/* Huffman coding with the distributions of the context model: a whole number of bits a symbol, at least one.
 *
 * Codes are canonical (by length, then by symbol) and follow from the distribution alone, so that nothing but
 * the context model has to be stored. */
#include "agn_context.h"

#include "agn_codec_internal.h"

/* ---- codes ------------------------------------------------------------------------ */

/* Adds the two lightest trees until one is left; a symbol's length is the number of sums that it took part
 * in. Of equals the one with the lower first symbol is the lighter. */
static void code_lengths(const struct agn_context_model *model, unsigned number, uint8_t *length)
{
    uint32_t weight[AGN_WIRE_LEVELS];
    uint8_t members[AGN_WIRE_LEVELS]; /* bit s: symbol s is in the tree that begins here; 0: no tree does */
    unsigned below = 0;
    for (unsigned s = 0; s < AGN_WIRE_LEVELS; s++) {
        unsigned up_to = agn__cumulative(model, number, s);
        weight[s] = up_to - below;
        members[s] = (uint8_t)(1u << s);
        length[s] = 0;
        below = up_to;
    }
    for (unsigned sums = 1; sums < AGN_WIRE_LEVELS; sums++) {
        unsigned pair[2];
        for (unsigned i = 0; i < 2; i++) {
            unsigned least = AGN_WIRE_LEVELS;
            for (unsigned s = 0; s < AGN_WIRE_LEVELS; s++)
                if (members[s] && (i == 0 || s != pair[0]) &&
                    (least == AGN_WIRE_LEVELS || weight[s] < weight[least]))
                    least = s;
            pair[i] = least;
        }
        unsigned both = pair[0] < pair[1] ? pair[0] : pair[1], other = pair[0] + pair[1] - both;
        weight[both] += weight[other];
        members[both] |= members[other];
        members[other] = 0;
        for (unsigned s = 0; s < AGN_WIRE_LEVELS; s++)
            length[s] = (uint8_t)(length[s] + (members[both] >> s & 1));
    }
}

void agn_huffman_codes(const struct agn_context_model *model, unsigned number,
                       uint8_t codes[AGN_DISTRIBUTION_BYTES])
{
    unsigned next = 0;
    code_lengths(model, number, codes);
    for (unsigned bits = 1; bits < AGN_WIRE_LEVELS; bits++, next <<= 1)
        for (unsigned s = 0; s < AGN_WIRE_LEVELS; s++)
            if (codes[s] == bits) {
                unsigned reversed = 0;
                for (unsigned i = 0; i < bits; i++)
                    reversed |= (next >> i & 1u) << (bits - 1 - i);
                codes[AGN_WIRE_LEVELS + s] = (uint8_t)reversed;
                next++;
            }
}

/* ---- encoder ---------------------------------------------------------------------- */

static void huffman_begin(struct agn_encoder *encoder)
{
    (void)encoder;
}

static void put_row(struct agn_encoder *encoder, const uint8_t *row, const uint8_t *above)
{
    const struct agn_context_model *model = encoder->tile.contexts;
    const uint8_t *map = model->map + (size_t)encoder->channel * AGN_CONTEXTS;
    unsigned width = encoder->tile.width, left = 0, window = above ? agn__get_bits(above, 0, 3) << 3 : 0;
    for (unsigned x = 0; x < width; x++) {
        if (above && x + 1 < width)
            window |= agn__get_bits(above, 3 * ((size_t)x + 1), 3) << 6;
        unsigned symbol = agn__get_bits(row, 3 * (size_t)x, 3);
        const uint8_t *codes =
            model->codes + (size_t)AGN_DISTRIBUTION_BYTES * map[agn__context(agn__above_class[window], left)];
        agn__put_bits(encoder, codes[AGN_WIRE_LEVELS + symbol], codes[symbol]);
        left = symbol;
        window >>= 3;
    }
}

static void huffman_put_rows(struct agn_encoder *encoder, const uint8_t *rows, unsigned count)
{
    size_t bytes = AGN_ROW_BYTES(encoder->tile.width);
    for (; count > 0; count--, rows += bytes) {
        put_row(encoder, rows, encoder->row > 0 ? rows - bytes : NULL);
        agn__rows_done(encoder, encoder->row + 1u);
    }
}

static unsigned huffman_tail_bits(const struct agn_encoder *encoder)
{
    (void)encoder;
    return 0;
}

static void huffman_finish(struct agn_encoder *encoder)
{
    (void)encoder;
}

/* ---- decoder ---------------------------------------------------------------------- */

/* Symbol whose code begins `bits`, of which `have` are left in the stream; 8: none. */
static unsigned symbol_of(const uint8_t *codes, unsigned bits, size_t have)
{
    for (unsigned s = 0; s < AGN_WIRE_LEVELS; s++) {
        unsigned length = codes[s];
        if (length <= have && (bits & ((1u << length) - 1)) == codes[AGN_WIRE_LEVELS + s])
            return s;
    }
    return AGN_WIRE_LEVELS;
}

int agn__huffman_decode(const struct agn_tile *tile, const uint8_t *src, size_t len, uint8_t *symbols,
                        size_t count)
{
    uint8_t codes[AGN_DISTRIBUTIONS_MAX * AGN_DISTRIBUTION_BYTES];
    const struct agn_context_model *model = tile->contexts;
    for (unsigned d = 0; d < model->distributions; d++)
        agn_huffman_codes(model, d, codes + (size_t)d * AGN_DISTRIBUTION_BYTES);
    struct agn__walk walk = agn__walk_begin(tile, symbols);
    size_t bit = 0, end = len * 8;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *table = codes + (size_t)agn__walk_distribution(&walk) * AGN_DISTRIBUTION_BYTES;
        unsigned most = end - bit < AGN_WIRE_LEVELS - 1 ? (unsigned)(end - bit) : AGN_WIRE_LEVELS - 1u;
        unsigned symbol = symbol_of(table, most > 0 ? agn__get_bits(src, bit, most) : 0, most);
        if (symbol == AGN_WIRE_LEVELS)
            return AGN_ERR_FORMAT;
        bit += table[symbol];
        agn__walk_put(&walk, symbol);
    }
    return agn__ends_cleanly(src, len, bit) ? 0 : AGN_ERR_FORMAT;
}

const struct agn__codec agn__codec_huffman = {
    "huffman", 0, 1, huffman_begin, NULL, huffman_put_rows, huffman_tail_bits, huffman_finish,
};
