/* Key files: whatever is taken can be looked up, in order, and nothing else can. */
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"
#include "agilenn/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is shown of an identity is one line of text that is read back as the same. */
static void check_text(const char *identity)
{
    char text[AGN_KEY_IDENTITY_TEXT], again[AGN_KEY_IDENTITY_MAX + 1];
    uint32_t code;
    agn_keys_show_identity(text, identity);
    if (agn_keys_read_identity(again, text) < 0 || strcmp(again, identity) != 0)
        abort();
    for (size_t at = 0, bytes; text[at] != 0; at += bytes)
        if ((bytes = agn_utf8_read(text + at, &code)) == 0)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agn_keys *keys;
    size_t key_bytes;
    if (agn_keys_parse(&keys, data, size, "keys") < 0)
        return 0;
    int count = agn_keys_count(keys);
    for (int i = 0; i < count; i++) {
        const char *identity = agn_keys_identity(keys, i);
        size_t length = strlen(identity);
        const uint8_t *key = agn_keys_find(keys, identity, length, &key_bytes);
        if (!key || length > AGN_KEY_IDENTITY_MAX || key_bytes < AGN_KEY_MIN_BYTES ||
            key_bytes > AGN_KEY_MAX_BYTES || (i > 0 && strcmp(agn_keys_identity(keys, i - 1), identity) >= 0))
            abort();
        check_text(identity);
    }
    (void)agn_keys_find(keys, data, size, &key_bytes);
    /* A file's identities are free but for the zero byte. */
    if (count < 1 || agn_keys_find(keys, "no\0name", 7, &key_bytes))
        abort();
    agn_keys_free(keys);
    return 0;
}
