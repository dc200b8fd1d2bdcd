/* Reads paper.csv, which holds no quotes. */
#include "report/paper.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_files.h"

enum { FIELDS = 8, FIELD_BYTES = 160 };

const struct agn_embedded_file *agn__report_file(const char *name)
{
    for (int i = 0; i < agn__report_file_count; i++)
        if (strcmp(agn__report_files[i].name, name) == 0)
            return &agn__report_files[i];
    return NULL;
}

static int count_lines(const struct agn_embedded_file *file)
{
    int lines = 0;
    for (size_t i = 0; i < file->size_bytes; i++)
        lines += file->bytes[i] == '\n';
    return lines;
}

/* One line of `length` bytes into the next row. */
static int read_line(struct agn__paper *paper, const char *line, size_t length)
{
    char field[FIELD_BYTES];
    const char *fields[FIELDS], *end = line + length;
    for (int i = 0; i < FIELDS; i++) {
        const char *comma = memchr(line, ',', (size_t)(end - line)), *stop = comma != NULL ? comma : end;
        size_t size = (size_t)(stop - line);
        if ((comma == NULL) != (i == FIELDS - 1) || size >= sizeof field)
            return agn_fail(AGN_ERR_FORMAT, "paper.csv: expected %d fields in '%.*s'", FIELDS, (int)length,
                            end - length);
        memcpy(field, line, size);
        field[size] = '\0';
        fields[i] = agn__report_keep(&paper->texts, field, sizeof field, false);
        if (fields[i] == NULL)
            return AGN_ERR_MEMORY;
        line = comma != NULL ? comma + 1 : end;
    }
    char *rest;
    double value = strtod(fields[5], &rest);
    if (*rest != '\0' || rest == fields[5])
        return agn_fail(AGN_ERR_FORMAT, "paper.csv: '%s' is no number", fields[5]);
    paper->rows[paper->count++] = (struct agn__paper_row){.table = fields[0],
                                                          .dataset = fields[1],
                                                          .system = fields[2],
                                                          .setting = fields[3],
                                                          .figure = fields[4],
                                                          .value = value,
                                                          .unit = fields[6],
                                                          .note = fields[7]};
    return AGN_OK;
}

int agn__paper_read(struct agn__paper *paper)
{
    const struct agn_embedded_file *file = agn__report_file("paper.csv");
    if (file == NULL)
        return agn_fail(AGN_ERR_FORMAT, "paper.csv is missing from this program");
    paper->rows = agn_alloc((size_t)count_lines(file) + 1, sizeof *paper->rows);
    if (paper->rows == NULL)
        return AGN_ERR_MEMORY;
    const char *at = (const char *)file->bytes, *end = at + file->size_bytes;
    int status = AGN_OK;
    for (bool head = true; at < end && status == AGN_OK; head = false) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop != NULL ? stop : end) - at);
        if (!head)
            status = read_line(paper, at, length);
        at += length + 1;
    }
    return status;
}

void agn__paper_free(struct agn__paper *paper)
{
    agn_free(paper->rows);
    agn__report_drop(&paper->texts);
    *paper = (struct agn__paper){0};
}

static bool same_place(const struct agn__paper_row *a, const struct agn__paper_row *b)
{
    return strcmp(a->table, b->table) == 0 && strcmp(a->dataset, b->dataset) == 0 &&
           strcmp(a->system, b->system) == 0 && strcmp(a->setting, b->setting) == 0;
}

double agn__paper_value(const struct agn__paper *paper, const struct agn__paper_row *like, const char *figure)
{
    for (int i = 0; i < paper->count; i++)
        if (same_place(&paper->rows[i], like) && strcmp(paper->rows[i].figure, figure) == 0)
            return paper->rows[i].value;
    return NAN;
}

bool agn__paper_begins(const struct agn__paper *paper, int row)
{
    for (int i = 0; i < row; i++)
        if (same_place(&paper->rows[i], &paper->rows[row]))
            return false;
    return true;
}
