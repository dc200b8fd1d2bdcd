/* A text that grows, for files of C, XML and such. */
#ifndef AGN_DEPLOY_SOURCE_TEXT_H
#define AGN_DEPLOY_SOURCE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* All zero: empty. */
struct agn__text {
    char *chars; /* ends with a zero byte; NULL: empty. The owner frees it with agn_free */
    size_t length, cap;
    int status; /* AGN_ERR_MEMORY: what was added since is lost */
};

void agn__text_bytes(struct agn__text *text, const char *bytes, size_t count);
/* At most 511 characters. */
__attribute__((format(printf, 2, 3))) void agn__text_add(struct agn__text *text, const char *format, ...);
/* As a C array's content, 20 a line. */
void agn__text_numbers(struct agn__text *text, const uint8_t *bytes, size_t count);
/* As a C string; what is not plain ASCII in octal. */
void agn__text_string(struct agn__text *text, const char *string);

#endif
