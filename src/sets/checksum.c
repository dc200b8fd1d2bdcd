/* Sums of files; see checksum.h. */
#include "sets/checksum.h"

#include <errno.h>
#include <nettle/md5.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

static void to_text(const uint8_t *digest, size_t size, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    text[2 * size] = '\0';
}

int agn__sum_file(const char *path, struct agn__file_sums *sums)
{
    enum { BLOCK = 1 << 16 };
    FILE *stream = fopen(path, "rb");
    if (!stream)
        return agn_fail(AGN_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    uint8_t *block = agn_alloc(BLOCK, 1);
    struct md5_ctx md5;
    struct sha256_ctx sha256;
    md5_init(&md5);
    sha256_init(&sha256);
    size_t got = 0;
    while (block && !agn_interrupt_requested() && (got = fread(block, 1, BLOCK, stream)) > 0) {
        md5_update(&md5, got, block);
        sha256_update(&sha256, got, block);
    }
    int status = AGN_OK;
    if (!block)
        status = AGN_ERR_MEMORY;
    else if (ferror(stream))
        status = agn_fail(AGN_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    else if (agn_interrupt_requested())
        status = agn_fail(AGN_ERR_INTERRUPTED, "interrupted while checking %s", path);
    (void)fclose(stream);
    agn_free(block);
    if (status < 0)
        return status;
    uint8_t digest[SHA256_DIGEST_SIZE];
    md5_digest(&md5, MD5_DIGEST_SIZE, digest);
    to_text(digest, MD5_DIGEST_SIZE, sums->md5);
    sha256_digest(&sha256, SHA256_DIGEST_SIZE, digest);
    to_text(digest, SHA256_DIGEST_SIZE, sums->sha256);
    return AGN_OK;
}

static int sidecar_path(const char *path, char sidecar[1024])
{
    int length = snprintf(sidecar, 1024, "%s.sha256", path);
    return length > 0 && length < 1024 ? AGN_OK
                                       : agn_fail(AGN_ERR_ARG, "%.64s...: the path is too long", path);
}

int agn__sum_remember(const char *path, const char *sha256)
{
    char sidecar[1024], line[1200];
    int status = sidecar_path(path, sidecar);
    if (status < 0)
        return status;
    const char *slash = strrchr(path, '/');
    int length = snprintf(line, sizeof line, "%s  %s\n", sha256, slash ? slash + 1 : path);
    return agn_file_write(sidecar, line, (size_t)length);
}

int agn__sum_recall(const char *path, char sha256[AGN__SUM_TEXT])
{
    char sidecar[1024];
    uint8_t *data = NULL;
    size_t size;
    int status = sidecar_path(path, sidecar);
    if (status == AGN_OK)
        status = agn_file_read(sidecar, 4096, &data, &size);
    if (status < 0)
        return status;
    const char *text = (const char *)data;
    size_t digits = strspn(text, "0123456789abcdef");
    if (digits == AGN__SUM_TEXT - 1 && text[digits] == ' ')
        (void)snprintf(sha256, AGN__SUM_TEXT, "%.64s", text);
    else
        status = agn_fail(AGN_ERR_FORMAT,
                          "%s: expected 64 hexadecimal digits and a file name; delete it to accept "
                          "the file as it is",
                          sidecar);
    agn_free(data);
    return status;
}
