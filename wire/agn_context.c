/* Contexts: the classes of neighbours, and the check of a context model from outside. */
#include "agn_context.h"

/* [UL | U << 3 | UR << 6], built up from one entry for (U, UL, UR). */
#define CLASS(u, ul, ur) (uint8_t)(((u) < 3 ? (u) : 3) << 2 | ((ul) > 0) << 1 | ((ur) > 0))
#define UL_8(u, ur)                                                                                          \
    CLASS(u, 0, ur), CLASS(u, 1, ur), CLASS(u, 2, ur), CLASS(u, 3, ur), CLASS(u, 4, ur), CLASS(u, 5, ur),    \
        CLASS(u, 6, ur), CLASS(u, 7, ur)
#define U_64(ur)                                                                                             \
    UL_8(0, ur), UL_8(1, ur), UL_8(2, ur), UL_8(3, ur), UL_8(4, ur), UL_8(5, ur), UL_8(6, ur), UL_8(7, ur)
const uint8_t agn__above_class[512] = {U_64(0), U_64(1), U_64(2), U_64(3),
                                       U_64(4), U_64(5), U_64(6), U_64(7)};

unsigned agn_context_at(const uint8_t *row, const uint8_t *above, unsigned column, unsigned width)
{
    unsigned left = column > 0 ? row[column - 1] : 0, window = 0;
    if (above) {
        window = (unsigned)above[column] << 3;
        window |= column > 0 ? above[column - 1] : 0u;
        window |= column + 1 < width ? (unsigned)above[column + 1] << 6 : 0u;
    }
    return agn__context(agn__above_class[window & 511], left);
}

int agn_context_model_check(const struct agn_context_model *model)
{
    if (!model->map || !model->cumulative || model->distributions == 0 || model->channels == 0)
        return AGN_ERR_RANGE;
    for (unsigned i = 0; i < (unsigned)model->channels * AGN_CONTEXTS; i++)
        if (model->map[i] >= model->distributions)
            return AGN_ERR_RANGE;
    for (unsigned d = 0; d < model->distributions; d++) {
        unsigned below = 0;
        for (unsigned s = 0; s < AGN_WIRE_LEVELS; s++) {
            unsigned up_to = agn__cumulative(model, d, s);
            if (up_to <= below)
                return AGN_ERR_RANGE;
            below = up_to;
        }
        if (below != 1u << AGN_PROBABILITY_BITS)
            return AGN_ERR_RANGE;
    }
    return 0;
}
