/* Codecs side by side: bytes, speed, entropies. Instructions come from firmware_count.c. */
#include "agilenn/bench_codec.h"

#include <math.h>
#include <string.h>

#include "agilenn/deploy.h"
#include "agilenn/hosted.h"
#include "measure/firmware_count.h"

enum { LEAST_TIMED_MS = 200 };

/* The symbols of all frames, packed in rows and one a byte, and the model they came from. */
struct symbols {
    uint8_t *model;
    uint8_t *packed, *plain;
    size_t model_bytes, frame_packed, frame_plain;
    int frames;
    struct agn_map_shape shape;
    struct agn_context_model contexts;
};

static void free_symbols(struct symbols *s)
{
    agn_free(s->model);
    agn_free(s->packed);
    agn_free(s->plain);
}

static int open_device(struct symbols *s, const struct agn_bench_codec_config *config)
{
    struct agn_dev_model opened;
    int status = agn_deploy_device(config->model, config->calibration, 0, &s->model, &s->model_bytes, NULL);
    if (status == AGN_OK)
        status = agn_hosted_check("model.agn", s->model, s->model_bytes, &opened);
    if (status < 0)
        return status;
    s->shape = agn_hosted_shape(&opened);
    agn_model_contexts(config->model, &s->contexts);
    return AGN_OK;
}

/* The symbols of frame i. */
static int run_frame(const struct symbols *s, struct agn_hosted *device, const struct agn_dataset *images,
                     int i)
{
    size_t rows = (size_t)s->shape.channels * s->shape.height, row = AGN_ROW_BYTES(s->shape.width);
    size_t image = (size_t)images->height * (size_t)images->width * (size_t)images->channels;
    uint8_t *plain = s->plain + (size_t)i * s->frame_plain, *packed = s->packed + (size_t)i * s->frame_packed;
    if (agn_interrupt_requested())
        return AGN_ERR_INTERRUPTED;
    int status = agn_hosted_image(device, images->pixels + (size_t)i * image, (uint16_t)i, 0);
    if (status < 0)
        return status;
    agn_hosted_symbols(device, plain);
    for (size_t r = 0; r < rows; r++)
        agn_row_pack(plain + r * s->shape.width, s->shape.width, packed + r * row);
    return AGN_OK;
}

static int fail_interrupted(void)
{
    return agn_fail(AGN_ERR_INTERRUPTED, "the benchmark was interrupted");
}

/* Each thread has a device of its own. */
static int run_device(struct symbols *s, const struct agn_dataset *images)
{
    size_t rows = (size_t)s->shape.channels * s->shape.height;
    int failed = AGN_OK;
    s->frames = images->count;
    s->frame_plain = rows * s->shape.width;
    s->frame_packed = rows * AGN_ROW_BYTES(s->shape.width);
    s->plain = agn_alloc((size_t)s->frames, s->frame_plain);
    s->packed = agn_alloc((size_t)s->frames, s->frame_packed);
    if (s->plain == NULL || s->packed == NULL)
        return AGN_ERR_MEMORY;
#pragma omp parallel reduction(min : failed)
    {
        struct agn_hosted device = {0};
        failed = agn_hosted_open(&device, s->model, s->model_bytes);
#pragma omp for schedule(static)
        for (int i = 0; i < s->frames; i++)
            failed = failed < 0 ? failed : run_frame(s, &device, images, i);
        agn_hosted_close(&device);
    }
    if (failed == AGN_ERR_INTERRUPTED)
        return fail_interrupted();
    return failed < 0 ? agn_fail(failed, "the device library fails on the test images") : AGN_OK;
}

/* ---- entropies --------------------------------------------------------------------------- */

static double bits_of(const double counts[AGN_WIRE_LEVELS])
{
    double sum = 0.0, bits = 0.0;
    for (int i = 0; i < AGN_WIRE_LEVELS; i++)
        sum += counts[i];
    for (int i = 0; i < AGN_WIRE_LEVELS; i++)
        bits -= counts[i] > 0.0 ? counts[i] * log2(counts[i] / sum) : 0.0;
    return bits;
}

/* Bits of each symbol by the model's distributions. */
static void price_symbols(const struct agn_context_model *model,
                          double bits[AGN_DISTRIBUTIONS_MAX][AGN_WIRE_LEVELS])
{
    for (unsigned d = 0; d < model->distributions; d++) {
        const uint8_t *entry = model->cumulative + (size_t)d * AGN_DISTRIBUTION_BYTES;
        unsigned from = 0;
        for (int symbol = 0; symbol < AGN_WIRE_LEVELS; symbol++) {
            unsigned up_to = (unsigned)(entry[2 * symbol] | entry[2 * symbol + 1] << 8);
            bits[d][symbol] = AGN_PROBABILITY_BITS - log2((double)(up_to - from));
            from = up_to;
        }
    }
}

static int measure_entropies(const struct symbols *s, struct agn_bench_codec *out)
{
    double bits[AGN_DISTRIBUTIONS_MAX][AGN_WIRE_LEVELS];
    size_t width = s->shape.width, contexts = (size_t)s->shape.channels * AGN_CONTEXTS;
    double(*counts)[AGN_WIRE_LEVELS] = agn_alloc(contexts, sizeof(*counts));
    double all[AGN_WIRE_LEVELS] = {0}, model = 0.0, channel_bits = 0.0, context_bits = 0.0;
    if (counts == NULL)
        return AGN_ERR_MEMORY;
    price_symbols(&s->contexts, bits);
    for (size_t r = 0; r < (size_t)s->frames * s->shape.channels * s->shape.height; r++) {
        size_t channel = r / s->shape.height % s->shape.channels;
        const uint8_t *row = s->plain + r * width, *above = r % s->shape.height > 0 ? row - width : NULL;
        for (unsigned x = 0; x < width; x++) {
            size_t context = channel * AGN_CONTEXTS + agn_context_at(row, above, x, (unsigned)width);
            model += bits[s->contexts.map[context]][row[x]];
            counts[context][row[x]] += 1.0;
        }
    }
    for (size_t c = 0; c < s->shape.channels; c++) {
        double of_channel[AGN_WIRE_LEVELS] = {0};
        for (size_t i = c * AGN_CONTEXTS; i < (c + 1) * AGN_CONTEXTS; i++) {
            context_bits += bits_of(counts[i]);
            for (int v = 0; v < AGN_WIRE_LEVELS; v++) {
                of_channel[v] += counts[i][v];
                all[v] += counts[i][v];
            }
        }
        channel_bits += bits_of(of_channel);
    }
    double frames = 8.0 * (double)s->frames;
    out->zero_share = all[0] / ((double)s->frames * (double)s->frame_plain);
    out->entropy = bits_of(all) / frames;
    out->channel_entropy = channel_bits / frames;
    out->context_entropy = context_bits / frames;
    out->model_entropy = model / frames;
    agn_free(counts);
    return AGN_OK;
}

/* ---- a codec -------------------------------------------------------------------------------- */

struct coding {
    const struct symbols *symbols;
    int codec;
    struct agn_tile tile;
    uint16_t *state;
    uint8_t *bytes, *back; /* of a frame */
    size_t cap;
};

static int open_coding(const struct symbols *s, int codec, struct coding *c)
{
    *c = (struct coding){.symbols = s, .codec = codec, .cap = 2 * s->frame_plain + 16};
    c->tile = (struct agn_tile){0, s->shape.channels, 0, s->shape.height, s->shape.width, &s->contexts};
    c->state = agn_alloc(AGN_LZW_STATE_BYTES, 1);
    c->bytes = agn_alloc(c->cap, 1);
    c->back = agn_alloc(s->frame_plain, 1);
    return c->state == NULL || c->bytes == NULL || c->back == NULL ? AGN_ERR_MEMORY : AGN_OK;
}

static void close_coding(struct coding *c)
{
    agn_free(c->state);
    agn_free(c->bytes);
    agn_free(c->back);
}

/* Length of the frame's code, or a status. */
static int encode(const struct coding *c, int frame)
{
    struct agn_encoder encoder;
    int status =
        agn_encoder_begin(&encoder, c->codec, &c->tile, c->state, AGN_LZW_STATE_BYTES, c->bytes, c->cap);
    if (status < 0)
        return status;
    agn_encoder_put_rows(&encoder, c->symbols->packed + (size_t)frame * c->symbols->frame_packed,
                         (unsigned)c->tile.channel_count * c->tile.row_count);
    return agn_encoder_finish(&encoder);
}

static int decode(const struct coding *c, int length)
{
    return agn_decode(c->codec, &c->tile, c->bytes, (size_t)length, c->back, c->symbols->frame_plain);
}

/* Speed, of one thread: over the first frames, again and again if need be. */
static int time_coding(const struct coding *c, struct agn_bench_codec_row *row)
{
    const struct symbols *s = c->symbols;
    double encoding = 0.0, decoding = 0.0, frames = 0.0;
    for (int i = 0; encoding + decoding < LEAST_TIMED_MS / 1e3; i++) {
        double begin = agn_now_s();
        int length = encode(c, i % s->frames);
        double middle = agn_now_s();
        int status = length < 0 ? length : decode(c, length);
        if (status < 0)
            return agn_fail(status, "codec %s does not code frame %d", row->name, i % s->frames);
        encoding += middle - begin;
        decoding += agn_now_s() - middle;
        frames += 1.0;
    }
    double megabytes = frames * (double)s->frame_plain * AGN_WIRE_SYMBOL_BITS / 8e6;
    row->encode_mb_s = megabytes / encoding;
    row->decode_mb_s = megabytes / decoding;
    return AGN_OK;
}

static bool comes_back(const struct coding *c, int frame, double *bytes)
{
    const struct symbols *s = c->symbols;
    int length = encode(c, frame);
    *bytes += length;
    return length >= 0 && decode(c, length) >= 0 &&
           memcmp(c->back, s->plain + (size_t)frame * s->frame_plain, s->frame_plain) == 0;
}

/* Bytes of all frames, each of which must come back. */
static int add_up(const struct symbols *s, int codec, struct agn_bench_codec_row *row)
{
    double bytes = 0.0;
    int failed = AGN_OK, wrong = s->frames;
#pragma omp parallel reduction(+ : bytes) reduction(min : failed, wrong)
    {
        struct coding c;
        failed = open_coding(s, codec, &c);
#pragma omp for schedule(static)
        for (int i = 0; i < s->frames; i++) {
            if (failed == AGN_OK && agn_interrupt_requested())
                failed = AGN_ERR_INTERRUPTED;
            if (failed == AGN_OK && !comes_back(&c, i, &bytes))
                wrong = i < wrong ? i : wrong;
        }
        close_coding(&c);
    }
    if (failed == AGN_ERR_INTERRUPTED)
        return fail_interrupted();
    if (failed == AGN_OK && wrong < s->frames)
        return agn_fail(AGN_ERR_FORMAT, "codec %s does not give back frame %d", row->name, wrong);
    row->bytes_mean = bytes / (double)s->frames;
    return failed;
}

static uint32_t table_bytes(const struct symbols *s, int codec)
{
    uint32_t distributions = (uint32_t)s->contexts.distributions * AGN_DISTRIBUTION_BYTES;
    if (!agn_codec_needs_contexts(codec))
        return 0;
    return (uint32_t)s->shape.channels * AGN_CONTEXTS + distributions;
}

static int measure_codecs(const struct symbols *s, struct agn_bench_codec *out)
{
    int status = AGN_OK;
    for (int codec = 0; codec < AGN_CODEC_COUNT && status == AGN_OK; codec++) {
        struct agn_bench_codec_row *row = &out->rows[codec];
        struct coding c;
        row->name = agn_codec_name(codec);
        row->table_bytes = table_bytes(s, codec);
        row->encoder_bytes = (uint32_t)(sizeof(struct agn_encoder) + (size_t)agn_codec_state_bytes(codec));
        status = open_coding(s, codec, &c);
        if (status == AGN_OK)
            status = time_coding(&c, row);
        if (status == AGN_OK)
            status = add_up(s, codec, row);
        close_coding(&c);
    }
    return status;
}

/* ---- the microcontroller's count ------------------------------------------------------------ */

static int count_instructions(const struct agn_bench_codec_config *config, const struct symbols *s,
                              struct agn_bench_codec *out)
{
    const struct agn__firmware_images images =
        agn__firmware_images_of(config->images, config->firmware_images);
    out->firmware_note = agn__firmware_missing(config->firmware);
    for (int codec = 0; codec < AGN_CODEC_COUNT && out->firmware_note == NULL; codec++) {
        struct agn_bench_codec_row *row = &out->rows[codec];
        struct agn__firmware_count count = {0};
        uint8_t *bytes = NULL;
        size_t size = 0;
        int kept = config->model->preset.model.codec;
        config->model->preset.model.codec = codec;
        int status = agn_deploy_device(config->model, config->calibration, 0, &bytes, &size, NULL);
        config->model->preset.model.codec = kept;
        if (status == AGN_OK)
            status = agn__firmware_count_frames(config->firmware, bytes, size, &images, &count);
        agn_free(bytes);
        if (status < 0)
            return status;
        row->instructions_per_symbol = (double)(count.packets - count.packet) / (double)s->frame_plain;
        row->packet_bytes_mean = count.bytes;
    }
    return AGN_OK;
}

int agn_bench_codec(const struct agn_bench_codec_config *config, struct agn_bench_codec *result)
{
    struct agn_bench_codec made = {.images = config->images->count};
    struct symbols *s = agn_alloc(1, sizeof(*s));
    int status = s == NULL ? AGN_ERR_MEMORY : agn_model_need_symbols(config->model);
    if (status == AGN_OK)
        status = open_device(s, config);
    for (int codec = 0; codec < AGN_CODEC_COUNT; codec++)
        made.rows[codec].instructions_per_symbol = made.rows[codec].packet_bytes_mean = NAN;
    if (status == AGN_OK)
        status = agn_model_check_data(config->model, config->images);
    if (status == AGN_OK)
        status = run_device(s, config->images);
    if (status == AGN_OK) {
        made.symbols = (int)s->frame_plain;
        status = measure_entropies(s, &made);
    }
    if (status == AGN_OK)
        status = measure_codecs(s, &made);
    if (status == AGN_OK)
        status = count_instructions(config, s, &made);
    if (s != NULL)
        free_symbols(s);
    agn_free(s);
    if (status == AGN_OK)
        *result = made;
    return status;
}
