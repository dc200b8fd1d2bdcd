/* The monitor's listening socket. */
#ifndef AGN_MONITOR_LISTEN_H
#define AGN_MONITOR_LISTEN_H

#include <stdint.h>

struct agn__listener {
    int fd;
    uint16_t port;
    char url[96]; /* "http://127.0.0.1:9090/" */
};

/* Listens at "[ADDRESS:]PORT" (include/agilenn/monitor.h), without blocking, closed on exec. Statuses as
 * agn_monitor_start. */
int agn__monitor_listen(const char *where, struct agn__listener *listener);

#endif
