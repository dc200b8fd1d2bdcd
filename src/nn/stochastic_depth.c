/* Draws of stochastic depth: which images skip which residual branches (Huang et al. 2016). What is done with
 * them: op_add.c.
 *
 * Each image has random numbers of its own, one for each branch in the graph's order, from the seed and the
 * image's place alone. So a batch that is split over several nets skips what the whole one would. */
#include "nn/net_internal.h"

void agn_net_draw_depth(struct agn_net *net, uint64_t seed, int64_t first_image)
{
    const uint64_t spread = 0xD1B54A32D192ED03U; /* odd: places give seeds far apart */
    for (int n = 0; n < net->batch && net->stochastic_depth > 0.0F; n++) {
        struct agn_rng rng;
        agn_rng_seed(&rng, seed + ((uint64_t)first_image + (uint64_t)n) * spread);
        for (int i = 1; i < net->graph.count; i++) {
            const struct agn__op *op = &net->ops[i];
            if (op->skip_chance > 0.0F) {
                float survival = 1.0F - op->skip_chance;
                bool stays = agn_rng_uniform(&rng) < (double)survival;
                op->cls->factors(op)[n] = stays ? 1.0F / survival : 0.0F;
            }
        }
    }
}

const float *agn__net_branch_factors(const struct agn_net *net, int op)
{
    bool skips = op > 0 && op < net->graph.count && net->ops[op].skip_chance > 0.0F;
    return skips ? net->ops[op].cls->factors(&net->ops[op]) : NULL;
}
