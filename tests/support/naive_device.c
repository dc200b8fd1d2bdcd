/* See naive_device.h: plain, slow, and not to be shared with the code under test. */
#include "naive_device.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void *take(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    assert(memory);
    return memory;
}

int64_t naive_requantise(int64_t acc, int32_t multiplier, unsigned shift)
{
    int64_t value = acc * multiplier + (INT64_C(1) << (shift - 1));
    int64_t unit = INT64_C(1) << shift;
    int64_t quotient = value / unit;
    return value % unit < 0 ? quotient - 1 : quotient;
}

/* ---- layers ------------------------------------------------------------------------ */

struct plane {
    int h, w, c;
    int8_t *at;
};

static int input_at(const struct agn_model_agn *model, int index, const struct plane *in, int y, int x, int c)
{
    if (y >= 0 && y < in->h && x >= 0 && x < in->w)
        return in->at[(y * in->w + x) * in->c + c];
    return index == 0 ? model->input_zero_point[c] : model->layers[index - 1].out_zero_point;
}

static int8_t output_at(const struct agn_model_agn *model, int index, const struct plane *in, int oy, int ox,
                        int oc)
{
    const struct agn_model_layer *layer = &model->layers[index];
    int64_t acc = layer->channels[oc].bias;
    for (int ky = 0; ky < layer->kernel_h; ky++)
        for (int kx = 0; kx < layer->kernel_w; kx++) {
            int y = oy * layer->stride_h - layer->pad_h + ky, x = ox * layer->stride_w - layer->pad_w + kx;
            if (layer->kind == AGN_LAYER_DWCONV) {
                acc += layer->weights[(ky * layer->kernel_w + kx) * in->c + oc] *
                       input_at(model, index, in, y, x, oc);
                continue;
            }
            for (int ic = 0; ic < in->c; ic++)
                acc += layer->weights[((oc * layer->kernel_h + ky) * layer->kernel_w + kx) * in->c + ic] *
                       input_at(model, index, in, y, x, ic);
        }
    int64_t q = naive_requantise(acc, layer->channels[oc].multiplier, layer->channels[oc].shift) +
                layer->out_zero_point;
    if (q > layer->clamp_max)
        q = layer->clamp_max;
    if (q < layer->clamp_min)
        q = layer->clamp_min;
    return (int8_t)q;
}

static struct plane run_layer(const struct agn_model_agn *model, int index, struct plane in)
{
    const struct agn_model_layer *layer = &model->layers[index];
    struct plane out = {(in.h + 2 * layer->pad_h - layer->kernel_h) / layer->stride_h + 1,
                        (in.w + 2 * layer->pad_w - layer->kernel_w) / layer->stride_w + 1,
                        layer->kind == AGN_LAYER_DWCONV ? in.c : layer->out_c, NULL};
    out.at = take((size_t)(out.h * out.w * out.c), 1);
    for (int y = 0; y < out.h; y++)
        for (int x = 0; x < out.w; x++)
            for (int c = 0; c < out.c; c++)
                out.at[(y * out.w + x) * out.c + c] = output_at(model, index, &in, y, x, c);
    free(in.at);
    return out;
}

/* ---- Local NN ------------------------------------------------------------------------ */

static int64_t floor_divide(int64_t value, int64_t by)
{
    int64_t quotient = value / by;
    return value % by < 0 ? quotient - 1 : quotient;
}

/* torch.nn.AdaptiveAvgPool2d's cell, with 6 fraction bits. */
static int64_t cell_average(const struct plane *map, int grid, int i, int j, int c)
{
    int64_t sum = 0, n = 0;
    for (int y = 0; y < map->h; y++)
        for (int x = 0; x < map->w; x++) {
            /* y >= floor(i*h/g) and y < ceil((i+1)*h/g), without dividing */
            int in_rows = (y + 1) * grid > i * map->h && y * grid < (i + 1) * map->h;
            int in_columns = (x + 1) * grid > j * map->w && x * grid < (j + 1) * map->w;
            if (!in_rows || !in_columns)
                continue;
            sum += map->at[(y * map->w + x) * map->c + c];
            n++;
        }
    return floor_divide(64 * sum + n / 2, n);
}

static void run_local(const struct agn_model_agn *model, const struct plane *map, int16_t *logits)
{
    int g = model->grid, k = model->local_c;
    int64_t *averages = take((size_t)(g * g * k), sizeof *averages);
    for (int i = 0; i < g; i++)
        for (int j = 0; j < g; j++)
            for (int c = 0; c < k; c++)
                averages[(i * g + j) * k + c] = cell_average(map, g, i, j, c);
    for (int class_index = 0; class_index < model->classes; class_index++) {
        const struct agn_model_channel *channel = &model->dense_channels[class_index];
        int64_t acc = channel->bias;
        for (int i = 0; i < g * g * k; i++)
            acc += model->dense_weights[class_index * g * g * k + i] * averages[i];
        int64_t q = naive_requantise(acc, channel->multiplier, channel->shift);
        logits[class_index] = (int16_t)(q > 32767 ? 32767 : q < -32768 ? -32768 : q);
    }
    free(averages);
}

void naive_run(const struct agn_model_agn *model, const uint8_t *image, struct naive_result *result)
{
    struct plane map = {model->input_h, model->input_w, model->input_c, NULL};
    size_t pixels = (size_t)(map.h * map.w * map.c);
    map.at = take(pixels, 1);
    for (size_t i = 0; i < pixels; i++)
        map.at[i] = (int8_t)((int)image[i] - 128);
    for (int i = 0; i < model->layer_count; i++)
        map = run_layer(model, i, map);

    result->map_h = map.h;
    result->map_w = map.w;
    result->map_c = map.c;
    result->sent_c = map.c - model->local_c;
    result->map = map.at;
    result->local = take((size_t)model->classes, sizeof *result->local);
    run_local(model, &map, result->local);
    result->symbols = take((size_t)(result->sent_c * map.h * map.w), 1);
    for (int c = 0; c < result->sent_c; c++)
        for (int y = 0; y < map.h; y++)
            for (int x = 0; x < map.w; x++)
                result->symbols[(c * map.h + y) * map.w + x] =
                    model->symbols[map.at[(y * map.w + x) * map.c + model->local_c + c] + 128];
}

void naive_free(struct naive_result *result)
{
    free(result->map);
    free(result->symbols);
    free(result->local);
    memset(result, 0, sizeof *result);
}

/* ---- codecs ------------------------------------------------------------------------------ */

/* A bit at a time. */
static void put_bits(uint8_t *dst, size_t *bit, unsigned value, unsigned count)
{
    for (unsigned i = 0; i < count; i++, (*bit)++) {
        if (*bit % 8 == 0)
            dst[*bit / 8] = 0;
        if (value >> i & 1)
            dst[*bit / 8] = (uint8_t)(dst[*bit / 8] | 1u << *bit % 8);
    }
}

size_t naive_encode_raw(const uint8_t *symbols, size_t count, uint8_t *dst)
{
    size_t bit = 0;
    for (size_t i = 0; i < count; i++)
        put_bits(dst, &bit, symbols[i], 3);
    return (bit + 7) / 8;
}

size_t naive_encode_lzw(const uint8_t *symbols, size_t count, uint8_t *dst)
{
    /* Every string but the 8 symbols is a piece of the input: where, and how long. */
    size_t start[1024], length[1024], bit = 0;
    unsigned known = 8;
    for (size_t at = 0; at < count;) {
        unsigned code = symbols[at];
        size_t longest = 1;
        for (unsigned i = 8; i < known; i++)
            if (length[i] > longest && length[i] <= count - at &&
                memcmp(symbols + start[i], symbols + at, length[i]) == 0) {
                code = i;
                longest = length[i];
            }
        unsigned width = 0;
        while ((known - 1) >> width)
            width++;
        put_bits(dst, &bit, code, width);
        if (known < 1024) {
            start[known] = at;
            length[known++] = longest + 1; /* the last one may run past the end: it is never used */
        }
        at += longest;
    }
    return (bit + 7) / 8;
}

/* ---- packets ------------------------------------------------------------------------------- */

static uint32_t crc_bitwise(const uint8_t *bytes, size_t count)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
    }
    return ~crc;
}

static int is_legal(const struct naive_result *result, int row, int rows, int rows_left)
{
    if (row > 0)
        return rows <= result->map_h - row;
    return rows <= rows_left && (rows < result->map_h || rows % result->map_h == 0);
}

typedef size_t encode_fn(const uint8_t *symbols, size_t count, uint8_t *dst);

/* The most rows from `first` on that fit `space` bytes, and their bytes in dst. */
static int most_rows(const struct naive_result *result, int row, const uint8_t *first, int rows_left,
                     size_t space, encode_fn *encode, uint8_t *dst, size_t *size)
{
    int best = 0;
    for (int rows = 1; rows <= rows_left; rows++) {
        if (!is_legal(result, row, rows, rows_left))
            continue;
        if (encode(first, (size_t)rows * (size_t)result->map_w, dst) > space)
            break;
        best = rows;
    }
    *size = encode(first, (size_t)best * (size_t)result->map_w, dst);
    return best;
}

static void put_number(uint8_t *to, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

int naive_packets(const struct agn_model_agn *model, const struct naive_result *result, uint16_t frame,
                  uint16_t deadline_ms, size_t cap, struct naive_packet *packets, int *made)
{
    int total = result->sent_c * result->map_h, done = 0;
    size_t symbols = (size_t)total * (size_t)result->map_w;
    uint8_t *raw = take(2 * symbols + 2, 1), *lzw = take(2 * symbols + 2, 1);
    cap = cap > AGN_WIRE_MAX_PACKET ? AGN_WIRE_MAX_PACKET : cap;
    *made = 0;
    while (done < total && *made < 256 && cap > 20) {
        int channel = done / result->map_h, row = done % result->map_h;
        const uint8_t *first = result->symbols + (size_t)done * (size_t)result->map_w;
        size_t raw_size = 0, lzw_size = 0;
        int rows = most_rows(result, row, first, total - done, cap - 20, naive_encode_raw, raw, &raw_size);
        const uint8_t *payload = raw;
        size_t size = raw_size;
        int lzw_rows = 0;
        if (model->codec == AGN_CODEC_LZW)
            lzw_rows =
                most_rows(result, row, first, total - done, cap - 20, naive_encode_lzw, lzw, &lzw_size);
        if (lzw_rows > rows || (lzw_rows > 0 && lzw_rows == rows && lzw_size <= raw_size)) {
            rows = lzw_rows;
            payload = lzw;
            size = lzw_size;
        }
        if (rows == 0)
            break;
        struct naive_packet *packet = &packets[*made];
        uint8_t *to = packet->bytes;
        int whole = row == 0 && rows >= result->map_h;
        to[0] = 1;
        to[1] = payload == lzw;
        put_number(to + 2, model->model_id, 4);
        put_number(to + 6, frame, 2);
        to[8] = (uint8_t)*made;
        to[9] = done + rows == total;
        to[10] = (uint8_t)channel;
        to[11] = (uint8_t)(whole ? rows / result->map_h : 1);
        to[12] = (uint8_t)row;
        to[13] = (uint8_t)(whole ? result->map_h : rows);
        put_number(to + 14, deadline_ms, 2);
        memcpy(to + 16, payload, size);
        put_number(to + 16 + size, crc_bitwise(to, 16 + size), 4);
        packet->length = 20 + size;
        done += rows;
        (*made)++;
    }
    free(raw);
    free(lzw);
    return done == total ? *made : -1;
}
