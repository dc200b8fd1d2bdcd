/* A list of figures and what is written of it. */
#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "agilenn/base.h"

enum { CELL_BYTES = 256, KEY_BYTES = 128 };

/* ---- the list ------------------------------------------------------------------------- */

static void add(struct agn_figures *f, const struct agn_figure *figure)
{
    assert(f->count < AGN_MAX_FIGURES);
    f->list[f->count++] = *figure;
}

void agn_figures_add_real(struct agn_figures *f, const char *key, double value, const char *unit,
                          const char *meaning)
{
    add(f, &(struct agn_figure){.key = key, .unit = unit, .meaning = meaning, .value = value});
}

void agn_figures_add_whole(struct agn_figures *f, const char *key, double value, const char *meaning)
{
    agn_figures_add_real(f, key, value, "", meaning);
    f->list[f->count - 1].kind = AGN_FIGURE_WHOLE;
}

void agn_figures_add_share(struct agn_figures *f, const char *key, double value, const char *meaning)
{
    agn_figures_add_real(f, key, value, "", meaning);
    f->list[f->count - 1].kind = AGN_FIGURE_SHARE;
}

void agn_figures_add_text(struct agn_figures *f, const char *key, const char *text, const char *meaning)
{
    add(f, &(struct agn_figure){
               .key = key, .unit = "", .meaning = meaning, .kind = AGN_FIGURE_TEXT, .text = text});
}

void agn_figures_add_interval(struct agn_figures *f, double low, double high)
{
    assert(f->count > 0);
    f->list[f->count - 1].low = low;
    f->list[f->count - 1].high = high;
}

void agn_figures_add_from(struct agn_figures *f, const struct agn_figures *from, const char *const *keys,
                          size_t count)
{
    for (size_t k = 0; k < count; k++)
        for (int i = 0; i < from->count; i++)
            if (strcmp(from->list[i].key, keys[k]) == 0)
                add(f, &from->list[i]);
}

static bool has_interval(const struct agn_figure *figure)
{
    return isfinite(figure->low) && isfinite(figure->high) && figure->low < figure->high;
}

/* ---- for people --------------------------------------------------------------------------- */

/* "87.12 % (86.40 to 87.80)"; the bytes, 0: not known. */
static int write_cell(const struct agn_figure *figure, char cell[CELL_BYTES])
{
    bool share = figure->kind == AGN_FIGURE_SHARE, whole = figure->kind == AGN_FIGURE_WHOLE;
    int decimals = share ? 2 : whole ? 0 : fabs(figure->value) < 10.0 ? 3 : 1;
    double scale = share ? 100.0 : 1.0;
    if (figure->kind == AGN_FIGURE_TEXT)
        return snprintf(cell, CELL_BYTES, "%s", figure->text);
    if (!isfinite(figure->value))
        return 0;
    const char *unit = share ? "%" : figure->unit;
    int length =
        snprintf(cell, CELL_BYTES, "%.*f%s%s", decimals, scale * figure->value, unit[0] ? " " : "", unit);
    if (has_interval(figure))
        length += snprintf(cell + length, (size_t)(CELL_BYTES - length), " (%.*f to %.*f)", decimals,
                           scale * figure->low, decimals, scale * figure->high);
    return length;
}

static void print(const struct agn_figures *f, FILE *stream, const char *format, int key_width, int width)
{
    char cell[CELL_BYTES];
    for (const struct agn_figure *figure = f->list; figure < f->list + f->count; figure++)
        if (write_cell(figure, cell) > 0)
            fprintf(stream, format, key_width, figure->key, width, cell, figure->meaning);
}

void agn_figures_print(const struct agn_figures *f, FILE *stream)
{
    char cell[CELL_BYTES];
    int key_width = 0, width = 0;
    for (const struct agn_figure *figure = f->list; figure < f->list + f->count; figure++) {
        int key = (int)strlen(figure->key), value = write_cell(figure, cell);
        key_width = value > 0 && key > key_width ? key : key_width;
        width = value > width ? value : width;
    }
    print(f, stream, "  %-*s  %*s  %s\n", key_width, width);
}

void agn_figures_print_markdown(const struct agn_figures *f, FILE *stream)
{
    fprintf(stream, "| figure | value | meaning |\n|---|---|---|\n");
    print(f, stream, "| %-*s | %*s | %s |\n", 0, 0);
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

void agn_figures_print_csv(const struct agn_figures *f, FILE *stream)
{
    fprintf(stream, "key,unit,value,low,high,meaning\n");
    for (const struct agn_figure *figure = f->list; figure < f->list + f->count; figure++) {
        fprintf(stream, "%s,%s,", figure->key, figure->unit);
        if (figure->kind == AGN_FIGURE_TEXT)
            agn_csv_field(stream, figure->text);
        else if (isfinite(figure->value))
            fprintf(stream, figure->kind == AGN_FIGURE_WHOLE ? "%.0f" : "%.9g", figure->value);
        if (has_interval(figure))
            fprintf(stream, ",%.9g,%.9g,", figure->low, figure->high);
        else
            fputs(",,,", stream);
        agn_csv_field(stream, figure->meaning);
        fputc('\n', stream);
    }
}

static json_t *json_value(const struct agn_figure *figure, double value)
{
    if (figure->kind != AGN_FIGURE_TEXT)
        return !isfinite(value)                   ? json_null()
               : figure->kind == AGN_FIGURE_WHOLE ? json_integer((json_int_t)value)
                                                  : json_real(value);
    char clean[CELL_BYTES]; /* JSON is UTF-8, text of any origin need not be */
    json_t *string = json_string(figure->text);
    (void)agn_text_clip(clean, sizeof clean, figure->text, CELL_BYTES);
    return string ? string : json_string(clean);
}

/* Not 0: out of memory. */
static int put(json_t *object, const char *key, const char *suffix, json_t *value)
{
    char name[KEY_BYTES];
    const char *dot = strchr(key, '.');
    if (!dot) {
        (void)snprintf(name, sizeof name, "%s%s", key, suffix);
        return json_object_set_new(object, name, value);
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)(dot - key), key);
    if (!json_object_get(object, name))
        json_object_set_new(object, name, json_object());
    return put(json_object_get(object, name), dot + 1, suffix, value);
}

struct json_t *agn_figures_json(const struct agn_figures *f)
{
    json_t *object = json_object();
    int failed = 0;
    for (const struct agn_figure *figure = f->list; figure < f->list + f->count; figure++) {
        failed |= put(object, figure->key, "", json_value(figure, figure->value));
        if (has_interval(figure)) {
            failed |= put(object, figure->key, "_low", json_value(figure, figure->low));
            failed |= put(object, figure->key, "_high", json_value(figure, figure->high));
        }
    }
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}
