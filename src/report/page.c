/* Writes HTML and Markdown of the same content. Style and script are report.css and report.js. */
#include "report/page.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { SENTENCE_BYTES = 4096, PICTURE_BYTES = 4 << 20 };

static const struct {
    const char *mark, *name, *meaning;
} sources[AGN__SOURCES] = {
    [AGN__MEASURED] = {"●", "measured", "by a run of this program: int8 device library, wire and server"},
    [AGN__MODELLED] =
        {"≈", "modelled",
         "computed from a run's counted instructions, bytes and packets with profiles of a board and a "
         "radio; typical, and low to high"},
    [AGN__PAPER] = {"†", "from the paper",
                    "published figures; those of pictures were read off, to about 0.1"},
};
static const char *const classes[AGN__SOURCES] = {"measured", "modelled", "paper"};

const char *agn__source_name(enum agn__source source)
{
    return sources[source].name;
}

/* ---- text ---------------------------------------------------------------------------------- */

void agn__page_escape(FILE *html, const char *text)
{
    for (; *text != '\0'; text++)
        switch (*text) {
        case '<':
            fputs("&lt;", html);
            break;
        case '>':
            fputs("&gt;", html);
            break;
        case '&':
            fputs("&amp;", html);
            break;
        case '"':
            fputs("&quot;", html);
            break;
        case '\'':
            fputs("&#39;", html);
            break;
        default:
            fputc(*text, html);
        }
}

static void escape_markdown(FILE *markdown, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '<')
            fputs("&lt;", markdown);
        else if (*text == '&')
            fputs("&amp;", markdown);
        else {
            if (strchr("\\`*_[]|#~$", *text) != NULL)
                fputc('\\', markdown);
            fputc(*text == '\n' ? ' ' : *text, markdown);
        }
    }
}

static void element(struct agn__page *page, const char *tag, const char *text)
{
    fprintf(page->html, "<%s>", tag);
    agn__page_escape(page->html, text);
    fprintf(page->html, "</%s>\n", tag);
}

void agn__page_title(struct agn__page *page, const char *title)
{
    fprintf(page->markdown, "# ");
    escape_markdown(page->markdown, title);
    fputc('\n', page->markdown);
}

void agn__page_section(struct agn__page *page, const char *id, const char *title)
{
    fprintf(page->html, "<h2 id=\"%s\">", id);
    agn__page_escape(page->html, title);
    fprintf(page->html, "</h2>\n");
    fprintf(page->markdown, "\n## ");
    escape_markdown(page->markdown, title);
    fprintf(page->markdown, "\n");
}

void agn__page_part(struct agn__page *page, const char *title)
{
    element(page, "h3", title);
    fprintf(page->markdown, "\n### ");
    escape_markdown(page->markdown, title);
    fprintf(page->markdown, "\n");
}

void agn__page_text(struct agn__page *page, const char *format, ...)
{
    char text[SENTENCE_BYTES];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    element(page, "p", text);
    fputc('\n', page->markdown);
    escape_markdown(page->markdown, text);
    fputc('\n', page->markdown);
}

void agn__page_point(struct agn__page *page, const char *format, ...)
{
    char text[SENTENCE_BYTES];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    element(page, "li", text);
    fprintf(page->markdown, "\n- ");
    escape_markdown(page->markdown, text);
    fputc('\n', page->markdown);
}

void agn__page_list_begin(struct agn__page *page)
{
    fprintf(page->html, "<ul>\n");
}

void agn__page_list_end(struct agn__page *page)
{
    fprintf(page->html, "</ul>\n");
}

/* Indented, so that no text can end it. */
static void code_markdown(FILE *markdown, const char *text)
{
    fprintf(markdown, "\n    ");
    for (; *text != '\0'; text++) {
        fputc(*text, markdown);
        if (*text == '\n')
            fprintf(markdown, "    ");
    }
    fprintf(markdown, "\n");
}

void agn__page_code(struct agn__page *page, const char *text)
{
    fprintf(page->html, "<pre tabindex=\"0\"><code>");
    agn__page_escape(page->html, text);
    fprintf(page->html, "</code></pre>\n");
    code_markdown(page->markdown, text);
}

void agn__page_folded(struct agn__page *page, const char *summary, const char *text)
{
    fprintf(page->html, "<details>");
    element(page, "summary", summary);
    fprintf(page->html, "<pre tabindex=\"0\"><code>");
    agn__page_escape(page->html, text);
    fprintf(page->html, "</code></pre></details>\n");
    fprintf(page->markdown, "\n");
    escape_markdown(page->markdown, summary);
    fprintf(page->markdown, ":\n");
    code_markdown(page->markdown, text);
}

void agn__page_legend(struct agn__page *page)
{
    fprintf(page->html, "<dl class=\"legend\">\n");
    fprintf(page->markdown, "\n| mark | figures that are | |\n|---|---|---|\n");
    for (int i = 0; i < AGN__SOURCES; i++) {
        fprintf(page->html, "<div><dt class=\"%s\"><span class=\"mark\">%s</span> %s</dt><dd>%s</dd></div>\n",
                classes[i], sources[i].mark, sources[i].name, sources[i].meaning);
        fprintf(page->markdown, "| %s | %s | %s |\n", sources[i].mark, sources[i].name, sources[i].meaning);
    }
    fprintf(page->html, "</dl>\n");
}

/* ---- tables -------------------------------------------------------------------------------- */

void agn__table_begin(struct agn__page *page, const char *caption, const char *const *columns, int count,
                      unsigned numbers)
{
    page->table.caption = caption;
    page->table.columns = columns;
    page->table.column_count = count;
    page->table.numbers = numbers;
    page->table.rows = page->table.hidden = 0;
    page->table.open = false;
}

static void table_head(struct agn__page *page)
{
    fprintf(page->html, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"");
    agn__page_escape(page->html, page->table.caption);
    fprintf(page->html, "\"><table><caption>");
    agn__page_escape(page->html, page->table.caption);
    fprintf(page->html, "</caption>\n<thead><tr>");
    fprintf(page->markdown, "\n**");
    escape_markdown(page->markdown, page->table.caption);
    fprintf(page->markdown, "**\n\n|");
    for (int i = 0; i < page->table.column_count; i++) {
        fprintf(page->html, "<th scope=\"col\"%s>", page->table.numbers >> i & 1U ? " class=\"number\"" : "");
        agn__page_escape(page->html, page->table.columns[i]);
        fprintf(page->html, "</th>");
        fprintf(page->markdown, " ");
        escape_markdown(page->markdown, page->table.columns[i]);
        fprintf(page->markdown, " |");
    }
    fprintf(page->html, "</tr></thead>\n<tbody>\n");
    fprintf(page->markdown, "\n|");
    for (int i = 0; i < page->table.column_count; i++)
        fprintf(page->markdown, page->table.numbers >> i & 1U ? "--:|" : "---|");
}

static void end_row(struct agn__page *page)
{
    if (page->table.open)
        fprintf(page->html, "</tr>\n");
    page->table.open = false;
}

bool agn__table_row(struct agn__page *page)
{
    end_row(page);
    if (page->table.rows == 0)
        table_head(page);
    if (page->table.rows >= AGN__MOST_ROWS) {
        page->table.hidden++;
        return false;
    }
    page->table.rows++;
    page->table.open = true;
    fprintf(page->html, "<tr>");
    fprintf(page->markdown, "\n|");
    return true;
}

void agn__table_text(struct agn__page *page, const char *text)
{
    if (!page->table.open)
        return;
    fprintf(page->html, "<td>");
    agn__page_escape(page->html, text);
    fprintf(page->html, "</td>");
    fprintf(page->markdown, " ");
    escape_markdown(page->markdown, text);
    fprintf(page->markdown, " |");
}

void agn__table_label(struct agn__page *page, enum agn__source source, const char *text)
{
    if (!page->table.open)
        return;
    fprintf(page->html, "<td class=\"%s\"><span class=\"mark\">%s</span> ", classes[source],
            sources[source].mark);
    agn__page_escape(page->html, text);
    fprintf(page->html, "</td>");
    fprintf(page->markdown, " %s ", sources[source].mark);
    escape_markdown(page->markdown, text);
    fprintf(page->markdown, " |");
}

/* A number in so many decimals, unless that would fill the page; decimals < 0: in those that it has. */
static void number(char text[32], double value, int decimals)
{
    if (decimals >= 0 && fabs(value) < 1e9)
        snprintf(text, 32, "%.*f", decimals, value == 0.0 ? 0.0 : value);
    else
        snprintf(text, 32, "%.6g", value);
}

void agn__table_value(struct agn__page *page, enum agn__source source, struct agn__value value, double scale,
                      int decimals)
{
    char mean[32], low[32] = "", high[32] = "";
    if (!page->table.open)
        return;
    if (!isfinite(value.mean)) {
        fprintf(page->html, "<td class=\"number none\">–</td>");
        fprintf(page->markdown, " – |");
        return;
    }
    number(mean, scale * value.mean, source == AGN__PAPER ? -1 : decimals);
    if (isfinite(value.low) && isfinite(value.high)) {
        number(low, scale * value.low, decimals);
        number(high, scale * value.high, decimals);
    }
    fprintf(page->html,
            "<td class=\"number %s\" data-value=\"%.9g\"><span class=\"mark\" title=\"%s\">%s</span> %s",
            classes[source], scale * value.mean, sources[source].name, sources[source].mark, mean);
    fprintf(page->markdown, " %s %s", sources[source].mark, mean);
    if (strcmp(low, high) != 0) {
        fprintf(page->html, " <span class=\"interval\">%s to %s</span>", low, high);
        fprintf(page->markdown, " (%s to %s)", low, high);
    }
    fprintf(page->html, "</td>");
    fprintf(page->markdown, " |");
}

void agn__table_count(struct agn__page *page, double count)
{
    char text[32];
    if (!page->table.open)
        return;
    number(text, count, 0);
    if (!isfinite(count))
        snprintf(text, sizeof text, "–");
    fprintf(page->html, "<td class=\"number\">%s</td>", text);
    fprintf(page->markdown, " %s |", text);
}

int agn__table_end(struct agn__page *page)
{
    end_row(page);
    if (page->table.rows == 0)
        return 0;
    fprintf(page->html, "</tbody></table></div>\n");
    fprintf(page->markdown, "\n");
    if (page->table.hidden > 0)
        agn__page_text(page, "%d more rows are left out here; `agilenn sweep csv` has all.",
                       page->table.hidden);
    return page->table.rows + page->table.hidden;
}

/* ---- pictures ------------------------------------------------------------------------------- */

/* Names within an SVG are the page's once it stands there: each gets the picture's number before it. */
static void copy_with_own_names(struct agn__page *page, const char *svg)
{
    static const char *const before[] = {" id='", " id=\"", "href='#", "href=\"#", "url(#"};
    while (*svg != '\0') {
        size_t length = 0;
        for (size_t i = 0; i < AGN_COUNT_OF(before) && length == 0; i++)
            if (strncmp(svg, before[i], strlen(before[i])) == 0)
                length = strlen(before[i]);
        if (length > 0) {
            fprintf(page->html, "%.*sp%d-", (int)length, svg, page->pictures);
            svg += length;
        } else {
            fputc(*svg++, page->html);
        }
    }
}

/* From <svg on, with another title and without what made it. */
static int inline_svg(struct agn__page *page, const char *svg, const char *name, const char *text)
{
    const char *start = strstr(svg, "<svg"), *title = start != NULL ? strstr(start, "<title>") : NULL,
               *rest = title != NULL ? strstr(title, "</desc>") : NULL;
    if (rest == NULL)
        return agn_fail(AGN_ERR_FORMAT, "%s/%s is no picture that gnuplot has made", page->folder, name);
    fprintf(page->html, "<figure><svg role=\"img\" aria-labelledby=\"p%d-title\"", page->pictures);
    fprintf(page->html, "%.*s<title id=\"p%d-title\">", (int)(title - start - 4), start + 4, page->pictures);
    agn__page_escape(page->html, text);
    fprintf(page->html, "</title>");
    copy_with_own_names(page, rest + strlen("</desc>"));
    fprintf(page->html, "\n<figcaption>");
    agn__page_escape(page->html, text);
    fprintf(page->html, "</figcaption></figure>\n");
    return AGN_OK;
}

int agn__page_picture(struct agn__page *page, const char *name, const char *text)
{
    char path[1100];
    uint8_t *svg = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "%s/%s", page->folder, name);
    int status = agn_file_read(path, PICTURE_BYTES, &svg, &size);
    if (status < 0)
        return status;
    page->pictures++;
    status = inline_svg(page, (const char *)svg, name, text);
    agn_free(svg);
    fprintf(page->markdown, "\n![");
    escape_markdown(page->markdown, text);
    fprintf(page->markdown, "](%s)\n", name);
    return status;
}
