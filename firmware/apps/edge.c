/* The whole device: frame in, packets over the modem to the server, answer or deadline, prediction out. The
 * frames are those linked in; a camera's would come row by row into agn_dev_push_rows.
 *
 * A line for each frame: "frame,CLASS,fused|local". At the end, what went wrong. No wait is without a bound:
 * a frame takes at most FRAME_MS after its rows, whatever modem and server do. */
#include <string.h>

#include "client/coap_message.h"
#include "drivers/esp_at.h"
#include "frame.h"

enum { ARENA_BYTES = 64 * 1024, FRAME_MS = 1000, OPEN_MS = 15000 };

static uint32_t arena[ARENA_BYTES / 4];
static struct agn_dev dev;
static struct esp_at modem;
static uint8_t received[ESP_AT_MAX_DATAGRAM];
/* A request: what goes before the packet, and the packet. */
static uint8_t request[AGN__COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET];
static uint16_t message_id;
static int answered;
static struct {
    uint32_t frames, fused, unsent, damaged, foreign;
} counts;

static size_t write_uart(void *user, const uint8_t *bytes, size_t len)
{
    (void)user;
    return board_uart_write(bytes, len);
}

/* A datagram of the modem: a CoAP answer with a reply to this frame, or nothing of ours. */
static void take_datagram(void *user, const uint8_t *bytes, size_t len)
{
    struct agn__coap_answer_view answer;
    (void)user;
    if (agn__coap_read_answer(bytes, len, &answer) < 0) {
        counts.damaged++;
        return;
    }
    int status = agn_dev_accept_reply(&dev, answer.payload, answer.payload_bytes);
    if (status == 0)
        answered = 1;
    else if (status == AGN_ERR_FORMAT || status == AGN_ERR_CHECKSUM)
        counts.damaged++;
    else
        counts.foreign++;
}

static void turn(void)
{
    uint8_t bytes[64];
    size_t len;
    while ((len = board_uart_read(bytes, sizeof bytes)) > 0)
        esp_at_input(&modem, bytes, len, board_now_ms());
    esp_at_poll(&modem, board_now_ms());
}

/* Sends all packets, or as many as there is time for. */
static void send_packets(uint32_t begin)
{
    uint8_t *packet = request + AGN__COAP_REQUEST_OVERHEAD;
    int len;
    while (!answered && (len = agn_dev_next_packet(&dev, packet, AGN_WIRE_MAX_PACKET)) > 0) {
        uint8_t token[AGN__COAP_TOKEN_BYTES] = {0};
        token[0] = (uint8_t)++message_id;
        token[1] = (uint8_t)(message_id >> 8);
        size_t total = agn__coap_request(request, message_id, token, packet, (size_t)len);
        uint32_t spent = board_now_ms() - begin;
        if (spent >= FRAME_MS || esp_at_send(&modem, request, total, board_now_ms(), FRAME_MS - spent) < 0) {
            counts.unsent++;
            return;
        }
        while (esp_at_outcome(&modem) == ESP_AT_PENDING && board_now_ms() - begin < FRAME_MS)
            turn();
        if (esp_at_outcome(&modem) != ESP_AT_SENT)
            counts.unsent++;
        if (esp_at_outcome(&modem) == ESP_AT_PENDING)
            return;
    }
}

static void run_frame(const uint8_t *pixels, uint16_t number)
{
    struct agn_dev_prediction prediction;
    /* The request's bytes belong to the driver until it is done with them: see that it is. */
    for (uint32_t begin = board_now_ms();
         esp_at_outcome(&modem) == ESP_AT_PENDING && board_now_ms() - begin < FRAME_MS;)
        turn();
    answered = 0;
    agn_dev_frame_begin(&dev, number, FRAME_MS);
    agn_dev_push_rows(&dev, pixels, dev.model.input_h);
    uint32_t begin = board_now_ms();
    if (esp_at_outcome(&modem) != ESP_AT_PENDING)
        send_packets(begin);
    while (!answered && board_now_ms() - begin < FRAME_MS)
        turn();
    agn_dev_predict(&dev, &prediction);
    counts.frames++;
    counts.fused += prediction.fused;
    print_number(prediction.fused ? "fused" : "local", prediction.class_index);
}

int app_main(void)
{
    const struct esp_at_config config = {.host =
                                             "192.0.2.1", /* the modem program sends where it is told to */
                                         .port = 5683,
                                         .local_port = 5683,
                                         .uart_bps = 921600,
                                         .reopen_after = 20,
                                         .datagram = received,
                                         .datagram_cap = sizeof received,
                                         .write = write_uart,
                                         .received = take_datagram};
    int status = agn_dev_init(&dev, app_model, (size_t)(app_model_end - app_model), arena, sizeof arena);
    message_id = (uint16_t)board_count(); /* differs from one start to the next on a board */
    if (status >= 0)
        status = esp_at_init(&modem, &config, board_now_ms());
    if (status < 0) {
        print_number("error", (uint32_t)-status);
        return 1;
    }
    while (!esp_at_is_open(&modem) && board_now_ms() < OPEN_MS)
        turn();
    size_t frame_bytes = (size_t)dev.model.input_h * dev.model.input_w * dev.model.input_c;
    size_t frames = (size_t)(app_frames_end - app_frames) / frame_bytes;
    for (size_t i = 0; i < frames; i++)
        run_frame(app_frames + i * frame_bytes, (uint16_t)i);
    print_number("frames", counts.frames);
    print_number("answers", counts.fused);
    print_number("packets_unsent", counts.unsent);
    print_number("replies_damaged", counts.damaged);
    print_number("replies_foreign", counts.foreign);
    print_number("modem_resyncs", modem.counts.resyncs);
    print_number("modem_restarts", modem.counts.restarts);
    print_number("stack", board_stack_used());
    return 0;
}
