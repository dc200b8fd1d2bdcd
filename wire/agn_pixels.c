/* Images as they are, on a wire that carries symbols of 3 bits. See agn_wire.h. */
#include "agn_wire.h"

static uint32_t symbols_of(uint32_t bytes)
{
    return (bytes * 8u + AGN_WIRE_SYMBOL_BITS - 1u) / AGN_WIRE_SYMBOL_BITS;
}

int agn_pixels_shape(unsigned rows, uint32_t row_bytes, struct agn_map_shape *shape)
{
    if (rows < 1 || rows > 255 || row_bytes < 1)
        return AGN_ERR_RANGE;
    for (unsigned runs = 1; runs <= 255 && runs <= row_bytes; runs++) {
        uint32_t width = symbols_of(row_bytes / runs);
        if (row_bytes % runs != 0 || width > 255)
            continue;
        shape->channels = (uint8_t)rows;
        shape->height = (uint8_t)runs;
        shape->width = (uint8_t)width;
        return 0;
    }
    return AGN_ERR_RANGE;
}

int agn_pixels_read(const uint8_t *run, unsigned width, uint8_t *bytes)
{
    uint32_t bits = 0;
    unsigned have = 0;
    for (unsigned i = 0; i < width; i++) {
        if (run[i] >= AGN_WIRE_LEVELS)
            return AGN_ERR_NOT_FOUND;
        bits |= (uint32_t)run[i] << have;
        have += AGN_WIRE_SYMBOL_BITS;
        if (have >= 8) {
            *bytes++ = (uint8_t)bits;
            bits >>= 8;
            have -= 8;
        }
    }
    return 0;
}

void agn_pixels_write(const uint8_t *bytes, unsigned width, uint8_t *run)
{
    uint32_t bits = 0, left = width * (uint32_t)AGN_WIRE_SYMBOL_BITS / 8u;
    unsigned have = 0;
    for (unsigned i = 0; i < width; i++) {
        if (have < AGN_WIRE_SYMBOL_BITS && left > 0) {
            bits |= (uint32_t)*bytes++ << have;
            have += 8;
            left--;
        }
        run[i] = (uint8_t)(bits & (AGN_WIRE_LEVELS - 1u));
        bits >>= AGN_WIRE_SYMBOL_BITS;
        have = have < AGN_WIRE_SYMBOL_BITS ? 0 : have - AGN_WIRE_SYMBOL_BITS;
    }
}
