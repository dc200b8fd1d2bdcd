/* Random context models, for tests and fuzzers: any map, and distributions up to the extremes that the
 * format allows. */
#ifndef RANDOM_CONTEXTS_H
#define RANDOM_CONTEXTS_H

#include "agilenn/base.h"
#include "agn_wire.h"

/* Owns what `model` points to. */
struct random_contexts {
    struct agn_context_model model;
    uint8_t *map, *cumulative;
};

/* `channels` and `distributions` are 1..255. Each in memory of exactly its size, so that ASan guards it. */
void random_contexts_make(struct random_contexts *random, struct agn_rng *rng, unsigned channels,
                          unsigned distributions);
void random_contexts_free(struct random_contexts *random);

/* Fills one distribution: symbol s has share[s] + 1 parts of 2^15, the shares' sum being 32760. */
void contexts_store(uint8_t *entry, const unsigned share[AGN_WIRE_LEVELS]);

#endif
