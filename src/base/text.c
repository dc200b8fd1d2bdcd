/* Text of any origin, such as names of classes and files, for terminals and pictures. */
#include <assert.h>
#include <string.h>

#include "agilenn/base.h"

static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

size_t agn_utf8_read(const char *text, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; /* of a character of so many bytes */
    const unsigned char *at = (const unsigned char *)text;
    size_t length = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (length == 0 || at[0] > 0xf4)
        return 0;
    uint32_t read = length == 1 ? at[0] : at[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) /* the final zero byte, too */
            return 0;
        read = read << 6 | (at[i] & 0x3fU);
    }
    if (read < least[length] || read > 0x10ffff || (read >= 0xd800 && read < 0xe000) || is_control(read))
        return 0;
    *code = read;
    return length;
}

/* Columns of a terminal: two for the wide characters of Unicode's East Asian Width (UAX 11), by blocks. */
static int columns_of(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } wide[] = {{0x1100, 0x115f}, {0x2e80, 0xa4cf}, {0xac00, 0xd7a3},   {0xf900, 0xfaff},
                {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd}};
    for (size_t i = 0; i < AGN_COUNT_OF(wide); i++)
        if (code >= wide[i].first && code <= wide[i].last)
            return 2;
    return 1;
}

/* Bytes and columns of the next character, and what stands for it: itself or '?'. */
static size_t next_character(const char *text, const char **shown, size_t *shown_bytes, int *columns)
{
    uint32_t code = 0;
    size_t bytes = agn_utf8_read(text, &code);
    *shown = bytes > 0 ? text : "?";
    *shown_bytes = bytes > 0 ? bytes : 1;
    *columns = bytes > 0 ? columns_of(code) : 1;
    return *shown_bytes;
}

int agn_text_columns(const char *text)
{
    const char *shown;
    size_t shown_bytes;
    int columns = 0, more;
    while (*text != '\0') {
        text += next_character(text, &shown, &shown_bytes, &more);
        columns += more;
    }
    return columns;
}

int agn_text_clip(char *out, size_t cap, const char *text, int columns)
{
    static const char ellipsis[] = "…";
    size_t used = 0, kept = 0; /* bytes; `kept`: with which the ellipsis still fits */
    int width = 0, kept_width = 0;
    assert(cap >= sizeof ellipsis && columns >= 1);
    while (*text != '\0') {
        const char *shown;
        size_t shown_bytes;
        int more;
        text += next_character(text, &shown, &shown_bytes, &more);
        if (width + more > columns || used + shown_bytes >= cap) {
            memcpy(out + kept, ellipsis, sizeof ellipsis);
            return kept_width + 1;
        }
        memcpy(out + used, shown, shown_bytes);
        used += shown_bytes;
        width += more;
        if (width < columns && used + sizeof ellipsis <= cap) {
            kept = used;
            kept_width = width;
        }
    }
    out[used] = '\0';
    return width;
}
