/* Curves that a run may measure beside its figures: a row of the table each. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agilenn/curves.h"
#include "agilenn/deletion.h"
#include "agilenn/shift.h"
#include "agn_coap.h"
#include "sweep/sweep_internal.h"

enum { UDP_IP_BYTES = 28, SHIFT_BYTE_IMAGES = 200 };

static int add(struct agn__curve_input *in, const struct agn_sweep_point *point)
{
    struct agn__outcome *to = in->outcome;
    if (!isfinite(point->value))
        return AGN_OK;
    if (to->point_count == AGN__MOST_POINTS)
        return agn_fail(AGN_ERR_SPACE, "a run has more than %d points of curves", AGN__MOST_POINTS);
    to->points[to->point_count++] = *point;
    return AGN_OK;
}

struct figure {
    const char *name;
    double value;
};

/* Figures of one place of a curve. */
static int add_all(struct agn__curve_input *in, const char *curve, const char *label, double x,
                   const struct figure *figures, size_t count)
{
    int status = AGN_OK;
    for (size_t i = 0; i < count && status == AGN_OK; i++) {
        struct agn_sweep_point point = {.x = x, .value = figures[i].value};
        snprintf(point.curve, sizeof point.curve, "%s", curve);
        snprintf(point.label, sizeof point.label, "%s", label);
        snprintf(point.figure, sizeof point.figure, "%s", figures[i].name);
        status = add(in, &point);
    }
    return status;
}

static int add_figures(struct agn__curve_input *in, const char *curve, const char *label,
                       const struct agn_curve_point *at)
{
    const struct figure figures[] = {
        {"accuracy", at->accuracy}, {"silent_accuracy", in->curves->local_accuracy},
        {"fused_share", at->fused}, {"bytes_mean", at->bytes},
        {"packets", at->packets},   {"arrived_share", at->arrived}};
    return add_all(in, curve, label, at->x, figures, AGN_COUNT_OF(figures));
}

/* Loss and budgets are measured together, once. 0: they do not apply. */
static int measure_once(struct agn__curve_input *in)
{
    if (!agn_model_sends_symbols(in->model) || agn_part_is_empty(&in->model->parts[AGN_LOCAL]) ||
        agn_part_is_empty(&in->model->parts[AGN_REMOTE]))
        return 0;
    if (in->curves != NULL)
        return 1;
    const struct agn_curves_config config = {
        .model = in->model,
        .device = in->device,
        .device_bytes = in->device_bytes,
        .data = in->data,
        .extra_bytes =
            UDP_IP_BYTES + (in->protocol == 2 ? AGN_COAP_COMPACT_OVERHEAD : AGN_COAP_REQUEST_OVERHEAD),
        .protocol = in->protocol,
        .seed = 1};
    in->curves = agn_alloc(1, sizeof *in->curves);
    int status = in->curves == NULL ? AGN_ERR_MEMORY : agn_curves_measure(&config, in->curves);
    return status < 0 ? status : 1;
}

/* x: chance that a packet is lost; label: largest packet, bytes. */
static int measure_loss(struct agn__curve_input *in)
{
    int status = measure_once(in);
    for (int p = 0; status > 0 && p < in->curves->packet_sizes; p++) {
        char label[16];
        snprintf(label, sizeof label, "%d", in->curves->packet_bytes[p]);
        for (int i = 0; i < AGN_CURVE_LOSSES; i++) {
            int added = add_figures(in, "loss", label, &in->curves->loss[p][i]);
            if (added < 0)
                return added;
        }
    }
    return status < 0 ? status : AGN_OK;
}

/* x: bytes that a frame may take, all headers counted. */
static int measure_budget(struct agn__curve_input *in)
{
    int status = measure_once(in);
    for (int i = 0; status > 0 && i < AGN_CURVE_BUDGETS; i++) {
        int added = add_figures(in, "budget", "", &in->curves->budget[i]);
        if (added < 0)
            return added;
    }
    return status < 0 ? status : AGN_OK;
}

/* ---- changed inputs ------------------------------------------------------------------------------ */

/* A row, or the mean of several that differ in their draws only. */
static int add_shifted(struct agn__curve_input *in, const struct agn_shift_row *rows, int count)
{
    struct figure figures[] = {{"accuracy", 0.0},        {"silent_accuracy", 0.0}, {"skewness", 0.0},
                               {"disorder_rate", 0.0},   {"reference_valid", 0.0}, {"rank_correlation", 0.0},
                               {"image_rank_corr", 0.0}, {"top_kept", 0.0},        {"packet_bytes", 0.0}};
    for (int i = 0; i < count; i++) {
        const struct agn_shift_row *r = &rows[i];
        const double values[AGN_COUNT_OF(figures)] = {
            r->fused_accuracy,   r->local_accuracy,         r->skewness, r->disorder_rate, r->reference_valid,
            r->rank_correlation, r->image_rank_correlation, r->top_kept, r->bytes};
        for (size_t f = 0; f < AGN_COUNT_OF(figures); f++)
            figures[f].value += values[f] / count;
    }
    double x = rows->kind == AGN_SHIFT_LONG_TAIL ? rows->parameter : rows->strength;
    return add_all(in, "shift", agn_shift_kind_name(rows->kind), x, figures, AGN_COUNT_OF(figures));
}

/* label: the kind of change; x: its strength, of a long tail the ratio of classes. */
static int measure_shift(struct agn__curve_input *in)
{
    struct agn_shift *shift = agn_alloc(1, sizeof *shift);
    const struct agn_shift_config config = {.model = in->model,
                                            .data = in->images,
                                            .device = in->device,
                                            .device_bytes = in->device_bytes,
                                            .byte_images = SHIFT_BYTE_IMAGES,
                                            .seed = 1};
    int status = shift == NULL ? AGN_ERR_MEMORY : agn_shift_measure(&config, shift);
    for (int i = 0, next; status == AGN_OK && i < shift->count; i = next) {
        for (next = i + 1; next < shift->count && shift->rows[next].kind == shift->rows[i].kind &&
                           shift->rows[next].strength == shift->rows[i].strength;)
            next++;
        status = add_shifted(in, &shift->rows[i], next - i);
    }
    agn_free(shift);
    return status;
}

/* ---- deletion --------------------------------------------------------------------------------------- */

static int add_deleted(struct agn__curve_input *in, const char *label, const struct agn_deletion_curve *curve,
                       int channels)
{
    int status = AGN_OK;
    for (int i = 0; i <= channels && status == AGN_OK; i++) {
        const struct figure figures[] = {{"accuracy", curve->accuracy[i]},
                                         {"probability", curve->probability[i]}};
        status = add_all(in, "deletion", label, i, figures, AGN_COUNT_OF(figures));
    }
    return status;
}

/* The reference's; label: the order in which channels go, by the preset's method; x: how many are gone. */
static int measure_deletion(struct agn__curve_input *in)
{
    struct agn_deletion *deletion = agn_alloc(1, sizeof *deletion);
    const struct agn_deletion_config config = {.model = in->model, .data = in->data, .seed = 1};
    int status = deletion == NULL ? AGN_ERR_MEMORY : agn_deletion_measure(&config, deletion);
    if (status == AGN_ERR_UNSUPPORTED) { /* not of this system */
        agn_free(deletion);
        return AGN_OK;
    }
    for (int o = 0; status == AGN_OK && o < AGN_DELETE_ORDERS; o++) {
        const struct agn_deletion_pair *pairs[AGN_DELETE_ORDERS] = {
            [AGN_DELETE_FALLING] = &deletion->methods[0].falling,
            [AGN_DELETE_RISING] = &deletion->methods[0].rising,
            [AGN_DELETE_FIXED] = &deletion->fixed,
            [AGN_DELETE_RANDOM] = &deletion->random};
        status = add_deleted(in, agn_deletion_order_name((enum agn_deletion_order)o), &pairs[o]->deletion,
                             deletion->channels);
    }
    agn_free(deletion);
    return status;
}

/* ---- all ----------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*measure)(struct agn__curve_input *in);
} curves[] = {{"loss", measure_loss},
              {"budget", measure_budget},
              {"shift", measure_shift},
              {"deletion", measure_deletion}};
const char agn__curve_names[] = "loss, budget, shift, deletion";

bool agn__curve_known(const char *name)
{
    for (size_t i = 0; i < AGN_COUNT_OF(curves); i++)
        if (strcmp(curves[i].name, name) == 0)
            return true;
    return false;
}

int agn__curve_measure(const char *name, struct agn__curve_input *input)
{
    size_t i = 0;
    while (strcmp(curves[i].name, name) != 0)
        i++;
    return curves[i].measure(input);
}

int agn__curve_add_before(struct agn__curve_input *input)
{
    const struct agn_model *model = input->model;
    double skewness = 0.0;
    if (agn_part_is_empty(&model->parts[AGN_REFERENCE]))
        return AGN_OK;
    for (int i = 0; i < model->preset.model.local_channels; i++)
        skewness += (double)model->importance_before[i];
    const struct figure figure = {"skewness_before", skewness};
    return add_all(input, "before", "", 0.0, &figure, 1);
}
