/* The host's end of a serial line: a unix socket or a pseudo-terminal. Bytes only. */
#ifndef AGN_MODEM_LINE_H
#define AGN_MODEM_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agilenn/modem.h"

struct agn__line {
    int fd;
    int keeper; /* pty: the device's side kept open, so that the line outlives a device that comes and goes */
    bool made_path;
    char path[256], name[256]; /* name: what the device opens */
};

/* Opens and waits for the other side, at most patience_s. AGN_ERR_TIMEOUT, AGN_ERR_IO, AGN_ERR_RANGE,
 * AGN_ERR_INTERRUPTED, with agn_fail. */
int agn__line_open(struct agn__line *line, enum agn_modem_line kind, const char *path, double patience_s);
void agn__line_close(struct agn__line *line);

/* Reads what there is. Returns the length, 0: nothing now; AGN_ERR_NOT_FOUND: the other side has hung up;
 * AGN_ERR_IO. */
int agn__line_read(struct agn__line *line, uint8_t *bytes, size_t cap);

/* Writes what goes now; the same results. */
int agn__line_write(struct agn__line *line, const uint8_t *bytes, size_t len);

#endif
