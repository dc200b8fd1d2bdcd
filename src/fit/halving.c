/* Successive halving on a time budget: all candidates are trained on few images, the best third of them on
 * more, and so on, each rung in about the same time. How many images that are follows from how long the
 * trainings before have taken. Which candidates go on is choice.c's. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fit/fit_internal.h"

enum { KEPT = 3, PILOTS = 3, LEAST_BATCHES = 8, SHARE_OF_SET = 20 };

/* Of the time that is left a rung gets its weight's share: where candidates stand after a few images says
 * little of where they end, so the later rungs get more. */
static const double weights[AGN_FIT_RUNGS] = {1.0, 1.5, 2.0, 3.0};
static const double reserve = 0.05;    /* of the budget, for what comes after the last training */
static const double tolerance = 1.25;  /* a rung may take so much longer than its share */
static const double pilot_share = 0.1; /* of the first rung's time */
static const double worth_it = 1.3;    /* more images by less than that teach nothing new */

double agn__fit_used_s(const struct agn__fit_search *s)
{
    return s->before_s + s->trainer.now(s->trainer.user) - s->begun_s;
}

static double left_s(const struct agn__fit_search *s)
{
    return s->config->seconds * (1.0 - reserve) - agn__fit_used_s(s);
}

/* ---- how many images ------------------------------------------------------------------------ */

static double least_images(const struct agn_fit_config *config)
{
    double batches = (double)LEAST_BATCHES * config->base.train.batch;
    return fmax(batches, ceil((double)config->train->count / SHARE_OF_SET));
}

/* The base's whole schedule: longer trainings are not asked for. */
static double most_images(const struct agn_fit_config *config)
{
    const struct agn_preset *p = &config->base;
    return fmax((p->reference.epochs + p->joint.epochs) * config->train->count, least_images(config));
}

/* What trainings take: together so much beside the images, and for an image of each. */
struct effort {
    double overhead_s, image_s;
};

static void add_effort(struct effort *effort, const struct agn_fit_result *result)
{
    effort->overhead_s += result->overhead_s;
    effort->image_s += (result->seconds - result->overhead_s) / fmax(result->images, 1.0);
}

static int train(struct agn__fit_search *s, int candidate, int rung, double images, bool *late,
                 struct agn_fit_result *result)
{
    double now_s = s->trainer.now(s->trainer.user);
    *late = false;
    if (agn_interrupt_requested())
        return agn_fail(AGN_ERR_INTERRUPTED, "the search was interrupted");
    return s->trainer.train(s->trainer.user, &s->report->candidates[candidate], rung, images,
                            now_s + left_s(s), late, result);
}

static int drop(struct agn__fit_search *s, int candidate, const char *reason)
{
    snprintf(s->report->candidates[candidate].dropped, AGN_FIT_REASON, "%s", reason);
    return agn__fit_book_drop(s->book, candidate, s->report->candidates[candidate].dropped);
}

/* Seconds for a rung; the last rung has the last weight, however many there are. */
static double quota_s(const struct agn__fit_search *s, int rung)
{
    double sum = 0.0;
    int skipped = AGN_FIT_RUNGS - s->rungs;
    for (int r = rung; r < s->rungs; r++)
        sum += weights[r + skipped];
    return left_s(s) * weights[rung + skipped] / sum;
}

/* A candidate that cannot be trained is none; the search goes on. */
static int note_failure(struct agn__fit_search *s, int candidate, int status, bool late)
{
    char reason[AGN_FIT_REASON];
    if (late)
        return drop(s, candidate, "no time: the budget was used up while it was trained");
    if (status == AGN_ERR_INTERRUPTED || status == AGN_ERR_MEMORY || status == AGN_ERR_IO)
        return status;
    snprintf(reason, sizeof reason, "training failed: %.220s", agn_error_message());
    return drop(s, candidate, reason);
}

/* A few candidates for a moment, from first to last: what a training takes on average here. */
static int pilot(struct agn__fit_search *s, double most_s, const int *members, int count, struct effort *mean)
{
    struct effort sum = {0};
    double begun_s = agn__fit_used_s(s);
    int tried = 0;
    int pilots = count < PILOTS ? count : PILOTS;
    for (int i = 0; i < pilots; i++) {
        int member = members[pilots > 1 ? i * (count - 1) / (pilots - 1) : 0];
        struct agn_fit_result result = {0};
        bool late = false;
        int status = train(s, member, -1, least_images(s->config), &late, &result);
        if (status == AGN_OK)
            add_effort(&sum, &result);
        else if ((status = note_failure(s, member, status, late)) < 0)
            return status;
        tried += result.images > 0.0;
        if (tried > 0 && agn__fit_used_s(s) - begun_s > most_s) /* time is short: the first one has to do */
            break;
    }
    if (tried == 0)
        return agn_fail(AGN_ERR_STATE,
                        "in %.3g s none of the first candidates could be trained even on %.0f images: give "
                        "it more --time (the last one said: %.150s)",
                        s->config->seconds, least_images(s->config), agn_error_message());
    *mean = (struct effort){sum.overhead_s / tried, sum.image_s / tried};
    return AGN_OK;
}

/* Drops the last members, for which there is no time. */
static int shorten(struct agn__fit_search *s, int *members, int *count, int wanted)
{
    int status = AGN_OK;
    while (*count > wanted && status == AGN_OK)
        status = drop(s, members[--*count], "no time: the budget is too short for so many candidates");
    return status;
}

static int without_dropped(const struct agn__fit_search *s, int *members, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (s->report->candidates[members[i]].dropped[0] == '\0')
            members[kept++] = members[i];
    return kept;
}

static int plan_first(struct agn__fit_search *s, double share_s, int *members, int *count, double *images)
{
    struct effort mean = {0};
    double begun_s = agn__fit_used_s(s);
    int status = pilot(s, pilot_share * share_s, members, *count, &mean);
    if (status < 0)
        return status;
    *count = without_dropped(s, members, *count);
    share_s = fmax(share_s - (agn__fit_used_s(s) - begun_s), 0.5 * share_s);
    double least_s = mean.overhead_s + mean.image_s * least_images(s->config);
    int wanted = (int)fmax(1.0, floor(share_s / fmax(least_s, 1e-9)));
    if (wanted < *count)
        status = shorten(s, members, count, wanted);
    *images = (share_s / fmax(*count, 1) - mean.overhead_s) / fmax(mean.image_s, 1e-12);
    return status;
}

/* Fewer members where the time would not do for more images than they have seen; 0 images: no rung. */
static int plan_further(struct agn__fit_search *s, int rung, double share_s, const int *members, int *count,
                        double *images)
{
    *images = 0.0;
    for (; *count > 0; --*count) {
        struct effort sum = {0};
        double before = 0.0;
        for (int i = 0; i < *count; i++) {
            struct agn_fit_result result;
            int status = agn__fit_book_result(s->book, members[i], rung - 1, &result);
            if (status < 0)
                return status;
            add_effort(&sum, &result);
            before = result.images;
        }
        double wanted = fmin((share_s - sum.overhead_s) / fmax(sum.image_s, 1e-12), most_images(s->config));
        if (wanted >= worth_it * before) {
            *images = wanted;
            return AGN_OK;
        }
        if (before >= most_images(s->config))
            return AGN_OK;
    }
    return AGN_OK;
}

/* ---- who takes part ------------------------------------------------------------------------------ */

/* Designs of a rung; their number, or a status. */
static int designs_of(struct agn__fit_search *s, int rung, struct agn_fit_design *designs)
{
    int count = 0;
    for (int c = 0; c < s->report->candidate_count; c++) {
        struct agn_fit_result result;
        int found = agn__fit_book_result(s->book, c, rung, &result);
        if (found < 0)
            return found;
        for (int p = 0; found > 0 && p < result.count; p++) {
            int status = agn__fit_design_make(s->config, &s->report->candidates[c], &result,
                                              &result.points[p], &designs[count]);
            if (status < 0)
                return status;
            designs[count].candidate = c;
            designs[count].rung = rung;
            designs[count].missed = agn_fit_missed(&designs[count], &s->config->limits);
            count++;
        }
    }
    return count;
}

static int choose_members(struct agn__fit_search *s, int rung, int members[AGN_FIT_MOST], int *count)
{
    *count = 0;
    if (rung == 0) {
        for (int c = 0; c < s->report->candidate_count; c++)
            if (s->report->candidates[c].dropped[0] == '\0')
                members[(*count)++] = c;
        return AGN_OK;
    }
    struct agn_fit_design *designs = agn_alloc((size_t)AGN_FIT_MOST * AGN_FIT_POINTS, sizeof *designs);
    int found = designs == NULL ? AGN_ERR_MEMORY : designs_of(s, rung - 1, designs), measured = 0;
    bool seen[AGN_FIT_MOST] = {false};
    for (int i = 0; i < found; i++)
        if (!seen[designs[i].candidate]) {
            seen[designs[i].candidate] = true;
            measured++;
        }
    if (found > 0)
        *count = agn__fit_choose_survivors(s->report->candidates, designs, found,
                                           (measured + KEPT - 1) / KEPT, members);
    agn_free(designs);
    return found < 0 ? found : AGN_OK;
}

/* Notes why those of the rung before that are not members stay behind. */
static int leave_behind(struct agn__fit_search *s, int rung, const int *members, int count)
{
    char reason[AGN_FIT_REASON];
    struct agn_fit_result result;
    snprintf(reason, sizeof reason, "others were better after rung %d", rung);
    for (int c = 0; c < s->report->candidate_count; c++) {
        bool is_member = false;
        for (int i = 0; i < count; i++)
            is_member = is_member || members[i] == c;
        if (is_member || s->report->candidates[c].dropped[0] != '\0')
            continue;
        int found = agn__fit_book_result(s->book, c, rung - 1, &result);
        if (found > 0)
            found = drop(s, c, reason);
        if (found < 0)
            return found;
    }
    return AGN_OK;
}

/* ---- a rung ------------------------------------------------------------------------------------------ */

/* Until two are left: 20 candidates take three. */
static int rungs_for(int count)
{
    int rungs = 1;
    for (int left = count; left > 2 && rungs < AGN_FIT_RUNGS; left = (left + KEPT - 1) / KEPT)
        rungs++;
    return rungs;
}

/* So many rungs there will be, with these members of this one; where time does for a second one it is used.
 */
static void count_rungs(struct agn__fit_search *s, int rung, int members)
{
    int more = rungs_for(members);
    s->rungs = rung + (rung == 0 && more < 2 ? 2 : more);
    s->rungs = s->rungs < AGN_FIT_RUNGS ? s->rungs : AGN_FIT_RUNGS;
}

/* Its members and images, from the book or by plan; count 0: there is none. */
static int open_rung(struct agn__fit_search *s, int rung, int members[AGN_FIT_MOST], int *count,
                     double *images)
{
    int known = agn__fit_book_rung(s->book, rung, images, members, count);
    if (known != 0) {
        count_rungs(s, rung, *count);
        return known < 0 ? known : AGN_OK;
    }
    int status = choose_members(s, rung, members, count);
    count_rungs(s, rung, *count);
    double share_s = quota_s(s, rung);
    if (status == AGN_OK && *count > 0)
        status = rung == 0 ? plan_first(s, share_s, members, count, images)
                           : plan_further(s, rung, share_s, members, count, images);
    if (status < 0 || *count == 0 || (rung > 0 && *images <= 0.0)) {
        *count = 0;
        return status;
    }
    count_rungs(s, rung, *count);
    *images = floor(fmin(fmax(*images, least_images(s->config)), most_images(s->config)));
    if (rung > 0)
        status = leave_behind(s, rung, members, *count);
    return status < 0 ? status : agn__fit_book_begin_rung(s->book, rung, *images, members, *count);
}

static void tell(struct agn__fit_search *s, int rung, int done, int total)
{
    char phase[32];
    snprintf(phase, sizeof phase, "rung %d", rung + 1);
    struct agn_progress progress = {.phase = phase,
                                    .done = done,
                                    .total = total,
                                    .item = "candidates",
                                    .rate = NAN,
                                    .eta_s = left_s(s),
                                    .epoch_end = done == total};
    if (s->config->progress != NULL)
        s->config->progress(s->config->progress_user, &progress);
}

/* Trains a member and notes what came of it. */
static int train_member(struct agn__fit_search *s, int member, int rung, double images, bool *late)
{
    struct agn_fit_result result;
    int status = train(s, member, rung, images, late, &result);
    if (status == AGN_OK) {
        status = agn__fit_book_add_result(s->book, member, rung, &result);
        s->report->candidates[member].rung = rung;
    } else {
        status = note_failure(s, member, status, *late);
    }
    int noted = agn__fit_book_set_seconds(s->book, agn__fit_used_s(s));
    return status < 0 ? status : noted;
}

/* *late: the budget is used up. */
static int run_rung(struct agn__fit_search *s, int rung, const int *members, int count, double images,
                    bool *late)
{
    double begun_s = agn__fit_used_s(s);
    double most_s = tolerance * quota_s(s, rung);
    int status = AGN_OK;
    for (int i = 0; i < count && status == AGN_OK && !*late; i++) {
        struct agn_fit_result known;
        int found = agn__fit_book_result(s->book, members[i], rung, &known);
        if (found != 0 || s->report->candidates[members[i]].dropped[0] != '\0') {
            status = found < 0 ? found : AGN_OK;
            continue;
        }
        if (i > 0 && rung < s->rungs - 1 && agn__fit_used_s(s) - begun_s > most_s)
            status = drop(s, members[i], "no time: the trainings before it took longer than planned");
        else
            status = train_member(s, members[i], rung, images, late);
        tell(s, rung, i + 1, count);
    }
    return status;
}

int agn__fit_halve(struct agn__fit_search *s)
{
    int members[AGN_FIT_MOST], count = 0, status = AGN_OK;
    double images = 0.0;
    bool late = false;
    s->rungs = 1;
    for (int rung = 0; rung < s->rungs && status == AGN_OK && !late; rung++) {
        status = open_rung(s, rung, members, &count, &images);
        if (status < 0 || count == 0)
            break;
        status = run_rung(s, rung, members, count, images, &late);
        if (status == AGN_OK)
            s->report->rungs = rung + 1;
    }
    int noted = agn__fit_book_set_seconds(s->book, agn__fit_used_s(s));
    return status < 0 ? status : noted;
}
