/* Archives from the network, through libarchive, which reads entries; files are made here, so that none
 * can land outside of a fresh folder: no links are ever made, and no path may leave its top folder. */
#define _XOPEN_SOURCE 700
#include "sets/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 1024, MAX_ENTRIES = 4 << 20, BLOCK_BYTES = 1 << 17 };

static const int64_t max_bytes = (int64_t)32
                                 << 30; /* an archive of a few bytes may hold any number of zeros */

struct unpacking {
    const char *archive_path, *top;
    char scratch[PATH_BYTES]; /* where files go until all are there */
    struct archive *archive;
    uint8_t *block;
    int64_t total_bytes;
    int entries;
};

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *position)
{
    (void)info;
    (void)kind;
    (void)position;
    return remove(path);
}

static int fail_archive(const struct unpacking *unpacking)
{
    const char *reason = archive_error_string(unpacking->archive);
    return agn_fail(AGN_ERR_FORMAT, "%s: entry %d: damaged archive (%s); delete it and fetch it again",
                    unpacking->archive_path, unpacking->entries, reason ? reason : "no reason given");
}

/* TOP, or TOP/..., without empty, "." or ".." parts; a slash at the end is fine. */
static bool is_safe(const char *name, const char *top)
{
    size_t length = strlen(top);
    if (strncmp(name, top, length) != 0 || (name[length] != '/' && name[length] != '\0'))
        return false;
    for (const char *part = name; *part;) {
        size_t size = strcspn(part, "/");
        if (size == 0 || (size == 1 && part[0] == '.') || (size == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part += size;
        part += *part == '/';
    }
    return true;
}

static int write_block(int descriptor, const char *path, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t wrote = write(descriptor, data, size);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return agn_fail(AGN_ERR_IO, "cannot write %s: %s; free some space, or choose another folder",
                            path, strerror(errno));
        data += wrote;
        size -= (size_t)wrote;
    }
    return AGN_OK;
}

static int copy_content(struct unpacking *unpacking, int descriptor, const char *path)
{
    for (;;) {
        la_ssize_t got = archive_read_data(unpacking->archive, unpacking->block, BLOCK_BYTES);
        if (got < 0)
            return fail_archive(unpacking);
        if (got == 0)
            return AGN_OK;
        unpacking->total_bytes += got;
        if (unpacking->total_bytes > max_bytes)
            return agn_fail(AGN_ERR_RANGE, "%s: unpacks to more than %lld bytes", unpacking->archive_path,
                            (long long)max_bytes);
        if (agn_interrupt_requested())
            return agn_fail(AGN_ERR_INTERRUPTED, "interrupted while unpacking %s; run again",
                            unpacking->archive_path);
        int status = write_block(descriptor, path, unpacking->block, (size_t)got);
        if (status < 0)
            return status;
    }
}

static int unpack_file(struct unpacking *unpacking, char *path)
{
    char *slash = strrchr(path, '/');
    *slash = '\0'; /* archives need not list their folders */
    int status = agn_make_dirs(path);
    *slash = '/';
    if (status < 0)
        return status;
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (descriptor < 0)
        return agn_fail(AGN_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    status = copy_content(unpacking, descriptor, path);
    if (close(descriptor) != 0 && status == AGN_OK)
        status = agn_fail(AGN_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    return status;
}

static int unpack_entry(struct unpacking *unpacking, struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry);
    char path[PATH_BYTES];
    if (!name || !is_safe(name, unpacking->top))
        return agn_fail(AGN_ERR_FORMAT,
                        "%s: entry %d '%.60s': expected a path within %s/; nothing is unpacked",
                        unpacking->archive_path, unpacking->entries, name ? name : "", unpacking->top);
    int length = snprintf(path, sizeof path, "%s/%s", unpacking->scratch, name);
    if (length < 0 || (size_t)length >= sizeof path)
        return agn_fail(AGN_ERR_FORMAT, "%s: entry %d: the path is too long", unpacking->archive_path,
                        unpacking->entries);
    mode_t kind = archive_entry_filetype(entry);
    if (kind == AE_IFDIR)
        return agn_make_dirs(path);
    if (kind != AE_IFREG || archive_entry_hardlink(entry) || path[length - 1] == '/' ||
        strcmp(name, unpacking->top) == 0)
        return agn_fail(AGN_ERR_FORMAT,
                        "%s: entry %d '%.60s': expected a file or a folder, no link or device; "
                        "nothing is unpacked",
                        unpacking->archive_path, unpacking->entries, name);
    return unpack_file(unpacking, path);
}

static int unpack_all(struct unpacking *unpacking)
{
    struct archive *archive = unpacking->archive;
    (void)archive_read_support_filter_gzip(archive);
    (void)archive_read_support_format_tar(archive);
    (void)archive_read_support_format_zip(archive);
    if (archive_read_open_filename(archive, unpacking->archive_path, BLOCK_BYTES) != ARCHIVE_OK)
        return fail_archive(unpacking);
    for (;;) {
        struct archive_entry *entry;
        int result = archive_read_next_header(archive, &entry);
        if (result == ARCHIVE_EOF)
            return AGN_OK;
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
            return fail_archive(unpacking);
        if (unpacking->entries >= MAX_ENTRIES)
            return agn_fail(AGN_ERR_RANGE, "%s: more than %d entries", unpacking->archive_path, MAX_ENTRIES);
        int status = unpack_entry(unpacking, entry);
        if (status < 0)
            return status;
        unpacking->entries++;
    }
}

/* The finished top folder takes its place by a rename. */
static int publish(const struct unpacking *unpacking, const char *folder)
{
    char from[PATH_BYTES + 256], to[PATH_BYTES];
    (void)snprintf(from, sizeof from, "%s/%s", unpacking->scratch, unpacking->top);
    int length = snprintf(to, sizeof to, "%s/%s", folder, unpacking->top);
    if (length < 0 || (size_t)length >= sizeof to)
        return agn_fail(AGN_ERR_ARG, "%.64s...: the path is too long", folder);
    if (!agn_file_exists(from))
        return agn_fail(AGN_ERR_FORMAT, "%s: holds nothing, expected the folder %s", unpacking->archive_path,
                        unpacking->top);
    sync(); /* hundreds of thousands of files: one sync for all */
    if (rename(from, to) != 0)
        return agn_fail(AGN_ERR_IO, "cannot make %s: %s; delete it if it is there", to, strerror(errno));
    return AGN_OK;
}

int agn__unpack(const char *archive, const char *folder, const char *top)
{
    struct unpacking unpacking = {.archive_path = archive, .top = top};
    int length = snprintf(unpacking.scratch, sizeof unpacking.scratch, "%s/.unpacking-XXXXXX", folder);
    if (length < 0 || (size_t)length >= sizeof unpacking.scratch)
        return agn_fail(AGN_ERR_ARG, "%.64s...: the path is too long", folder);
    if (!mkdtemp(unpacking.scratch))
        return agn_fail(AGN_ERR_IO, "cannot make a folder in %s: %s", folder, strerror(errno));
    unpacking.block = agn_alloc(BLOCK_BYTES, 1);
    unpacking.archive = archive_read_new();
    int status = AGN_OK;
    if (!unpacking.block || !unpacking.archive)
        status = agn_fail(AGN_ERR_MEMORY, "cannot unpack %s: out of memory", archive);
    if (status == AGN_OK)
        status = unpack_all(&unpacking);
    if (status == AGN_OK)
        status = publish(&unpacking, folder);
    (void)archive_read_free(unpacking.archive);
    agn_free(unpacking.block);
    (void)nftw(unpacking.scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return status;
}
