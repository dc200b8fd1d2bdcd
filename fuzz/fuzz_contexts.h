/* A context model for fuzzers: three distributions of which two are extreme, and a map that a byte of the
 * input chooses. */
#ifndef FUZZ_CONTEXTS_H
#define FUZZ_CONTEXTS_H

#include <stdlib.h>

#include "agn_wire.h"

enum { FUZZ_DISTRIBUTIONS = 3, FUZZ_CHANNELS = 6 };

struct fuzz_contexts {
    struct agn_context_model model;
    uint8_t map[FUZZ_CHANNELS * AGN_CONTEXTS], cumulative[FUZZ_DISTRIBUTIONS * AGN_DISTRIBUTION_BYTES];
};

static inline void fuzz_contexts_make(struct fuzz_contexts *contexts, uint8_t choice)
{
    /* Mostly zeros; nearly always 0; nearly always 7. */
    static const uint16_t sums[FUZZ_DISTRIBUTIONS][AGN_WIRE_LEVELS] = {
        {16384, 24576, 28672, 30720, 31744, 32256, 32512, 32768},
        {32761, 32762, 32763, 32764, 32765, 32766, 32767, 32768},
        {1, 2, 3, 4, 5, 6, 7, 32768}};
    for (unsigned i = 0; i < sizeof contexts->map; i++)
        contexts->map[i] = (uint8_t)((choice * 7u + i * (choice | 1u) / 16u) % FUZZ_DISTRIBUTIONS);
    for (unsigned i = 0; i < FUZZ_DISTRIBUTIONS * AGN_WIRE_LEVELS; i++) {
        contexts->cumulative[2 * i] = (uint8_t)sums[i / AGN_WIRE_LEVELS][i % AGN_WIRE_LEVELS];
        contexts->cumulative[2 * i + 1] = (uint8_t)(sums[i / AGN_WIRE_LEVELS][i % AGN_WIRE_LEVELS] >> 8);
    }
    contexts->model = (struct agn_context_model){.map = contexts->map,
                                                 .cumulative = contexts->cumulative,
                                                 .distributions = FUZZ_DISTRIBUTIONS,
                                                 .channels = FUZZ_CHANNELS};
    if (agn_context_model_check(&contexts->model) != 0)
        abort();
}

#endif
