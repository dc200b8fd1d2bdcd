/* The devices' sockets: one each, with a source port of its own, all looked at in one wait, and DTLS over
 * them where there are keys. Messages only. */
#ifndef AGN_SWARM_PORTS_H
#define AGN_SWARM_PORTS_H

#include <stddef.h>
#include <stdint.h>

struct agn__ports;
struct agn_keys;

/* Opens `count` connected UDP sockets; raises the process's soft limit of open files where it is too low.
 * With keys (NULL: plain), device i speaks DTLS as identity i modulo their number; they are copied.
 * AGN_ERR_NOT_FOUND: unknown host; AGN_ERR_IO: no socket, or too few files allowed; AGN_ERR_MEMORY. */
int agn__ports_open(struct agn__ports **ports, const char *host, uint16_t port, uint32_t count,
                    const struct agn_keys *keys);
void agn__ports_free(struct agn__ports *ports);

/* With DTLS: makes the sessions that there are not yet, some at a time, at most for `seconds`. Returns their
 * number, 0 for plain ports. AGN_ERR_UNSUPPORTED: the server refuses an identity; AGN_ERR_TIMEOUT: no session
 * within that time; AGN_ERR_INTERRUPTED; AGN_ERR_IO. */
int agn__ports_connect(struct agn__ports *ports, double seconds);

/* With DTLS: begins a new session for a device from a new port, unless one is being made: the server has lost
 * the old one, which no datagram tells. AGN_ERR_IO. */
int agn__ports_renew(struct agn__ports *ports, uint32_t device);

/* Goes on with sessions that are being made; to be called some times a second. */
void agn__ports_tick(struct agn__ports *ports);

/* Sends a message from a device. 0; AGN_ERR_BUSY: the system dropped it (buffers full); AGN_ERR_IO: nobody
 * listens there or there is no route; AGN_ERR_STATE: there is no session. */
int agn__ports_send(struct agn__ports *ports, uint32_t device, const uint8_t *bytes, size_t len);

/* Waits until a datagram has come for a device, but at most `seconds` (0 or less: does not wait). Returns the
 * number of devices that have something, each to be asked once with agn__ports_receive; AGN_ERR_IO. */
int agn__ports_wait(struct agn__ports *ports, double seconds);

/* Receives for ready device number `ready` of the last wait: its length, 0: nothing after all. *device
 * becomes the device. Longer datagrams than cap are cut. */
size_t agn__ports_receive(struct agn__ports *ports, int ready, uint32_t *device, uint8_t *bytes, size_t cap);

#endif
