/* The devices' sockets: one each, with a source port of its own, all looked at in one wait. Bytes only. */
#ifndef AGN_SWARM_PORTS_H
#define AGN_SWARM_PORTS_H

#include <stddef.h>
#include <stdint.h>

struct agn__ports;

/* Opens `count` connected UDP sockets; raises the process's soft limit of open files where it is too low.
 * AGN_ERR_NOT_FOUND: unknown host; AGN_ERR_IO: no socket, or too few files allowed; AGN_ERR_MEMORY. */
int agn__ports_open(struct agn__ports **ports, const char *host, uint16_t port, uint32_t count);
void agn__ports_free(struct agn__ports *ports);

/* Sends a datagram from a device. 0; AGN_ERR_BUSY: the system dropped it (buffers full); AGN_ERR_IO: nobody
 * listens there or there is no route. */
int agn__ports_send(struct agn__ports *ports, uint32_t device, const uint8_t *bytes, size_t len);

/* Waits until a datagram has come for a device, but at most `seconds` (0 or less: does not wait). Returns the
 * number of devices that have something, each to be asked once with agn__ports_receive; AGN_ERR_IO. */
int agn__ports_wait(struct agn__ports *ports, double seconds);

/* Receives for ready device number `ready` of the last wait: its length, 0: nothing after all. *device
 * becomes the device. Longer datagrams than cap are cut. */
size_t agn__ports_receive(struct agn__ports *ports, int ready, uint32_t *device, uint8_t *bytes, size_t cap);

#endif
