/* model.agn: opens the bytes, with length and checksum made good, and runs a frame of whatever
 * opens in an arena of exactly the size it asks for, cut by cut: rows, packets, a prediction. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agn_device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_u32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static void run_frame(struct agn_dev *dev)
{
    static uint8_t
        row[AGN_DEV_MAX_MAP_SIDE * AGN_DEV_MAX_MAP_SIDE]; /* of pixels that are sent; more than layers take */
    const struct agn_dev_model *model = &dev->model;
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    struct agn_dev_prediction prediction;
    agn_dev_frame_begin(dev, 1, 2);
    for (unsigned y = 0; y < model->input_h; y++) {
        memset(row, (int)(y * 37 & 255), sizeof row);
        if (agn_dev_push_rows(dev, row, 1) != 0)
            abort();
    }
    int length, count = 0;
    while ((length = agn_dev_next_packet(dev, packet, sizeof packet)) > 0) {
        struct agn_feature_packet read;
        if (agn_feature_unpack(packet, (size_t)length, &read) != 0 || read.index != count++)
            abort();
    }
    int status = agn_dev_predict(dev, &prediction);
    bool answers = agn_dev_model_answers(model);
    if (length < 0 || status != (answers ? 0 : AGN_ERR_TIMEOUT) ||
        (answers ? prediction.class_index >= model->classes : prediction.class_index != AGN_DEV_NO_CLASS))
        abort();
}

static void run(const uint8_t *model_bytes, size_t size, const struct agn_dev_model *model)
{
    struct agn_dev dev;
    size_t arena_bytes = agn_dev_arena_bytes(model);
    void *arena = malloc(arena_bytes);
    if (!arena || agn_dev_init(&dev, model_bytes, size, arena, arena_bytes) != 0)
        abort();
    run_frame(&dev);
    unsigned cuts = agn_dev_cuts(model);
    for (unsigned i = 0; i < cuts && cuts > 1; i++) {
        if (agn_dev_select_cut(&dev, i) != 0)
            abort();
        run_frame(&dev);
    }
    free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agn_dev_model model;
    if (size < AGN_MODEL_HEADER_BYTES + 4)
        return 0;
    uint8_t *copy = malloc(size);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    put_u32(copy + 8, (uint32_t)size);
    put_u32(copy + size - 4, agn_crc32(0, copy, size - 4));
    /* Large images are slow, and nothing differs in them. */
    if (agn_dev_model_open(&model, copy, size) == 0 && model.input_h * model.input_w <= 1024)
        run(copy, size, &model);
    free(copy);
    return 0;
}
