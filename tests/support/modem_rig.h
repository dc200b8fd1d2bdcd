/* A board for the ESP-AT driver: what the driver wrote, what it handed up, what it did to the reset pin. */
#ifndef AGN_TEST_MODEM_RIG_H
#define AGN_TEST_MODEM_RIG_H

#include <stddef.h>
#include <stdint.h>

#include "agilenn/base.h"
#include "drivers/esp_at.h"

enum { SAID_BYTES = 1 << 14, DATAGRAM_CAP = 256 };

struct rig {
    struct esp_at modem;
    uint32_t now_ms;
    uint8_t said[SAID_BYTES];
    size_t said_bytes, room; /* room: what the UART takes now */
    uint8_t datagram[DATAGRAM_CAP];
    uint8_t received[DATAGRAM_CAP];
    size_t received_bytes;
    int received_count, pin, pin_changes;
};

/* A configuration that knows its network, with `rig` as the board; no reset pin. */
struct esp_at_config rig_config(struct rig *rig);

/* Callbacks of esp_at_config; `user` is the rig. */
size_t rig_write(void *user, const uint8_t *bytes, size_t len);
void rig_receive(void *user, const uint8_t *bytes, size_t len);
void rig_drive_pin(void *user, int hold);

/* The modem says this now. */
void rig_hear_bytes(struct rig *rig, const void *bytes, size_t len);
void rig_hear(struct rig *rig, const char *text);

/* The modem says some word at random, or bytes nobody says. */
void rig_hear_nonsense(struct rig *rig, struct agn_rng *rng);

#endif
