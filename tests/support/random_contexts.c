/* See random_contexts.h. */
#include "random_contexts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FREE_PARTS = 32768 - AGN_WIRE_LEVELS }; /* what is left when each symbol has one */

void contexts_store(uint8_t *entry, const unsigned share[AGN_WIRE_LEVELS])
{
    unsigned sum = 0;
    for (int s = 0; s < AGN_WIRE_LEVELS; s++) {
        sum += share[s] + 1;
        entry[2 * s] = (uint8_t)sum;
        entry[2 * s + 1] = (uint8_t)(sum >> 8);
    }
    assert(sum == 32768);
}

static void random_distribution(struct agn_rng *rng, uint8_t *entry)
{
    unsigned share[AGN_WIRE_LEVELS] = {0}, left = FREE_PARTS;
    switch (agn_rng_below(rng, 4)) {
    case 0: /* one symbol has nearly everything */
        share[agn_rng_below(rng, AGN_WIRE_LEVELS)] = left;
        break;
    case 1: /* as learned ones are: mostly zeros, ever fewer of the others */
        for (int s = 0; s + 1 < AGN_WIRE_LEVELS; s++) {
            share[s] = agn_rng_below(rng, left + 1);
            share[s] = share[s] < left / 3 ? left / 2 : share[s];
            left -= share[s];
        }
        share[AGN_WIRE_LEVELS - 1] = left;
        break;
    case 2: /* equals, so that ties are broken */
        for (int s = 0; s < AGN_WIRE_LEVELS; s++)
            share[s] = FREE_PARTS / AGN_WIRE_LEVELS;
        break;
    default: /* anything, in any order, one-unit symbols among them */
        for (unsigned i = 0, s = agn_rng_below(rng, 8); i < AGN_WIRE_LEVELS - 1; i++) {
            share[(s + 3 * i) % AGN_WIRE_LEVELS] = agn_rng_below(rng, 3) ? agn_rng_below(rng, left + 1) : 0;
            left -= share[(s + 3 * i) % AGN_WIRE_LEVELS];
        }
        share[agn_rng_below(rng, AGN_WIRE_LEVELS)] += left;
    }
    contexts_store(entry, share);
}

static uint8_t *take(size_t size)
{
    uint8_t *memory = malloc(size);
    assert(memory);
    return memory;
}

void random_contexts_make(struct random_contexts *random, struct agn_rng *rng, unsigned channels,
                          unsigned distributions)
{
    size_t map = (size_t)channels * AGN_CONTEXTS, table = (size_t)distributions * AGN_DISTRIBUTION_BYTES;
    random->map = take(map);
    random->cumulative = take(table);
    for (size_t i = 0; i < map; i++)
        random->map[i] = (uint8_t)agn_rng_below(rng, distributions);
    for (unsigned d = 0; d < distributions; d++)
        random_distribution(rng, random->cumulative + (size_t)d * AGN_DISTRIBUTION_BYTES);
    random->model = (struct agn_context_model){.map = random->map,
                                               .cumulative = random->cumulative,
                                               .distributions = (uint8_t)distributions,
                                               .channels = (uint8_t)channels};
    assert(agn_context_model_check(&random->model) == 0);
}

void random_contexts_free(struct random_contexts *random)
{
    free(random->map);
    free(random->cumulative);
    memset(random, 0, sizeof *random);
}
