/* The search's book, an SQLite database: candidates, rungs with their members, results, points, time used.
 *
 * Each entry is a transaction of its own, so that a search that is killed loses at most the training at hand.
 */
#include <math.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>

#include "fit/fit_internal.h"

enum { VERSION = 1, BUSY_MS = 2000, PRESET_BYTES = 8192 };

struct agn__fit_book {
    sqlite3 *database;
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

static int fail(const struct agn__fit_book *book)
{
    int code = sqlite3_errcode(book->database);
    return agn_fail(code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? AGN_ERR_FORMAT : AGN_ERR_IO, "%s: %s",
                    book->path, sqlite3_errmsg(book->database));
}

/* ---- statements ------------------------------------------------------------------------ */

/* Prepares with values in the order of their letters: i int, r double (NAN: null), t text. NULL: failed. */
static sqlite3_stmt *prepare(struct agn__fit_book *book, const char *sql, const char *types, va_list values)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(book->database, sql, -1, &statement, NULL) != SQLITE_OK)
        return NULL;
    for (int i = 0; types[i] != '\0'; i++) {
        if (types[i] == 'i') {
            sqlite3_bind_int(statement, i + 1, va_arg(values, int));
        } else if (types[i] == 'r') {
            double value = va_arg(values, double);
            if (!isnan(value)) /* else it stays null */
                sqlite3_bind_double(statement, i + 1, value);
        } else {
            sqlite3_bind_text(statement, i + 1, va_arg(values, const char *), -1, SQLITE_TRANSIENT);
        }
    }
    return statement;
}

static int execute(struct agn__fit_book *book, const char *sql, const char *types, ...)
{
    va_list values;
    va_start(values, types);
    sqlite3_stmt *statement = prepare(book, sql, types, values);
    va_end(values);
    bool done = statement != NULL && sqlite3_step(statement) == SQLITE_DONE;
    int status = done ? AGN_OK : fail(book);
    sqlite3_finalize(statement);
    return status;
}

/* A query; its rows come by sqlite3_step. */
static sqlite3_stmt *ask(struct agn__fit_book *book, const char *sql, const char *types, ...)
{
    va_list values;
    va_start(values, types);
    sqlite3_stmt *statement = prepare(book, sql, types, values);
    va_end(values);
    return statement;
}

/* Ends a query whose last step said `code`. */
static int end(struct agn__fit_book *book, sqlite3_stmt *statement, int code, int otherwise)
{
    int status = statement != NULL && (code == SQLITE_DONE || code == SQLITE_ROW) ? otherwise : fail(book);
    sqlite3_finalize(statement);
    return status;
}

static double real(sqlite3_stmt *statement, int column)
{
    return sqlite3_column_type(statement, column) == SQLITE_NULL ? NAN
                                                                 : sqlite3_column_double(statement, column);
}

static int begin(struct agn__fit_book *book)
{
    return execute(book, "BEGIN IMMEDIATE", "");
}

static int commit(struct agn__fit_book *book, int status)
{
    if (status == AGN_OK)
        return execute(book, "COMMIT", "");
    sqlite3_exec(book->database, "ROLLBACK", NULL, NULL, NULL);
    return status;
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
    sqlite3_stmt *query = ask(book, "SELECT value FROM search WHERE key = 'settings'", "");
    int code = query != NULL ? sqlite3_step(query) : SQLITE_ERROR, status = AGN_OK;
    bool is_new = code == SQLITE_DONE;
    if (code == SQLITE_ROW) {
        const char *there = (const char *)sqlite3_column_text(query, 0);
        if (!resume)
            status = agn_fail(AGN_ERR_STATE,
                              "%s holds a search already: --resume goes on with it, another --out starts one",
                              book->path);
        else if (there == NULL || strcmp(there, settings) != 0) {
            first_other_line(settings, there != NULL ? there : "", line);
            status = agn_fail(AGN_ERR_STATE,
                              "%s holds a search with other settings, there is '%s' there: resume with the "
                              "same ones, or choose another --out",
                              book->path, line);
        }
    }
    status = end(book, query, code, status);
    if (status == AGN_OK && is_new)
        status = execute(book, "INSERT INTO search VALUES ('settings', ?)", "t", settings);
    if (status == AGN_OK && is_new)
        status = execute(book, "INSERT INTO search VALUES ('version', ?)", "i", (int)VERSION);
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
    int status = AGN_OK;
    if (sqlite3_open(path, &book->database) != SQLITE_OK)
        status = fail(book);
    sqlite3_busy_timeout(book->database, BUSY_MS);
    if (status == AGN_OK && sqlite3_exec(book->database, schema, NULL, NULL, NULL) != SQLITE_OK)
        status = fail(book);
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
    sqlite3_close(book->database);
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
    return execute(book, "INSERT OR REPLACE INTO candidates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                   "ittrrrrrrrrrt", number, c->name, preset, c->ram_bytes, c->flash_bytes,
                   w->extract_instructions, w->local_instructions, w->encode_instructions, w->packets,
                   w->packet_bytes, w->reply_bytes, w->sent_share, c->dropped);
}

int agn__fit_book_drop(struct agn__fit_book *book, int number, const char *reason)
{
    return execute(book, "UPDATE candidates SET dropped = ? WHERE number = ?", "ti", reason, number);
}

int agn__fit_book_candidate(struct agn__fit_book *book, int number, struct agn_fit_candidate *c)
{
    sqlite3_stmt *query =
        ask(book,
            "SELECT ram_bytes, flash_bytes, extract_instructions, local_instructions, encode_instructions,"
            " packets, packet_bytes, reply_bytes, sent_share, dropped FROM candidates WHERE number = ?",
            "i", number);
    int code = query != NULL ? sqlite3_step(query) : SQLITE_ERROR;
    if (code == SQLITE_ROW) {
        c->ram_bytes = real(query, 0);
        c->flash_bytes = real(query, 1);
        c->work = (struct agn_work){.extract_instructions = real(query, 2),
                                    .local_instructions = real(query, 3),
                                    .encode_instructions = real(query, 4),
                                    .packets = real(query, 5),
                                    .packet_bytes = real(query, 6),
                                    .reply_bytes = real(query, 7),
                                    .sent_share = real(query, 8)};
        const char *dropped = (const char *)sqlite3_column_text(query, 9);
        snprintf(c->dropped, sizeof c->dropped, "%s", dropped != NULL ? dropped : "");
    }
    return end(book, query, code, code == SQLITE_ROW ? AGN_OK : AGN_ERR_NOT_FOUND);
}

/* ---- rungs -------------------------------------------------------------------------------------- */

int agn__fit_book_begin_rung(struct agn__fit_book *book, int rung, double images, const int *members,
                             int count)
{
    int status = begin(book);
    if (status < 0)
        return status;
    status = execute(book, "INSERT INTO rungs VALUES (?, ?)", "ir", rung, images);
    for (int i = 0; i < count && status == AGN_OK; i++)
        status = execute(book, "INSERT INTO members VALUES (?, ?, ?)", "iii", rung, i, members[i]);
    return commit(book, status);
}

int agn__fit_book_rung(struct agn__fit_book *book, int rung, double *images, int members[AGN_FIT_MOST],
                       int *count)
{
    sqlite3_stmt *query = ask(book, "SELECT images FROM rungs WHERE rung = ?", "i", rung);
    int code = query != NULL ? sqlite3_step(query) : SQLITE_ERROR, found = code == SQLITE_ROW;
    if (found)
        *images = real(query, 0);
    int status = end(book, query, code, found);
    if (status <= 0)
        return status;
    query = ask(book, "SELECT candidate FROM members WHERE rung = ? ORDER BY place", "i", rung);
    *count = 0;
    while (query != NULL && (code = sqlite3_step(query)) == SQLITE_ROW && *count < AGN_FIT_MOST)
        members[(*count)++] = sqlite3_column_int(query, 0);
    return end(book, query, code, 1);
}

/* ---- results --------------------------------------------------------------------------------------- */

int agn__fit_book_add_result(struct agn__fit_book *book, int candidate, int rung,
                             const struct agn_fit_result *r)
{
    int status = begin(book);
    if (status < 0)
        return status;
    status = execute(book, "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                     "iirrrirrrr", candidate, rung, r->images, r->seconds, r->overhead_s, r->measured_images,
                     r->local_accuracy, r->packets, r->packet_bytes, r->encode_instructions);
    for (int i = 0; i < r->count && status == AGN_OK; i++)
        status = execute(book, "INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?)", "iiirrr", candidate,
                         rung, i, r->points[i].asked, r->points[i].accuracy, r->points[i].sent_share);
    return commit(book, status);
}

static int read_points(struct agn__fit_book *book, int candidate, int rung, struct agn_fit_result *result)
{
    int code = SQLITE_ERROR;
    sqlite3_stmt *query = ask(book,
                              "SELECT asked, accuracy, sent_share FROM points WHERE candidate = ? AND "
                              "rung = ? ORDER BY point",
                              "ii", candidate, rung);
    while (query != NULL && (code = sqlite3_step(query)) == SQLITE_ROW && result->count < AGN_FIT_POINTS)
        result->points[result->count++] =
            (struct agn_fit_point){real(query, 0), real(query, 1), real(query, 2)};
    return end(book, query, code, 1);
}

int agn__fit_book_result(struct agn__fit_book *book, int candidate, int rung, struct agn_fit_result *result)
{
    sqlite3_stmt *query =
        ask(book,
            "SELECT images, seconds, overhead_s, measured_images, local_accuracy, packets,"
            " packet_bytes, encode_instructions FROM results WHERE candidate = ? AND rung = ?",
            "ii", candidate, rung);
    int code = query != NULL ? sqlite3_step(query) : SQLITE_ERROR, found = code == SQLITE_ROW;
    struct agn_fit_result read = {0};
    if (found)
        read = (struct agn_fit_result){.images = real(query, 0),
                                       .seconds = real(query, 1),
                                       .overhead_s = real(query, 2),
                                       .measured_images = sqlite3_column_int(query, 3),
                                       .local_accuracy = real(query, 4),
                                       .packets = real(query, 5),
                                       .packet_bytes = real(query, 6),
                                       .encode_instructions = real(query, 7)};
    int status = end(book, query, code, found);
    if (status > 0)
        status = read_points(book, candidate, rung, &read);
    if (status > 0)
        *result = read;
    return status;
}

/* ---- time --------------------------------------------------------------------------------------------- */

int agn__fit_book_set_seconds(struct agn__fit_book *book, double seconds)
{
    return execute(book, "INSERT OR REPLACE INTO search VALUES ('seconds', ?)", "r", seconds);
}

int agn__fit_book_seconds(struct agn__fit_book *book, double *seconds)
{
    sqlite3_stmt *query = ask(book, "SELECT value FROM search WHERE key = 'seconds'", "");
    int code = query != NULL ? sqlite3_step(query) : SQLITE_ERROR;
    *seconds = code == SQLITE_ROW ? real(query, 0) : 0.0;
    return end(book, query, code, AGN_OK);
}
