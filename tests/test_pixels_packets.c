/* Images as JPEG from the device to the server: the pixels that libjpeg sees in the whole file, whatever a
 * packet holds, comes when or never, and nothing of what is no such packet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"
#include "agilenn/model_agn.h"
#include "agilenn/pixels.h"
#include "agn_jpeg.h"
#include "server/assembly.h"
#include "support/jpeg_judge.h"

enum { CLASSES = 3, MOST_PACKETS = 256, LOST = AGN_SYMBOL_ABSENT };

enum look { PICTURE, NOISE, EDGES };

/* A device, a frame of it, its packets, and what should come of them. */
struct link {
    struct agn_dev dev;
    struct agn_pixels_image image;
    uint8_t *file, *arena, *pixels, *wanted;
    size_t file_bytes, image_bytes, map_bytes;
    uint8_t packets[MOST_PACKETS][AGN_WIRE_MAX_PACKET];
    size_t lengths[MOST_PACKETS];
    int count, jpeg_count;
};

static void *take(size_t bytes)
{
    void *memory = malloc(bytes > 0 ? bytes : 1); /* not cleared, and guarded by ASan */
    assert_non_null(memory);
    return memory;
}

static void draw(struct link *l, enum look look, uint64_t seed)
{
    const struct agn_jpeg_format *f = &l->image.format;
    struct agn_rng rng;
    agn_rng_seed(&rng, seed);
    uint8_t *at = l->pixels;
    for (int y = 0; y < f->height; y++)
        for (int x = 0; x < f->width; x++)
            for (int c = 0; c < f->channels; c++)
                *at++ = look == NOISE ? (uint8_t)agn_rng_below(&rng, 256)
                        : look == EDGES
                            ? (uint8_t)(agn_rng_below(&rng, 2) * 255)
                            : (uint8_t)(128 + (int)(90.0 * sin(0.11 * x + 0.3 * c) * cos(0.07 * y)) +
                                        (int)agn_rng_below(&rng, 38));
}

static void open_link(struct link *l, int height, int width, int channels, int quality)
{
    const struct agn_model_agn model = {.model_id = 0x1234,
                                        .input_h = height,
                                        .input_w = width,
                                        .input_c = channels,
                                        .classes = CLASSES,
                                        .codec = AGN_CODEC_JPEG,
                                        .jpeg_quality = (uint8_t)quality};
    struct agn_dev_model opened;
    memset(l, 0, sizeof *l);
    l->image.format =
        (struct agn_jpeg_format){(uint16_t)width, (uint16_t)height, 1, (uint8_t)channels, (uint8_t)quality};
    assert_int_equal(agn_pixels_shape((unsigned)height, (uint32_t)(width * channels), &l->image.shape), 0);
    assert_int_equal(agn_model_agn_write(&model, &l->file, &l->file_bytes), 0);
    assert_int_equal(l->file_bytes, 132);
    assert_int_equal(agn_dev_model_open(&opened, l->file, l->file_bytes), 0);
    size_t arena = agn_dev_arena_bytes(&opened);
    assert_int_equal(arena,
                     AGN_DEV_JPEG_ARENA_BYTES(height, width, channels, opened.map_h, opened.map_w, CLASSES));
    l->arena = take(arena);
    l->image_bytes = (size_t)height * (size_t)width * (size_t)channels;
    l->map_bytes = (size_t)l->image.shape.channels * l->image.shape.height * l->image.shape.width;
    l->pixels = take(l->image_bytes);
    l->wanted = take(l->image_bytes);
    assert_int_equal(agn_dev_init(&l->dev, l->file, l->file_bytes, l->arena, arena), 0);
}

static void close_link(struct link *l)
{
    agn_free(l->file);
    free(l->arena);
    free(l->pixels);
    free(l->wanted);
}

static struct agn_feature_packet packet_of(const struct link *l, int i)
{
    struct agn_feature_packet packet;
    assert_int_equal(agn_feature_unpack(l->packets[i], l->lengths[i], &packet), 0);
    return packet;
}

/* All packets of the frame that lies in the arena. */
static void collect(struct link *l, size_t cap)
{
    int length;
    l->count = l->jpeg_count = 0;
    while ((length = agn_dev_next_packet(&l->dev, l->packets[l->count], cap)) > 0) {
        l->lengths[l->count++] = (size_t)length;
        assert_true(l->count < MOST_PACKETS && (size_t)length <= cap);
        l->jpeg_count += packet_of(l, l->count - 1).codec == AGN_CODEC_JPEG;
    }
    assert_int_equal(length, 0);
}

static void send_frame(struct link *l, size_t cap, uint16_t frame)
{
    assert_int_equal(agn_dev_frame_begin(&l->dev, frame, 0), 0);
    for (unsigned y = 0, rows = 3; y < l->image.format.height; y += rows, rows = rows % 5 + 1) {
        unsigned left = l->image.format.height - y;
        rows = rows < left ? rows : left;
        assert_int_equal(
            agn_dev_push_rows(&l->dev, l->pixels + y * (l->image_bytes / l->image.format.height), rows), 0);
    }
    collect(l, cap);
}

static int decode(const struct link *l, const struct agn_feature_packet *packet, uint8_t *map)
{
    return packet->codec == AGN_CODEC_JPEG ? agn_pixels_decode(&l->image, packet, map)
                                           : agn_feature_decode(packet, &l->image.shape, NULL, map);
}

/* What libjpeg sees in the whole image as one file, and the pixels themselves where these were sent. */
static void want(struct link *l)
{
    struct agn_jpeg_format format = l->image.format;
    size_t row = l->image_bytes / format.height;
    uint8_t *file;
    size_t len = judge_encode(&format, l->pixels, &file);
    assert_int_equal(judge_decode(&format, file, len, l->wanted), 0);
    free(file);
    for (int i = 0; i < l->count; i++) {
        struct agn_feature_packet packet = packet_of(l, i);
        if (packet.codec == AGN_CODEC_JPEG)
            continue;
        size_t from = packet.channel_first * row + packet.row_first * (row / l->image.shape.height);
        size_t bytes = (size_t)packet.channel_count * packet.row_count * (row / l->image.shape.height);
        memcpy(l->wanted + from, l->pixels + from, bytes);
    }
}

/* A map's pixels are those wanted; a row that never came is wholly absent where `missing` says so. */
static void check_map(const struct link *l, const uint8_t *map, const uint8_t *missing)
{
    const struct agn_map_shape *shape = &l->image.shape;
    size_t run = l->image_bytes / l->image.format.height / shape->height;
    const uint8_t *wanted = l->wanted;
    for (unsigned y = 0; y < shape->channels; y++)
        for (unsigned i = 0; i < shape->height; i++, map += shape->width, wanted += run) {
            uint8_t bytes[128] = {0};
            int status = agn_pixels_read(map, shape->width, bytes);
            assert_int_equal(status, missing && missing[y] ? AGN_ERR_NOT_FOUND : 0);
            if (status == 0)
                assert_memory_equal(bytes, wanted, run);
        }
}

static const struct {
    int height, width, channels, quality;
    size_t cap;
    enum look look;
} cases[] = {{28, 28, 1, 30, AGN_WIRE_MAX_PACKET, PICTURE},
             {28, 28, 1, 50, 100, PICTURE},
             {32, 32, 3, 50, AGN_WIRE_MAX_PACKET, PICTURE},
             {32, 32, 3, 50, 300, PICTURE},
             {33, 31, 3, 80, 400, PICTURE},
             {17, 9, 1, 75, 128, PICTURE},
             {8, 8, 1, 1, AGN_WIRE_MAX_PACKET, PICTURE},
             {96, 96, 3, 50, AGN_WIRE_MAX_PACKET, PICTURE},
             {96, 95, 1, 90, 512, PICTURE},
             {50, 64, 3, 100, 700, PICTURE},
             {49, 35, 3, 90, 600, EDGES},
             {40, 40, 3, 100, AGN_WIRE_MAX_PACKET, NOISE},
             {40, 40, 1, 100, AGN_WIRE_MAX_PACKET, EDGES},
             {29, 39, 1, 100, 200, NOISE},
             {9, 97, 1, 60, AGN_WIRE_MAX_PACKET, PICTURE},
             {255, 40, 1, 40, AGN_WIRE_MAX_PACKET, PICTURE}};

static void pixels_are_libjpegs(void **state)
{
    (void)state;
    int several = 0, mixed = 0, raw = 0;
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        static struct link l;
        open_link(&l, cases[i].height, cases[i].width, cases[i].channels, cases[i].quality);
        uint8_t *map = take(l.map_bytes);
        for (uint16_t frame = 0; frame < 2; frame++) { /* nothing of a frame stays for the next one */
            draw(&l, cases[i].look, i * 2 + frame);
            send_frame(&l, cases[i].cap, frame);
            want(&l);
            memset(map, LOST, l.map_bytes);
            size_t payloads = 0;
            for (int p = 0; p < l.count; p++) {
                struct agn_feature_packet packet = packet_of(&l, p);
                assert_int_equal(packet.index, p);
                assert_int_equal(packet.last, p + 1 == l.count);
                assert_int_equal(decode(&l, &packet, map), 0);
                payloads += packet.payload_bytes;
            }
            check_map(&l, map, NULL);
            assert_true(payloads <= l.map_bytes); /* some spare bits of raw packing more than the pixels */
            several += l.jpeg_count > 1;
            mixed += l.jpeg_count > 0 && l.jpeg_count < l.count;
            raw += l.jpeg_count == 0;
        }
        free(map);
        close_link(&l);
    }
    assert_true(several > 2 && mixed > 0 && raw > 2); /* the cases reach what they are for */
}

/* Images for training are what a server sees. */
static void images_as_sent(void **state)
{
    (void)state;
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        static struct link l;
        open_link(&l, cases[i].height, cases[i].width, cases[i].channels, cases[i].quality);
        uint8_t *three = take(3 * l.image_bytes);
        for (uint64_t n = 0; n < 3; n++) {
            draw(&l, cases[i].look, n);
            memcpy(three + n * l.image_bytes, l.pixels, l.image_bytes);
        }
        assert_int_equal(agn_pixels_as_sent(&l.image, three, 3), 0);
        for (uint64_t n = 0; n < 3; n++) {
            draw(&l, cases[i].look, n);
            send_frame(&l, AGN_WIRE_MAX_PACKET, 1);
            want(&l);
            assert_memory_equal(three + n * l.image_bytes, l.wanted, l.image_bytes);
        }
        free(three);
        close_link(&l);
    }
}

static void again_and_within_a_budget(void **state)
{
    static struct link l, once;
    (void)state;
    open_link(&l, 64, 64, 3, 85);
    draw(&l, PICTURE, 5);
    send_frame(&l, 500, 1);
    assert_true(l.count > 3);
    once = l;
    assert_int_equal(agn_dev_packets_again(&l.dev), 0);
    collect(&l, 500);
    assert_int_equal(l.count, once.count);
    assert_memory_equal(l.packets, once.packets, sizeof l.packets);
    uint8_t *map = take(l.map_bytes);
    want(&l);
    for (uint32_t budget = 0; budget < 3000; budget += 61) {
        agn_dev_set_budget(&l.dev, budget, 46);
        send_frame(&l, 500, 2);
        want(&l);
        uint8_t missing[255];
        uint32_t spent = 0;
        memset(missing, 1, sizeof missing);
        memset(map, LOST, l.map_bytes);
        for (int p = 0; p < l.count; p++) {
            struct agn_feature_packet packet = packet_of(&l, p);
            assert_int_equal(packet.last, p + 1 == l.count);
            assert_int_equal(decode(&l, &packet, map), 0);
            if (packet.row_first + packet.row_count == l.image.shape.height)
                memset(missing + packet.channel_first, 0, packet.channel_count);
            spent += (uint32_t)l.lengths[p] + 46;
        }
        assert_true(spent <= budget);
        assert_true(l.count > 0 || budget < agn_dev_least_bytes(&l.dev));
        for (unsigned y = 0; y < 64; y++) /* a row of which a part came is no whole one */
            for (unsigned i = 0; missing[y] == 0 && i < l.image.shape.height; i++)
                assert_true(map[(y * l.image.shape.height + i) * l.image.shape.width] != LOST);
    }
    free(map);
    close_link(&l);
}

/* ---- through the server's assembly --------------------------------------------------------- */

static int decode_for_server(const void *user, const struct agn_feature_packet *packet, uint8_t *map)
{
    return agn_pixels_decode(user, packet, map);
}

static struct agn__assembly *open_assembly(const struct link *l)
{
    static const struct agn__assembly_limits limits = {4, 0.2, 1.0};
    const struct agn__image_decoder images = {decode_for_server, &l->image};
    struct agn__assembly *assembly = agn__assembly_create(&limits, &l->image.shape, NULL, &images, 64);
    assert_non_null(assembly);
    return assembly;
}

static void packets_come_as_they_like(void **state)
{
    static struct link l;
    struct agn_rng rng;
    const struct agn__peer peer = {{1}};
    (void)state;
    agn_rng_seed(&rng, 9);
    open_link(&l, 60, 63, 3, 85);
    draw(&l, PICTURE, 1);
    send_frame(&l, 500, 7);
    want(&l);
    assert_true(l.count >= 4 && l.jpeg_count == l.count);
    for (int lost = -1; lost < l.count; lost++) {
        struct agn__assembly *assembly = open_assembly(&l);
        struct agn__offer offer = {.slot = -1};
        uint8_t missing[255] = {0};
        for (int n = 0; n < l.count; n++) { /* backwards, and some twice */
            int p = l.count - 1 - n;
            struct agn_feature_packet packet = packet_of(&l, p);
            if (p == lost) {
                memset(missing + packet.channel_first, 1, packet.channel_count);
                continue;
            }
            assert_int_equal(agn__assembly_offer(assembly, &peer, &packet, 0.0, &offer), 0);
            assert_int_equal(offer.kind, AGN__OFFER_STORED);
            if (agn_rng_below(&rng, 2) == 0) {
                assert_int_equal(agn__assembly_offer(assembly, &peer, &packet, 0.0, &offer), 0);
                assert_int_equal(offer.kind, AGN__OFFER_DUPLICATE);
            }
            assert_int_equal(offer.restarted, 0);
        }
        assert_int_equal(agn__assembly_is_complete(assembly, offer.slot), lost < 0);
        check_map(&l, agn__assembly_map(assembly, offer.slot), missing);
        agn__assembly_free(assembly);
    }
    close_link(&l);
}

/* A model of features answers a packet of the codec as any that it does not know. */
static void others_refuse_it(void **state)
{
    static const struct agn__assembly_limits limits = {4, 0.2, 1.0};
    static struct link l;
    const struct agn__peer peer = {{1}};
    struct agn__offer offer;
    (void)state;
    open_link(&l, 28, 28, 1, 30);
    draw(&l, PICTURE, 1);
    send_frame(&l, AGN_WIRE_MAX_PACKET, 7);
    struct agn_feature_packet packet = packet_of(&l, 0);
    struct agn__assembly *assembly = agn__assembly_create(&limits, &l.image.shape, NULL, NULL, 64);
    assert_int_equal(agn__assembly_offer(assembly, &peer, &packet, 0.0, &offer), AGN_ERR_UNSUPPORTED);
    assert_int_equal(agn__assembly_pending(assembly), 0);
    agn__assembly_free(assembly);
    close_link(&l);
}

/* ---- what is no such packet ----------------------------------------------------------------- */

static void wrong_tiles(void **state)
{
    static struct link l;
    (void)state;
    open_link(&l, 60, 32, 3, 95);
    draw(&l, PICTURE, 1);
    send_frame(&l, 500, 1);
    uint8_t *map = take(l.map_bytes);
    const struct agn_feature_packet good = packet_of(&l, 0);
    const struct {
        uint8_t channel_first, channel_count, row_first, row_count;
    } tiles[] = {{1, 16, 0, l.image.shape.height},
                 {0, 15, 0, l.image.shape.height},
                 {48, 16, 0, l.image.shape.height},
                 {0, 0, 0, l.image.shape.height},
                 {0, 16, 1, 1},
                 {64, 16, 0, l.image.shape.height},
                 {0, 16, 0, l.image.shape.height + 1}};
    for (size_t i = 0; i < AGN_COUNT_OF(tiles); i++) {
        struct agn_feature_packet packet = good;
        packet.channel_first = tiles[i].channel_first;
        packet.channel_count = tiles[i].channel_count;
        packet.row_first = tiles[i].row_first;
        packet.row_count = tiles[i].row_count;
        assert_int_equal(agn_pixels_decode(&l.image, &packet, map), AGN_ERR_RANGE);
    }
    struct agn_feature_packet packet = good; /* fewer rows, or more, than the bytes have */
    packet.channel_count = (uint8_t)(good.channel_count == 16 ? 32 : good.channel_count - 16);
    assert_int_equal(agn_pixels_decode(&l.image, &packet, map), AGN_ERR_FORMAT);
    free(map);
    close_link(&l);
}

/* Every cut is seen; damage is seen or gives wrong pixels, but only in the packet's rows. */
static void cut_and_damaged(void **state)
{
    static struct link l;
    struct agn_rng rng;
    (void)state;
    agn_rng_seed(&rng, 3);
    for (int channels = 1; channels <= 3; channels += 2) {
        open_link(&l, 64, 40, channels, 60);
        draw(&l, PICTURE, 2);
        send_frame(&l, 300, 1);
        assert_true(l.jpeg_count >= 2 && l.jpeg_count == l.count);
        const struct agn_feature_packet good = packet_of(&l, 1);
        uint8_t *map = take(l.map_bytes), *bytes = take(good.payload_bytes);
        size_t row = l.map_bytes / l.image.shape.channels, refused = 0;
        for (size_t len = 0; len < good.payload_bytes; len++) {
            struct agn_feature_packet packet = good;
            uint8_t *cut = take(len); /* guarded */
            memcpy(cut, good.payload, len);
            packet.payload = cut;
            packet.payload_bytes = len;
            assert_int_equal(agn_pixels_decode(&l.image, &packet, map), AGN_ERR_FORMAT);
            free(cut);
        }
        for (int i = 0; i < 2000; i++) {
            struct agn_feature_packet packet = good;
            memcpy(bytes, good.payload, good.payload_bytes);
            for (uint32_t n = 1 + agn_rng_below(&rng, 3); n > 0; n--)
                bytes[agn_rng_below(&rng, (uint32_t)good.payload_bytes)] = (uint8_t)agn_rng_below(&rng, 256);
            packet.payload = bytes;
            memset(map, LOST, l.map_bytes);
            int status = agn_pixels_decode(&l.image, &packet, map);
            assert_true(status == 0 || status == AGN_ERR_FORMAT);
            refused += status < 0;
            for (size_t at = 0; at < l.map_bytes; at++) {
                bool inside = at / row >= good.channel_first &&
                              at / row < (size_t)good.channel_first + good.channel_count;
                assert_true(map[at] < AGN_WIRE_LEVELS ? inside : map[at] == LOST && (!inside || status < 0));
            }
        }
        assert_true(refused > 200);
        free(bytes);
        free(map);
        close_link(&l);
    }
}

/* ---- the model ------------------------------------------------------------------------------- */

static int open_changed(struct link *l, size_t at, uint8_t value)
{
    struct agn_dev_model model;
    uint8_t kept = l->file[at];
    l->file[at] = value;
    uint32_t crc = agn_crc32(0, l->file, l->file_bytes - 4);
    for (int b = 0; b < 4; b++)
        l->file[l->file_bytes - 4 + (size_t)b] = (uint8_t)(crc >> 8 * b);
    int status = agn_dev_model_open(&model, l->file, l->file_bytes);
    l->file[at] = kept;
    return status;
}

static void odd_models_are_refused(void **state)
{
    enum { INPUT_H = 16, INPUT_C = 20, CODEC = 36, QUALITY = 113 };
    static struct link l;
    (void)state;
    open_link(&l, 24, 24, 3, 50);
    assert_int_equal(open_changed(&l, QUALITY, 100), 0);
    assert_int_equal(open_changed(&l, QUALITY, 0), AGN_ERR_RANGE);
    assert_int_equal(open_changed(&l, QUALITY, 101), AGN_ERR_RANGE);
    assert_int_equal(open_changed(&l, CODEC, AGN_CODEC_RAW3), AGN_ERR_RANGE); /* with a quality */
    assert_int_equal(open_changed(&l, CODEC, AGN_CODEC_JPEG + 1), AGN_ERR_UNSUPPORTED);
    assert_int_equal(open_changed(&l, INPUT_H, 25), AGN_ERR_RANGE);
    close_link(&l);
    const struct agn_model_agn four = {.input_h = 24,
                                       .input_w = 24,
                                       .input_c = 4,
                                       .classes = 2,
                                       .codec = AGN_CODEC_JPEG,
                                       .jpeg_quality = 50};
    uint8_t *file;
    size_t bytes;
    assert_int_equal(agn_model_agn_write(&four, &file, &bytes), AGN_ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_are_libjpegs),       cmocka_unit_test(images_as_sent),
        cmocka_unit_test(again_and_within_a_budget), cmocka_unit_test(packets_come_as_they_like),
        cmocka_unit_test(others_refuse_it),          cmocka_unit_test(wrong_tiles),
        cmocka_unit_test(cut_and_damaged),           cmocka_unit_test(odd_models_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
