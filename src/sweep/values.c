/* Texts: lists of values in a plan, and hashes. */
#include <string.h>

#include "sweep/sweep_internal.h"

static char *copy_part(const char *from, size_t length)
{
    char *part = agn_alloc(length + 1, 1);
    if (part != NULL)
        memcpy(part, from, length);
    return part;
}

void agn__texts_free(struct agn__texts *texts)
{
    for (int i = 0; i < texts->count; i++)
        agn_free(texts->items[i]);
    agn_free(texts->items);
    *texts = (struct agn__texts){0};
}

/* Blanks around a part do not count. */
static int add_part(const char *from, size_t length, int most, struct agn__texts *texts)
{
    while (length > 0 && (*from == ' ' || *from == '\t')) {
        from++;
        length--;
    }
    while (length > 0 && (from[length - 1] == ' ' || from[length - 1] == '\t'))
        length--;
    if (length == 0)
        return agn_fail(AGN_ERR_FORMAT, "a value is missing beside a '|'");
    if (texts->count == most)
        return agn_fail(AGN_ERR_RANGE, "more than %d values", most);
    char *part = copy_part(from, length);
    if (part == NULL)
        return AGN_ERR_MEMORY;
    texts->items[texts->count++] = part;
    return AGN_OK;
}

int agn__texts_split(const char *text, int most, struct agn__texts *texts)
{
    const char *separator = strstr(text, "||") != NULL ? "||" : strchr(text, '|') != NULL ? "|" : " ";
    struct agn__texts made = {.items = agn_alloc((size_t)most, sizeof(char *))};
    int status = made.items == NULL ? AGN_ERR_MEMORY : AGN_OK;
    if (text[strspn(text, " \t")] == '\0') { /* no part */
        *texts = made;
        return status;
    }
    for (const char *at = text; at != NULL && status == AGN_OK;) {
        bool blanks = separator[0] == ' ';
        if (blanks)
            at += strspn(at, " \t");
        const char *end = blanks ? at + strcspn(at, " \t") : strstr(at, separator);
        size_t length = end == NULL ? strlen(at) : (size_t)(end - at);
        if (blanks && *at == '\0')
            break;
        status = add_part(at, length, most, &made);
        at = end == NULL ? NULL : blanks ? end : end + strlen(separator);
    }
    if (status < 0) {
        agn__texts_free(&made);
        return status;
    }
    *texts = made;
    return AGN_OK;
}

uint64_t agn__hash_text(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return hash;
}
