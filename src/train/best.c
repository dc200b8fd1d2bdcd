/* train.choose = best: the parameters with which a phase had its best validation accuracy so far. They become
 * the model when the phase ends; a checkpoint holds them beside those that training goes on with. */
#include <math.h>
#include <string.h>

#include "train/beside.h"

enum { MOST_PIECES = AGN_REFERENCE + 3, STATE = 2 };

struct agn__best {
    enum agn_phase phase;
    float *values; /* all pieces, one after the other */
    size_t count;
    float state[STATE]; /* accuracy; epochs done when it was measured */
};

struct piece {
    float *values;
    size_t count;
};

static const char values_name[] = "best.values", state_name[] = "best.state";

/* All that a phase changes and a model keeps. */
static int list_pieces(struct agn_model *m, enum agn_phase phase, struct piece pieces[MOST_PIECES])
{
    bool joint = phase != AGN_PHASE_REFERENCE;
    int count = 0;
    for (int role = 0; role < AGN_ROLES; role++)
        if (joint ? role < AGN_REFERENCE : role == AGN_EXTRACTOR || role == AGN_REFERENCE)
            pieces[count++] = (struct piece){m->parts[role].params->value, m->parts[role].params->total};
    if (joint) {
        pieces[count++] = (struct piece){&m->alpha_weight, 1};
        pieces[count++] = (struct piece){m->centroids, AGN_LEVELS};
        pieces[count++] = (struct piece){m->usage, AGN_LEVELS};
    }
    return count;
}

static size_t count_values(struct agn_model *model, enum agn_phase phase)
{
    struct piece pieces[MOST_PIECES];
    size_t sum = 0;
    int count = list_pieces(model, phase, pieces);
    for (int i = 0; i < count; i++)
        sum += pieces[i].count;
    return sum;
}

static int create(struct agn__beside *beside, struct agn_model *model, enum agn_phase phase)
{
    struct agn__best *best = agn_alloc(1, sizeof(*best));
    if (best == NULL)
        return AGN_ERR_MEMORY;
    best->phase = phase;
    best->count = count_values(model, phase);
    best->values = agn_alloc(best->count, sizeof(float));
    if (best->values == NULL) {
        agn__best_free(best);
        return AGN_ERR_MEMORY;
    }
    best->state[0] = -1.0F;
    agn__best_free(beside->best);
    beside->best = best;
    return AGN_OK;
}

void agn__best_free(struct agn__best *best)
{
    if (best != NULL)
        agn_free(best->values);
    agn_free(best);
}

int agn__best_note(struct agn__beside *beside, struct agn_model *model, enum agn_phase phase, double accuracy,
                   double epochs)
{
    struct piece pieces[MOST_PIECES];
    int status = beside->best == NULL || beside->best->phase != phase ? create(beside, model, phase) : AGN_OK;
    if (status < 0 || (float)accuracy < beside->best->state[0])
        return status;
    int count = list_pieces(model, phase, pieces);
    float *to = beside->best->values;
    for (int i = 0; i < count; i++) {
        memcpy(to, pieces[i].values, pieces[i].count * sizeof(float));
        to += pieces[i].count;
    }
    beside->best->state[0] = (float)accuracy;
    beside->best->state[1] = (float)epochs;
    return AGN_OK;
}

double agn__best_apply(struct agn__beside *beside, struct agn_model *model)
{
    struct piece pieces[MOST_PIECES];
    int count = list_pieces(model, beside->best->phase, pieces);
    const float *from = beside->best->values;
    double epochs = (double)beside->best->state[1];
    for (int i = 0; i < count; i++) {
        memcpy(pieces[i].values, from, pieces[i].count * sizeof(float));
        from += pieces[i].count;
    }
    for (int role = 0; role < AGN_ROLES; role++)
        model->parts[role].params->version++;
    agn__best_free(beside->best);
    beside->best = NULL;
    return epochs;
}

/* ---- in checkpoints ------------------------------------------------------------------------- */

int agn__best_append(const struct agn__beside *beside, struct agn_tensor_file *file)
{
    const struct agn__best *best = beside->best;
    const struct agn_tensor_view views[] = {agn_tensor_view_f32(values_name, best->values, best->count),
                                            agn_tensor_view_f32(state_name, best->state, STATE)};
    return agn_tensor_file_append(file, views, AGN_COUNT_OF(views));
}

int agn__best_load(struct agn__beside *beside, struct agn_model *model, const struct agn_tensor_file *file,
                   enum agn_phase phase)
{
    const struct agn_tensor_view *values = agn_tensor_file_find(file, values_name);
    const struct agn_tensor_view *state = agn_tensor_file_find(file, state_name);
    if (values == NULL && state == NULL)
        return AGN_OK; /* nothing has been measured yet */
    if (values == NULL || state == NULL)
        return agn_fail(AGN_ERR_FORMAT, "tensor '%s' is missing", values == NULL ? values_name : state_name);
    int status = create(beside, model, phase);
    if (status < 0)
        return status;
    struct agn__best *best = beside->best;
    if (values->dtype != AGN_F32 || values->size_bytes != best->count * sizeof(float) ||
        state->dtype != AGN_F32 || state->size_bytes != sizeof(best->state)) {
        return agn_fail(AGN_ERR_FORMAT, "tensor '%s' or '%s' has another size than %zu and %d floats",
                        values_name, state_name, best->count, (int)STATE);
    }
    memcpy(best->values, values->data, values->size_bytes);
    memcpy(best->state, state->data, sizeof(best->state));
    bool finite = isfinite(best->state[0]) && isfinite(best->state[1]);
    for (size_t i = 0; i < best->count; i++)
        finite = finite && isfinite(best->values[i]);
    if (!finite) {
        return agn_fail(AGN_ERR_FORMAT, "tensor '%s' or '%s' holds a value that is not finite", values_name,
                        state_name);
    }
    return phase != AGN_PHASE_REFERENCE
               ? agn_model_check_levels(model, best->values + best->count - (size_t)2 * AGN_LEVELS,
                                        values_name)
               : AGN_OK;
}
