/* The device's integer arithmetic once more, written as plainly as possible.
 *
 * Whole feature maps, direct loops, one tap at a time with a border test, 64-bit sums, strings
 * compared symbol by symbol, sums of any length byte by byte: slow and independent of device/ and of the
 * codecs in wire/. It works from the struct that agn_model_agn_write takes, not from the file. */
#ifndef NAIVE_DEVICE_H
#define NAIVE_DEVICE_H

#include "agilenn/model_agn.h"

struct naive_result {
    int map_h, map_w, map_c, sent_c;
    int8_t *map;      /* of the tensor that is sent */
    uint8_t *symbols; /* sent_c x map_h x map_w */
    int16_t *local;   /* classes */
    int left_early;   /* an exit was sure; nothing is sent then */
};

/* Runs one image (input_h x input_w x input_c). Freed with naive_free. */
void naive_run(const struct agn_model_agn *model, const uint8_t *image, struct naive_result *result);
void naive_free(struct naive_result *result);

/* floor((acc * multiplier + 2^(shift-1)) / 2^shift). */
int64_t naive_requantise(int64_t acc, int32_t multiplier, unsigned shift);

/* Encodes the tile's first `count` symbols, whole rows of it; returns the number of bytes. dst must hold
 * NAIVE_ROOM(count) bytes. `*bound`: what agn_encoder_size says then. */
#define NAIVE_ROOM(count) (2 * (count) + 8)
size_t naive_encode(int codec, const struct agn_tile *tile, const uint8_t *symbols, size_t count,
                    uint8_t *dst, size_t *bound);

/* Number of the distribution of symbol number `at` of the tile. */
unsigned naive_distribution(const struct agn_tile *tile, const uint8_t *symbols, size_t at);

/* Probability of the symbols below `symbol` (0..8) in a distribution, in 2^-15. */
unsigned naive_below(const struct agn_context_model *model, unsigned distribution, unsigned symbol);

struct naive_packet {
    uint8_t bytes[AGN_WIRE_MAX_PACKET];
    size_t length;
};

/* All packets of a frame, at most `max`; returns their number, or -1 when a packet is impossible or
 * more than 256 are needed (those before are still set, and their number is in *made). */
int naive_packets(const struct agn_model_agn *model, const struct naive_result *result, uint16_t frame,
                  uint16_t deadline_ms, size_t cap, struct naive_packet *packets, int *made);

#endif
