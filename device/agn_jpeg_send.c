/* Images as JPEG, a packet at a time: the encoder's part of agn_send.c.
 *
 * The image waits as it is (agn_extract.c) and is coded as packets are made. Kept as it came out of the
 * encoder instead, it would need more: a block of 64 bytes may take more than 400 at quality 100, and the
 * arena must suffice for every image. So rows of MCUs that do not fit a packet can go as they are, packets
 * can be made again with the same bytes, and a packet is one interval, however much it holds: nothing but
 * codes is in it. */
#include "agn_device_internal.h"

#if AGN_WITH_JPEG

struct rows {
    const struct agn_dev *dev;
    unsigned first;
    uint8_t *line;
};

/* A row's runs, whose last bytes may have spare bits, behind one another. */
static const uint8_t *row_at(void *user, unsigned y)
{
    const struct rows *rows = user;
    const struct agn_dev_model *model = &rows->dev->model;
    size_t run = (size_t)model->map_w * AGN_WIRE_SYMBOL_BITS / 8;
    for (unsigned i = 0; i < model->map_h; i++)
        memcpy(rows->line + i * run, agn__symbol_row(rows->dev, rows->first + y, i), run);
    return rows->line;
}

int agn__jpeg_check(const struct agn_dev_model *model)
{
    struct agn_jpeg_format format = {model->input_w, model->input_h, 1, (uint8_t)model->input_c, 1};
    if (agn_jpeg_format_check(&format) < 0)
        return AGN_ERR_RANGE;
    /* Packets at most: a row of MCUs takes one, or as many as its pixels. */
    unsigned band = agn__band_rows(model), bands = (model->map_c + band - 1u) / band;
    unsigned rows = AGN_FEATURE_MAX_PAYLOAD * 8u / (AGN_WIRE_SYMBOL_BITS * (unsigned)model->map_w);
    unsigned channels = rows / model->map_h;
    uint32_t packets = channels > 0 ? (uint32_t)bands * ((band + channels - 1u) / channels)
                                    : (uint32_t)model->map_c * ((model->map_h + rows - 1u) / rows);
    return packets <= 256 ? 0 : AGN_ERR_RANGE;
}

int agn__jpeg_payload(const struct agn_dev *dev, unsigned row, uint8_t *payload, size_t cap, unsigned *rows)
{
    const struct agn_dev_model *model = &dev->model;
    uint32_t memory_bytes = AGN_JPEG_BYTES(model->input_w, model->input_c);
    struct rows from = {dev, row, dev->scratch + memory_bytes};
    const struct agn_jpeg_source source = {{model->input_w, (uint16_t)(model->input_h - row), 0,
                                            (uint8_t)model->input_c, model->data[AGN__AT_JPEG_QUALITY]},
                                           row_at,
                                           &from,
                                           dev->scratch,
                                           memory_bytes};
    if (row % agn__band_rows(model) != 0)
        return 0;
    return (int)agn_jpeg_fit(&source, payload, cap, rows);
}

#endif
