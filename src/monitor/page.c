/* Puts style and script into the page and hashes them: the browser then runs these bytes and no others, so
 * that even a hostile name in the data could not become code. */
#include "monitor/page.h"

#include <assert.h>
#include <nettle/base64.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

#include "agilenn/base.h"
#include "monitor/page_files.h"

static const char style_mark[] = "@STYLE@", script_mark[] = "@SCRIPT@";

struct piece {
    const char *bytes;
    size_t size_bytes;
};

static struct piece file_named(const char *name)
{
    for (int i = 0; i < agn__page_file_count; i++)
        if (strcmp(agn__page_files[i].name, name) == 0)
            return (struct piece){(const char *)agn__page_files[i].bytes, agn__page_files[i].size_bytes};
    assert(!"a file of the page is missing from the build");
    return (struct piece){"", 0};
}

/* Cuts `rest` at `mark`: gives what stands before, leaves what stands behind. */
static struct piece cut(struct piece *rest, const char *mark)
{
    size_t length = strlen(mark);
    for (size_t at = 0; at + length <= rest->size_bytes; at++)
        if (memcmp(rest->bytes + at, mark, length) == 0) {
            struct piece before = {rest->bytes, at};
            *rest = (struct piece){rest->bytes + at + length, rest->size_bytes - at - length};
            return before;
        }
    assert(!"page.html has lost a mark");
    return (struct piece){"", 0};
}

static void hash(struct piece piece, char text[BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE) + 1])
{
    struct sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&context);
    sha256_update(&context, piece.size_bytes, (const uint8_t *)piece.bytes);
    sha256_digest(&context, sizeof digest, digest);
    base64_encode_raw(text, sizeof digest, digest);
    text[BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE)] = '\0';
}

int agn__page_make(struct agn__page *page)
{
    struct piece rest = file_named("page.html"), style = file_named("page.css"),
                 script = file_named("page.js");
    struct piece head = cut(&rest, style_mark), middle = cut(&rest, script_mark);
    const struct piece pieces[] = {head, style, middle, script, rest};
    size_t size = 0;
    for (size_t i = 0; i < AGN_COUNT_OF(pieces); i++)
        size += pieces[i].size_bytes;
    page->text = agn_alloc(size, 1);
    if (!page->text)
        return AGN_ERR_MEMORY;
    page->size_bytes = 0;
    for (size_t i = 0; i < AGN_COUNT_OF(pieces); i++) {
        memcpy(page->text + page->size_bytes, pieces[i].bytes, pieces[i].size_bytes);
        page->size_bytes += pieces[i].size_bytes;
    }
    char style_hash[BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE) + 1];
    char script_hash[BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE) + 1];
    hash(style, style_hash);
    hash(script, script_hash);
    snprintf(page->policy, sizeof page->policy,
             "default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; connect-src 'self'; "
             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
             style_hash, script_hash);
    return 0;
}

void agn__page_free(struct agn__page *page)
{
    agn_free(page->text);
    page->text = NULL;
}
