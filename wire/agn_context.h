/* Contexts of the codecs with learned tables: what a symbol's neighbours say about it.
 *
 * Both ends derive a context from what came before in the tile: L the symbol to the left, U the one above, UL
 * and UR those beside that one; 0 beyond the tile's border. Sixteen classes of (U, UL, UR) times eight of L
 * make AGN_CONTEXTS contexts a channel. */
#ifndef AGN_CONTEXT_H
#define AGN_CONTEXT_H

#include "agn_memory.h"
#include "agn_wire.h"

enum { AGN__BLOCK = 8 }; /* symbols handled at once: 24 bits, 3 whole bytes */

/* Class of the three above at [UL | U << 3 | UR << 6]: min(U, 3) << 2 | (UL > 0) << 1 | (UR > 0). */
extern const uint8_t agn__above_class[512];

static inline unsigned agn__context(unsigned above_class, unsigned left)
{
    return left << 4 | above_class;
}

/* Probability of the symbols 0..symbol in a distribution, in 2^-15. */
static inline unsigned agn__cumulative(const struct agn_context_model *model, unsigned distribution,
                                       unsigned symbol)
{
    return agn__load_u16(model->cumulative + (size_t)AGN_DISTRIBUTION_BYTES * distribution +
                         2 * (size_t)symbol);
}

/* ---- encoders: rows as they come, packed ------------------------------------------- */

/* The last 1 to 3 bytes of a row. */
static inline uint32_t agn__row_bits(const uint8_t *from, unsigned bytes)
{
    uint32_t bits = from[0];
    if (bytes > 1)
        bits |= (uint32_t)from[1] << 8;
    if (bytes > 2)
        bits |= (uint32_t)from[2] << 16;
    return bits;
}

/* The rows up to `row` of the channel are done. */
static inline void agn__rows_done(struct agn_encoder *encoder, unsigned row)
{
    encoder->row = (uint8_t)row;
    if (row == encoder->tile.row_count) {
        encoder->row = 0;
        encoder->channel++;
    }
}

/* ---- decoders: symbol by symbol ------------------------------------------------------ */

struct agn__walk {
    const struct agn_tile *tile;
    uint8_t *row; /* of symbols, one a byte */
    unsigned channel, y, x;
};

static inline struct agn__walk agn__walk_begin(const struct agn_tile *tile, uint8_t *symbols)
{
    struct agn__walk walk = {tile, symbols, tile->channel_first, 0, 0};
    return walk;
}

/* Number of the distribution of the symbol to come. */
static inline unsigned agn__walk_distribution(const struct agn__walk *walk)
{
    const uint8_t *above = walk->y > 0 ? walk->row - walk->tile->width : NULL;
    unsigned context = agn_context_at(walk->row, above, walk->x, walk->tile->width);
    return walk->tile->contexts->map[walk->channel * AGN_CONTEXTS + context];
}

static inline void agn__walk_put(struct agn__walk *walk, unsigned symbol)
{
    walk->row[walk->x] = (uint8_t)symbol;
    if (++walk->x < walk->tile->width)
        return;
    walk->x = 0;
    walk->row += walk->tile->width;
    if (++walk->y < walk->tile->row_count)
        return;
    walk->y = 0;
    walk->channel++;
}

#endif
