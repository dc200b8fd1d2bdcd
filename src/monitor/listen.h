/* The monitor's listening socket. */
#ifndef AGN_MONITOR_LISTEN_H
#define AGN_MONITOR_LISTEN_H

#include <stdint.h>

enum { AGN__HOST_BYTES = 256 };

struct agn__listener {
    int fd;
    uint16_t port;
    char url[96]; /* "http://127.0.0.1:9090/" */
};

/* Listens at "[ADDRESS:]PORT" (include/agilenn/monitor.h), without blocking, closed on exec. Statuses as
 * agn_monitor_start. */
int agn__monitor_listen(const char *where, struct agn__listener *listener);

/* Splits "[ADDRESS:]PORT"; the host is "127.0.0.1" when none is given. `port` points into `where`.
 * AGN_ERR_ARG. */
int agn__split_address(const char *where, char host[AGN__HOST_BYTES], const char **port);

#endif
