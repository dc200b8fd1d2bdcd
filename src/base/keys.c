/* Key files: reading, look-up, making. See keys.h.
 *
 * Keys stand in two places only: the buffer that the file is read into and the table, both overwritten before
 * they are given back. */
#define _GNU_SOURCE /* explicit_bzero, getrandom, memrchr */
#include "agilenn/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agilenn/base.h"

enum {
    LINE_MAX_BYTES = AGN_KEY_IDENTITY_TEXT + 2 * AGN_KEY_MAX_BYTES,
    GENERATED_KEY_BYTES = 32,
    PREFIX_MAX = AGN_KEY_IDENTITY_MAX - 8, /* "-1000000" */
};
#define FILE_MAX_BYTES ((size_t)AGN_KEYS_MAX * (LINE_MAX_BYTES + 1))

/* An entry is lengths, identity with a zero behind it, key. It is never longer than its line, where the key
 * takes twice as much, so that a table of the text's size holds them all. */
struct agn_keys {
    uint8_t *table;
    size_t table_bytes, used;
    const uint8_t **entries; /* in order of their identities */
    int count;
};
enum { ENTRY_IDENTITY = 2 };

static const char *entry_identity(const uint8_t *entry)
{
    return (const char *)entry + ENTRY_IDENTITY;
}

static const uint8_t *entry_key(const uint8_t *entry)
{
    return entry + ENTRY_IDENTITY + entry[0] + 1;
}

/* ---- hexadecimal digits --------------------------------------------------------------------- */

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

static bool read_hex(uint8_t *out, const uint8_t *hex, size_t digits)
{
    for (size_t i = 0; i + 1 < digits; i += 2) {
        int high = hex_digit(hex[i]), low = hex_digit(hex[i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return digits % 2 == 0;
}

/* ---- identities ------------------------------------------------------------------------- */

static const char too_long[] = "an identity of more than 128 bytes";
_Static_assert(AGN_KEY_IDENTITY_MAX == 128, "the sentence above says so");

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static bool starts_with(const char *text, size_t len, const char *word)
{
    return len >= strlen(word) && memcmp(text, word, strlen(word)) == 0;
}

static bool is_readable(const char *text)
{
    uint32_t code;
    size_t bytes = 1;
    for (; *text != 0 && bytes > 0; text += bytes)
        bytes = agn_utf8_read(text, &code);
    return bytes > 0;
}

/* These three give what is wrong, or NULL; `identity` has room for a zero behind the longest one. */

static const char *read_hex_identity(char *identity, const char *text, size_t len)
{
    if (len > 2 * (size_t)AGN_KEY_IDENTITY_MAX)
        return too_long;
    memset(identity, 0, AGN_KEY_IDENTITY_MAX + 1);
    if (!read_hex((uint8_t *)identity, (const uint8_t *)text, len))
        return "hex: must be followed by pairs of hexadecimal digits";
    return strlen(identity) == len / 2 ? NULL : "an identity with a zero byte";
}

static const char *read_quoted_identity(char *identity, const char *text, size_t len)
{
    size_t used = 0, at = 1;
    for (; at < len && text[at] != '"'; at++) {
        if (text[at] == '\\' && ++at < len && text[at] != '"' && text[at] != '\\')
            return "a backslash in an identity that is followed by neither \" nor another one";
        if (used == AGN_KEY_IDENTITY_MAX)
            return too_long;
        if (at < len)
            identity[used++] = text[at];
    }
    identity[used] = 0;
    return at + 1 == len ? NULL : "a quoted identity that does not end in \" before the last ':'";
}

static const char *read_plain_identity(char *identity, const char *text, size_t len)
{
    if (len > AGN_KEY_IDENTITY_MAX)
        return too_long;
    if (len > 0 && (is_blank((uint8_t)text[0]) || is_blank((uint8_t)text[len - 1])))
        return "an identity with a blank at its end, which takes quotes (\"...\")";
    memcpy(identity, text, len);
    identity[len] = 0;
    return NULL;
}

static const char *read_identity(char *identity, const char *text, size_t len)
{
    bool in_hex = starts_with(text, len, "hex:");
    const char *wrong = in_hex                         ? read_hex_identity(identity, text + 4, len - 4)
                        : starts_with(text, len, "\"") ? read_quoted_identity(identity, text, len)
                                                       : read_plain_identity(identity, text, len);
    if (wrong)
        return wrong;
    if (identity[0] == 0)
        return len > 0 && text[0] == 0 ? "an identity with a zero byte" : "the identity is empty";
    return in_hex || (is_readable(identity) && !memchr(text, 0, len))
               ? NULL
               : "a character that no identity may have unless written as hex: (controls, or no UTF-8)";
}

int agn_keys_read_identity(char identity[AGN_KEY_IDENTITY_MAX + 1], const char *text)
{
    char read[AGN_KEY_IDENTITY_MAX + 1];
    const char *wrong = read_identity(read, text, strlen(text));
    if (wrong)
        return agn_fail(AGN_ERR_FORMAT,
                        "the identity given: %s; expected 1 to %d bytes, plain, \"quoted\" or hex:...", wrong,
                        (int)AGN_KEY_IDENTITY_MAX);
    memcpy(identity, read, sizeof read);
    return 0;
}

void agn_keys_show_identity(char text[AGN_KEY_IDENTITY_TEXT], const char *identity)
{
    char same[AGN_KEY_IDENTITY_MAX + 1];
    size_t len = strlen(identity), used = 0;
    len = len < AGN_KEY_IDENTITY_MAX ? len : AGN_KEY_IDENTITY_MAX;
    if (!is_readable(identity)) {
        used += (size_t)snprintf(text, AGN_KEY_IDENTITY_TEXT, "hex:");
        for (size_t i = 0; i < len; i++)
            used += (size_t)snprintf(text + used, AGN_KEY_IDENTITY_TEXT - used, "%02x",
                                     (unsigned)(uint8_t)identity[i]);
        return;
    }
    bool plain = identity[0] != '#' && !starts_with(identity, len, "\"") &&
                 !starts_with(identity, len, "hex:") && !read_plain_identity(same, identity, len);
    if (!plain)
        text[used++] = '"';
    for (size_t i = 0; i < len; i++) {
        if (!plain && (identity[i] == '"' || identity[i] == '\\'))
            text[used++] = '\\';
        text[used++] = identity[i];
    }
    if (!plain)
        text[used++] = '"';
    text[used] = 0;
}

/* ---- reading lines ---------------------------------------------------------------------- */

/* No message quotes a line: it may hold a key, also in the wrong place. */
static int refuse_line(const char *name, int line, const char *what)
{
    return agn_fail(AGN_ERR_FORMAT,
                    "%s line %d: %s; expected identity:key, the key as %d to %d hexadecimal digits", name,
                    line, what, 2 * AGN_KEY_MIN_BYTES, 2 * AGN_KEY_MAX_BYTES);
}

static int parse_line(struct agn_keys *keys, const uint8_t *text, size_t len, const char *name, int line)
{
    const uint8_t *colon = memrchr(text, ':', len);
    if (!colon)
        return refuse_line(name, line, "no ':' found");
    uint8_t *entry = keys->table + keys->used;
    char identity[AGN_KEY_IDENTITY_MAX + 1];
    const char *wrong = read_identity(identity, (const char *)text, (size_t)(colon - text));
    if (wrong)
        return refuse_line(name, line, wrong);
    size_t identity_bytes = strlen(identity), digits = (size_t)(text + len - colon) - 1;
    if (digits < 2 * AGN_KEY_MIN_BYTES || digits > 2 * AGN_KEY_MAX_BYTES || digits % 2 != 0)
        return refuse_line(name, line, "a key of the wrong length");
    if (keys->count == AGN_KEYS_MAX)
        return agn_fail(AGN_ERR_RANGE, "%s line %d: more than %d keys", name, line, (int)AGN_KEYS_MAX);
    entry[0] = (uint8_t)identity_bytes;
    entry[1] = (uint8_t)(digits / 2);
    memcpy(entry + ENTRY_IDENTITY, identity, identity_bytes + 1);
    if (!read_hex(entry + ENTRY_IDENTITY + identity_bytes + 1, colon + 1, digits))
        return refuse_line(name, line, "a character in the key that is no hexadecimal digit");
    keys->entries[keys->count++] = entry;
    keys->used += ENTRY_IDENTITY + identity_bytes + 1 + digits / 2;
    return 0;
}

/* Without its end, spaces around it included; false for one to skip. */
static bool trim(const uint8_t **line, size_t *len)
{
    while (*len > 0 && (**line == ' ' || **line == '\t')) {
        ++*line;
        --*len;
    }
    while (*len > 0 && ((*line)[*len - 1] == ' ' || (*line)[*len - 1] == '\t' || (*line)[*len - 1] == '\r'))
        --*len;
    return *len > 0 && **line != '#';
}

static int parse_lines(struct agn_keys *keys, const uint8_t *text, size_t len, const char *name)
{
    int status = 0;
    size_t at = 0;
    for (int number = 1; at < len && status == 0; number++) {
        const uint8_t *line = text + at, *end = memchr(line, '\n', len - at);
        size_t line_bytes = end ? (size_t)(end - line) : len - at;
        at += line_bytes + 1;
        if (trim(&line, &line_bytes))
            status = parse_line(keys, line, line_bytes, name, number);
    }
    return status;
}

/* ---- the table ----------------------------------------------------------------------------- */

static int by_identity(const void *a, const void *b)
{
    return strcmp(entry_identity(*(const uint8_t *const *)a), entry_identity(*(const uint8_t *const *)b));
}

static int sort_entries(struct agn_keys *keys, const char *name)
{
    if (keys->count == 0)
        return agn_fail(AGN_ERR_FORMAT, "%s holds no key; `agilenn keys` makes some", name);
    qsort(keys->entries, (size_t)keys->count, sizeof *keys->entries, by_identity);
    for (int i = 1; i < keys->count; i++) {
        if (by_identity(&keys->entries[i - 1], &keys->entries[i]) != 0)
            continue;
        char shown[AGN_KEY_IDENTITY_TEXT];
        agn_keys_show_identity(shown, entry_identity(keys->entries[i]));
        return agn_fail(AGN_ERR_FORMAT, "%s: the identity '%s' stands there twice; keep one of the lines",
                        name, shown);
    }
    return 0;
}

static size_t count_lines(const uint8_t *text, size_t len)
{
    size_t lines = 1;
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    return lines < AGN_KEYS_MAX ? lines : AGN_KEYS_MAX;
}

int agn_keys_parse(struct agn_keys **keys, const uint8_t *text, size_t len, const char *name)
{
    if (len > FILE_MAX_BYTES)
        return agn_fail(AGN_ERR_RANGE, "%s: %zu bytes, expected at most %zu", name, len, FILE_MAX_BYTES);
    struct agn_keys *made = agn_alloc(1, sizeof *made);
    if (!made)
        return AGN_ERR_MEMORY;
    made->table_bytes = len + 1;
    made->table = agn_alloc(made->table_bytes, 1);
    made->entries = agn_alloc(count_lines(text, len), sizeof *made->entries);
    int status = made->table && made->entries ? 0 : AGN_ERR_MEMORY;
    if (status == 0)
        status = parse_lines(made, text, len, name);
    if (status == 0)
        status = sort_entries(made, name);
    if (status < 0) {
        agn_keys_free(made);
        return status;
    }
    *keys = made;
    return 0;
}

int agn_keys_count(const struct agn_keys *keys)
{
    return keys->count;
}

const char *agn_keys_identity(const struct agn_keys *keys, int index)
{
    return entry_identity(keys->entries[index]);
}

const uint8_t *agn_keys_find(const struct agn_keys *keys, const void *identity, size_t identity_bytes,
                             size_t *key_bytes)
{
    char wanted[AGN_KEY_IDENTITY_MAX + 1];
    if (identity_bytes == 0 || identity_bytes > AGN_KEY_IDENTITY_MAX ||
        memchr(identity, 0, identity_bytes) != NULL)
        return NULL;
    memcpy(wanted, identity, identity_bytes);
    wanted[identity_bytes] = 0;
    int low = 0, high = keys->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        int order = strcmp(wanted, entry_identity(keys->entries[middle]));
        if (order == 0) {
            *key_bytes = keys->entries[middle][1];
            return entry_key(keys->entries[middle]);
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

void agn_keys_free(struct agn_keys *keys)
{
    if (!keys)
        return;
    if (keys->table)
        explicit_bzero(keys->table, keys->table_bytes);
    agn_free(keys->table);
    agn_free(keys->entries);
    agn_free(keys);
}

/* ---- files ---------------------------------------------------------------------------------- */

/* Neither a crash nor another process of this user may give the keys away. Failing to say so is no reason to
 * refuse: it needs no right that a process could lack. */
static void keep_memory_private(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int check_file(const struct stat *info, const char *path)
{
    mode_t mode = info->st_mode & 07777;
    if (!S_ISREG(info->st_mode))
        return agn_fail(AGN_ERR_ARG, "%s is no regular file; give a key file", path);
    if (info->st_uid != geteuid() && info->st_uid != 0)
        return agn_fail(
            AGN_ERR_ARG,
            "%s belongs to user %u, who could put keys of their own there; make it yours (chown) or root's",
            path, (unsigned)info->st_uid);
    if (mode != 0600 && mode != 0400)
        return agn_fail(AGN_ERR_ARG, "%s has mode %04o%s, expected 0600 or 0400; run `chmod 600 %s`", path,
                        (unsigned)mode, mode & 077 ? ", so that others may see the keys" : "", path);
    if ((uintmax_t)info->st_size > FILE_MAX_BYTES)
        return agn_fail(AGN_ERR_RANGE, "%s: %jd bytes, expected at most %zu", path, (intmax_t)info->st_size,
                        FILE_MAX_BYTES);
    return 0;
}

/* Reads what the file held when it was opened; one that grows meanwhile ends in a line that is refused. */
static int read_keys(struct agn_keys **keys, int fd, size_t size, const char *path)
{
    uint8_t *text = agn_alloc(size, 1);
    if (!text)
        return AGN_ERR_MEMORY;
    size_t used = 0;
    int status = 0;
    while (used < size && status == 0) {
        ssize_t got = read(fd, text + used, size - used);
        if (got > 0)
            used += (size_t)got;
        else if (got == 0)
            break;
        else if (errno != EINTR)
            status = agn_fail(AGN_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    }
    if (status == 0)
        status = agn_keys_parse(keys, text, used, path);
    explicit_bzero(text, size);
    agn_free(text);
    return status;
}

int agn_keys_load(struct agn_keys **keys, const char *path)
{
    /* O_NONBLOCK: a pipe must not hold the program up before it is refused. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return agn_fail(errno == ENOENT ? AGN_ERR_NOT_FOUND : AGN_ERR_IO, "cannot open the key file %s: %s",
                        path, strerror(errno));
    struct stat info;
    int status = fstat(fd, &info) == 0
                     ? check_file(&info, path)
                     : agn_fail(AGN_ERR_IO, "cannot examine the key file %s: %s", path, strerror(errno));
    if (status == 0) {
        keep_memory_private();
        status = read_keys(keys, fd, (size_t)info.st_size, path);
    }
    close(fd);
    return status;
}

/* ---- making --------------------------------------------------------------------------------- */

static int fill_random(uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t got = getrandom(bytes + at, len - at, 0);
        if (got < 0 && errno != EINTR)
            return agn_fail(AGN_ERR_IO, "the system gives no random numbers: %s", strerror(errno));
        at += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int write_all(int fd, const char *bytes, size_t len, const char *path)
{
    for (size_t at = 0; at < len;) {
        ssize_t done = write(fd, bytes + at, len - at);
        if (done < 0 && errno != EINTR)
            return agn_fail(AGN_ERR_IO, "cannot write %s: %s", path, strerror(errno));
        at += done > 0 ? (size_t)done : 0;
    }
    return 0;
}

static int write_keys(int fd, const char *path, const char *prefix, int devices)
{
    char line[LINE_MAX_BYTES + 2];
    uint8_t key[GENERATED_KEY_BYTES];
    int status = 0;
    for (int i = 1; i <= devices && status == 0; i++) {
        status = fill_random(key, sizeof key);
        int at = snprintf(line, sizeof line, "%s-%06d:", prefix, i);
        for (size_t k = 0; k < sizeof key; k++)
            at += snprintf(line + at, sizeof line - (size_t)at, "%02x", key[k]);
        line[at++] = '\n';
        if (status == 0)
            status = write_all(fd, line, (size_t)at, path);
    }
    explicit_bzero(line, sizeof line);
    explicit_bzero(key, sizeof key);
    if (status == 0 && fsync(fd) != 0)
        status = agn_fail(AGN_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    return status;
}

static bool is_prefix_byte(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
           (byte != 0 && strchr("._@+=-:", byte) != NULL);
}

static int check_request(const char *prefix, int devices)
{
    size_t length = strlen(prefix);
    if (devices < 1 || devices > AGN_KEYS_MAX)
        return agn_fail(AGN_ERR_ARG, "%d devices, expected 1 to %d", devices, (int)AGN_KEYS_MAX);
    if (starts_with(prefix, length, "hex:"))
        length = 0;
    for (size_t i = 0; i < length; i++)
        if (!is_prefix_byte((uint8_t)prefix[i]))
            length = 0;
    if (length < 1 || length > PREFIX_MAX)
        return agn_fail(AGN_ERR_ARG,
                        "the prefix '%s' is no good, expected 1 to %d of A-Z a-z 0-9 . _ @ + = - :", prefix,
                        (int)PREFIX_MAX);
    return 0;
}

int agn_keys_generate(const char *path, const char *prefix, int devices)
{
    int status = check_request(prefix, devices);
    if (status < 0)
        return status;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST)
        return agn_fail(AGN_ERR_BUSY, "%s is there already and may hold keys in use; choose another name",
                        path);
    if (fd < 0)
        return agn_fail(AGN_ERR_IO, "cannot make %s: %s", path, strerror(errno));
    keep_memory_private();
    status = write_keys(fd, path, prefix, devices);
    if (close(fd) != 0 && status == 0)
        status = agn_fail(AGN_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    if (status < 0)
        (void)unlink(path); /* half a file of keys is of no use */
    return status;
}
