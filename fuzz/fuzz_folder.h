/* A folder of a fuzz target's own, for readers that work on files. Its files are removed at the end. */
#ifndef AGN_FUZZ_FOLDER_H
#define AGN_FUZZ_FOLDER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agilenn/base.h"

static char fuzz_folder[512], fuzz_folder_files[4][600];
static size_t fuzz_folder_count;

static void fuzz_folder_remove(void)
{
    for (size_t i = 0; i < fuzz_folder_count; i++)
        (void)unlink(fuzz_folder_files[i]);
    (void)rmdir(fuzz_folder);
}

/* The path of a file in the folder, which is made with the first one. Each name is asked for once. */
static const char *fuzz_folder_file(const char *name)
{
    if (fuzz_folder_count == 0) {
        const char *parent = getenv("TMPDIR");
        (void)snprintf(fuzz_folder, sizeof fuzz_folder, "%s/fuzz-XXXXXX",
                       parent && *parent ? parent : "/tmp");
        if (!mkdtemp(fuzz_folder) || atexit(fuzz_folder_remove) != 0)
            abort();
    }
    if (fuzz_folder_count == AGN_COUNT_OF(fuzz_folder_files))
        abort();
    char *path = fuzz_folder_files[fuzz_folder_count++];
    (void)snprintf(path, sizeof fuzz_folder_files[0], "%s/%s", fuzz_folder, name);
    return path;
}

static void fuzz_folder_write(const char *path, const uint8_t *data, size_t size)
{
    FILE *stream = fopen(path, "wb");
    if (!stream || fwrite(data, 1, size, stream) != size || fclose(stream) != 0)
        abort();
}

#endif
