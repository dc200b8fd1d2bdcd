/* What the runs say to somebody with a new application. Only what follows from runs that are there is said.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_internal.h"

enum { MOST_GROUPS = 64, MOST_VALUES = 32 };

static double accuracy_of(const struct agn__design *design)
{
    return agn__design_value(design, AGN__ACCURACY).mean;
}

/* Same data set, same images to measure on, and of the same plan: then figures can be compared. */
static bool comparable(const struct agn__design *a, const struct agn__design *b)
{
    static const enum agn__run_text keys[] = {AGN__PLAN, AGN__DATASET, AGN__SPLIT};
    for (size_t i = 0; i < AGN_COUNT_OF(keys); i++)
        if (strcmp(a->first->text[keys[i]], b->first->text[keys[i]]) != 0)
            return false;
    return true;
}

/* ---- which system ------------------------------------------------------------------------------ */

/* Of the presets beside `head` that lose at most `points` against the best the one with the least of
 * something. */
struct choice {
    const struct agn__design *best, *least_bytes, *least_energy, *best_alone;
    int presets;
};

static double energy_of(const struct agn__report *report, const struct agn__design *design)
{
    return agn__design_cost(design, &report->board, &report->radio, AGN__BOARD_MJ).mean;
}

/* The better one of two by `less`, which may not be known of either. */
static const struct agn__design *pick(const struct agn__design *now, double now_cost,
                                      const struct agn__design *other, double cost)
{
    return isfinite(cost) && (now == NULL || cost < now_cost) ? other : now;
}

static void choose(const struct agn__report *report, const struct agn__design *head, double points,
                   struct choice *c)
{
    double best = -INFINITY, bytes = INFINITY, energy = INFINITY, alone = INFINITY;
    *c = (struct choice){NULL, NULL, NULL, NULL, 0};
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < report->designs.count; i++) {
            const struct agn__design *design = &report->designs.list[i];
            double accuracy = design->done > 0 && comparable(head, design) ? accuracy_of(design) : NAN;
            if (isnan(accuracy) || design->first->text[AGN__DESIGN][0] != '\0')
                continue;
            if (pass == 0) {
                c->presets++;
                c->best = accuracy > best ? design : c->best;
                best = fmax(best, accuracy);
                continue;
            }
            double silent = -agn__design_value(design, AGN__SILENT_ACCURACY).mean;
            c->best_alone = pick(c->best_alone, alone, design, silent);
            alone = fmin(alone, silent);
            if (accuracy < best - points)
                continue;
            double sent = agn__design_value(design, AGN__BYTES_MEAN).mean, cost = energy_of(report, design);
            c->least_bytes = pick(c->least_bytes, bytes, design, sent);
            bytes = fmin(bytes, sent);
            c->least_energy = pick(c->least_energy, energy, design, cost);
            energy = fmin(energy, cost);
        }
}

static bool is_first(const struct agn__report *report, int number)
{
    for (int i = 0; i < number; i++)
        if (report->designs.list[i].done > 0 &&
            comparable(&report->designs.list[i], &report->designs.list[number]) &&
            report->designs.list[i].first->text[AGN__DESIGN][0] == '\0')
            return false;
    return true;
}

static int write_systems(struct agn__report *report)
{
    const double points = 0.01;
    struct agn__page *page = &report->page;
    int said = 0;
    for (int i = 0; i < report->designs.count && said < MOST_GROUPS; i++) {
        const struct agn__design *head = &report->designs.list[i];
        struct choice c;
        if (head->done == 0 || head->copy || head->first->text[AGN__DESIGN][0] != '\0' ||
            !is_first(report, i))
            continue;
        choose(report, head, points, &c);
        if (c.presets < 2)
            continue;
        said++;
        agn__page_point(
            page, "%s (plan %s, %s images): of %d presets %s is the most accurate, %.2f %% (● measured).",
            head->first->text[AGN__DATASET], head->first->text[AGN__PLAN], head->first->text[AGN__SPLIT],
            c.presets, c.best->first->text[AGN__PRESET], 100.0 * accuracy_of(c.best));
        if (c.least_bytes != NULL)
            agn__page_point(page,
                            "Within a point of that, %s sends the fewest bytes, %.1f a frame (● measured).",
                            c.least_bytes->first->text[AGN__PRESET],
                            agn__design_value(c.least_bytes, AGN__BYTES_MEAN).mean);
        if (c.least_energy != NULL)
            agn__page_point(
                page, "Within a point of that, %s takes the least energy, %.1f mJ a frame (≈ modelled).",
                c.least_energy->first->text[AGN__PRESET], energy_of(report, c.least_energy));
        if (c.best_alone != NULL)
            agn__page_point(page, "Without a server %s is the best, %.2f %% (● measured).",
                            c.best_alone->first->text[AGN__PRESET],
                            100.0 * agn__design_value(c.best_alone, AGN__SILENT_ACCURACY).mean);
    }
    return said;
}

/* ---- settings ------------------------------------------------------------------------------------- */

struct level {
    char value[128];
    double sum;
    int count;
};

static void add_level(struct level levels[MOST_VALUES], int *count, const char *value, double accuracy)
{
    int at = 0;
    while (at < *count && strcmp(levels[at].value, value) != 0)
        at++;
    if (at == MOST_VALUES)
        return;
    if (at == *count)
        snprintf(levels[(*count)++].value, sizeof levels[at].value, "%s", value);
    levels[at].sum += accuracy;
    levels[at].count++;
}

/* The mean half-width of the designs' intervals: what differences smaller than it say is nothing. */
static double doubt_of(const struct agn__design *design)
{
    struct agn__value value = agn__design_value(design, AGN__ACCURACY);
    return isfinite(value.high - value.low) ? (value.high - value.low) / 2.0 : NAN;
}

static bool write_levels(struct agn__report *report, const struct agn__design *head, const char *key)
{
    struct level levels[MOST_VALUES] = {{"", 0.0, 0}};
    int count = 0, best = 0, worst = 0, doubts = 0;
    double doubt = 0.0;
    char close[300] = "", value[128];
    for (int i = 0; i < report->designs.count; i++) {
        const struct agn__design *design = &report->designs.list[i];
        double accuracy = design->done > 0 && comparable(head, design) ? accuracy_of(design) : NAN;
        if (isnan(accuracy) ||
            strcmp(design->first->text[AGN__PRESET], head->first->text[AGN__PRESET]) != 0 ||
            !agn__design_setting(design, key, value))
            continue;
        add_level(levels, &count, value, accuracy);
        if (isfinite(doubt_of(design))) {
            doubt += doubt_of(design);
            doubts++;
        }
    }
    for (int i = 1; i < count; i++) {
        best = levels[i].sum / levels[i].count > levels[best].sum / levels[best].count ? i : best;
        worst = levels[i].sum / levels[i].count < levels[worst].sum / levels[worst].count ? i : worst;
    }
    if (count < 2)
        return false;
    double top = levels[best].sum / levels[best].count;
    doubt = doubts > 0 ? doubt / doubts : 0.0;
    for (int i = 0; i < count; i++)
        if (i != best && top - levels[i].sum / levels[i].count <= doubt) {
            size_t used = strlen(close);
            snprintf(close + used, sizeof close - used, "%s%.60s", used > 0 ? ", " : "", levels[i].value);
        }
    agn__page_point(&report->page,
                    "%s on %s (plan %s): %s = %s is the best of %d values, %.2f %% on average over the other "
                    "settings; the worst, "
                    "%s, has %.2f %% (● measured).%s%s%s",
                    head->first->text[AGN__PRESET], head->first->text[AGN__DATASET],
                    head->first->text[AGN__PLAN], key, levels[best].value, count, 100.0 * top,
                    levels[worst].value, 100.0 * levels[worst].sum / levels[worst].count,
                    close[0] ? " Not told apart from the best: " : "", close, close[0] ? "." : "");
    return true;
}

/* Is this the first design of its plan and preset that has the key? */
static bool begins(const struct agn__report *report, int number, const char *key)
{
    const struct agn__design *design = &report->designs.list[number];
    char value[128];
    if (design->done == 0 || design->copy || !agn__design_setting(design, key, value))
        return false;
    for (int i = number - 1; i >= 0 && strcmp(report->designs.list[i].first->text[AGN__PLAN],
                                              design->first->text[AGN__PLAN]) == 0;
         i--)
        if (report->designs.list[i].done > 0 && comparable(&report->designs.list[i], design) &&
            strcmp(report->designs.list[i].first->text[AGN__PRESET], design->first->text[AGN__PRESET]) == 0 &&
            agn__design_setting(&report->designs.list[i], key, value))
            return false;
    return true;
}

static int write_settings(struct agn__report *report)
{
    int said = 0;
    for (int t = 0; t < agn__topic_count; t++)
        for (size_t k = 0; k < AGN_COUNT_OF(agn__topics[t].keys) && agn__topics[t].keys[k] != NULL; k++)
            for (int i = 0; i < report->designs.count && said < MOST_GROUPS; i++)
                if (begins(report, i, agn__topics[t].keys[k]))
                    said += write_levels(report, &report->designs.list[i], agn__topics[t].keys[k]);
    return said;
}

/* ---- signs of trouble ------------------------------------------------------------------------------- */

static int write_trouble(struct agn__report *report)
{
    int without = 0, invalid = 0, diverged = 0, designs = 0;
    for (int i = 0; i < report->designs.count; i++) {
        const struct agn__design *design = &report->designs.list[i];
        double valid = agn__design_value(design, AGN__REFERENCE_VALID).mean, accuracy = accuracy_of(design),
               alone = agn__design_value(design, AGN__SILENT_ACCURACY).mean;
        designs += design->done > 0;
        invalid += valid < accuracy - 0.1;
        without += accuracy < alone;
    }
    for (int i = 0; i < report->results.run_count; i++)
        diverged += strcmp(report->results.runs[i].text[AGN__STATE], "diverged") == 0;
    if (without > 0)
        agn__page_point(
            &report->page,
            "In %d of %d designs the device alone is more accurate than both together (● measured): there "
            "sending does not pay; take local-only, or a larger network on the server.",
            without, designs);
    if (invalid > 0)
        agn__page_point(
            &report->page,
            "In %d of %d designs the reference network is right 10 points less often on the features than "
            "the split (● measured): its skewness says little there; raise joint.anchor.",
            invalid, designs);
    if (diverged > 0)
        agn__page_point(
            &report->page,
            "%d runs diverged: lower joint.rate, or ask for less skewness (joint.rho) where it happens late.",
            diverged);
    return without + invalid + diverged;
}

int agn__report_write_guidance(struct agn__report *report)
{
    struct agn__page *page = &report->page;
    agn__page_section(page, "guidance", "For a new application");
    agn__page_text(page, "What follows is computed from the runs above and holds for their data sets and "
                         "training times. `agilenn fit` "
                         "searches for a design for your own data, board and radio.");
    agn__page_list_begin(page);
    int said = write_systems(report) + write_settings(report) + write_trouble(report);
    if (said == 0)
        agn__page_point(page, "The runs say nothing yet: that takes a plan with at least two presets, or one "
                              "that varies a setting.");
    agn__page_list_end(page);
    return AGN_OK;
}
