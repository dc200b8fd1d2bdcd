/* The worst mistakes: CSV, sheet of pictures, text and JSON. */
#include "cli/mistakes_report.h"

#include "cli/class_report.h"
#include "cli/cli.h"

enum { MOST_LINES = 10, NAME_COLUMNS = 20, PATH_BYTES = 4096, TITLE_BYTES = 128 };

static const char *file_of(const struct agn_dataset *data, int image)
{
    return data->files ? data->files[image] : NULL;
}

static int write_table(const char *folder, const struct agn__mistakes_report *report)
{
    char path[PATH_BYTES];
    struct agn_file_out out;
    int status = agn_path_in(path, sizeof path, folder, "mistakes.csv");
    if (status == AGN_OK)
        status = agn_file_out_open(&out, path);
    if (status != AGN_OK)
        return status;
    fprintf(out.stream, "index,file,true_class,predicted_class,margin,probability\n");
    for (int i = 0; i < report->mistakes->count; i++) {
        const struct agn_mistake *m = &report->mistakes->list[i];
        const char *file = file_of(report->data, m->image);
        fprintf(out.stream, "%d,", m->image);
        agn_csv_field(out.stream, file ? file : "");
        fputc(',', out.stream);
        agn_csv_field(out.stream, report->names[m->label]);
        fputc(',', out.stream);
        agn_csv_field(out.stream, report->names[m->predicted]);
        fprintf(out.stream, ",%.4f,%.4f\n", m->margin, m->probability);
    }
    return agn_file_out_commit(&out);
}

static void write_title(char title[TITLE_BYTES], const struct agn__mistakes_report *report)
{
    const struct agn_mistakes *mistakes = report->mistakes;
    int length;
    if (mistakes->found == 0)
        length = snprintf(title, TITLE_BYTES, "No mistakes");
    else if (mistakes->count < mistakes->found)
        length =
            snprintf(title, TITLE_BYTES, "The worst %d of %d mistakes", mistakes->count, mistakes->found);
    else
        length = snprintf(title, TITLE_BYTES, "All mistakes (%d), the worst first", mistakes->found);
    snprintf(title + length, (size_t)(TITLE_BYTES - length), " on %d images of %s", report->images,
             report->split);
}

static int draw_sheet(const char *folder, const struct agn__mistakes_report *report)
{
    const struct agn_dataset *data = report->data;
    struct agn_plot_mistake pictures[AGN_PLOT_MAX_MISTAKES];
    char path[PATH_BYTES], title[TITLE_BYTES];
    struct agn_plot_mistakes sheet = {.title = title,
                                      .height = data->height,
                                      .width = data->width,
                                      .channels = data->channels,
                                      .mistakes = pictures};
    size_t image = (size_t)data->height * (size_t)data->width * (size_t)data->channels;
    for (int i = 0; i < report->mistakes->count && i < AGN_PLOT_MAX_MISTAKES; i++) {
        const struct agn_mistake *m = &report->mistakes->list[i];
        pictures[sheet.count++] =
            (struct agn_plot_mistake){.true_class = report->names[m->label],
                                      .predicted_class = report->names[m->predicted],
                                      .image = m->image,
                                      .margin = m->margin,
                                      .pixels = data->pixels + (size_t)m->image * image};
    }
    write_title(title, report);
    int status = agn_path_in(path, sizeof path, folder, "mistakes.png");
    return status == AGN_OK ? agn_plot_mistakes(path, &sheet) : status;
}

int agn__cli_write_mistakes(const char *folder, const struct agn__mistakes_report *report)
{
    int status = agn_make_dirs(folder);
    if (status == AGN_OK)
        status = write_table(folder, report);
    if (status == AGN_OK)
        status = draw_sheet(folder, report);
    return status;
}

void agn__cli_print_mistakes(FILE *stream, const struct agn__mistakes_report *report)
{
    const struct agn_mistakes *mistakes = report->mistakes;
    int lines = mistakes->count < MOST_LINES ? mistakes->count : MOST_LINES;
    fprintf(stream, "\nmistakes: %d of %d images%s\n", mistakes->found, report->images,
            lines > 0 ? "; the worst:" : "");
    if (lines > 0)
        fprintf(stream, "  image  margin  probability  %-*s %-*s %s\n", NAME_COLUMNS, "true class",
                NAME_COLUMNS, "predicted class", report->data->files ? "file" : "");
    for (int i = 0; i < lines; i++) {
        const struct agn_mistake *m = &mistakes->list[i];
        const char *file = file_of(report->data, m->image);
        fprintf(stream, "%7d %7.2f %10.1f %%  ", m->image, m->margin, 100.0 * m->probability);
        agn__cli_print_name(stream, report->names[m->label], NAME_COLUMNS);
        fputc(' ', stream);
        agn__cli_print_name(stream, report->names[m->predicted], NAME_COLUMNS);
        if (file) {
            fputc(' ', stream);
            agn__cli_print_name(stream, file, 0);
        }
        fputc('\n', stream);
    }
}

json_t *agn__cli_json_mistakes(const struct agn__mistakes_report *report)
{
    json_t *list = json_array();
    for (int i = 0; i < report->mistakes->count && list; i++) {
        const struct agn_mistake *m = &report->mistakes->list[i];
        const char *file = file_of(report->data, m->image);
        json_array_append_new(list,
                              json_pack("{s:i, s:o, s:o, s:o, s:o, s:o}", "index", m->image, "file",
                                        file ? agn__cli_json_string(file) : json_null(), "true_class",
                                        agn__cli_json_string(report->names[m->label]), "predicted_class",
                                        agn__cli_json_string(report->names[m->predicted]), "margin",
                                        agn__cli_json_real(m->margin), "probability",
                                        agn__cli_json_real(m->probability)));
    }
    return list;
}
