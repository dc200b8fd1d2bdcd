/* The range coder: symbols with the probabilities that their contexts give, to within 0.3 % of the entropy.
 *
 * The interval is [low, low + range), of 32 bits. A symbol takes its part of it; when range falls below 2^24
 * the top byte of low moves out. A carry out of low goes into the bytes written before; it can reach a byte
 * once only, as the interval lies within what that byte began with. The end: the value in the interval with
 * the most zero bytes; zero bytes at the end are left out, the decoder takes what lies beyond the end as
 * zeros. (After G. N. N. Martin's range encoding, 1979.)
 *
 * A copy of the encoder shares the bytes with the original, where a carry may have come since. As it can have
 * come once only, the copy's last byte tells: it is not what was written. Then the carry is taken back. */
#include "agn_context.h"

#include "agn_codec_internal.h"

enum { LEAST_RANGE_BITS = 24, PROBABILITY_BITS = AGN_PROBABILITY_BITS };
static const uint32_t least_range = UINT32_C(1) << LEAST_RANGE_BITS;

/* ---- encoder ------------------------------------------------------------------- */

static void range_begin(struct agn_encoder *encoder)
{
    encoder->range = UINT32_MAX;
}

/* Adds one to the bytes written, or takes it away. */
static void carry_out(struct agn_encoder *encoder)
{
    size_t at = encoder->length;
    while (at > 0 && ++encoder->dst[--at] == 0)
        ;
}

static void take_carry_back(struct agn_encoder *encoder)
{
    size_t at = encoder->length;
    while (at > 0 && encoder->dst[--at]-- == 0)
        ;
}

/* Brings range back to 2^24 or more. Out of the loops' way: it is needed for one symbol in ten. */
static uint32_t widen(struct agn_encoder *encoder, uint32_t range) AGN__NOINLINE;
static uint32_t widen(struct agn_encoder *encoder, uint32_t range)
{
    uint32_t low = encoder->bits;
    do {
        size_t length = encoder->length;
        if (length < encoder->cap) {
            encoder->dst[length] = (uint8_t)(low >> 24);
            encoder->length = length + 1;
        } else {
            encoder->overflow = 1;
        }
        low <<= 8;
        range <<= 8;
    } while (range < least_range);
    encoder->bits = low;
    return range;
}

/* A symbol 1..7; `before` is the place of the symbol before it in the distribution; `unit` is range in 2^-15.
 * Returns the new range. */
static inline uint32_t put_other(struct agn_encoder *encoder, uint32_t unit, const uint8_t *before)
{
    unsigned start = agn__load_u16(before), end = agn__load_u16(before + 2);
    uint32_t below = unit * start, low = encoder->bits + below;
    encoder->bits = low;
    if (low < below && !encoder->overflow)
        carry_out(encoder);
    return unit * (end - start);
}

/* Up to 8 symbols of a row. `bits`: the symbols; `window`: those above, from the one before the first on. */
struct block {
    uint32_t bits, window;
    unsigned left; /* the symbol before */
    unsigned count;
    const uint8_t *map; /* of the channel */
    const uint8_t *cumulative;
};

/* Returns the new range. A function of its own, so that its loop has the registers for itself. */
static uint32_t put_block(struct agn_encoder *encoder, uint32_t range,
                          const struct block *block) AGN__NOINLINE;
static uint32_t put_block(struct agn_encoder *encoder, uint32_t range, const struct block *block)
{
    const uint8_t *map = block->map, *cumulative = block->cumulative, *above_class = agn__above_class;
    uint32_t bits = block->bits, window = block->window;
    unsigned left = block->left, count = block->count;
    do {
        uint32_t place =
            (uint32_t)AGN_DISTRIBUTION_BYTES * map[agn__context(above_class[window & 511], left)];
        uint32_t unit = range >> PROBABILITY_BITS;
        left = bits & 7;
        bits >>= 3;
        window >>= 3;
        if (left == 0)
            range = unit * agn__load_u16(cumulative + place);
        else
            range = put_other(encoder, unit, cumulative + place + 2 * left - 2);
        if (range < least_range)
            range = widen(encoder, range);
    } while (--count > 0);
    return range;
}

/* Symbols 0 whose neighbours are 0 too, as most are: one look at the tables for all of them. */
static inline uint32_t put_zeros(struct agn_encoder *encoder, uint32_t range, const struct block *block)
{
    unsigned probability = agn__load_u16(block->cumulative + (size_t)AGN_DISTRIBUTION_BYTES * block->map[0]);
    for (unsigned count = block->count; count > 0; count--) {
        range = (range >> PROBABILITY_BITS) * probability;
        if (range < least_range)
            range = widen(encoder, range);
    }
    return range;
}

/* `whole` blocks of 8 symbols, then one of `rest`, 1 to 8, symbols. */
struct row_shape {
    unsigned whole, rest, rest_bytes;
};

static inline uint32_t put_row(struct agn_encoder *encoder, uint32_t range, struct block *block,
                               const struct row_shape *shape, const uint8_t *row, const uint8_t *above)
{
    uint32_t above_left = 0;
    block->left = 0;
    block->count = AGN__BLOCK;
    for (unsigned whole = shape->whole;; whole--) {
        uint32_t bits, above_bits;
        if (whole > 0) { /* a fourth byte belongs to the row */
            bits = agn__load_u32(row);
            above_bits = agn__load_u32(above);
        } else {
            bits = agn__row_bits(row, shape->rest_bytes);
            above_bits = agn__row_bits(above, shape->rest_bytes);
            block->count = shape->rest;
        }
        block->bits = bits;
        block->window = above_bits << 3 | above_left;
        if ((bits << 8 | block->window | block->left) == 0)
            range = put_zeros(encoder, range, block);
        else
            range = put_block(encoder, range, block);
        if (whole == 0)
            return range;
        block->left = bits >> 21 & 7;
        above_left = above_bits >> 21 & 7;
        row += 3;
        above += 3;
    }
}

static void range_put_rows(struct agn_encoder *encoder, const uint8_t *rows, unsigned count)
{
    static const uint8_t nothing_above[AGN_ROW_BYTES(255)];
    const struct agn_context_model *model = encoder->tile.contexts;
    unsigned width = encoder->tile.width;
    size_t bytes = AGN_ROW_BYTES(width);
    struct row_shape shape = {(width - 1u) / AGN__BLOCK, (width - 1u) % AGN__BLOCK + 1u, 0};
    struct block block = {0, 0, 0, 0, NULL, model->cumulative};
    shape.rest_bytes = (unsigned)AGN_ROW_BYTES(shape.rest);
    while (count > 0) {
        unsigned row = encoder->row, end = encoder->tile.row_count;
        const uint8_t *above = row > 0 ? rows - bytes : nothing_above;
        block.map = model->map + (size_t)encoder->channel * AGN_CONTEXTS;
        if (end - row > count)
            end = row + count;
        count -= end - row;
        for (; row < end; row++, above = rows, rows += bytes)
            encoder->range = put_row(encoder, encoder->range, &block, &shape, rows, above);
        agn__rows_done(encoder, end);
    }
    if (encoder->length > 0)
        encoder->last = encoder->dst[encoder->length - 1];
}

/* As many as `range_finish` may still write. */
static unsigned range_tail_bits(const struct agn_encoder *encoder)
{
    (void)encoder;
    return 8;
}

static void range_finish(struct agn_encoder *encoder)
{
    uint32_t low = encoder->bits, highest = low + (encoder->range - 1);
    if (encoder->overflow)
        return;
    if (encoder->length > 0 && encoder->dst[encoder->length - 1] != encoder->last)
        take_carry_back(encoder);
    encoder->bits = 0;
    if (highest < low) { /* the interval holds a multiple of 2^32 */
        carry_out(encoder);
    } else if (low != 0) {
        if (encoder->length == encoder->cap) {
            encoder->overflow = 1;
            return;
        }
        encoder->dst[encoder->length++] = (uint8_t)((low + (least_range - 1)) >> 24);
    }
    while (encoder->length > 0 && encoder->dst[encoder->length - 1] == 0)
        encoder->length--;
}

/* ---- decoder ------------------------------------------------------------------- */

struct range_decoder {
    const uint8_t *src;
    size_t len, taken;      /* `taken` goes on beyond the end, where zeros are */
    uint32_t offset, range; /* of the stream's value from low */
};

static uint32_t next_byte(struct range_decoder *decoder)
{
    size_t at = decoder->taken++;
    return at < decoder->len ? decoder->src[at] : 0;
}

/* The next symbol, or 8: the value lies in no symbol's part. */
static unsigned decode_symbol(struct range_decoder *decoder, const uint8_t *entry)
{
    uint32_t unit = decoder->range >> PROBABILITY_BITS, start = 0, end = 0;
    unsigned symbol = 0;
    for (; symbol < AGN_WIRE_LEVELS; symbol++) {
        end = unit * agn__load_u16(entry + 2 * symbol);
        if (decoder->offset < end)
            break;
        start = end;
    }
    if (symbol == AGN_WIRE_LEVELS)
        return symbol;
    decoder->offset -= start;
    decoder->range = end - start;
    while (decoder->range < least_range) {
        decoder->offset = decoder->offset << 8 | next_byte(decoder);
        decoder->range <<= 8;
    }
    return symbol;
}

int agn__range_decode(const struct agn_tile *tile, const uint8_t *src, size_t len, uint8_t *symbols,
                      size_t count)
{
    const struct agn_context_model *model = tile->contexts;
    struct range_decoder decoder = {src, len, 0, 0, UINT32_MAX};
    if (len > 0 && src[len - 1] == 0) /* zeros at the end are never sent */
        return AGN_ERR_FORMAT;
    for (unsigned i = 0; i < 4; i++)
        decoder.offset = decoder.offset << 8 | next_byte(&decoder);
    struct agn__walk walk = agn__walk_begin(tile, symbols);
    for (size_t i = 0; i < count; i++) {
        unsigned number = agn__walk_distribution(&walk);
        unsigned symbol =
            decode_symbol(&decoder, model->cumulative + (size_t)AGN_DISTRIBUTION_BYTES * number);
        if (symbol >= AGN_WIRE_LEVELS)
            return AGN_ERR_FORMAT;
        agn__walk_put(&walk, symbol);
    }
    /* The last symbol is settled by one more byte than moved out. */
    return len <= (count == 0 ? 0 : decoder.taken - 3) ? 0 : AGN_ERR_FORMAT;
}

const struct agn__codec agn__codec_range = {
    "range", 0, 1, range_begin, NULL, range_put_rows, range_tail_bits, range_finish,
};
