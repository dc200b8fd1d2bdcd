/* The page: reads results files, has its sections written, puts them into report.html and report.md. */
#define _POSIX_C_SOURCE 200809L
#include "agilenn/report.h"

#include <stdlib.h>
#include <string.h>

#include "agilenn/plot.h"
#include "report/report_internal.h"

enum { MOST_BYTES = 256 << 20 };

/* ---- files of the page ------------------------------------------------------------------------ */

struct piece {
    const char *mark, *text;
    size_t size_bytes;
};

/* Writes the template with its marks filled in. */
static void fill(FILE *out, const struct agn_embedded_file *template, const struct piece *pieces,
                 size_t count)
{
    const char *at = (const char *)template->bytes, *end = at + template->size_bytes;
    while (at < end) {
        size_t k = 0, left = (size_t)(end - at);
        while (*at == '@' && k < count &&
               (strlen(pieces[k].mark) > left || memcmp(at, pieces[k].mark, strlen(pieces[k].mark)) != 0))
            k++;
        if (*at != '@' || k == count) {
            fputc(*at++, out);
            continue;
        }
        fwrite(pieces[k].text, 1, pieces[k].size_bytes, out);
        at += strlen(pieces[k].mark);
    }
}

static int write_html(const char *path, const char *title, const char *body, size_t size)
{
    const struct agn_embedded_file *page = agn__report_file("report.html"),
                                   *style = agn__report_file("report.css"),
                                   *script = agn__report_file("report.js");
    struct agn_file_out out;
    char *escaped = NULL;
    size_t title_size = 0;
    FILE *stream = open_memstream(&escaped, &title_size);
    if (stream == NULL || page == NULL || style == NULL || script == NULL)
        return agn_fail(AGN_ERR_MEMORY, "no memory for %s", path);
    agn__page_escape(stream, title);
    if (fclose(stream) != 0)
        return agn_fail(AGN_ERR_MEMORY, "no memory for %s", path);
    const struct piece pieces[] = {{"@TITLE@", escaped, title_size},
                                   {"@STYLE@", (const char *)style->bytes, style->size_bytes},
                                   {"@SCRIPT@", (const char *)script->bytes, script->size_bytes},
                                   {"@BODY@", body, size}};
    int status = agn_file_out_open(&out, path);
    if (status == AGN_OK) {
        fill(out.stream, page, pieces, AGN_COUNT_OF(pieces));
        status = agn_file_out_commit(&out);
    }
    free(escaped);
    return status;
}

/* ---- the page ----------------------------------------------------------------------------------- */

static int read_all(struct agn__report *report, const struct agn_report_config *config)
{
    int status = agn_board_load(config->board, &report->board);
    if (status >= 0)
        status = agn_radio_load(config->radio, &report->radio);
    if (status >= 0 && config->pictures)
        status = agn_plot_available();
    if (status >= 0)
        status = agn__paper_read(&report->paper);
    if (status >= 0)
        status = agn__report_read(&report->results, config->results, config->result_count);
    if (status >= 0)
        status = agn__report_designs_make(&report->results, &report->designs);
    return status < 0 ? status : AGN_OK;
}

static int write_sections(struct agn__report *report)
{
    static int (*const sections[])(struct agn__report *) = {
        agn__report_write_runs, agn__report_write_paper, agn__report_write_plans, agn__report_write_missing,
        agn__report_write_guidance};
    int status = AGN_OK;
    agn__page_legend(&report->page);
    for (size_t i = 0; i < AGN_COUNT_OF(sections) && status == AGN_OK; i++)
        status = sections[i](report);
    return status;
}

static int write_page(struct agn__report *report, const struct agn_report_config *config)
{
    char path[1100], title[400], *html = NULL, *markdown = NULL;
    size_t html_size = 0, markdown_size = 0;
    agn_text_clip(title, sizeof title, config->title, 200);
    report->page = (struct agn__page){.folder = config->folder,
                                      .html = open_memstream(&html, &html_size),
                                      .markdown = open_memstream(&markdown, &markdown_size)};
    int status = report->page.html != NULL && report->page.markdown != NULL
                     ? AGN_OK
                     : agn_fail(AGN_ERR_MEMORY, "no memory for a page");
    if (status == AGN_OK) {
        agn__page_title(&report->page, title);
        status = write_sections(report);
    }
    bool whole = (report->page.html == NULL || fclose(report->page.html) == 0);
    whole = (report->page.markdown == NULL || fclose(report->page.markdown) == 0) && whole;
    if (status == AGN_OK && (!whole || html_size > MOST_BYTES))
        status = agn_fail(AGN_ERR_MEMORY, "no memory for a page of %zu bytes", html_size);
    snprintf(path, sizeof path, "%s/report.html", config->folder);
    if (status == AGN_OK)
        status = write_html(path, title, html, html_size);
    snprintf(path, sizeof path, "%s/report.md", config->folder);
    if (status == AGN_OK)
        status = agn_file_write(path, markdown, markdown_size);
    free(html);
    free(markdown);
    return status;
}

static void count_runs(const struct agn__report *report, struct agn_report_summary *summary)
{
    *summary =
        (struct agn_report_summary){.plans = report->results.plan_count, .pictures = report->page.pictures};
    for (int i = 0; i < report->designs.count; i++)
        if (!report->designs.list[i].copy) {
            summary->runs += report->designs.list[i].done + report->designs.list[i].others;
            summary->done += report->designs.list[i].done;
        }
}

int agn_report_write(const struct agn_report_config *config, struct agn_report_summary *summary)
{
    struct agn__report *report = agn_alloc(1, sizeof *report);
    if (report == NULL)
        return AGN_ERR_MEMORY;
    report->pictures = config->pictures;
    int status = read_all(report, config);
    if (status == AGN_OK)
        status = write_page(report, config);
    if (status == AGN_OK && summary != NULL)
        count_runs(report, summary);
    agn__report_designs_free(&report->designs);
    agn__report_free(&report->results);
    agn__paper_free(&report->paper);
    agn_free(report);
    return status;
}

int agn_report_quick_plan(const char **text)
{
    const struct agn_embedded_file *plan = agn__report_file("quick.ini");
    if (plan == NULL)
        return agn_fail(AGN_ERR_NOT_FOUND, "the quick plan is missing from this program");
    *text = (const char *)plan->bytes;
    return (int)plan->size_bytes;
}
