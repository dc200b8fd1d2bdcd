/* Data sets from their publishers: what there is, where, and whether it arrived whole.
 * download.c moves the bytes, unpack.c opens archives. */
#include "agilenn/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sets/checksum.h"
#include "sets/download.h"
#include "sets/fetch_set.h"
#include "sets/unpack.h"

enum { PATH_BYTES = 1024 };

/* Nobody publishes SHA-256 sums of these. The MD5 sums of CIFAR are on their publisher's page; those of SVHN
 * and Tiny ImageNet are what other loaders of these files check (torchvision's, for SVHN). They show damage;
 * against malice only https helps, where the publisher has it. */
static const struct agn__remote_set sets[] = {
    {"cifar10",
     "https://www.cs.toronto.edu/~kriz",
     {{"cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"}},
     "cifar-10-batches-bin"},
    {"cifar100",
     "https://www.cs.toronto.edu/~kriz",
     {{"cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"}},
     "cifar-100-binary"},
    {"svhn",
     "http://ufldl.stanford.edu/housenumbers",
     {{"train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"},
      {"test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"}},
     NULL},
    {"tiny-imagenet",
     "http://cs231n.stanford.edu",
     {{"tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de"}},
     "tiny-imagenet-200"},
};

static const char debian_set[] = "fashion-mnist";

const char *const agn_fetch_names[] = {"cifar10", "cifar100", "svhn", "tiny-imagenet", debian_set, NULL};

/* ---- one file ---- */

/* MISMATCH when the file is not what it should be; AGN_OK leaves its sum in PATH.sha256. */
static int verify(const struct agn__fetch_file *file, const char *at)
{
    struct agn__file_sums sums;
    char remembered[AGN__SUM_TEXT];
    int status = agn__sum_file(at, &sums);
    if (status < 0)
        return status;
    const char *got = file->sum == AGN__SUM_MD5 ? sums.md5 : sums.sha256;
    const char *kind = file->sum == AGN__SUM_MD5 ? "MD5" : "SHA-256";
    if (file->sum != AGN__SUM_NONE)
        return strcmp(got, file->expected) == 0
                   ? agn__sum_remember(file->path, sums.sha256)
                   : agn_fail(AGN_ERR_MISMATCH, "%s: %s is %s, expected %s", at, kind, got, file->expected);
    status = agn__sum_recall(file->path, remembered);
    if (status == AGN_ERR_NOT_FOUND) {
        agn_log(AGN_LOG_WARN, "%s: no sum is known; SHA-256 %s is now kept in %s.sha256", file->url,
                sums.sha256, file->path);
        return agn__sum_remember(file->path, sums.sha256);
    }
    if (status == AGN_OK && strcmp(remembered, sums.sha256) != 0)
        status =
            agn_fail(AGN_ERR_MISMATCH, "%s: SHA-256 is %s, expected %s as at the first download (%s.sha256)",
                     at, sums.sha256, remembered, file->path);
    return status;
}

static int remove_file(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return agn_fail(AGN_ERR_IO, "cannot delete %s: %s", path, strerror(errno));
    return AGN_OK;
}

/* Download and check; a part that was resumed may be of another file, so it gets one more chance. */
static int download_verified(const struct agn_fetch_config *config, const struct agn__fetch_file *file,
                             const char *part)
{
    for (int round = 0;; round++) {
        bool resumed;
        int status = agn__download(config, file->url, part, &resumed);
        if (status == AGN_OK)
            status = verify(file, part);
        if (status != AGN_ERR_MISMATCH)
            return status;
        char why[1024];
        (void)snprintf(why, sizeof why, "%s", agn_error_message());
        status = remove_file(part);
        if (status < 0)
            return status;
        if (!resumed || round > 0)
            return agn_fail(AGN_ERR_FORMAT,
                            "%s; the damaged download is deleted, run again, or try another "
                            "address with --url BASE",
                            why);
        agn_log(AGN_LOG_WARN, "%s; it had been resumed, starting over", why);
    }
}

int agn__fetch_one(const struct agn_fetch_config *config, const struct agn__fetch_file *file)
{
    char part[PATH_BYTES];
    int length = snprintf(part, sizeof part, "%s.part", file->path);
    if (length < 0 || (size_t)length >= sizeof part)
        return agn_fail(AGN_ERR_ARG, "%.64s...: the path is too long", file->path);
    if (agn_file_exists(file->path)) {
        int status = verify(file, file->path);
        if (status == AGN_ERR_MISMATCH) {
            char why[1024];
            (void)snprintf(why, sizeof why, "%s", agn_error_message());
            return agn_fail(AGN_ERR_FORMAT, "%s; delete it to fetch it anew", why);
        }
        return status;
    }
    /* Stopped between the last byte and the new name: nothing is left to ask the server for. */
    bool whole = file->sum != AGN__SUM_NONE && agn_file_exists(part) && verify(file, part) == AGN_OK;
    int status = whole ? AGN_OK : download_verified(config, file, part);
    if (status == AGN_OK && rename(part, file->path) != 0)
        status = agn_fail(AGN_ERR_IO, "cannot rename %s to %s: %s", part, file->path, strerror(errno));
    return status;
}

/* ---- a data set ---- */

static const struct agn__remote_set *find_set(const char *name)
{
    for (size_t i = 0; i < AGN_COUNT_OF(sets); i++)
        if (strcmp(sets[i].name, name) == 0)
            return &sets[i];
    return NULL;
}

static int fetch_file(const struct agn_fetch_config *config, const struct agn__remote_set *set, int number,
                      char path[PATH_BYTES])
{
    char url[PATH_BYTES];
    const char *base = config->base_url ? config->base_url : set->base_url;
    const struct agn__remote_file *remote = &set->files[number];
    size_t base_length = strlen(base);
    while (base_length > 0 && base[base_length - 1] == '/')
        base_length--;
    int url_length = snprintf(url, sizeof url, "%.*s/%s", (int)base_length, base, remote->name);
    int path_length = snprintf(path, PATH_BYTES, "%s/%s", config->folder, remote->name);
    if (url_length < 0 || (size_t)url_length >= sizeof url || path_length < 0 || path_length >= PATH_BYTES)
        return agn_fail(AGN_ERR_ARG, "%.64s..., %.64s...: the address or the path is too long", base,
                        config->folder);
    const struct agn__fetch_file file = {url, path, AGN__SUM_MD5, remote->md5};
    return agn__fetch_one(config, &file);
}

int agn__fetch_set(const struct agn_fetch_config *config, const struct agn__remote_set *set,
                   char result[1024])
{
    char archive[PATH_BYTES];
    if (config->stall_s < 1 || config->retries < 0 || config->retry_wait_ms < 0)
        return agn_fail(AGN_ERR_ARG, "a fetch waits 1 second or longer and retries 0 times or more");
    int length = set->top ? snprintf(result, PATH_BYTES, "%s/%s", config->folder, set->top)
                          : snprintf(result, PATH_BYTES, "%s", config->folder);
    if (length < 0 || length >= PATH_BYTES)
        return agn_fail(AGN_ERR_ARG, "%.64s...: the path is too long", config->folder);
    if (set->top && agn_file_exists(result)) {
        agn_log(AGN_LOG_INFO, "%s is there already; delete it to fetch it anew", result);
        return AGN_OK;
    }
    int status = agn_make_dirs(config->folder);
    for (int i = 0; i < AGN__FETCH_FILES && set->files[i].name && status == AGN_OK; i++)
        status = fetch_file(config, set, i, archive);
    if (status == AGN_OK && set->top)
        status = agn__unpack(archive, config->folder, set->top);
    return status;
}

int agn_fetch(const struct agn_fetch_config *config, char result[1024])
{
    if (strcmp(config->name, debian_set) == 0)
        return agn_fail(AGN_ERR_UNSUPPORTED, "fashion-mnist is a Debian package: apt-get install "
                                             "dataset-fashion-mnist; the preset fashion finds it");
    const struct agn__remote_set *set = find_set(config->name);
    if (!set)
        return agn_fail(AGN_ERR_ARG,
                        "unknown data set '%s': expected cifar10, cifar100, svhn, tiny-imagenet or "
                        "fashion-mnist",
                        config->name);
    return agn__fetch_set(config, set, result);
}
