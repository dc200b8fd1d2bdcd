/* How a firmware uses the model: rows in, datagrams out, an answer in, a prediction. A firmware puts its
 * camera, radio and clock in the places of the three functions below; examples/udp.c has sockets there. On a
 * system with files it reads frames from stdin and prints the device's own answer to each. */
#include "agilenn.h"

static struct agn_dev dev;
static struct agn_link link_to_server;
static uint32_t arena[AGN_MODEL_ARENA_BYTES / 4];
static uint8_t datagram[AGN_LINK_MAX_DATAGRAM];

/* The radio: sends one datagram to the server's UDP port. Here there is none. */
static void send_datagram(const uint8_t *bytes, size_t len)
{
    (void)bytes;
    (void)len;
}

/* The radio: waits for a datagram. Its length, or 0 when wait_ms are over. */
static size_t receive_datagram(uint8_t *bytes, size_t cap, uint32_t wait_ms)
{
    (void)bytes;
    (void)cap;
    (void)wait_ms;
    return 0;
}

/* The clock: milliseconds, which may wrap. Without one, time goes by at each look. */
static uint32_t now_ms(void)
{
    static uint32_t time_ms;
    return time_ms += 5;
}

int example_begin(void)
{
    static const struct agn_link_config config = {.deadline_ms = 200}; /* deadline; else defaults */
    int status = agn_dev_init(&dev, agn_model_data.bytes, AGN_MODEL_BYTES, arena, sizeof arena);
    return status < 0 ? status : agn_link_init(&link_to_server, &dev, &config, 12345);
}

/* The frame on its way; returns within the deadline. */
static void ask_server(void)
{
    uint32_t wait_ms;
    int len;
    agn_link_begin(&link_to_server, now_ms());
    while ((wait_ms = agn_link_wait_ms(&link_to_server, now_ms())) > 0) {
        while ((len = agn_link_next(&link_to_server, now_ms(), datagram, sizeof datagram)) > 0)
            send_datagram(datagram, (size_t)len);
        size_t came = receive_datagram(datagram, sizeof datagram, wait_ms);
        if (came > 0)
            agn_link_take(&link_to_server, now_ms(), datagram, came);
    }
    agn_link_end(&link_to_server, now_ms());
}

/* One frame: AGN_MODEL_INPUT_H rows of AGN_MODEL_INPUT_W x AGN_MODEL_INPUT_C bytes, which may come one by
 * one. Returns the class, or an AGN_ERR code. */
int example_frame(const uint8_t *pixels, uint16_t number)
{
    struct agn_dev_prediction prediction;
    agn_dev_frame_begin(&dev, number, 200);
    int status = agn_dev_push_rows(&dev, pixels, AGN_MODEL_INPUT_H);
    if (status < 0)
        return status;
    ask_server();
    status = agn_dev_predict(&dev, &prediction);
    return status < 0 ? status : prediction.class_index;
}

#if (defined(__unix__) || defined(__APPLE__) || defined(_WIN32)) && !defined(AGN_EXAMPLE_NO_MAIN)
#include <stdio.h>

int main(void)
{
    static uint8_t frame[AGN_MODEL_INPUT_H * AGN_MODEL_INPUT_W * AGN_MODEL_INPUT_C];
    int status = example_begin();
    if (status < 0) {
        fprintf(stderr, "the model cannot be opened: error %d\n", status);
        return 1;
    }
    for (uint16_t number = 0; fread(frame, sizeof frame, 1, stdin) == 1; number++)
        printf("%d\n", example_frame(frame, number));
    return 0;
}
#endif
