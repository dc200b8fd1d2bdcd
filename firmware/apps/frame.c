/* A frame through the device library. See frame.h. */
#include "frame.h"

static uint32_t arena[APP_ARENA_BYTES / 4];
static uint8_t packet_bytes[AGN_WIRE_MAX_PACKET];
struct agn_dev frame_dev;

int frame_open(void)
{
    return agn_dev_init(&frame_dev, app_model, (size_t)(app_model_end - app_model), arena, sizeof arena);
}

int frame_run(unsigned index, struct frame_counts *counts, void (*packet)(const uint8_t *bytes, size_t len))
{
    const struct agn_dev_model *model = &frame_dev.model;
    size_t frame_bytes = (size_t)model->input_h * model->input_w * model->input_c;
    if ((size_t)(app_frames_end - app_frames) < (index + 1u) * frame_bytes)
        return 0;
    const uint8_t *pixels = app_frames + index * frame_bytes;
    uint32_t begin = board_count(), cost = board_count() - begin;
    agn_dev_frame_begin(&frame_dev, (uint16_t)index, 200);
    begin = board_count();
    int status = agn_dev_push_rows(&frame_dev, pixels, model->input_h);
    counts->rows = board_count() - begin - cost;
    counts->packets = counts->bytes = 0;
    while (status >= 0) {
        begin = board_count();
        status = agn_dev_next_packet(&frame_dev, packet_bytes, sizeof packet_bytes);
        counts->packets += board_count() - begin - cost;
        if (status <= 0)
            break;
        counts->bytes += (uint32_t)status;
        if (packet)
            packet(packet_bytes, (size_t)status);
    }
    return status < 0 ? status : 1;
}

/* Without the weight of stdio. */
void print_number(const char *name, uint32_t number)
{
    char digits[12] = {0}, *at = digits + sizeof digits - 2;
    *at = '\n';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    board_print(name);
    board_print(",");
    board_print(at);
}

void print_hex(const char *name, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char text[65];
    board_print(name);
    board_print(",");
    while (len > 0) {
        size_t count = len < 32 ? len : 32;
        for (size_t i = 0; i < count; i++) {
            text[2 * i] = digits[bytes[i] >> 4];
            text[2 * i + 1] = digits[bytes[i] & 15];
        }
        text[2 * count] = 0;
        board_print(text);
        bytes += count;
        len -= count;
    }
    board_print("\n");
}
