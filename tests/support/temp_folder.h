/* A private temporary folder for a test program, removed with all its content.
 *
 * Use temp_folder_setup / temp_folder_teardown as cmocka's setup and teardown
 * (of a test or of a group) or call them from your own. The folder lies in
 * $AGN_TEST_TMP, else in $TMPDIR, else in /tmp. */
#ifndef AGN_TEST_TEMP_FOLDER_H
#define AGN_TEST_TEMP_FOLDER_H

#include <stddef.h>

/* Makes a fresh folder; *state becomes a handle. 0, or -1 after printing why. */
int temp_folder_setup(void **state);
int temp_folder_teardown(void **state);

/* The folder made last and not yet torn down ("" when none), valid until teardown. */
const char *temp_folder(void);

/* FOLDER/name, formatted. One of 8 buffers used in turn: keep no more than 8 alive. */
const char *temp_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Writes a file into the folder (name as for temp_path, its parents are made); exits the
 * program when that fails, since no test can go on without it. Returns its path. */
const char *temp_file(const char *name, const void *data, size_t size_bytes);

/* Number of entries directly in a folder (of any kind, without . and ..); -1 if it cannot be read. */
int temp_count_entries(const char *folder);

/* Number of lines of the folder's file `name`; -1 if it cannot be read. */
int temp_count_lines(const char *name);

#endif
