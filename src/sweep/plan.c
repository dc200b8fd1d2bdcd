/* Reads a plan: an INI file of what is asked, for all runs, and varied. What it means for presets is
 * expand.c's. */
#include <assert.h>
#include <ctype.h>
#include <ini.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sweep/sweep_internal.h"

enum { MOST_BYTES = 1 << 20, MOST_LINE = 180 };

/* ---- entries ------------------------------------------------------------------------------- */

struct entry {
    char section[16], name[64], *value;
    int line;
};

struct reading {
    const struct agn_sweep_plan *plan;
    const char *at; /* what the parser has not seen yet */
    int line;       /* number of the one it sees */
    bool indented;  /* that line: the value before goes on */
    struct entry *entries;
    int count, room;
    int status;
};

int agn__plan_fail_at(const struct agn_sweep_plan *plan, int line, int status)
{
    char reason[768];
    snprintf(reason, sizeof reason, "%s", agn_error_message());
    return status == AGN_ERR_MEMORY ? status : agn_fail(status, "%s, line %d: %s", plan->path, line, reason);
}

static int fail_here(const struct reading *reading, int status)
{
    return agn__plan_fail_at(reading->plan, reading->line, status);
}

/* Hands the parser its next line. */
static char *next_line(char *line, int cap, void *user)
{
    struct reading *reading = user;
    size_t length = strcspn(reading->at, "\n"), whole = length + (reading->at[length] == '\n');
    if (reading->at[0] == '\0' || reading->status < 0)
        return NULL;
    reading->line++;
    if (length > MOST_LINE || whole >= (size_t)cap) {
        agn_fail(AGN_ERR_FORMAT, "more than %d characters; break it between words and indent what follows",
                 MOST_LINE);
        reading->status = fail_here(reading, AGN_ERR_FORMAT);
        return NULL;
    }
    for (size_t i = 0, bytes; i < length && reading->status == AGN_OK; i += bytes) {
        uint32_t code;
        bool blank = reading->at[i] == '\t' || (reading->at[i] == '\r' && i + 1 == length);
        bytes = blank ? 1 : agn_utf8_read(reading->at + i, &code);
        if (bytes == 0) {
            agn_fail(AGN_ERR_FORMAT, "a control character, or text that is not UTF-8");
            reading->status = fail_here(reading, AGN_ERR_FORMAT);
            return NULL;
        }
    }
    reading->indented = isspace((unsigned char)reading->at[0]) != 0;
    memcpy(line, reading->at, whole);
    line[whole] = '\0';
    reading->at += whole;
    return line;
}

static int append_value(struct entry *entry, const char *value)
{
    size_t before = entry->value != NULL ? strlen(entry->value) : 0, bytes = before + strlen(value) + 2;
    char *joined = agn_alloc(bytes, 1);
    if (joined == NULL)
        return AGN_ERR_MEMORY;
    snprintf(joined, bytes, "%s%s%s", before > 0 ? entry->value : "", before > 0 ? " " : "", value);
    agn_free(entry->value);
    entry->value = joined;
    return AGN_OK;
}

static int new_entry(struct reading *reading, const char *section, const char *name, const char *value)
{
    assert(reading->count == 0 || reading->entries != NULL);
    for (int i = 0; i < reading->count; i++)
        if (strcmp(reading->entries[i].section, section) == 0 && strcmp(reading->entries[i].name, name) == 0)
            return agn_fail(AGN_ERR_ARG, "[%s] %s is given already, in line %d", section, name,
                            reading->entries[i].line);
    if (strlen(section) >= sizeof reading->entries->section || strlen(name) >= sizeof reading->entries->name)
        return agn_fail(AGN_ERR_RANGE, "a name of more than %zu characters",
                        sizeof reading->entries->name - 1);
    if (reading->count == reading->room) {
        int room = reading->room > 0 ? 2 * reading->room : 64;
        struct entry *larger = agn_alloc((size_t)room, sizeof *larger);
        if (larger == NULL)
            return AGN_ERR_MEMORY;
        if (reading->entries != NULL)
            memcpy(larger, reading->entries, (size_t)reading->count * sizeof *larger);
        agn_free(reading->entries);
        reading->entries = larger;
        reading->room = room;
    }
    struct entry *entry = &reading->entries[reading->count++];
    snprintf(entry->section, sizeof entry->section, "%s", section);
    snprintf(entry->name, sizeof entry->name, "%s", name);
    entry->line = reading->line;
    return append_value(entry, value);
}

static int on_entry(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;
    struct entry *last = reading->count > 0 ? &reading->entries[reading->count - 1] : NULL;
    if (reading->status < 0)
        return 0;
    bool goes_on = reading->indented && last != NULL && strcmp(last->section, section) == 0 &&
                   strcmp(last->name, name) == 0;
    int status = goes_on ? append_value(last, value) : new_entry(reading, section, name, value);
    if (status < 0)
        reading->status = fail_here(reading, status);
    return reading->status == AGN_OK;
}

/* ---- [plan] ----------------------------------------------------------------------------------- */

#define FIELD(member) offsetof(struct agn_sweep_plan, member), sizeof(((struct agn_sweep_plan *)0)->member)

static const struct plan_key {
    const char *name;
    enum { WORDS, LINE, WHOLE, REAL, MODE, SPLIT, SEEDS } type;
    size_t offset, size;
    double low, high;
} plan_keys[] = {
    {"question", LINE, FIELD(question), 0, 0},
    {"dataset", LINE, FIELD(dataset), 0, 0},
    {"presets", WORDS, FIELD(presets), AGN__MOST_PRESETS, 0},
    {"seeds", SEEDS, FIELD(seeds), 0, 0},
    {"mode", MODE, FIELD(mode), 0, 0},
    {"runs", WHOLE, FIELD(points), 1, AGN_SWEEP_MOST_RUNS},
    {"random_seed", WHOLE, FIELD(random_seed), 0, 2147483647},
    {"images", REAL, FIELD(images), 0, 1e12},
    {"measure", SPLIT, FIELD(split), 0, 0},
    {"measure_images", WHOLE, FIELD(measure_images), 0, 100000000},
    {"curves", WORDS, FIELD(curves), 16, 0},
    {"sent", REAL, FIELD(sent), 0, 1},
    {"may_lose", REAL, FIELD(may_lose), 0, 1},
    {"protocol", WHOLE, FIELD(protocol), 1, 2},
};

static int read_number(const char *text, const struct plan_key *key, double *number)
{
    char *end;
    *number = strtod(text, &end);
    bool whole = key->type == WHOLE;
    if (end == text || *end != '\0' || !(*number >= key->low && *number <= key->high) ||
        (whole && *number != floor(*number)))
        return agn_fail(AGN_ERR_RANGE, "%s = '%.60s': expected a %snumber from %g to %g", key->name, text,
                        whole ? "whole " : "", key->low, key->high);
    return AGN_OK;
}

/* One of two or three words; its place among them. */
static int read_word(const char *text, const char *name, const char *const words[3], int *place)
{
    for (int i = 0; i < 3 && words[i] != NULL; i++)
        if (strcmp(text, words[i]) == 0) {
            *place = i;
            return AGN_OK;
        }
    return agn_fail(AGN_ERR_ARG, "%s = '%.60s': expected %s%s%s%s%s", name, text, words[0],
                    words[2] != NULL ? ", " : "", words[2] != NULL ? words[1] : "", " or ",
                    words[2] != NULL ? words[2] : words[1]);
}

static int read_seeds(const char *text, struct agn_sweep_plan *plan)
{
    static const struct plan_key seed = {"seeds", WHOLE, 0, 0, 0, 2147483647};
    struct agn__texts parts = {0};
    double number = 0.0;
    int status = agn__texts_split(text, AGN__MOST_SEEDS, &parts);
    for (int i = 0; i < parts.count && status == AGN_OK; i++) {
        status = read_number(parts.items[i], &seed, &number);
        for (int j = 0; j < i && status == AGN_OK; j++)
            if (plan->seeds[j] == (int)number)
                status = agn_fail(AGN_ERR_ARG, "seed %d is there twice", plan->seeds[j]);
        plan->seeds[i] = (int)number;
    }
    plan->seed_count = parts.count;
    agn__texts_free(&parts);
    return status;
}

static int read_plan_value(struct agn_sweep_plan *plan, const struct plan_key *key, const char *value)
{
    static const char *const modes[3] = {"grid", "list", "random"}, *const splits[3] = {"validation", "test",
                                                                                        NULL};
    void *field = (char *)plan + key->offset;
    double number = 0.0;
    int place = 0, status;
    switch (key->type) {
    case LINE:
        if (strlen(value) >= key->size)
            return agn_fail(AGN_ERR_RANGE, "%s: more than %zu characters", key->name, key->size - 1);
        memcpy(field, value, strlen(value) + 1);
        return AGN_OK;
    case WORDS:
        return agn__texts_split(value, (int)key->low, field);
    case SEEDS:
        return read_seeds(value, plan);
    case MODE:
        status = read_word(value, key->name, modes, &place);
        plan->mode = (enum agn__mode)place;
        return status;
    case SPLIT:
        status = read_word(value, key->name, splits, &place);
        snprintf(plan->split, sizeof plan->split, "%s", splits[place]);
        return status;
    default:
        status = read_number(value, key, &number);
        if (status == AGN_OK && key->type == WHOLE)
            *(int *)field = (int)number;
        else if (status == AGN_OK)
            *(double *)field = number;
        return status;
    }
}

static int take_plan_entry(struct agn_sweep_plan *plan, const struct entry *entry)
{
    char known[512] = "";
    for (size_t i = 0; i < AGN_COUNT_OF(plan_keys); i++) {
        if (strcmp(plan_keys[i].name, entry->name) == 0)
            return read_plan_value(plan, &plan_keys[i], entry->value);
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", plan_keys[i].name);
    }
    return agn_fail(AGN_ERR_ARG, "[plan] knows no '%s': expected %s", entry->name, known);
}

/* ---- the other sections -------------------------------------------------------------------------- */

static struct agn__axis *new_axis(const struct entry *entry, struct agn__axis *list, int *count)
{
    struct agn__axis *axis = &list[(*count)++];
    snprintf(axis->key, sizeof axis->key, "%s", entry->name);
    axis->line = entry->line;
    return axis;
}

static int keep_text(const char *text, char **copy)
{
    *copy = agn_alloc(strlen(text) + 1, 1);
    if (*copy == NULL)
        return AGN_ERR_MEMORY;
    memcpy(*copy, text, strlen(text) + 1);
    return AGN_OK;
}

static int take_axis(struct agn_sweep_plan *plan, const struct entry *entry)
{
    if (plan->mode != AGN__LIST && plan->axis_count == AGN__MOST_AXES)
        return agn_fail(AGN_ERR_RANGE, "more than %d axes", AGN__MOST_AXES);
    struct agn__axis *axis = new_axis(entry, plan->axes, &plan->axis_count);
    if (plan->mode == AGN__RANDOM)
        return keep_text(entry->value, &axis->range);
    int status = agn__texts_split(entry->value, plan->mode == AGN__LIST ? AGN__MOST_AXES : AGN__MOST_VALUES,
                                  &axis->values);
    if (status == AGN_OK && axis->values.count == 0 && plan->mode == AGN__GRID)
        status = agn_fail(AGN_ERR_FORMAT, "%s has no values", entry->name);
    return status;
}

static int take_set(struct agn_sweep_plan *plan, const struct entry *entry)
{
    if (plan->set_count == AGN__MOST_AXES)
        return agn_fail(AGN_ERR_RANGE, "more than %d keys in [set]", AGN__MOST_AXES);
    struct agn__axis *axis = new_axis(entry, plan->set, &plan->set_count);
    return keep_text(entry->value, &axis->range);
}

/* [plan] first: what the others mean depends on its mode. */
static int take_entries(struct agn_sweep_plan *plan, const struct entry *entries, int count)
{
    static const char *const of_mode[] = {"grid", "list", "random"};
    int status = AGN_OK, i = 0;
    for (i = 0; i < count && status == AGN_OK; i++)
        if (strcmp(entries[i].section, "plan") == 0)
            status = take_plan_entry(plan, &entries[i]);
    if (status < 0)
        return agn__plan_fail_at(plan, entries[i - 1].line, status);
    plan->axes = agn_alloc((size_t)count + 1, sizeof *plan->axes);
    if (plan->axes == NULL)
        return AGN_ERR_MEMORY;
    for (i = 0; i < count && status == AGN_OK; i++) {
        const char *section = entries[i].section;
        if (strcmp(section, "set") == 0)
            status = take_set(plan, &entries[i]);
        else if (strcmp(section, of_mode[plan->mode]) == 0)
            status = take_axis(plan, &entries[i]);
        else if (strcmp(section, "plan") != 0)
            status =
                agn_fail(AGN_ERR_ARG, "[%s] has no meaning where mode = %s: expected [plan], [set] or [%s]",
                         section, of_mode[plan->mode], of_mode[plan->mode]);
    }
    return status < 0 ? agn__plan_fail_at(plan, entries[i - 1].line, status) : AGN_OK;
}

static int check_whole(const struct agn_sweep_plan *plan)
{
    if (plan->presets.count == 0)
        return agn_fail(AGN_ERR_ARG, "%s: [plan] names no presets: presets = fashion", plan->path);
    if (plan->seed_count == 0)
        return agn_fail(AGN_ERR_ARG, "%s: no run: [plan] seeds is empty", plan->path);
    if (plan->axis_count == 0 && plan->mode != AGN__GRID)
        return agn_fail(AGN_ERR_ARG, "%s: no run: [%s] is missing or empty", plan->path,
                        plan->mode == AGN__LIST ? "list" : "random");
    if (plan->mode == AGN__RANDOM && plan->points == 0)
        return agn_fail(AGN_ERR_ARG, "%s: no run: mode = random needs runs = N, how many points are drawn",
                        plan->path);
    if (plan->sent > 0.0 && plan->may_lose > 0.0)
        return agn_fail(AGN_ERR_ARG, "%s: sent and may_lose exclude each other", plan->path);
    for (int i = 0; i < plan->curves.count; i++)
        if (!agn__curve_known(plan->curves.items[i]))
            return agn_fail(AGN_ERR_ARG, "%s: curves = %.60s: expected some of %s", plan->path,
                            plan->curves.items[i], agn__curve_names);
    return AGN_OK;
}

int agn__plan_read(struct agn_sweep_plan *plan)
{
    struct reading reading = {.plan = plan, .at = plan->text};
    int line =
        strlen(plan->text) <= MOST_BYTES ? ini_parse_stream(next_line, &reading, on_entry, &reading) : 0;
    int status = reading.status;
    if (status == AGN_OK && line != 0)
        status = agn_fail(AGN_ERR_FORMAT, "%s, line %d: neither [section], key = value, nor a comment",
                          plan->path, line);
    if (strlen(plan->text) > MOST_BYTES)
        status = agn_fail(AGN_ERR_RANGE, "%s: a plan has at most %d bytes", plan->path, MOST_BYTES);
    if (status == AGN_OK)
        status = take_entries(plan, reading.entries, reading.count);
    for (int i = 0; i < reading.count; i++)
        agn_free(reading.entries[i].value);
    agn_free(reading.entries);
    return status < 0 ? status : check_whole(plan);
}
