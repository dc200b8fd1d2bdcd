/* See modem_rig.h. */
#include "support/modem_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

size_t rig_write(void *user, const uint8_t *bytes, size_t len)
{
    struct rig *rig = user;
    size_t room = SAID_BYTES - rig->said_bytes < rig->room ? SAID_BYTES - rig->said_bytes : rig->room;
    size_t count = len < room ? len : room;
    memcpy(rig->said + rig->said_bytes, bytes, count);
    rig->said_bytes += count;
    if (rig->room != SIZE_MAX)
        rig->room -= count;
    return count;
}

void rig_receive(void *user, const uint8_t *bytes, size_t len)
{
    struct rig *rig = user;
    assert_in_range(len, 1, DATAGRAM_CAP);
    memcpy(rig->received, bytes, len);
    rig->received_bytes = len;
    rig->received_count++;
}

void rig_drive_pin(void *user, int hold)
{
    struct rig *rig = user;
    rig->pin = hold;
    rig->pin_changes++;
}

struct esp_at_config rig_config(struct rig *rig)
{
    return (struct esp_at_config){.host = "192.168.4.2",
                                  .port = 5683,
                                  .local_port = 5684,
                                  .datagram = rig->datagram,
                                  .datagram_cap = sizeof rig->datagram,
                                  .user = rig,
                                  .write = rig_write,
                                  .received = rig_receive};
}

void rig_hear_bytes(struct rig *rig, const void *bytes, size_t len)
{
    esp_at_input(&rig->modem, bytes, len, rig->now_ms);
    esp_at_poll(&rig->modem, rig->now_ms);
}

void rig_hear(struct rig *rig, const char *text)
{
    rig_hear_bytes(rig, text, strlen(text));
}

void rig_hear_nonsense(struct rig *rig, struct agn_rng *rng)
{
    static const char *const words[] = {
        "\r\nOK\r\n",      "\r\nERROR\r\n",    ">",     "busy p...\r\n", "ready\r\n",  "\r\nSEND OK\r\n",
        "SEND FAIL\r\n",   "CLOSED\r\n",       "+IPD,", "+IPD,5:",       "+IPD,4000:", "WIFI DISCONNECT\r\n",
        "WIFI GOT IP\r\n", "Recv 5 bytes\r\n", "\r\n",  "99999",         ":",          "FAIL\r\n",
        "+IPD,300:"};
    if (agn_rng_below(rng, 2) == 0) {
        rig_hear(rig, words[agn_rng_below(rng, AGN_COUNT_OF(words))]);
        return;
    }
    uint8_t bytes[40];
    size_t count = agn_rng_below(rng, sizeof bytes);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)agn_rng_u64(rng);
    rig_hear_bytes(rig, bytes, count);
}
