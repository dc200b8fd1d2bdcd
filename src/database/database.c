/* SQLite behind agilenn/database.h. */
#include "agilenn/database.h"

#include <math.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BUSY_MS = 2000, MOST_VALUE_BYTES = 16 << 20 };

struct agn_database {
    sqlite3 *handle;
    char path[1024];
};

struct agn_query {
    sqlite3_stmt *statement;
    int code; /* of the last step */
};

static int fail(const struct agn_database *database)
{
    int code = sqlite3_errcode(database->handle);
    /* SQLITE_ERROR: statements are this program's own, so that it is the file that lacks a table or column.
     */
    bool other = code == SQLITE_NOTADB || code == SQLITE_CORRUPT || code == SQLITE_ERROR;
    return agn_fail(other ? AGN_ERR_FORMAT : AGN_ERR_IO, "%s: %s", database->path,
                    sqlite3_errmsg(database->handle));
}

int agn_database_script(struct agn_database *database, const char *sql)
{
    return sqlite3_exec(database->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? AGN_OK : fail(database);
}

int agn_database_open(const char *path, bool read_only, struct agn_database **opened)
{
    if (read_only && !agn_file_exists(path))
        return agn_fail(AGN_ERR_NOT_FOUND, "there is no file %s", path);
    struct agn_database *database = agn_alloc(1, sizeof *database);
    if (database == NULL)
        return AGN_ERR_MEMORY;
    snprintf(database->path, sizeof database->path, "%s", path);
    int how = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, status = AGN_OK;
    if (sqlite3_open_v2(path, &database->handle, how, NULL) != SQLITE_OK)
        status = database->handle != NULL ? fail(database) : AGN_ERR_MEMORY;
    if (status == AGN_OK) {
        sqlite3_busy_timeout(database->handle, BUSY_MS);
        sqlite3_limit(database->handle, SQLITE_LIMIT_LENGTH, MOST_VALUE_BYTES);
        status = agn_database_script(database, "SELECT 1 FROM sqlite_master"); /* reads the file */
    }
    if (status < 0) {
        agn_database_close(database);
        return status;
    }
    *opened = database;
    return AGN_OK;
}

void agn_database_close(struct agn_database *database)
{
    if (database == NULL)
        return;
    sqlite3_close(database->handle);
    agn_free(database);
}

/* NULL: failed. */
static sqlite3_stmt *prepare(struct agn_database *database, const char *sql, const char *types,
                             va_list values)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(database->handle, sql, -1, &statement, NULL) != SQLITE_OK)
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

int agn_database_run(struct agn_database *database, const char *sql, const char *types, ...)
{
    va_list values;
    va_start(values, types);
    sqlite3_stmt *statement = prepare(database, sql, types, values);
    va_end(values);
    bool done = statement != NULL && sqlite3_step(statement) == SQLITE_DONE;
    int status = done ? AGN_OK : fail(database);
    sqlite3_finalize(statement);
    return status;
}

int agn_database_begin(struct agn_database *database)
{
    return agn_database_run(database, "BEGIN IMMEDIATE", "");
}

int agn_database_end(struct agn_database *database, int status)
{
    if (status >= 0)
        status = agn_database_run(database, "COMMIT", "");
    if (status < 0)
        sqlite3_exec(database->handle, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

struct agn_query *agn_database_ask(struct agn_database *database, const char *sql, const char *types, ...)
{
    struct agn_query *query = agn_alloc(1, sizeof *query);
    if (query == NULL)
        return NULL;
    va_list values;
    va_start(values, types);
    query->statement = prepare(database, sql, types, values);
    va_end(values);
    query->code = query->statement != NULL ? SQLITE_ROW : SQLITE_ERROR;
    return query;
}

bool agn_query_next(struct agn_query *query)
{
    if (query != NULL && query->code == SQLITE_ROW)
        query->code = sqlite3_step(query->statement);
    return query != NULL && query->code == SQLITE_ROW;
}

int agn_query_end(struct agn_database *database, struct agn_query *query)
{
    if (query == NULL)
        return AGN_ERR_MEMORY;
    int status = query->code == SQLITE_DONE || query->code == SQLITE_ROW ? AGN_OK : fail(database);
    sqlite3_finalize(query->statement);
    agn_free(query);
    return status;
}

int agn_query_int(struct agn_query *query, int column)
{
    return sqlite3_column_int(query->statement, column);
}

double agn_query_real(struct agn_query *query, int column)
{
    int type = sqlite3_column_type(query->statement, column);
    bool number = type == SQLITE_INTEGER || type == SQLITE_FLOAT;
    return number ? sqlite3_column_double(query->statement, column) : NAN;
}

const char *agn_query_text(struct agn_query *query, int column)
{
    const unsigned char *text = sqlite3_column_text(query->statement, column);
    return text != NULL ? (const char *)text : "";
}
