/* Learns when to send: a logistic regression whose one-hot part has a diagonal Hessian, so that each step of
 * Newton's method solves two equations. */
#include "agilenn/send_decision.h"

#include <math.h>
#include <stdlib.h>

enum { STEPS = 60 };
static const double ridge = 1.0; /* of the classes' parts, which are taken to be near 0 */

/* bias, slope, and each class's part */
struct regression {
    double bias, slope, part[AGN_MAX_CLASSES];
};

static double score_of(const struct regression *r, const struct agn_curve_frame *f)
{
    return r->bias + r->slope * f->margin / 256.0 + r->part[f->local_class];
}

static bool is_right(const struct agn_curve_frame *f)
{
    return f->local_class == f->label;
}

/* Need it not be sent? */
static bool may_stay(const struct agn_curve_frame *f)
{
    return is_right(f) || f->fused_class != f->label;
}

/* Which images: first, first + every, ... below count. */
struct part {
    int count, first, every;
};

/* Sums over images for one step: gradients, and the Hessian's parts between bias, slope and each class. */
struct sums {
    double gradient[2], hessian[3]; /* bias; slope; (bias, bias), (bias, slope), (slope, slope) */
    double part_gradient[AGN_MAX_CLASSES], part_part[AGN_MAX_CLASSES], part_slope[AGN_MAX_CLASSES];
};

static void sum_up(const struct regression *r, const struct agn_curve_frame *frames, struct part part,
                   struct sums *s)
{
    *s = (struct sums){0};
    for (int i = part.first; i < part.count; i += part.every) {
        double x = frames[i].margin / 256.0, p = 1.0 / (1.0 + exp(-score_of(r, &frames[i])));
        double error = p - (may_stay(&frames[i]) ? 1.0 : 0.0), weight = p * (1.0 - p) + 1e-9;
        int c = frames[i].local_class;
        s->gradient[0] += error;
        s->gradient[1] += error * x;
        s->hessian[0] += weight;
        s->hessian[1] += weight * x;
        s->hessian[2] += weight * x * x;
        s->part_gradient[c] += error;
        s->part_part[c] += weight;
        s->part_slope[c] += weight * x;
    }
}

/* One step: the classes' parts are eliminated (Schur's complement); returns how far it went. */
static double step(struct regression *r, const struct sums *s, int classes)
{
    double g[2] = {s->gradient[0], s->gradient[1]},
           h[3] = {s->hessian[0] + 1e-6, s->hessian[1], s->hessian[2] + 1e-6};
    for (int c = 0; c < classes; c++) {
        double d = s->part_part[c] + ridge, e = s->part_gradient[c] + ridge * r->part[c];
        h[0] -= s->part_part[c] * s->part_part[c] / d;
        h[1] -= s->part_part[c] * s->part_slope[c] / d;
        h[2] -= s->part_slope[c] * s->part_slope[c] / d;
        g[0] -= s->part_part[c] * e / d;
        g[1] -= s->part_slope[c] * e / d;
    }
    double determinant = h[0] * h[2] - h[1] * h[1];
    double bias = -(h[2] * g[0] - h[1] * g[1]) / determinant,
           slope = -(h[0] * g[1] - h[1] * g[0]) / determinant;
    double length = fmax(fabs(bias), fabs(slope)), most = 4.0; /* far steps would overshoot */
    double shorter = length > most ? most / length : 1.0, moved = length * shorter;
    for (int c = 0; c < classes; c++) {
        double d = s->part_part[c] + ridge, e = s->part_gradient[c] + ridge * r->part[c];
        double part = -(e + s->part_part[c] * bias + s->part_slope[c] * slope) / d * shorter;
        r->part[c] += part;
        moved = fmax(moved, fabs(part));
    }
    r->bias += shorter * bias;
    r->slope += shorter * slope;
    return moved;
}

static int fit(struct regression *r, const struct agn_curve_frame *frames, struct part part, int classes)
{
    struct sums *sums = agn_alloc(1, sizeof(*sums));
    double moved = 1.0;
    if (sums == NULL)
        return AGN_ERR_MEMORY;
    *r = (struct regression){0};
    for (int i = 0; i < STEPS && moved > 1e-9; i++) {
        sum_up(r, frames, part, sums);
        moved = step(r, sums, classes);
    }
    agn_free(sums);
    if (!(r->slope > 0.0 && isfinite(r->slope) && isfinite(r->bias)))
        return agn_fail(
            AGN_ERR_NUMERIC,
            "a larger margin of the local logits does not tell a surer answer (slope %g on %d images): the "
            "Local NN has not learned, or there are too few images",
            r->slope, (part.count - part.first + part.every - 1) / part.every);
    return AGN_OK;
}

/* ---- the threshold ----------------------------------------------------------------------------- */

struct scored {
    double score;
    const struct agn_curve_frame *frame;
};

static int unsure_first(const void *a, const void *b)
{
    double x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;
    return (x > y) - (x < y);
}

/* How many of the frames, unsure ones first, are to be sent, and how many answers are right then. */
static int count_sent(const struct scored *list, int count, const struct agn_send_target *target, int *right)
{
    int fused = 0;
    for (int i = 0; i < count; i++)
        fused += list[i].frame->fused_class == list[i].frame->label;
    double wanted = target->reach > 0.0 ? target->reach * count : fused - target->may_lose * count;
    int least = target->sent > 0.0 ? (int)lround(target->sent * count) : 0;
    if (fused < wanted - 1e-9 && target->sent <= 0.0)
        return agn_fail(AGN_ERR_RANGE,
                        "an accuracy of %g is not reached: it is %.4f with all frames sent, on the %d images "
                        "that this is decided on",
                        target->reach, (double)fused / count, count);
    /* `right` as if the first `sent` frames were sent, from all to none; the first dip below ends it, since
     * what comes behind that is chance */
    *right = fused;
    for (int sent = count; sent > least; sent--) {
        const struct agn_curve_frame *f = list[sent - 1].frame;
        int then = *right + (int)is_right(f) - (f->fused_class == f->label);
        if (target->sent <= 0.0 && then < wanted - 1e-9)
            return sent;
        *right = then;
    }
    return least;
}

/* All frames, unsure ones first, each judged by the regression of its half: [i % 2]. */
static void sort_frames(const struct regression half[2], const struct agn_curve_frame *frames, int count,
                        struct scored *list)
{
    for (int i = 0; i < count; i++)
        list[i] = (struct scored){score_of(&half[i % 2], &frames[i]), &frames[i]};
    qsort(list, (size_t)count, sizeof(*list), unsure_first);
}

static void set_margins(const struct regression *r, double threshold, struct agn_send_decision *d)
{
    for (int c = 0; c < d->classes; c++) {
        double margin = ceil((threshold - r->bias - r->part[c]) / r->slope * 256.0);
        d->margins[c] = (uint16_t)(margin < 1.0 ? 1.0 : margin > INT16_MAX ? (double)INT16_MAX : margin);
    }
}

static void measure(const struct agn_curve_frame *frames, int count, struct agn_send_decision *d)
{
    for (int i = 0; i < count; i++) {
        const struct agn_curve_frame *f = &frames[i];
        bool stays = f->margin >= d->margins[f->local_class], fused_right = f->fused_class == f->label;
        d->sent_share += stays ? 0.0 : 1.0 / count;
        d->bytes += stays ? 0.0 : (double)f->bytes / count;
        d->local_accuracy += is_right(f) ? 1.0 / count : 0.0;
        d->fused_accuracy += fused_right ? 1.0 / count : 0.0;
    }
}

static int check(const struct agn_curve_frame *frames, int count, int classes,
                 const struct agn_send_target *target)
{
    const double asked[] = {target->sent, target->may_lose, target->reach};
    int given = 0, possible = 0;
    for (size_t i = 0; i < AGN_COUNT_OF(asked); i++) {
        given += asked[i] > 0.0;
        possible += asked[i] >= 0.0 && asked[i] <= 1.0;
    }
    if (given != 1 || possible != AGN_COUNT_OF(asked))
        return agn_fail(
            AGN_ERR_ARG,
            "a share to send of %g, accuracy to lose of %g, accuracy to reach of %g: expected one of "
            "them, above 0 to 1",
            target->sent, target->may_lose, target->reach);
    if (count < 2 || classes < 1 || classes > AGN_MAX_CLASSES)
        return agn_fail(AGN_ERR_ARG, "%d images of %d classes to learn from; expected at least two images",
                        count, classes);
    for (int i = 0; i < count; i++)
        if (frames[i].local_class < 0 || frames[i].local_class >= classes)
            return agn_fail(AGN_ERR_ARG, "image %d: local class %d of %d", i, frames[i].local_class, classes);
    return AGN_OK;
}

int agn_send_decision_learn(const struct agn_curve_frame *frames, int count, int classes,
                            const struct agn_send_target *target, struct agn_send_decision *decision)
{
    struct agn_send_decision d = {.classes = classes, .images = count};
    struct regression r = {0}, half[2];
    int status = check(frames, count, classes, target), right = 0;
    if (status == AGN_OK)
        status = fit(&r, frames, (struct part){count, 0, 1}, classes);
    for (int i = 0; i < 2 && status == AGN_OK; i++) /* each half is judged by the other's */
        status = fit(&half[i], frames, (struct part){count, 1 - i, 2}, classes);
    if (status < 0)
        return status;
    struct scored *list = agn_alloc((size_t)count, sizeof(*list));
    if (list == NULL)
        return AGN_ERR_MEMORY;
    sort_frames(half, frames, count, list);
    int sent = count_sent(list, count, target, &right);
    if (sent >= 0) {
        sort_frames((const struct regression[2]){r, r}, frames, count, list);
        /* between the last frame that is sent and the first that stays */
        double threshold = sent == count ? list[count - 1].score + 1.0
                           : sent == 0   ? list[0].score
                                         : 0.5 * (list[sent - 1].score + list[sent].score);
        set_margins(&r, threshold, &d);
        measure(frames, count, &d);
        d.accuracy = (double)right / count;
        *decision = d;
    }
    agn_free(list);
    return sent < 0 ? sent : AGN_OK;
}
