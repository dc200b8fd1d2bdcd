/* Lists of values in a plan, and what values are drawn from. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sweep/sweep_internal.h"

static char *copy_part(const char *from, size_t length)
{
    char *part = agn_alloc(length + 1, 1);
    if (part != NULL)
        memcpy(part, from, length);
    return part;
}

void agn__texts_free(struct agn__texts *texts)
{
    for (int i = 0; i < texts->count; i++)
        agn_free(texts->items[i]);
    agn_free(texts->items);
    *texts = (struct agn__texts){0};
}

/* Blanks around a part do not count. */
static int add_part(const char *from, size_t length, int most, struct agn__texts *texts)
{
    while (length > 0 && (*from == ' ' || *from == '\t')) {
        from++;
        length--;
    }
    while (length > 0 && (from[length - 1] == ' ' || from[length - 1] == '\t'))
        length--;
    if (length == 0)
        return agn_fail(AGN_ERR_FORMAT, "a value is missing beside a '|'");
    if (texts->count == most)
        return agn_fail(AGN_ERR_RANGE, "more than %d values", most);
    char *part = copy_part(from, length);
    if (part == NULL)
        return AGN_ERR_MEMORY;
    texts->items[texts->count++] = part;
    return AGN_OK;
}

int agn__texts_split(const char *text, int most, struct agn__texts *texts)
{
    const char *separator = strstr(text, "||") != NULL ? "||" : strchr(text, '|') != NULL ? "|" : " ";
    struct agn__texts made = {.items = agn_alloc((size_t)most, sizeof(char *))};
    int status = made.items == NULL ? AGN_ERR_MEMORY : AGN_OK;
    if (text[strspn(text, " \t")] == '\0') { /* no part */
        *texts = made;
        return status;
    }
    for (const char *at = text; at != NULL && status == AGN_OK;) {
        bool blanks = separator[0] == ' ';
        if (blanks)
            at += strspn(at, " \t");
        const char *end = blanks ? at + strcspn(at, " \t") : strstr(at, separator);
        size_t length = end == NULL ? strlen(at) : (size_t)(end - at);
        if (blanks && *at == '\0')
            break;
        status = add_part(at, length, most, &made);
        at = end == NULL ? NULL : blanks ? end : end + strlen(separator);
    }
    if (status < 0) {
        agn__texts_free(&made);
        return status;
    }
    *texts = made;
    return AGN_OK;
}

/* ---- [random] ------------------------------------------------------------------------------ */

static bool read_bound(const char *text, char **end, double *bound)
{
    *bound = strtod(text, end);
    return *end != text && isfinite(*bound);
}

/* LOW..HIGH [int] [log]; false: it is none. */
static bool read_range(const char *text, struct agn__draw *draw)
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

int agn__draw_parse(const char *text, struct agn__draw *draw)
{
    struct agn__draw made = {0};
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

void agn__draw_free(struct agn__draw *draw)
{
    agn__texts_free(&draw->words);
}

/* Four digits: a label stays short, and the text is all of the value. */
void agn__draw_value(const struct agn__draw *draw, struct agn_rng *rng, char *value, size_t cap)
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
