/* How a firmware uses the model: rows in, packets out, an answer in, a prediction. On a hosted system it
 * reads frames from stdin and prints the device's own answer to each; a firmware puts its camera, radio and
 * clock in their places. */
#include "agilenn.h"

static struct agn_dev dev;
static uint32_t arena[AGN_MODEL_ARENA_BYTES / 4];
static uint8_t packet[AGN_WIRE_MAX_PACKET];

/* The radio: sends one datagram. 0: there is none. */
static int send_datagram(const uint8_t *bytes, size_t len)
{
    (void)bytes;
    return (int)len;
}

/* The radio: the next datagram within what is left of the deadline, or 0. */
static size_t receive_datagram(uint8_t *bytes, size_t cap)
{
    (void)bytes;
    (void)cap;
    return 0;
}

int example_begin(void)
{
    return agn_dev_init(&dev, agn_model_data.bytes, AGN_MODEL_BYTES, arena, sizeof arena);
}

/* One frame: AGN_MODEL_INPUT_H rows of AGN_MODEL_INPUT_W x AGN_MODEL_INPUT_C bytes, which may come one by
 * one. Returns the class, or an AGN_ERR code. */
int example_frame(const uint8_t *pixels, uint16_t number)
{
    struct agn_dev_prediction prediction;
    agn_dev_frame_begin(&dev, number, 200);
    int status = agn_dev_push_rows(&dev, pixels, AGN_MODEL_INPUT_H);
    while (status >= 0 && (status = agn_dev_next_packet(&dev, packet, sizeof packet)) > 0)
        if (send_datagram(packet, (size_t)status) == 0)
            break;
    if (status < 0)
        return status;
    size_t len;
    while ((len = receive_datagram(packet, sizeof packet)) > 0)
        if (agn_dev_accept_reply(&dev, packet, len) == 0)
            break;
    status = agn_dev_predict(&dev, &prediction);
    return status < 0 ? status : prediction.class_index;
}

#if defined(__STDC_HOSTED__) && __STDC_HOSTED__ && !defined(AGN_EXAMPLE_NO_MAIN)
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
