/* Groups runs to designs, and says what they come to. */
#include "report/designs.h"

#include <ctype.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/figures.h"
#include "agilenn/preset.h"

/* ---- groups ------------------------------------------------------------------------------ */

static const enum agn__run_text group_keys[] = {AGN__PLAN,     AGN__DATASET, AGN__PRESET, AGN__SYSTEM,
                                                AGN__SETTINGS, AGN__DESIGN,  AGN__SPLIT};

static int compare_groups(const struct agn__run *a, const struct agn__run *b)
{
    int order = 0;
    for (size_t i = 0; i < AGN_COUNT_OF(group_keys) && order == 0; i++)
        order = strcmp(a->text[group_keys[i]], b->text[group_keys[i]]);
    return order;
}

static int compare_runs(const void *first, const void *second)
{
    const struct agn__run *a = *(const struct agn__run *const *)first,
                          *b = *(const struct agn__run *const *)second;
    double x = a->real[AGN__SEED], y = b->real[AGN__SEED];
    int order = compare_groups(a, b);
    if (order == 0)
        order = b->done - a->done;
    if (order == 0)
        order = isnan(x) || isnan(y) ? isnan(x) - isnan(y) : (x > y) - (x < y);
    return order != 0 ? order : strcmp(a->text[AGN__ID], b->text[AGN__ID]);
}

static double place_of(const struct agn__design *design)
{
    double place = INFINITY;
    for (int i = 0; i < design->done + design->others; i++)
        place = fmin(place, design->runs[i]->real[AGN__PLACE]);
    return place;
}

static int compare_designs(const void *first, const void *second)
{
    const struct agn__design *a = first, *b = second;
    double x = place_of(a), y = place_of(b);
    int order = strcmp(a->first->text[AGN__PLAN], b->first->text[AGN__PLAN]);
    if (order == 0)
        order = (x > y) - (x < y);
    return order != 0 ? order : compare_groups(a->first, b->first);
}

static int compare_ids(const void *first, const void *second)
{
    const struct agn__design *a = *(struct agn__design *const *)first,
                             *b = *(struct agn__design *const *)second;
    int order = strcmp(a->first->text[AGN__ID], b->first->text[AGN__ID]);
    if (order == 0)
        order = b->done - a->done;
    return order != 0 ? order : (a > b) - (a < b); /* in the list's own order */
}

/* A run in two plans has one id, so designs that begin with the same are the same. */
static int mark_copies(struct agn__designs *designs)
{
    struct agn__design **by_id = agn_alloc((size_t)designs->count + 1, sizeof(*by_id));
    if (by_id == NULL)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < designs->count; i++)
        by_id[i] = &designs->list[i];
    qsort(by_id, (size_t)designs->count, sizeof(*by_id), compare_ids);
    for (int i = 1; i < designs->count; i++)
        by_id[i]->copy = strcmp(by_id[i]->first->text[AGN__ID], by_id[i - 1]->first->text[AGN__ID]) == 0;
    agn_free(by_id);
    return AGN_OK;
}

static int compare_places(const void *first, const void *second)
{
    const struct agn__run *a = ((const struct agn__place *)first)->run,
                          *b = ((const struct agn__place *)second)->run;
    int order = strcmp(a->text[AGN__PLAN], b->text[AGN__PLAN]);
    return order != 0 ? order : strcmp(a->text[AGN__ID], b->text[AGN__ID]);
}

static void list_places(struct agn__designs *designs)
{
    for (int i = 0; i < designs->count; i++) {
        const struct agn__design *design = &designs->list[i];
        for (int r = 0; r < design->done + design->others; r++)
            designs->places[designs->place_count++] = (struct agn__place){design->runs[r], design};
    }
    qsort(designs->places, (size_t)designs->place_count, sizeof *designs->places, compare_places);
}

const struct agn__design *agn__report_designs_find(const struct agn__designs *designs, const char *plan,
                                                   const char *id)
{
    const struct agn__run run = {.text = {[AGN__PLAN] = plan, [AGN__ID] = id}};
    const struct agn__place key = {.run = &run}, *found;
    found = bsearch(&key, designs->places, (size_t)designs->place_count, sizeof key, compare_places);
    return found != NULL ? found->design : NULL;
}

int agn__report_designs_make(const struct agn__results *results, struct agn__designs *designs)
{
    size_t count = (size_t)results->run_count;
    designs->runs = agn_alloc(count + 1, sizeof(*designs->runs));
    designs->list = agn_alloc(count + 1, sizeof(*designs->list));
    designs->places = agn_alloc(count + 1, sizeof(*designs->places));
    if (designs->runs == NULL || designs->list == NULL || designs->places == NULL)
        return AGN_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        designs->runs[i] = &results->runs[i];
    qsort(designs->runs, count, sizeof(*designs->runs), compare_runs);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || compare_groups(designs->runs[i - 1], designs->runs[i]) != 0)
            designs->list[designs->count++] =
                (struct agn__design){.first = designs->runs[i], .runs = &designs->runs[i]};
        struct agn__design *design = &designs->list[designs->count - 1];
        design->done += designs->runs[i]->done;
        design->others += !designs->runs[i]->done;
    }
    qsort(designs->list, (size_t)designs->count, sizeof(*designs->list), compare_designs);
    list_places(designs);
    return mark_copies(designs);
}

void agn__report_designs_free(struct agn__designs *designs)
{
    agn_free(designs->list);
    agn_free(designs->runs);
    agn_free(designs->places);
    *designs = (struct agn__designs){0};
}

/* ---- intervals ----------------------------------------------------------------------------- */

static struct agn__value value_of(const double *values, int count, double images)
{
    const struct agn_statistic s =
        agn_statistic_of(values, count, images >= 1.0 && images <= INT_MAX ? (int)images : 0);
    struct agn__value value = AGN__UNKNOWN;
    value.mean = s.mean;
    value.low = s.low;
    value.high = s.high;
    return value;
}

struct agn__value agn__report_mean(const double *values, int count)
{
    return value_of(values, count, 0.0);
}

struct agn__value agn__design_value(const struct agn__design *design, enum agn__run_real figure)
{
    bool accuracy =
        figure == AGN__ACCURACY || figure == AGN__SILENT_ACCURACY || figure == AGN__FLOAT_ACCURACY;
    double *values = agn_alloc((size_t)design->done + 1, sizeof(double)), images = NAN;
    int count = 0;
    if (values == NULL)
        return AGN__UNKNOWN;
    for (int i = 0; i < design->done; i++)
        if (!isnan(design->runs[i]->real[figure])) {
            values[count++] = design->runs[i]->real[figure];
            images = design->runs[i]->real[AGN__IMAGES];
        }
    struct agn__value value = value_of(values, count, accuracy ? images : 0.0);
    agn_free(values);
    return value;
}

/* ---- cost ------------------------------------------------------------------------------------ */

static double known(double value)
{
    return isnan(value) ? 0.0 : value;
}

static bool work_of(const struct agn__run *run, struct agn_work *work)
{
    const double *r = run->real;
    bool sends = known(r[AGN__PACKETS]) > 0.0;
    /* A system of which only some is known has no known cost. */
    if (isnan(r[AGN__EXTRACT_INSTRUCTIONS]) && isnan(r[AGN__LOCAL_INSTRUCTIONS]) && !sends)
        return false;
    if (sends && (isnan(r[AGN__PACKET_BYTES]) || isnan(r[AGN__ENCODE_INSTRUCTIONS])))
        return false;
    *work = (struct agn_work){.extract_instructions = known(r[AGN__EXTRACT_INSTRUCTIONS]),
                              .local_instructions = known(r[AGN__LOCAL_INSTRUCTIONS]),
                              .encode_instructions = sends ? r[AGN__ENCODE_INSTRUCTIONS] : 0.0,
                              .packets = sends ? r[AGN__PACKETS] : 0.0,
                              .packet_bytes = sends ? r[AGN__PACKET_BYTES] : 0.0,
                              .reply_bytes = sends ? known(r[AGN__REPLY_BYTES]) : 0.0,
                              .sent_share = !sends                      ? 0.0
                                            : isnan(r[AGN__SENT_SHARE]) ? 1.0
                                                                        : r[AGN__SENT_SHARE]};
    return true;
}

static void add(struct agn_interval *sum, const struct agn_interval *more, double share)
{
    sum->low += share * more->low;
    sum->typical += share * more->typical;
    sum->high += share * more->high;
}

static struct agn_interval part_of(const struct agn_cost *cost, double sent_share, enum agn__cost which)
{
    struct agn_interval sum = {0};
    switch (which) {
    case AGN__LOCAL_MS:
        add(&sum, &cost->stage_ms[AGN_COST_SENSOR], 1.0);
        add(&sum, &cost->stage_ms[AGN_COST_EXTRACT], 1.0);
        add(&sum, &cost->stage_ms[AGN_COST_LOCAL], 1.0);
        break;
    case AGN__ENCODE_MS:
        add(&sum, &cost->stage_ms[AGN_COST_ENCODE], sent_share);
        break;
    case AGN__NETWORK_MS:
        for (int stage = AGN_COST_SERIAL; stage < AGN_COST_STAGES; stage++)
            add(&sum, &cost->stage_ms[stage], sent_share);
        break;
    case AGN__TOTAL_MS:
        return cost->mean_ms;
    case AGN__BOARD_MJ:
    case AGN__COSTS:
        return cost->mean_board_mj;
    }
    return sum;
}

struct agn__value agn__design_cost(const struct agn__design *design, const struct agn_board *board,
                                   const struct agn_radio *radio, enum agn__cost which)
{
    struct agn_interval sum = {0};
    int count = 0;
    for (int i = 0; i < design->done; i++) {
        struct agn_work work;
        struct agn_cost cost;
        if (!work_of(design->runs[i], &work) || agn_cost_frame(board, radio, &work, &cost) < 0)
            continue;
        struct agn_interval part = part_of(&cost, work.sent_share, which);
        add(&sum, &part, 1.0);
        count++;
    }
    if (count == 0)
        return AGN__UNKNOWN;
    return (struct agn__value){sum.typical / count, sum.low / count, sum.high / count};
}

/* ---- settings -------------------------------------------------------------------------------- */

static void setting_text(const json_t *value, char *text, size_t cap)
{
    if (json_is_integer(value))
        snprintf(text, cap, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(text, cap, "%.9g", json_real_value(value));
    else if (json_is_string(value))
        snprintf(text, cap, "%s", json_string_value(value));
    else
        snprintf(text, cap, "%s", json_is_true(value) ? "true" : json_is_false(value) ? "false" : "?");
}

bool agn__design_setting(const struct agn__design *design, const char *key, char value[128])
{
    const char *text = design->first->text[AGN__SETTINGS];
    if (strstr(text, key) == NULL) /* most often so, and cheaper to see */
        return false;
    json_t *settings = json_loads(text, 0, NULL), *found = json_object_get(settings, key);
    if (found != NULL)
        setting_text(found, value, 128);
    json_decref(settings);
    return found != NULL;
}

static bool is_one_of(const char *key, const char *const *keys, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

void agn__design_others(const struct agn__design *design, const char *const *but, int but_count, char *text,
                        size_t cap)
{
    json_t *settings = json_loads(design->first->text[AGN__SETTINGS], 0, NULL), *value;
    const char *key;
    size_t used = 0;
    text[0] = '\0';
    json_object_foreach(settings, key, value)
    {
        char shown[128];
        if (is_one_of(key, but, but_count))
            continue;
        setting_text(value, shown, sizeof shown);
        int length = snprintf(text + used, cap - used, "%s%s=%s", used > 0 ? " " : "", key, shown);
        used += length > 0 && (size_t)length < cap - used ? (size_t)length : 0;
    }
    json_decref(settings);
}

/* ---- presets and data sets ----------------------------------------------------------------------- */

/* Of the last block that names its channels, as conv:c24 does. */
static int last_channels(const char *network)
{
    int channels = 0;
    for (const char *at = strstr(network, ":c"); at != NULL; at = strstr(at + 2, ":c"))
        channels = atoi(at + 2); // NOLINT(cert-err34-c): a preset's check has read it; else 0 is none
    return channels;
}

bool agn__design_shape(const struct agn__design *design, struct agn__shape *shape)
{
    struct agn_preset *preset = agn_alloc(1, sizeof *preset);
    if (preset == NULL)
        return false;
    agn_preset_defaults(preset);
    const char *text = design->first->text[AGN__PRESET_TEXT];
    bool good = text[0] != '\0' && agn_preset_parse(text, preset) >= 0;
    if (good)
        *shape = (struct agn__shape){(double)preset->data.height * preset->data.width * preset->data.channels,
                                     last_channels(preset->model.extractor), preset->model.local_channels};
    agn_free(preset);
    return good;
}

const char *agn__dataset_key(const char *name)
{
    static const char *const keys[][2] = {
        {"cifar100", "cifar100"}, {"cifar10", "cifar10"}, {"svhn", "svhn"}, {"imagenet", "imagenet200"}};
    char plain[64];
    size_t used = 0;
    for (const char *at = name; *at != '\0' && used + 1 < sizeof plain; at++)
        if (isalnum((unsigned char)*at))
            plain[used++] = (char)tolower((unsigned char)*at);
    plain[used] = '\0';
    for (size_t i = 0; i < AGN_COUNT_OF(keys); i++)
        if (strstr(plain, keys[i][0]) != NULL)
            return keys[i][1];
    return name;
}
