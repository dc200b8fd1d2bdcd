// A firmware in C++: every public header, and calls into runtime and drivers that link only with C's names.
#include "agilenn.h"
#include "agn_pause.h"
#include "agn_rate.h"
#include "agn_wire.h"
#include "board.h"
#include "drivers/esp_at.h"
#include "drivers/esp_at_lines.h"

static agn_dev dev;
static uint32_t arena[AGN_MODEL_ARENA_BYTES / 4];
static uint8_t packet[AGN_WIRE_MAX_PACKET], symbols[64];

static int codec_there_and_back()
{
    agn_tile tile = {0, 1, 0, 8, 8, nullptr};
    agn_encoder encoder;
    uint8_t rows[8 * AGN_ROW_BYTES(8)] = {1, 2, 3};
    if (agn_encoder_begin(&encoder, AGN_CODEC_RAW3, &tile, nullptr, 0, packet, sizeof packet) < 0)
        return 1;
    agn_encoder_put_rows(&encoder, rows, 8);
    int length = agn_encoder_finish(&encoder);
    return length < 0 ||
           agn_decode(AGN_CODEC_RAW3, &tile, packet, static_cast<size_t>(length), symbols, sizeof symbols) < 0 ||
           symbols[0] != 1;
}

int main()
{
    static uint8_t row[AGN_MODEL_INPUT_W * AGN_MODEL_INPUT_C];
    agn_rate rate;
    agn_pause pause = {};
    agn_rate_init(&rate);
    agn_pause_answered(&pause);
    if (agn_dev_init(&dev, agn_model_data.bytes, AGN_MODEL_BYTES, arena, sizeof arena) < 0 ||
        agn_dev_frame_begin(&dev, 1, 0) < 0)
        return 1;
    for (unsigned y = 0; y < AGN_MODEL_INPUT_H; y++)
        agn_dev_push_rows(&dev, row, 1);
    agn_dev_prediction prediction;
    if (agn_dev_next_packet(&dev, packet, sizeof packet) <= 0 || agn_dev_predict(&dev, &prediction) < 0)
        return 1;
    esp_at_lines lines;
    esp_at_lines_init(&lines, packet, sizeof packet);
    return agn_codec_from_name(agn_codec_name(AGN_CODEC_RANGE)) != AGN_CODEC_RANGE || codec_there_and_back();
}
