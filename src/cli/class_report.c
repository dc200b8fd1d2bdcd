/* Accuracy by class, in text and JSON. */
#include "cli/class_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agilenn/plot.h"
#include "cli/cli.h"
#include "cli/preset_options.h"

enum { MOST_ROWS = 20, NAME_COLUMNS = 20 };

static double share(int part, int whole)
{
    return whole > 0 ? (double)part / whole : 0.0;
}

/* Classes as they are listed: in their order, or if there are many the worst first; those without images are
 * left out. Returns how many there are. */
static int list_classes(const struct agn__class_report *report, int rows[AGN_MAX_CLASSES])
{
    int count = 0;
    for (int c = 0; c < report->classes; c++)
        if (report->counts[c].images > 0)
            rows[count++] = c;
    if (report->classes <= MOST_ROWS)
        return count;
    for (int i = 1; i < count; i++) { /* stable: the first of equals stays first */
        int moved = rows[i], at = i;
        const struct agn_class_count *m = &report->counts[moved];
        for (; at > 0; at--) {
            const struct agn_class_count *other = &report->counts[rows[at - 1]];
            if (share(other->right, other->images) <= share(m->right, m->images))
                break;
            rows[at] = rows[at - 1];
        }
        rows[at] = moved;
    }
    return count < MOST_ROWS ? count : MOST_ROWS;
}

/* The wrong class that images of class `c` are taken for most often; -1: none. */
static int usual_mistake(const struct agn__class_report *report, int c)
{
    int worst = -1;
    for (int p = 0; report->confusion && p < report->classes; p++) {
        const int *row = report->confusion + (size_t)c * (size_t)report->classes;
        if (p != c && row[p] > 0 && (worst < 0 || row[p] > row[worst]))
            worst = p;
    }
    return worst;
}

static void print_matrix(FILE *stream, const struct agn__class_report *report)
{
    fprintf(stream, "\nconfusion: rows are true classes, columns are predictions in the same order\n");
    for (int c = 0; c < report->classes; c++) {
        agn__cli_print_name(stream, report->names[c], NAME_COLUMNS);
        for (int p = 0; p < report->classes; p++)
            fprintf(stream, " %5d", report->confusion[(size_t)c * (size_t)report->classes + (size_t)p]);
        fputc('\n', stream);
    }
}

void agn__cli_print_classes(FILE *stream, const struct agn__class_report *report)
{
    int rows[AGN_MAX_CLASSES];
    int count = list_classes(report, rows);
    bool worst_only = report->classes > MOST_ROWS;
    fprintf(stream, "\n%-*s images  %7s  %spredicted%s\n", NAME_COLUMNS,
            worst_only ? "worst classes" : "class", report->of_run ? "correct" : "fused",
            report->no_local ? "" : "  local  ", report->confusion ? "  most often taken for" : "");
    for (int i = 0; i < count; i++) {
        const struct agn_class_count *n = &report->counts[rows[i]];
        agn__cli_print_name(stream, report->names[rows[i]], NAME_COLUMNS);
        fprintf(stream, " %6d %6.2f %%", n->images, 100.0 * share(n->right, n->images));
        if (!report->no_local)
            fprintf(stream, " %6.2f %%", 100.0 * share(n->local_right, n->images));
        fprintf(stream, " %10d", n->predicted);
        int mistake = usual_mistake(report, rows[i]);
        if (mistake >= 0) {
            fputs("  ", stream);
            agn__cli_print_name(stream, report->names[mistake], 0);
        }
        fputc('\n', stream);
    }
    if (report->confusion && !worst_only)
        print_matrix(stream, report);
}

static bool never_predicted(const struct agn_class_count *count)
{
    return count->images > 0 && count->predicted == 0;
}

void agn__cli_print_never_predicted(FILE *stream, const struct agn__class_report *report)
{
    int found = 0;
    for (int c = 0; c < report->classes; c++) {
        if (!never_predicted(&report->counts[c]))
            continue;
        if (found++ >= MOST_ROWS)
            continue;
        fputs(found == 1 ? "warning: never predicted: class " : ", ", stream);
        agn__cli_print_name(stream, report->names[c], 0);
        int images = report->counts[c].images;
        fprintf(stream, " (%d image%s)", images, images == 1 ? "" : "s");
    }
    if (found > MOST_ROWS)
        fprintf(stream, " and %d more classes", found - MOST_ROWS);
    if (found > 0)
        fprintf(stream, "; more images of it, or classes that differ more, help\n");
}

json_t *agn__cli_json_classes(const struct agn__class_report *report)
{
    json_t *list = json_array();
    for (int c = 0; c < report->classes && list; c++) {
        const struct agn_class_count *n = &report->counts[c];
        bool known = n->images > 0;
        json_array_append_new(
            list,
            json_pack("{s:o, s:i, s:o, s:o, s:i}", "name", agn__cli_json_string(report->names[c]), "count",
                      n->images, report->of_run ? "accuracy" : "accuracy_fused",
                      known ? json_real(share(n->right, n->images)) : json_null(), "accuracy_local",
                      known && !report->no_local ? json_real(share(n->local_right, n->images)) : json_null(),
                      "predicted", n->predicted));
    }
    return list;
}

json_t *agn__cli_json_confusion(const struct agn__class_report *report)
{
    json_t *rows = json_array();
    for (int c = 0; c < report->classes && rows; c++) {
        json_t *row = json_array();
        for (int p = 0; p < report->classes && row; p++)
            json_array_append_new(
                row, json_integer(report->confusion[(size_t)c * (size_t)report->classes + (size_t)p]));
        json_array_append_new(rows, row);
    }
    return rows;
}

static int write_table(const char *path, const struct agn__class_report *report)
{
    struct agn_file_out out;
    int status = agn_file_out_open(&out, path);
    if (status < 0)
        return status;
    fputs("true", out.stream);
    for (int p = 0; p < report->classes; p++) {
        fputc(',', out.stream);
        agn_csv_field(out.stream, report->names[p]);
    }
    for (int c = 0; c < report->classes; c++) {
        fputc('\n', out.stream);
        agn_csv_field(out.stream, report->names[c]);
        for (int p = 0; p < report->classes; p++)
            fprintf(out.stream, ",%d", report->confusion[(size_t)c * (size_t)report->classes + (size_t)p]);
    }
    fputc('\n', out.stream);
    return agn_file_out_commit(&out);
}

struct agn_cli_option agn__cli_confusion_option(struct agn_cli_list *files)
{
    return (struct agn_cli_option){.name = "confusion",
                                   .metavar = "FILE",
                                   .type = AGN_CLI_LIST,
                                   .list = files,
                                   .help =
                                       "write the confusion matrix, a row for each true class and a column "
                                       "for each prediction: drawn if FILE ends in .png, else as CSV"};
}

static bool is_picture(const char *path)
{
    size_t length = strlen(path);
    return length >= 4 && strcasecmp(path + length - 4, ".png") == 0;
}

int agn__cli_check_confusion(const struct agn_cli_list *files)
{
    int status = AGN_OK;
    for (int i = 0; i < files->count && status == AGN_OK; i++)
        if (is_picture(files->items[i]))
            status = agn_plot_available();
    return status;
}

int agn__cli_write_confusion(const struct agn_cli_list *files, const struct agn__class_report *report)
{
    const struct agn_plot_confusion plot = {report->classes, report->names, report->confusion};
    int status = AGN_OK;
    for (int i = 0; i < files->count && status == AGN_OK; i++)
        status = is_picture(files->items[i]) ? agn_plot_confusion(files->items[i], &plot)
                                             : write_table(files->items[i], report);
    return status;
}
