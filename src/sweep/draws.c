/* Random points of a plan: what values are drawn from, and the draws. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sweep/sweep_internal.h"

enum { MOST_DRAWS = 1000 };

/* How values of an axis are drawn. */
struct draw {
    double low, high;
    bool log, whole;
    struct agn__texts words; /* or one of these */
};

static bool read_bound(const char *text, char **end, double *bound)
{
    *bound = strtod(text, end);
    return *end != text && isfinite(*bound);
}

/* LOW..HIGH [int] [log]; false: it is none. */
static bool read_range(const char *text, struct draw *draw)
{
    char copy[64], *end, *word, *save = NULL;
    size_t dots = strcspn(text, ".");
    while (text[dots] != '\0' && strncmp(text + dots, "..", 2) != 0)
        dots += 1 + strcspn(text + dots + 1, ".");
    if (text[dots] == '\0' || dots >= sizeof copy)
        return false;
    snprintf(copy, sizeof copy, "%.*s", (int)dots, text); /* "1...2" has no meaning, "0..1" is no number */
    if (!read_bound(copy, &end, &draw->low) || *end != '\0' ||
        !read_bound(text + dots + 2, &end, &draw->high) || strlen(end) >= sizeof copy)
        return false;
    snprintf(copy, sizeof copy, "%s", end);
    for (word = strtok_r(copy, " \t", &save); word != NULL; word = strtok_r(NULL, " \t", &save))
        if (strcmp(word, "log") == 0 && !draw->log)
            draw->log = true;
        else if (strcmp(word, "int") == 0 && !draw->whole)
            draw->whole = true;
        else
            return false;
    return true;
}

static int parse_draw(const char *text, struct draw *draw)
{
    struct draw made = {0};
    int status = AGN_OK;
    if (strstr(text, "..") == NULL || strchr(text, '|') != NULL) {
        status = agn__texts_split(text, AGN__MOST_VALUES, &made.words);
        if (status == AGN_OK && made.words.count == 0)
            status = agn_fail(AGN_ERR_FORMAT, "there is nothing to draw from");
    } else if (!read_range(text, &made)) {
        status = agn_fail(AGN_ERR_FORMAT,
                          "'%.100s': expected LOW..HIGH, then int, log, both or nothing, or words with "
                          "'|' between them",
                          text);
    } else if (!(made.low < made.high) || (made.log && !(made.low > 0.0)) ||
               (made.whole && (made.low != floor(made.low) || made.high != floor(made.high)))) {
        status = agn_fail(AGN_ERR_RANGE,
                          "'%.100s': expected LOW below HIGH, above 0 for log, whole numbers for int", text);
    }
    if (status < 0) {
        agn__texts_free(&made.words);
        return status;
    }
    *draw = made;
    return AGN_OK;
}

static void free_draw(struct draw *draw)
{
    agn__texts_free(&draw->words);
}

/* Four digits: a label stays short, and the text is all of the value. */
static void draw_value(const struct draw *draw, struct agn_rng *rng, char *value, size_t cap)
{
    if (draw->words.count > 0) {
        snprintf(value, cap, "%s", draw->words.items[agn_rng_below(rng, (uint32_t)draw->words.count)]);
        return;
    }
    double low = draw->low, high = draw->high, edge = draw->whole ? 0.5 : 0.0;
    double at = agn_rng_uniform(rng), drawn;
    if (draw->log)
        drawn = exp(log(low - edge) + at * (log(high + edge) - log(low - edge)));
    else
        drawn = low - edge + at * (high + edge - (low - edge));
    if (draw->whole)
        snprintf(value, cap, "%.0f", fmin(fmax(round(drawn), low), high));
    else
        snprintf(value, cap, "%.4g", drawn);
}

/* ---- points ---------------------------------------------------------------------- */

static uint64_t hash_point(const struct agn_sweep_plan *plan, int point)
{
    uint64_t hash = AGN__HASH_START;
    for (int a = 0; a < plan->axis_count; a++)
        hash = agn__hash_text(
            agn__hash_text(hash, plan->drawn[(size_t)point * (size_t)plan->axis_count + (size_t)a]), "|");
    return hash;
}

static int draw_point(struct agn_sweep_plan *plan, int point, const struct draw *draws, struct agn_rng *rng)
{
    char value[AGN_PRESET_TEXT_BYTES];
    for (int a = 0; a < plan->axis_count; a++) {
        char **to = &plan->drawn[(size_t)point * (size_t)plan->axis_count + (size_t)a];
        draw_value(&draws[a], rng, value, sizeof value);
        agn_free(*to);
        *to = agn_alloc(strlen(value) + 1, 1);
        if (*to == NULL)
            return AGN_ERR_MEMORY;
        memcpy(*to, value, strlen(value) + 1);
    }
    return AGN_OK;
}

/* Different ones: a point that was drawn before is drawn anew. */
static int draw_points(struct agn_sweep_plan *plan, const struct draw *draws)
{
    struct agn_rng rng;
    uint64_t *hashes = agn_alloc((size_t)plan->points, sizeof *hashes);
    plan->drawn = agn_alloc((size_t)plan->points * (size_t)plan->axis_count, sizeof(char *));
    int status = hashes == NULL || plan->drawn == NULL ? AGN_ERR_MEMORY : AGN_OK;
    agn_rng_seed(&rng, (uint64_t)plan->random_seed);
    for (int point = 0, draw = 0; point < plan->points && status == AGN_OK;) {
        int same = 0;
        status = draw_point(plan, point, draws, &rng);
        if (status < 0)
            break;
        hashes[point] = hash_point(plan, point);
        while (hashes[same] != hashes[point])
            same++;
        draw = same == point ? 0 : draw + 1;
        point += same == point;
        if (draw == MOST_DRAWS)
            status = agn_fail(AGN_ERR_RANGE, "%s: runs = %d: there are hardly more than %d different points",
                              plan->path, plan->points, point);
    }
    agn_free(hashes);
    return status;
}

int agn__plan_draw(struct agn_sweep_plan *plan)
{
    struct draw draws[AGN__MOST_AXES] = {{0}};
    int status = AGN_OK;
    for (int a = 0; a < plan->axis_count && status == AGN_OK; a++) {
        status = parse_draw(plan->axes[a].range, &draws[a]);
        if (status < 0)
            status = agn__plan_fail_at(plan, plan->axes[a].line, status);
    }
    if (status == AGN_OK)
        status = draw_points(plan, draws);
    for (int a = 0; a < plan->axis_count; a++)
        free_draw(&draws[a]);
    return status;
}
