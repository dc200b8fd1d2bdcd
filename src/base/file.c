/* Whole files in, whole files out: a reader never sees half a file.
 *
 * Output goes to a temporary name in the same folder and takes the real name
 * only when all of it is on the disk. */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agilenn/base.h"

/* ---- reading ---- */

/* Reads to the end of `descriptor` into one block with a zero byte behind it. */
static int read_all(int descriptor, const char *path, size_t expected, size_t max_bytes, uint8_t **data,
                    size_t *size_bytes)
{
    size_t capacity = expected < max_bytes ? expected : max_bytes;
    size_t used = 0;
    uint8_t *memory = agn_alloc(capacity + 1, 1);
    if (!memory)
        return AGN_ERR_MEMORY;
    int status = AGN_OK;
    for (;;) {
        /* One byte more than the content is asked for, so that the end is seen without growing. */
        ssize_t got = read(descriptor, memory + used, capacity + 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            status = agn_fail(AGN_ERR_IO, "cannot read %s: %s", path, strerror(errno));
            break;
        }
        if (got == 0)
            break;
        used += (size_t)got;
        if (used > max_bytes) {
            status =
                agn_fail(AGN_ERR_RANGE, "cannot read %s: larger than the %zu bytes allowed", path, max_bytes);
            break;
        }
        if (used > capacity) { /* a pipe, or a file that grows */
            size_t larger = used <= max_bytes / 2 ? used * 2 + 4096 : max_bytes;
            larger = larger < max_bytes ? larger : max_bytes;
            uint8_t *grown = agn_alloc(larger + 1, 1);
            if (!grown) {
                status = AGN_ERR_MEMORY;
                break;
            }
            memcpy(grown, memory, used);
            agn_free(memory);
            memory = grown;
            capacity = larger;
        }
    }
    if (status < 0) {
        agn_free(memory);
        return status;
    }
    memory[used] = 0;
    *data = memory;
    *size_bytes = used;
    return AGN_OK;
}

int agn_file_read(const char *path, size_t max_bytes, uint8_t **data, size_t *size_bytes)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        int code = errno;
        return agn_fail(code == ENOENT ? AGN_ERR_NOT_FOUND : AGN_ERR_IO, "cannot open %s: %s", path,
                        strerror(code));
    }
    struct stat info;
    int status;
    if (fstat(descriptor, &info) != 0)
        status = agn_fail(AGN_ERR_IO, "cannot examine %s: %s", path, strerror(errno));
    else if (S_ISDIR(info.st_mode))
        status = agn_fail(AGN_ERR_IO, "cannot read %s: it is a folder; give a file", path);
    else if (S_ISREG(info.st_mode) && info.st_size > 0 && (uintmax_t)info.st_size > max_bytes)
        status = agn_fail(AGN_ERR_RANGE, "cannot read %s: %jd bytes, and at most %zu are allowed", path,
                          (intmax_t)info.st_size, max_bytes);
    else
        status = read_all(descriptor, path, S_ISREG(info.st_mode) ? (size_t)info.st_size : 65536, max_bytes,
                          data, size_bytes);
    (void)close(descriptor);
    return status;
}

/* ---- writing ---- */

static int fail_write(const char *path, int code)
{
    const char *advice;
    switch (code) {
    case ENOENT:
        advice = "make its folder first, or choose another path";
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        advice = "choose a folder that you may write to";
        break;
    case ENOSPC:
    case EDQUOT:
        advice = "free some space, or choose another disk";
        break;
    default:
        advice = "choose another path";
        break;
    }
    return agn_fail(AGN_ERR_IO, "cannot write %s: %s; %s", path, strerror(code), advice);
}

/* Where the content really goes: through symbolic links, so that a link stays a link.
 * Refuses devices and folders, which a rename would replace or fail on. */
static int resolve_target(const char *path, char target[1024], mode_t *mode)
{
    *mode = 0;
    const char *chosen = path;
    char *resolved = NULL;
    struct stat info;
    if (stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode))
            return agn_fail(AGN_ERR_IO, "cannot write %s: it is a folder; give a file name", path);
        if (!S_ISREG(info.st_mode))
            return agn_fail(AGN_ERR_IO, "cannot write %s: it is not a regular file; give a file name", path);
        if (access(path, W_OK) != 0)
            return fail_write(path, errno);
        *mode = info.st_mode & 07777;
        struct stat link_info;
        if (lstat(path, &link_info) == 0 && S_ISLNK(link_info.st_mode)) {
            resolved = realpath(path, NULL);
            if (!resolved)
                return fail_write(path, errno);
            chosen = resolved;
        }
    }
    size_t length = strlen(chosen);
    int status = AGN_OK;
    if (length == 0 || length >= 1024)
        status = agn_fail(AGN_ERR_ARG, "cannot write '%.64s%s': a path has 1 to 1023 bytes", path,
                          length > 64 ? "..." : "");
    else
        memcpy(target, chosen, length + 1);
    free(resolved);
    return status;
}

int agn_file_out_open(struct agn_file_out *out, const char *path)
{
    static atomic_uint counter;
    struct agn_file_out fresh = {0};
    mode_t mode;
    int status = resolve_target(path, fresh.path, &mode);
    if (status < 0)
        return status;

    int descriptor = -1;
    for (int attempt = 0; attempt < 100; attempt++) {
        unsigned number = atomic_fetch_add(&counter, 1u);
        int length = snprintf(fresh.temporary, sizeof fresh.temporary, "%s.%ld-%u.tmp", fresh.path,
                              (long)getpid(), number);
        if (length < 0 || (size_t)length >= sizeof fresh.temporary)
            return agn_fail(AGN_ERR_ARG, "cannot write %.64s...: the path is too long", path);
        descriptor = open(fresh.temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor >= 0 || errno != EEXIST)
            break;
    }
    if (descriptor < 0)
        return fail_write(path, errno);
    if (mode != 0)
        (void)fchmod(descriptor, mode); /* keeping the old file's rights is a courtesy, not a must */
    fresh.stream = fdopen(descriptor, "w");
    if (!fresh.stream) {
        int code = errno;
        (void)close(descriptor);
        (void)unlink(fresh.temporary);
        return fail_write(path, code);
    }
    *out = fresh;
    return AGN_OK;
}

/* A rename is lasting only once its folder is on the disk too. Some file systems cannot
 * sync a folder; the content itself is safe by then, so that is no error. */
static void sync_folder_of(const char *path)
{
    char folder[1024];
    (void)snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder ? 1 : 0] = '\0';
    int descriptor = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor >= 0) {
        (void)fsync(descriptor);
        (void)close(descriptor);
    }
}

int agn_file_out_commit(struct agn_file_out *out)
{
    FILE *stream = out->stream;
    int code = 0;
    errno = 0;
    if (fflush(stream) != 0 || ferror(stream) || fsync(fileno(stream)) != 0)
        code = errno ? errno : EIO;
    if (fclose(stream) != 0 && code == 0)
        code = errno;
    out->stream = NULL;
    if (code == 0 && rename(out->temporary, out->path) != 0)
        code = errno;
    if (code != 0) {
        (void)unlink(out->temporary);
        return fail_write(out->path, code);
    }
    sync_folder_of(out->path);
    return AGN_OK;
}

void agn_file_out_abort(struct agn_file_out *out)
{
    if (!out->stream)
        return;
    (void)fclose(out->stream);
    out->stream = NULL;
    (void)unlink(out->temporary);
}

int agn_file_write(const char *path, const void *data, size_t size_bytes)
{
    struct agn_file_out out;
    int status = agn_file_out_open(&out, path);
    if (status < 0)
        return status;
    errno = 0;
    if (size_bytes > 0 && fwrite(data, 1, size_bytes, out.stream) != size_bytes) {
        int code = errno ? errno : EIO;
        agn_file_out_abort(&out);
        return fail_write(path, code);
    }
    return agn_file_out_commit(&out);
}

/* ---- folders ---- */

int agn_make_dirs(const char *path)
{
    char partial[1024];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof partial)
        return agn_fail(AGN_ERR_ARG, "cannot make folder '%.64s': a path has 1 to 1023 bytes", path);
    memcpy(partial, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (partial[i] != '/' && partial[i] != '\0')
            continue;
        char kept = partial[i];
        partial[i] = '\0';
        /* EEXIST may be a file; a parent that exists may also be on a read-only disk. */
        if (mkdir(partial, 0777) != 0) {
            int code = errno;
            struct stat info;
            if (stat(partial, &info) != 0)
                return agn_fail(AGN_ERR_IO,
                                "cannot make folder %s: %s; choose a folder that you may write to", partial,
                                strerror(code));
            if (!S_ISDIR(info.st_mode))
                return agn_fail(AGN_ERR_IO, "cannot make folder %s: a file has that name", partial);
        }
        partial[i] = kept;
    }
    return AGN_OK;
}

bool agn_file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

int agn_path_in(char *path, size_t cap, const char *folder, const char *name)
{
    int length = snprintf(path, cap, "%s/%s", folder, name);
    return length >= 0 && (size_t)length < cap
               ? AGN_OK
               : agn_fail(AGN_ERR_ARG, "the path of folder '%.80s...' is too long", folder);
}
