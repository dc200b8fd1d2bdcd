/* The page while it is written, as HTML and as Markdown at once. All text that is given is escaped. */
#ifndef AGN_REPORT_PAGE_H
#define AGN_REPORT_PAGE_H

#include <stdio.h>

#include "report/designs.h"

/* Where a figure comes from: a mark and a colour. */
enum agn__source { AGN__MEASURED, AGN__MODELLED, AGN__PAPER, AGN__SOURCES };
const char *agn__source_name(enum agn__source source);

struct agn__page {
    FILE *html, *markdown;
    const char *folder;
    int pictures; /* in it so far */
    struct {
        const char *caption;
        const char *const *columns;
        int column_count, rows, hidden;
        unsigned numbers;
        bool open;
    } table;
};

enum { AGN__MOST_ROWS = 200 }; /* of a table */

/* Of the Markdown; HTML has it from its template. */
void agn__page_title(struct agn__page *page, const char *title);
void agn__page_section(struct agn__page *page, const char *id, const char *title);
void agn__page_part(struct agn__page *page, const char *title);
void agn__page_text(struct agn__page *page, const char *format, ...) AGN_PRINTF(2, 3);
/* A list of points. */
void agn__page_list_begin(struct agn__page *page);
void agn__page_list_end(struct agn__page *page);
void agn__page_point(struct agn__page *page, const char *format, ...) AGN_PRINTF(2, 3);
/* A command line, or another text as it is. */
void agn__page_code(struct agn__page *page, const char *text);
/* The same, folded below `summary`. */
void agn__page_folded(struct agn__page *page, const char *summary, const char *text);
/* Marks and colours and what they mean. */
void agn__page_legend(struct agn__page *page);

/* The bits from `from` up to `end`: columns that are numbers. */
#define AGN__NUMBERS(from, end) ((1U << (end)) - (1U << (from)))
/* A table whose head is written with its first row: one without rows leaves nothing. Caption and columns stay
 * the caller's until its end. agn__table_row begins a row; false: there are AGN__MOST_ROWS already, and what
 * is written up to the next one is left out. agn__table_end says how many were left out; returns the rows. */
void agn__table_begin(struct agn__page *page, const char *caption, const char *const *columns, int count,
                      unsigned numbers);
bool agn__table_row(struct agn__page *page);
void agn__table_text(struct agn__page *page, const char *text);
/* Text with the mark and the colour of a source. */
void agn__table_label(struct agn__page *page, enum agn__source source, const char *text);
/* A figure times `scale`, the paper's in as many digits as it has; a dash where it is not known. */
void agn__table_value(struct agn__page *page, enum agn__source source, struct agn__value value, double scale,
                      int decimals);
void agn__table_count(struct agn__page *page, double count);
int agn__table_end(struct agn__page *page);

/* The SVG `folder`/`name`, which is there, with a text for who does not see it. AGN_ERR_IO, AGN_ERR_FORMAT.
 */
int agn__page_picture(struct agn__page *page, const char *name, const char *text);

/* Text as HTML shows it. */
void agn__page_escape(FILE *html, const char *text);

#endif
