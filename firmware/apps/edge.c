/* The whole device: frame in, packets over the modem to the server, answer or deadline, prediction out. The
 * frames are those linked in; a camera's would come row by row into agn_dev_push_rows.
 *
 * A line for each frame: "fused,CLASS", "partial,CLASS" where the server lacked channels, or "local,CLASS";
 * "none,65535" where the model has no Local NN and no answer came.
 * At the end, figures (edge_stats.h). A frame takes at most FRAME_MS after its rows, whatever modem and
 * server do. */
#include "edge_link.h"
#include "edge_stats.h"
#include "frame.h"

#ifndef EDGE_FRAME_MS
#define EDGE_FRAME_MS 1000
#endif

enum { FRAME_MS = EDGE_FRAME_MS, OPEN_MS = 15000 };

static uint32_t arena[APP_ARENA_BYTES / 4];
static struct agn_dev dev;
static struct edge_link edge;
static struct edge_stats stats;

/* The server answers with what it has after half of the time that it is told. The device would rather wait
 * for the rest, repeated by then, until four fifths of its time are over. */
enum { TOLD_MS = FRAME_MS * 8 / 5 };

/* Prints the prediction and counts its kind. */
static void tell(const struct agn_dev_prediction *prediction)
{
    if (prediction->fused) {
        stats.fused++;
        stats.partial += prediction->channels_missing > 0;
        print_number(prediction->channels_missing > 0 ? "partial" : "fused", prediction->class_index);
    } else {
        stats.local++;
        print_number(prediction->class_index == AGN_DEV_NO_CLASS ? "none" : "local", prediction->class_index);
    }
}

static void run_frame(const uint8_t *pixels, uint16_t number)
{
    struct agn_dev_prediction prediction;
    uint32_t begin_ms = board_now_ms(), begin = board_count();
    agn_dev_frame_begin(&dev, number, TOLD_MS);
    agn_dev_push_rows(&dev, pixels, dev.model.input_h);
    uint32_t has_rows = board_count();
    edge.making = 0;
    if (agn_dev_is_sure(&dev) > 0)
        stats.sure++;
    else
        edge_link_exchange(&edge);
    uint32_t has_answer = board_count();
    agn_dev_predict(&dev, &prediction);
    uint32_t end = board_count();
    edge_spread_add(&stats.stages[EDGE_ROWS], has_rows - begin);
    edge_spread_add(&stats.stages[EDGE_PACKETS], edge.making);
    edge_spread_add(&stats.stages[EDGE_RADIO], has_answer - has_rows - edge.making);
    edge_spread_add(&stats.stages[EDGE_FUSE], end - has_answer);
    edge_spread_add(&stats.frame_ms, board_now_ms() - begin_ms);
    tell(&prediction);
}

int app_main(void)
{
    int status = agn_dev_init(&dev, app_model, (size_t)(app_model_end - app_model), arena, sizeof arena);
    if (status >= 0)
        status = edge_link_init(&edge, &dev, FRAME_MS);
    if (status < 0) {
        print_number("error", (uint32_t)-status);
        return 1;
    }
    uint32_t begin_ms = board_now_ms();
    while (!esp_at_is_open(&edge.modem) && board_now_ms() - begin_ms < OPEN_MS)
        edge_link_turn(&edge);
    size_t frame_bytes = (size_t)dev.model.input_h * dev.model.input_w * dev.model.input_c;
    size_t frames = (size_t)(app_frames_end - app_frames) / frame_bytes;
    for (size_t i = 0; i < frames; i++)
        run_frame(app_frames + i * frame_bytes, (uint16_t)i);
    edge_stats_print(&stats, &edge, sizeof arena);
    return 0;
}
