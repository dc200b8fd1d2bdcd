/* The search's book, an SQLite database: candidates, rungs with their members, results, points, time used.
 *
 * Each entry is a transaction of its own, so that a search that is killed loses at most the training at hand.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agilenn/database.h"
#include "fit/fit_internal.h"

enum { VERSION = 1, PRESET_BYTES = 8192 };

struct agn__fit_book {
    struct agn_database *database;
    char path[1024];
};

static const char schema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
    "CREATE TABLE IF NOT EXISTS search (key TEXT PRIMARY KEY, value);"
    "CREATE TABLE IF NOT EXISTS candidates (number INTEGER PRIMARY KEY, name TEXT, preset TEXT,"
    " ram_bytes REAL, flash_bytes REAL, extract_instructions REAL, local_instructions REAL,"
    " encode_instructions REAL, packets REAL, packet_bytes REAL, reply_bytes REAL, sent_share REAL,"
    " dropped TEXT);"
    "CREATE TABLE IF NOT EXISTS rungs (rung INTEGER PRIMARY KEY, images REAL);"
    "CREATE TABLE IF NOT EXISTS members (rung INTEGER, place INTEGER, candidate INTEGER,"
    " PRIMARY KEY (rung, place));"
    "CREATE TABLE IF NOT EXISTS results (candidate INTEGER, rung INTEGER, images REAL, seconds REAL,"
    " overhead_s REAL, measured_images INTEGER, local_accuracy REAL, packets REAL, packet_bytes REAL,"
    " encode_instructions REAL, PRIMARY KEY (candidate, rung));"
    "CREATE TABLE IF NOT EXISTS points (candidate INTEGER, rung INTEGER, point INTEGER, asked REAL,"
    " accuracy REAL, sent_share REAL, PRIMARY KEY (candidate, rung, point));";

/* Ends a query, whose outcome is `otherwise` unless it failed. */
static int end(struct agn__fit_book *book, struct agn_query *query, int otherwise)
{
    int status = agn_query_end(book->database, query);
    return status < 0 ? status : otherwise;
}

/* ---- the book ---------------------------------------------------------------------------- */

/* The first line in which two texts differ, of the second. */
static void first_other_line(const char *a, const char *b, char line[128])
{
    const char *start = b;
    for (; *a != '\0' && *a == *b; a++, b++)
        if (*b == '\n')
            start = b + 1;
    snprintf(line, 128, "%.*s", (int)strcspn(start, "\n"), start);
}

/* A new book gets the settings, one that is there must have the same. */
static int check_settings(struct agn__fit_book *book, const char *settings, bool resume)
{
    char line[128];
    struct agn_query *query =
        agn_database_ask(book->database, "SELECT value FROM search WHERE key = 'settings'", "");
    int status = AGN_OK;
    bool is_new = !agn_query_next(query);
    if (!is_new) {
        const char *there = agn_query_text(query, 0);
        if (!resume)
            status = agn_fail(AGN_ERR_STATE,
                              "%s holds a search already: --resume goes on with it, another --out starts one",
                              book->path);
        else if (strcmp(there, settings) != 0) {
            first_other_line(settings, there, line);
            status = agn_fail(AGN_ERR_STATE,
                              "%s holds a search with other settings, there is '%s' there: resume with the "
                              "same ones, or choose another --out",
                              book->path, line);
        }
    }
    status = end(book, query, status);
    if (status == AGN_OK && is_new)
        status = agn_database_run(book->database, "INSERT INTO search VALUES ('settings', ?)", "t", settings);
    if (status == AGN_OK && is_new)
        status =
            agn_database_run(book->database, "INSERT INTO search VALUES ('version', ?)", "i", (int)VERSION);
    return status;
}

int agn__fit_book_open(const char *path, const char *settings, bool resume, struct agn__fit_book **opened)
{
    if (resume && !agn_file_exists(path))
        return agn_fail(AGN_ERR_NOT_FOUND, "there is no search %s to go on with; start without --resume",
                        path);
    struct agn__fit_book *book = agn_alloc(1, sizeof *book);
    if (book == NULL)
        return AGN_ERR_MEMORY;
    snprintf(book->path, sizeof book->path, "%s", path);
    int status = agn_database_open(path, false, &book->database);
    if (status == AGN_OK)
        status = agn_database_script(book->database, schema);
    if (status == AGN_OK)
        status = check_settings(book, settings, resume);
    if (status < 0) {
        agn__fit_book_close(book);
        return status;
    }
    *opened = book;
    return AGN_OK;
}

void agn__fit_book_close(struct agn__fit_book *book)
{
    if (book == NULL)
        return;
    agn_database_close(book->database);
    agn_free(book);
}

/* ---- candidates ----------------------------------------------------------------------------- */

int agn__fit_book_add_candidate(struct agn__fit_book *book, int number, const struct agn_fit_candidate *c)
{
    char preset[PRESET_BYTES] = "";
    const struct agn_work *w = &c->work;
    int status = agn_preset_format(&c->preset, preset, sizeof preset);
    if (status < 0)
        return status;
    return agn_database_run(
        book->database, "INSERT OR REPLACE INTO candidates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "ittrrrrrrrrrt", number, c->name, preset, c->ram_bytes, c->flash_bytes, w->extract_instructions,
        w->local_instructions, w->encode_instructions, w->packets, w->packet_bytes, w->reply_bytes,
        w->sent_share, c->dropped);
}

int agn__fit_book_drop(struct agn__fit_book *book, int number, const char *reason)
{
    return agn_database_run(book->database, "UPDATE candidates SET dropped = ? WHERE number = ?", "ti",
                            reason, number);
}

int agn__fit_book_candidate(struct agn__fit_book *book, int number, struct agn_fit_candidate *c)
{
    struct agn_query *query = agn_database_ask(
        book->database,
        "SELECT ram_bytes, flash_bytes, extract_instructions, local_instructions, encode_instructions,"
        " packets, packet_bytes, reply_bytes, sent_share, dropped FROM candidates WHERE number = ?",
        "i", number);
    bool found = agn_query_next(query);
    if (found) {
        c->ram_bytes = agn_query_real(query, 0);
        c->flash_bytes = agn_query_real(query, 1);
        c->work = (struct agn_work){.extract_instructions = agn_query_real(query, 2),
                                    .local_instructions = agn_query_real(query, 3),
                                    .encode_instructions = agn_query_real(query, 4),
                                    .packets = agn_query_real(query, 5),
                                    .packet_bytes = agn_query_real(query, 6),
                                    .reply_bytes = agn_query_real(query, 7),
                                    .sent_share = agn_query_real(query, 8)};
        snprintf(c->dropped, sizeof c->dropped, "%s", agn_query_text(query, 9));
    }
    return end(book, query, found ? AGN_OK : AGN_ERR_NOT_FOUND);
}

/* ---- rungs -------------------------------------------------------------------------------------- */

int agn__fit_book_begin_rung(struct agn__fit_book *book, int rung, double images, const int *members,
                             int count)
{
    int status = agn_database_begin(book->database);
    if (status < 0)
        return status;
    status = agn_database_run(book->database, "INSERT INTO rungs VALUES (?, ?)", "ir", rung, images);
    for (int i = 0; i < count && status == AGN_OK; i++)
        status = agn_database_run(book->database, "INSERT INTO members VALUES (?, ?, ?)", "iii", rung, i,
                                  members[i]);
    return agn_database_end(book->database, status);
}

int agn__fit_book_rung(struct agn__fit_book *book, int rung, double *images, int members[AGN_FIT_MOST],
                       int *count)
{
    struct agn_query *query =
        agn_database_ask(book->database, "SELECT images FROM rungs WHERE rung = ?", "i", rung);
    bool found = agn_query_next(query);
    if (found)
        *images = agn_query_real(query, 0);
    int status = end(book, query, found);
    if (status <= 0)
        return status;
    query = agn_database_ask(book->database, "SELECT candidate FROM members WHERE rung = ? ORDER BY place",
                             "i", rung);
    *count = 0;
    while (*count < AGN_FIT_MOST && agn_query_next(query))
        members[(*count)++] = agn_query_int(query, 0);
    return end(book, query, 1);
}

/* ---- results --------------------------------------------------------------------------------------- */

int agn__fit_book_add_result(struct agn__fit_book *book, int candidate, int rung,
                             const struct agn_fit_result *r)
{
    int status = agn_database_begin(book->database);
    if (status < 0)
        return status;
    status = agn_database_run(
        book->database, "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "iirrrirrrr",
        candidate, rung, r->images, r->seconds, r->overhead_s, r->measured_images, r->local_accuracy,
        r->packets, r->packet_bytes, r->encode_instructions);
    for (int i = 0; i < r->count && status == AGN_OK; i++)
        status = agn_database_run(book->database, "INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?)",
                                  "iiirrr", candidate, rung, i, r->points[i].asked, r->points[i].accuracy,
                                  r->points[i].sent_share);
    return agn_database_end(book->database, status);
}

static int read_points(struct agn__fit_book *book, int candidate, int rung, struct agn_fit_result *result)
{
    struct agn_query *query =
        agn_database_ask(book->database,
                         "SELECT asked, accuracy, sent_share FROM points WHERE candidate = ? AND "
                         "rung = ? ORDER BY point",
                         "ii", candidate, rung);
    while (result->count < AGN_FIT_POINTS && agn_query_next(query))
        result->points[result->count++] = (struct agn_fit_point){
            agn_query_real(query, 0), agn_query_real(query, 1), agn_query_real(query, 2)};
    return end(book, query, 1);
}

int agn__fit_book_result(struct agn__fit_book *book, int candidate, int rung, struct agn_fit_result *result)
{
    struct agn_query *query =
        agn_database_ask(book->database,
                         "SELECT images, seconds, overhead_s, measured_images, local_accuracy, packets,"
                         " packet_bytes, encode_instructions FROM results WHERE candidate = ? AND rung = ?",
                         "ii", candidate, rung);
    bool found = agn_query_next(query);
    struct agn_fit_result read = {0};
    if (found)
        read = (struct agn_fit_result){.images = agn_query_real(query, 0),
                                       .seconds = agn_query_real(query, 1),
                                       .overhead_s = agn_query_real(query, 2),
                                       .measured_images = agn_query_int(query, 3),
                                       .local_accuracy = agn_query_real(query, 4),
                                       .packets = agn_query_real(query, 5),
                                       .packet_bytes = agn_query_real(query, 6),
                                       .encode_instructions = agn_query_real(query, 7)};
    int status = end(book, query, found);
    if (status > 0)
        status = read_points(book, candidate, rung, &read);
    if (status > 0)
        *result = read;
    return status;
}

/* ---- time --------------------------------------------------------------------------------------------- */

int agn__fit_book_set_seconds(struct agn__fit_book *book, double seconds)
{
    return agn_database_run(book->database, "INSERT OR REPLACE INTO search VALUES ('seconds', ?)", "r",
                            seconds);
}

int agn__fit_book_seconds(struct agn__fit_book *book, double *seconds)
{
    struct agn_query *query =
        agn_database_ask(book->database, "SELECT value FROM search WHERE key = 'seconds'", "");
    *seconds = agn_query_next(query) ? agn_query_real(query, 0) : 0.0;
    return end(book, query, AGN_OK);
}
