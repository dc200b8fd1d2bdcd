/* A list of figures and what is written of it. */
#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "agilenn/base.h"

enum { CELL_BYTES = 256, KEY_BYTES = 128 };

/* ---- the list ------------------------------------------------------------------------- */

static void append(struct agn_figures *figures, const struct agn_figure *figure)
{
    assert(figures->count < AGN_MAX_FIGURES);
    figures->list[figures->count++] = *figure;
}

void agn_figures_add(struct agn_figures *figures, const char *key, enum agn_figure_kind kind, double value,
                     const char *unit, const char *meaning)
{
    append(figures,
           &(struct agn_figure){.key = key, .unit = unit, .meaning = meaning, .kind = kind, .value = value});
}

void agn_figures_add_text(struct agn_figures *figures, const char *key, const char *text, const char *meaning)
{
    agn_figures_add(figures, key, AGN_FIGURE_TEXT, NAN, NULL, meaning);
    figures->list[figures->count - 1].text = text;
}

void agn_figures_interval(struct agn_figures *figures, double low, double high)
{
    assert(figures->count > 0);
    figures->list[figures->count - 1].low = low;
    figures->list[figures->count - 1].high = high;
}

const struct agn_figure *agn_figures_find(const struct agn_figures *figures, const char *key)
{
    for (int i = 0; i < figures->count; i++)
        if (strcmp(figures->list[i].key, key) == 0)
            return &figures->list[i];
    return NULL;
}

void agn_figures_take(struct agn_figures *figures, const struct agn_figures *from, const char *key)
{
    const struct agn_figure *figure = agn_figures_find(from, key);
    if (figure)
        append(figures, figure);
}

static bool has_interval(const struct agn_figure *figure)
{
    return figure->low < figure->high && isfinite(figure->low) && isfinite(figure->high);
}

/* ---- for people --------------------------------------------------------------------------- */

int agn_figure_text(const struct agn_figure *figure, char *text, size_t cap)
{
    text[0] = '\0';
    if (figure->kind == AGN_FIGURE_TEXT)
        return snprintf(text, cap, "%s", figure->text);
    if (!isfinite(figure->value))
        return 0;
    bool share = figure->kind == AGN_FIGURE_SHARE;
    double scale = share ? 100.0 : 1.0;
    const char *unit = share ? "%" : figure->unit ? figure->unit : "";
    int decimals = figure->decimals > 0               ? figure->decimals
                   : share                            ? 2
                   : figure->kind == AGN_FIGURE_WHOLE ? 0
                   : fabs(figure->value) < 10.0       ? 3
                                                      : 1;
    char interval[CELL_BYTES] = "";
    if (has_interval(figure))
        snprintf(interval, sizeof interval, " (%.*f to %.*f)", decimals, scale * figure->low, decimals,
                 scale * figure->high);
    return snprintf(text, cap, "%.*f%s%s%s", decimals, scale * figure->value, unit[0] ? " " : "", unit,
                    interval);
}

void agn_figures_print(FILE *stream, const struct agn_figures *figures)
{
    char value[CELL_BYTES];
    int key_columns = 0, value_columns = 0;
    for (int i = 0; i < figures->count; i++) {
        const struct agn_figure *figure = &figures->list[i];
        int key = (int)strlen(figure->key);
        if (agn_figure_text(figure, value, sizeof value) == 0)
            continue;
        key_columns = key > key_columns ? key : key_columns;
        int columns = agn_text_columns(value);
        value_columns = columns > value_columns ? columns : value_columns;
    }
    for (int i = 0; i < figures->count; i++) {
        const struct agn_figure *figure = &figures->list[i];
        if (agn_figure_text(figure, value, sizeof value) > 0)
            fprintf(stream, "  %-*s  %*s%s%s%s\n", key_columns, figure->key,
                    value_columns - agn_text_columns(value), "", value, figure->meaning ? "  " : "",
                    figure->meaning ? figure->meaning : "");
    }
}

void agn_figures_print_markdown(FILE *stream, const struct agn_figures *figures)
{
    char value[CELL_BYTES];
    fprintf(stream, "| figure | value | meaning |\n|---|---|---|\n");
    for (int i = 0; i < figures->count; i++) {
        const struct agn_figure *figure = &figures->list[i];
        if (agn_figure_text(figure, value, sizeof value) > 0)
            fprintf(stream, "| %s | %s | %s |\n", figure->key, value, figure->meaning ? figure->meaning : "");
    }
}

/* ---- for programs ------------------------------------------------------------------------- */

void agn_csv_field(FILE *stream, const char *text)
{
    if (text[strcspn(text, ",\"\r\n")] == '\0') {
        fputs(text, stream);
        return;
    }
    fputc('"', stream);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', stream);
        fputc(*text, stream);
    }
    fputc('"', stream);
}

void agn_figures_print_csv(FILE *stream, const struct agn_figures *figures)
{
    fprintf(stream, "key,unit,value,low,high,meaning\n");
    for (int i = 0; i < figures->count; i++) {
        const struct agn_figure *figure = &figures->list[i];
        bool interval = has_interval(figure);
        const double numbers[] = {figure->value, interval ? figure->low : (double)NAN,
                                  interval ? figure->high : (double)NAN};
        fprintf(stream, "%s,%s", figure->key, figure->unit ? figure->unit : "");
        for (size_t n = 0; n < AGN_COUNT_OF(numbers); n++) {
            fputc(',', stream);
            if (n == 0 && figure->kind == AGN_FIGURE_TEXT)
                agn_csv_field(stream, figure->text);
            else if (isfinite(numbers[n]))
                fprintf(stream, figure->kind == AGN_FIGURE_WHOLE ? "%.0f" : "%.9g", numbers[n]);
        }
        fputc(',', stream);
        agn_csv_field(stream, figure->meaning ? figure->meaning : "");
        fputc('\n', stream);
    }
}

static json_t *json_number(const struct agn_figure *figure, double value)
{
    return !isfinite(value)                   ? json_null()
           : figure->kind == AGN_FIGURE_WHOLE ? json_integer((json_int_t)value)
                                              : json_real(value);
}

/* Text of any origin: JSON is UTF-8. */
static json_t *json_text(const char *text)
{
    char clean[4096];
    json_t *string = json_string(text);
    if (string)
        return string;
    (void)agn_text_clip(clean, sizeof clean, text, (int)sizeof clean);
    return json_string(clean);
}

/* Takes the value, as jansson's functions do; not 0: out of memory. */
static int put(json_t *object, const char *key, const char *suffix, json_t *value)
{
    char name[KEY_BYTES];
    const char *dot = strchr(key, '.');
    if (!dot) {
        snprintf(name, sizeof name, "%s%s", key, suffix);
        return json_object_set_new(object, name, value);
    }
    snprintf(name, sizeof name, "%.*s", (int)(dot - key), key);
    json_t *inner = json_object_get(object, name);
    if (!inner) {
        inner = json_object();
        if (json_object_set_new(object, name, inner)) {
            json_decref(value);
            return -1;
        }
    }
    return put(inner, dot + 1, suffix, value);
}

struct json_t *agn_figures_json(const struct agn_figures *figures)
{
    json_t *object = json_object();
    int failed = object == NULL;
    for (int i = 0; i < figures->count && !failed; i++) {
        const struct agn_figure *figure = &figures->list[i];
        failed = put(object, figure->key, "",
                     figure->kind == AGN_FIGURE_TEXT ? json_text(figure->text)
                                                     : json_number(figure, figure->value));
        if (!failed && has_interval(figure))
            failed = put(object, figure->key, "_low", json_number(figure, figure->low)) ||
                     put(object, figure->key, "_high", json_number(figure, figure->high));
    }
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}
