/* The monitor's listening socket. */
#ifndef AGN_MONITOR_LISTEN_H
#define AGN_MONITOR_LISTEN_H

#include <stdint.h>

/* Listens at "[ADDRESS:]PORT" (include/agilenn/monitor.h), without blocking, closed on exec; gives the socket
 * and the port taken. Statuses as agn_monitor_start. */
int agn__monitor_listen(const char *where, int *socket_fd, uint16_t *port);

#endif
