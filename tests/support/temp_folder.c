/* See temp_folder.h. Independent of the rooms under test, beside the C library. */
#define _XOPEN_SOURCE 700
#include "temp_folder.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 1024, PATH_BUFFERS = 8 };

static char folder_path[PATH_BYTES];

int temp_folder_setup(void **state)
{
    const char *parent = getenv("AGN_TEST_TMP");
    if (!parent || !*parent)
        parent = getenv("TMPDIR");
    if (!parent || !*parent)
        parent = "/tmp";
    (void)mkdir(parent, 0777); /* a folder named for the test may not be there yet */
    (void)snprintf(folder_path, sizeof folder_path, "%s/agn-XXXXXX", parent);
    if (!mkdtemp(folder_path)) {
        fprintf(stderr, "cannot make a folder in %s: %s\n", parent, strerror(errno));
        folder_path[0] = '\0';
        return -1;
    }
    *state = folder_path;
    return 0;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *position)
{
    (void)info;
    (void)kind;
    (void)position;
    return remove(path);
}

int temp_folder_teardown(void **state)
{
    (void)state;
    if (!folder_path[0])
        return 0;
    int result = nftw(folder_path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    folder_path[0] = '\0';
    return result == 0 ? 0 : -1;
}

const char *temp_folder(void)
{
    return folder_path;
}

const char *temp_path(const char *format, ...)
{
    static char buffers[PATH_BUFFERS][PATH_BYTES];
    static int next;
    char name[PATH_BYTES / 2];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(name, sizeof name, format, args);
    va_end(args);
    char *buffer = buffers[next];
    next = (next + 1) % PATH_BUFFERS;
    int length = snprintf(buffer, PATH_BYTES, "%s/%s", folder_path, name);
    if (length < 0 || length >= PATH_BYTES) {
        fprintf(stderr, "temporary path too long: %s\n", name);
        exit(2);
    }
    return buffer;
}

const char *temp_file(const char *name, const void *data, size_t size_bytes)
{
    const char *path = temp_path("%s", name);
    char parent[PATH_BYTES];
    (void)snprintf(parent, sizeof parent, "%s", path);
    for (char *slash = strchr(parent + strlen(folder_path) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(parent, 0777);
        *slash = '/';
    }
    FILE *file = fopen(path, "wb");
    if (!file || (size_bytes > 0 && fwrite(data, 1, size_bytes, file) != size_bytes) || fclose(file) != 0) {
        fprintf(stderr, "cannot write %s: %s\n", path, strerror(errno));
        exit(2);
    }
    return path;
}

int temp_count_entries(const char *folder)
{
    DIR *directory = opendir(folder);
    if (!directory)
        return -1;
    int count = 0;
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    (void)closedir(directory);
    return count;
}

int temp_count_lines(const char *name)
{
    FILE *file = fopen(temp_path("%s", name), "r");
    int lines = 0, byte;
    if (!file)
        return -1;
    while ((byte = fgetc(file)) != EOF)
        lines += byte == '\n';
    (void)fclose(file);
    return lines;
}
