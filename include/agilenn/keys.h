/* Key files: which devices may speak DTLS, and with which pre-shared key.
 *
 * One line a device, `identity:key`, the key in hexadecimal; the last ':' is the one between them. Blank
 * lines and lines that begin with '#' are skipped, blanks around a line do not count. An identity has 1 to
 * 128 bytes, none of them zero, a key 16 to 64. An identity is written
 *
 *     urn:imei:490154203237518     plain: UTF-8 without control characters, no blank at either end
 *     "#7 \"yard\" "               in quotes, where \" and \\ stand for " and \: any such text
 *     hex:63ff                     hex: and two digits a byte: any bytes
 *
 * The file must be a regular one that belongs to the user or to root and that nobody else may read (mode 0600
 * or 0400).
 *
 * Keys never appear in a message, a log or an argument. Memory that held them is overwritten before it is
 * given back, and a process that loads keys leaves no core dump from then on. */
#ifndef AGILENN_KEYS_H
#define AGILENN_KEYS_H

#include <stddef.h>
#include <stdint.h>

enum {
    AGN_KEYS_MAX = 1000000, /* devices in a file */
    AGN_KEY_MIN_BYTES = 16,
    AGN_KEY_MAX_BYTES = 64,
    AGN_KEY_IDENTITY_MAX = 128, /* bytes, as many as RFC 4279 wants at least */
    AGN_KEY_IDENTITY_TEXT =
        5 + 2 * AGN_KEY_IDENTITY_MAX, /* the longest way to write one, with a zero behind */
};

struct agn_keys; /* never changes once loaded; may be read by several threads */

/* AGN_ERR_NOT_FOUND, AGN_ERR_IO; AGN_ERR_ARG: owner, mode or kind of file; AGN_ERR_FORMAT: a bad line
 * (which), a name twice, no key at all; AGN_ERR_RANGE: too large. `*keys` is freed with agn_keys_free. */
int agn_keys_load(struct agn_keys **keys, const char *path);
/* The same from memory, without the checks of the file; `name` is for messages. */
int agn_keys_parse(struct agn_keys **keys, const uint8_t *text, size_t len, const char *name);

int agn_keys_count(const struct agn_keys *keys);
/* Number `index` in the order of their bytes, a string; not always one for a terminal, see below. */
const char *agn_keys_identity(const struct agn_keys *keys, int index);
/* The key of an identity (any bytes), valid as long as `keys`; NULL: there is none. */
const uint8_t *agn_keys_find(const struct agn_keys *keys, const void *identity, size_t identity_bytes,
                             size_t *key_bytes);
/* An identity as the file writes it, for a log or a message, and back (AGN_ERR_FORMAT). */
void agn_keys_show_identity(char text[AGN_KEY_IDENTITY_TEXT], const char *identity);
int agn_keys_read_identity(char identity[AGN_KEY_IDENTITY_MAX + 1], const char *text);
/* NULL is allowed. */
void agn_keys_free(struct agn_keys *keys);

/* Writes a new file, mode 0600, with `devices` identities PREFIX-000001 ... and random keys of 32 bytes from
 * the system's generator. An existing file is refused (AGN_ERR_BUSY): it may hold keys in use. AGN_ERR_ARG,
 * AGN_ERR_IO. */
int agn_keys_generate(const char *path, const char *prefix, int devices);

#endif
