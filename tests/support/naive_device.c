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

/* Tensor that a layer reads: in a chain, the one before. */
static int source_of(const struct agn_model_agn *model, int index, int which)
{
    return model->is_graph ? model->layers[index].source[which] : index;
}

static int input_at(const struct agn_model_agn *model, int tensor, const struct plane *in, int y, int x,
                    int c)
{
    if (y >= 0 && y < in->h && x >= 0 && x < in->w)
        return in->at[(y * in->w + x) * in->c + c];
    return tensor == 0 ? model->input_zero_point[c] : model->layers[tensor - 1].out_zero_point;
}

static int8_t clamped(const struct agn_model_layer *layer, int64_t q)
{
    if (q > layer->clamp_max)
        q = layer->clamp_max;
    if (q < layer->clamp_min)
        q = layer->clamp_min;
    return (int8_t)q;
}

/* `ic`: channels that the layer reads, from layer->first on. */
static int8_t output_at(const struct agn_model_agn *model, int index, const struct plane *in, int ic, int oy,
                        int ox, int oc)
{
    const struct agn_model_layer *layer = &model->layers[index];
    int tensor = source_of(model, index, 0), first = model->is_graph ? layer->first : 0;
    int64_t acc = layer->channels[oc].bias;
    for (int ky = 0; ky < layer->kernel_h; ky++)
        for (int kx = 0; kx < layer->kernel_w; kx++) {
            int y = oy * layer->stride_h - layer->pad_h + ky, x = ox * layer->stride_w - layer->pad_w + kx;
            if (layer->kind == AGN_LAYER_DWCONV) {
                acc += layer->weights[(ky * layer->kernel_w + kx) * ic + oc] *
                       input_at(model, tensor, in, y, x, first + oc);
                continue;
            }
            for (int c = 0; c < ic; c++)
                acc += layer->weights[((oc * layer->kernel_h + ky) * layer->kernel_w + kx) * ic + c] *
                       input_at(model, tensor, in, y, x, first + c);
        }
    int64_t q = naive_requantise(acc, layer->channels[oc].multiplier, layer->channels[oc].shift) +
                layer->out_zero_point;
    return clamped(layer, q);
}

static int8_t sum_at(const struct agn_model_layer *layer, int a, int b)
{
    const struct agn_model_sum *sum = layer->sum;
    int64_t value = (int64_t)a * sum->multipliers[0] + (int64_t)b * sum->multipliers[1] + sum->bias;
    int64_t unit = INT64_C(1) << sum->shift, quotient = value / unit;
    return clamped(layer, value % unit < 0 ? quotient - 1 : quotient);
}

static struct plane run_layer(const struct agn_model_agn *model, int index, const struct plane *planes)
{
    const struct agn_model_layer *layer = &model->layers[index];
    const struct plane *in = &planes[source_of(model, index, 0)],
                       *other = &planes[source_of(model, index, 1)];
    int first = model->is_graph ? layer->first : 0;
    int ic = model->is_graph && layer->in_c > 0 ? layer->in_c : in->c - first;
    struct plane out = {(in->h + 2 * layer->pad_h - layer->kernel_h) / layer->stride_h + 1,
                        (in->w + 2 * layer->pad_w - layer->kernel_w) / layer->stride_w + 1,
                        layer->kind == AGN_LAYER_CONV ? layer->out_c : ic, NULL};
    out.at = take((size_t)(out.h * out.w * out.c), 1);
    for (int y = 0; y < out.h; y++)
        for (int x = 0; x < out.w; x++)
            for (int c = 0; c < out.c; c++) {
                int at = (y * out.w + x) * out.c + c;
                int place = y * out.w + x;
                out.at[at] = layer->kind == AGN_LAYER_ADD
                                 ? sum_at(layer, in->at[place * in->c + c], other->at[place * other->c + c])
                                 : output_at(model, index, in, ic, y, x, c);
            }
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

static void run_head(const struct agn_model_head *head, int classes, const struct plane *map, int16_t *logits)
{
    int g = head->grid, k = head->count;
    int64_t *averages = take((size_t)(g * g * k), sizeof *averages);
    for (int i = 0; i < g; i++)
        for (int j = 0; j < g; j++)
            for (int c = 0; c < k; c++)
                averages[(i * g + j) * k + c] = cell_average(map, g, i, j, head->first + c);
    for (int class_index = 0; class_index < classes; class_index++) {
        const struct agn_model_channel *channel = &head->channels[class_index];
        int64_t acc = channel->bias;
        for (int i = 0; i < g * g * k; i++)
            acc += head->weights[class_index * g * g * k + i] * averages[i];
        int64_t q = naive_requantise(acc, channel->multiplier, channel->shift);
        logits[class_index] = (int16_t)(q > 32767 ? 32767 : q < -32768 ? -32768 : q);
    }
    free(averages);
}

/* The best logit less the second best. */
static int margin_of(const int16_t *logits, int classes)
{
    int best = 0, margin = -1;
    for (int i = 1; i < classes; i++)
        best = logits[i] > logits[best] ? i : best;
    for (int i = 0; i < classes; i++)
        if (i != best && (margin < 0 || logits[best] - logits[i] < margin))
            margin = logits[best] - logits[i];
    return margin < 0 ? 0 : margin;
}

/* The last answer, or the first that is sure. */
static void run_answers(const struct agn_model_agn *model, const struct plane *planes,
                        struct naive_result *result)
{
    const struct agn_model_head local = {.tensor = model->layer_count,
                                         .count = model->local_c,
                                         .grid = model->grid,
                                         .weights = model->dense_weights,
                                         .channels = model->dense_channels};
    const struct agn_model_head *heads = model->is_graph ? model->heads : &local;
    int count = model->is_graph ? model->head_count : 1;
    for (int i = 0; i < count && !result->left_early; i++) {
        run_head(&heads[i], model->classes, &planes[heads[i].tensor], result->local);
        result->left_early =
            heads[i].margin > 0 && margin_of(result->local, model->classes) >= heads[i].margin;
    }
}

void naive_run(const struct agn_model_agn *model, const uint8_t *image, struct naive_result *result)
{
    struct plane planes[AGN_DEV_MAX_GRAPH_LAYERS + 1] = {
        {model->input_h, model->input_w, model->input_c, NULL}};
    size_t pixels = (size_t)(model->input_h * model->input_w * model->input_c);
    planes[0].at = take(pixels, 1);
    for (size_t i = 0; i < pixels; i++)
        planes[0].at[i] = (int8_t)((int)image[i] - 128);
    for (int i = 0; i < model->layer_count; i++)
        planes[i + 1] = run_layer(model, i, planes);

    *result = (struct naive_result){.local = take((size_t)model->classes, sizeof *result->local)};
    run_answers(model, planes, result);
    int sender = model->is_graph ? model->sender : model->layer_count;
    if (sender > 0 || !model->is_graph) {
        struct plane *map = &planes[sender];
        result->map_h = map->h;
        result->map_w = map->w;
        result->map_c = map->c;
        result->sent_c = map->c - model->local_c;
        result->map = map->at;
        map->at = NULL;
    }
    for (int i = 0; i <= model->layer_count; i++)
        free(planes[i].at);
    int area = result->map_h * result->map_w;
    result->symbols = take((size_t)(result->sent_c * area), 1);
    for (int c = 0; c < result->sent_c; c++)
        for (int i = 0; i < area; i++)
            result->symbols[c * area + i] =
                model->symbols[result->map[i * result->map_c + model->local_c + c] + 128];
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

static size_t encode_raw(const uint8_t *symbols, size_t count, uint8_t *dst)
{
    size_t bit = 0;
    for (size_t i = 0; i < count; i++)
        put_bits(dst, &bit, symbols[i], 3);
    return (bit + 7) / 8;
}

static size_t encode_lzw(const uint8_t *symbols, size_t count, uint8_t *dst)
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

/* ---- codecs with contexts -------------------------------------------------------------------- */

/* A symbol of a channel's part of the tile; 0 beyond its border. */
static unsigned neighbour(const struct agn_tile *tile, const uint8_t *channel, int y, int x)
{
    return y < 0 || x < 0 || x >= tile->width ? 0 : channel[y * tile->width + x];
}

unsigned naive_distribution(const struct agn_tile *tile, const uint8_t *symbols, size_t at)
{
    size_t plane = (size_t)tile->row_count * tile->width;
    const uint8_t *channel = symbols + at / plane * plane;
    int y = (int)(at % plane / tile->width), x = (int)(at % tile->width);
    unsigned up = neighbour(tile, channel, y - 1, x), context = neighbour(tile, channel, y, x - 1) * 16;
    context += (up > 3 ? 3 : up) * 4;
    context += neighbour(tile, channel, y - 1, x - 1) != 0 ? 2 : 0;
    context += neighbour(tile, channel, y - 1, x + 1) != 0 ? 1 : 0;
    return tile->contexts->map[(tile->channel_first + at / plane) * 128 + context];
}

unsigned naive_below(const struct agn_context_model *model, unsigned distribution, unsigned symbol)
{
    const uint8_t *entry = model->cumulative + (size_t)distribution * 16;
    return symbol == 0 ? 0 : entry[2 * symbol - 2] + 256u * entry[2 * symbol - 1];
}

/* Adds to a number whose last byte is number[last]. */
static void add_at(uint8_t *number, size_t last, uint64_t value)
{
    for (size_t at = last + 1; value > 0; value >>= 8) {
        assert(at > 0);
        value += number[--at];
        number[at] = (uint8_t)value;
    }
}

/* The interval's low end is one long number, of which the last four bytes are as long as the range. */
static size_t encode_range(const struct agn_tile *tile, const uint8_t *symbols, size_t count, uint8_t *dst,
                           size_t *bound)
{
    uint64_t range = 0xFFFFFFFFu;
    size_t last = 3;
    memset(dst, 0, NAIVE_ROOM(count));
    for (size_t i = 0; i < count; i++) {
        unsigned d = naive_distribution(tile, symbols, i);
        uint64_t below = naive_below(tile->contexts, d, symbols[i]);
        uint64_t up_to = naive_below(tile->contexts, d, symbols[i] + 1u), unit = range / 32768;
        add_at(dst, last, unit * below);
        range = unit * (up_to - below);
        for (; range < 1u << 24; range *= 256)
            last++;
    }
    uint64_t tail = 0;
    for (size_t at = last - 3; at <= last; at++)
        tail = tail * 256 + dst[at];
    uint64_t to_whole = tail == 0 ? 0 : ((uint64_t)1 << 32) - tail; /* up to a multiple of 2^32 */
    uint64_t to_byte = (((uint64_t)1 << 32) - tail) % (1u << 24);
    add_at(dst, last, to_whole < range ? to_whole : to_byte);
    *bound = last - 3 + 1;
    size_t size = last + 1;
    while (size > 0 && dst[size - 1] == 0)
        size--;
    return size;
}

size_t naive_encode(int codec, const struct agn_tile *tile, const uint8_t *symbols, size_t count,
                    uint8_t *dst, size_t *bound)
{
    if (codec == AGN_CODEC_RANGE)
        return encode_range(tile, symbols, count, dst, bound);
    *bound = codec == AGN_CODEC_LZW ? encode_lzw(symbols, count, dst) : encode_raw(symbols, count, dst);
    return *bound;
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

/* What one codec would put into the next packet. */
struct attempt {
    uint8_t *payload;
    size_t size, bound;
    int rows;
};

/* The most rows from `first` on that fit `space` bytes. */
static void most_rows(const struct naive_result *result, int codec, struct agn_tile tile,
                      const uint8_t *first, int rows_left, size_t space, struct attempt *attempt)
{
    int row = tile.row_first, best = 0;
    if (row > 0)
        tile.row_count = (uint8_t)(result->map_h - row);
    for (int rows = 1; rows <= rows_left; rows++) {
        if (!is_legal(result, row, rows, rows_left))
            continue;
        naive_encode(codec, &tile, first, (size_t)rows * (size_t)result->map_w, attempt->payload,
                     &attempt->bound);
        if (attempt->bound > space)
            break;
        best = rows;
    }
    attempt->rows = best;
    attempt->size = naive_encode(codec, &tile, first, (size_t)best * (size_t)result->map_w, attempt->payload,
                                 &attempt->bound);
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
    size_t room = NAIVE_ROOM((size_t)total * (size_t)result->map_w);
    struct attempt raw = {.payload = take(room, 1)}, coded = {.payload = take(room, 1)};
    cap = cap > AGN_WIRE_MAX_PACKET ? AGN_WIRE_MAX_PACKET : cap;
    *made = 0;
    while (done < total && *made < 256 && cap > 20) {
        int channel = done / result->map_h, row = done % result->map_h;
        const uint8_t *first = result->symbols + (size_t)done * (size_t)result->map_w;
        struct agn_tile tile = {.channel_first = (uint8_t)channel,
                                .channel_count = 1,
                                .row_first = (uint8_t)row,
                                .row_count = (uint8_t)result->map_h,
                                .width = (uint8_t)result->map_w,
                                .contexts = &model->contexts};
        most_rows(result, AGN_CODEC_RAW3, tile, first, total - done, cap - 20, &raw);
        coded.rows = 0;
        if (model->codec != AGN_CODEC_RAW3)
            most_rows(result, (int)model->codec, tile, first, total - done, cap - 20, &coded);
        int is_coded =
            coded.rows > raw.rows || (coded.rows > 0 && coded.rows == raw.rows && coded.bound <= raw.size);
        int rows = is_coded ? coded.rows : raw.rows;
        const uint8_t *payload = is_coded ? coded.payload : raw.payload;
        size_t size = is_coded ? coded.size : raw.size;
        if (rows == 0)
            break;
        struct naive_packet *packet = &packets[*made];
        uint8_t *to = packet->bytes;
        int whole = row == 0 && rows >= result->map_h;
        to[0] = 1;
        to[1] = is_coded ? (uint8_t)model->codec : 0;
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
    free(raw.payload);
    free(coded.payload);
    return done == total ? *made : -1;
}
