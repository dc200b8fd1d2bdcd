/* Curves that a run may measure beside its figures: a row of the table each. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agilenn/curves.h"
#include "agn_coap.h"
#include "sweep/sweep_internal.h"

enum { UDP_IP_BYTES = 28 };

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

static int add_figures(struct agn__curve_input *in, const char *curve, const char *label,
                       const struct agn_curve_point *at)
{
    const struct {
        const char *figure;
        double value;
    } figures[] = {{"accuracy", at->accuracy}, {"silent_accuracy", in->curves->local_accuracy},
                   {"fused_share", at->fused}, {"bytes_mean", at->bytes},
                   {"packets", at->packets},   {"arrived_share", at->arrived}};
    int status = AGN_OK;
    for (size_t i = 0; i < AGN_COUNT_OF(figures) && status == AGN_OK; i++) {
        struct agn_sweep_point point = {.x = at->x, .value = figures[i].value};
        snprintf(point.curve, sizeof point.curve, "%s", curve);
        snprintf(point.label, sizeof point.label, "%s", label);
        snprintf(point.figure, sizeof point.figure, "%s", figures[i].figure);
        status = add(in, &point);
    }
    return status;
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

static const struct {
    const char *name;
    int (*measure)(struct agn__curve_input *in);
} curves[] = {{"loss", measure_loss}, {"budget", measure_budget}};
const char agn__curve_names[] = "loss, budget";

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
