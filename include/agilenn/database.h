/* SQLite, as this program uses it: statements with values in order, and rows. */
#ifndef AGILENN_DATABASE_H
#define AGILENN_DATABASE_H

#include "agilenn/base.h"

struct agn_database;
struct agn_query;

/* Opens a file, or makes it. Others may have it open, too: who finds it busy waits for two seconds. With
 * `read_only` nothing is made or written. Errors, here and below: AGN_ERR_FORMAT: the file is no database, a
 * damaged one, or one without that table or column; AGN_ERR_NOT_FOUND: `read_only`, and there is none;
 * AGN_ERR_IO: anything else, such as a full disk; the sentence names the file. */
int agn_database_open(const char *path, bool read_only, struct agn_database **database);
/* NULL is allowed. */
void agn_database_close(struct agn_database *database);

/* Runs statements, and drops the rows that they give: CREATE TABLE IF NOT EXISTS ..., PRAGMA ... */
int agn_database_script(struct agn_database *database, const char *sql);

/* Runs one statement that gives no rows. `types` has a letter for each `?`: i int, r double (NAN: null), t
 * text (NULL: null). */
int agn_database_run(struct agn_database *database, const char *sql, const char *types, ...);

/* A transaction; the end takes back what was done since its beginning where `status` < 0, which it returns.
 */
int agn_database_begin(struct agn_database *database);
int agn_database_end(struct agn_database *database, int status);

/* The same of a statement with rows. NULL: it failed, and the next two say so. */
struct agn_query *agn_database_ask(struct agn_database *database, const char *sql, const char *types, ...);
/* Next row: true; false at the end, or on an error. */
bool agn_query_next(struct agn_query *query);
/* Ends the query, whether all rows were read or not: AGN_OK, or what went wrong. NULL is allowed, and an
 * error. */
int agn_query_end(struct agn_database *database, struct agn_query *query);

/* Columns of the row, from 0 on. Null is 0, NAN, or ""; so is a text where a real number is asked for (NAN).
 */
int agn_query_int(struct agn_query *query, int column);
double agn_query_real(struct agn_query *query, int column);
const char *agn_query_text(struct agn_query *query, int column); /* valid until the next row or the end */

#endif
