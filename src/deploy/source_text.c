/* A text that grows; see source_text.h. */
#include "deploy/source_text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agilenn/base.h"

void agn__text_bytes(struct agn__text *text, const char *bytes, size_t count)
{
    if (text->status < 0)
        return;
    if (text->chars == NULL || text->length + count + 1 > text->cap) {
        size_t cap = 2 * text->cap + count + 1024;
        char *larger = agn_alloc(cap, 1);
        if (larger == NULL) {
            text->status = AGN_ERR_MEMORY;
            return;
        }
        if (text->chars != NULL)
            memcpy(larger, text->chars, text->length);
        agn_free(text->chars);
        text->chars = larger;
        text->cap = cap;
    }
    memcpy(text->chars + text->length, bytes, count);
    text->length += count;
    text->chars[text->length] = '\0';
}

void agn__text_add(struct agn__text *text, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    agn__text_bytes(text, line, length < (int)sizeof(line) ? (size_t)length : sizeof(line) - 1);
}

void agn__text_numbers(struct agn__text *text, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        agn__text_add(text, "%s%u,", i % 20 == 0 ? "\n    " : " ", bytes[i]);
}

void agn__text_string(struct agn__text *text, const char *string)
{
    agn__text_add(text, "\"");
    for (const unsigned char *c = (const unsigned char *)string; *c != '\0'; c++)
        agn__text_add(text, isalnum(*c) || *c == ' ' || *c == '-' || *c == '_' || *c == '.' ? "%c" : "\\%03o",
                      *c);
    agn__text_add(text, "\"");
}
