/* The whole device program, firmware/apps/edge.c, on this machine: a board of the test's own, the modem of
 * src/modem with a serial line of 921,600 bit/s, a server that puts packets together as the real one does,
 * one simulated clock. Every frame must have a prediction in time, and a right one, whatever modem and server
 * do. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "apps/frame.h"
#include "modem/esp.h"
#include "server/assembly.h"
#include "support/random_model.h"

/* The model and the frames, which the firmware has linked in. */
enum { FRAMES = 60, MAX_CLASSES = 64, MAX_TEXT = 1 << 15 };
static uint8_t *model_file, *frame_pixels;
static size_t model_file_bytes, frame_pixel_bytes;
#define app_model      model_file
#define app_model_end  (model_file + model_file_bytes)
#define app_frames     frame_pixels
#define app_frames_end (frame_pixels + frame_pixel_bytes)

/* The program itself, in the order of what uses what. NOLINTBEGIN(bugprone-suspicious-include) */
/* clang-format off */
#include "apps/edge_link.c"
#include "apps/edge_stats.c"
#include "apps/edge.c"
/* clang-format on */
/* NOLINTEND(bugprone-suspicious-include) */

enum modem_kind { REAL_MODEM, SILENT_MODEM, PARROT_MODEM };

static struct {
    double now_s;
    enum modem_kind kind;
    const char *parrot;
    bool is_server_hostile, is_dead;
    int busy_at;          /* this frame is refused with 5.03; < 0: none */
    uint32_t max_age_s;   /* of that */
    double busy_s;        /* when that was said; 0: not yet */
    double least_pause_s; /* until the first packet after that */
    uint32_t falls_at;    /* from this frame on the radio is slower; 0: never */
    double falls_to_bps;  /* so slow */
    bool is_blind;        /* the device measures nothing */
    double period_s;      /* frames come so often at most */
    struct agn__esp esp;
    struct agn__assembly *assembly;
    char text[MAX_TEXT];
    size_t text_bytes;
    uint32_t classes;
    uint16_t local[FRAMES]; /* the local class of each frame */
} world;

/* ---- the board -------------------------------------------------------------------------------------- */

const char board_count_unit[] = "microseconds";
enum { TURN_US = 50, BYTES_A_TURN = 5 };

static void answer_frame(int slot);

uint32_t board_count(void)
{
    return (uint32_t)(uint64_t)(world.now_s * 1e6);
}

uint32_t board_now_ms(void)
{
    return (uint32_t)(uint64_t)(world.now_s * 1e3);
}

uint32_t board_stack_used(void)
{
    return 0;
}

void board_print(const char *text)
{
    size_t len = strlen(text);
    assert_true(world.text_bytes + len < MAX_TEXT);
    memcpy(world.text + world.text_bytes, text, len + 1);
    world.text_bytes += len;
}

void print_number(const char *name, uint32_t number)
{
    char text[80];
    snprintf(text, sizeof text, "%s,%u\n", name, number);
    board_print(text);
    if (strcmp(name, "fused") == 0 || strcmp(name, "partial") == 0 || strcmp(name, "local") == 0)
        world.now_s = fmax(world.now_s, stats.frame_ms.count * world.period_s); /* the next frame's time */
}

static void change_radio(void)
{
    if (world.falls_at > 0 && stats.frame_ms.count >= world.falls_at)
        world.esp.up.bandwidth_bps = world.esp.down.bandwidth_bps = world.falls_to_bps;
    if (world.is_blind)
        agn_rate_init(&edge.rate);
}

size_t board_uart_write(const uint8_t *bytes, size_t len)
{
    change_radio();
    size_t count = len < BYTES_A_TURN ? len : BYTES_A_TURN;
    world.now_s += TURN_US * 1e-6;
    if (world.kind == REAL_MODEM)
        agn__esp_from_device(&world.esp, bytes, count, world.now_s);
    return count;
}

size_t board_uart_read(uint8_t *bytes, size_t cap)
{
    world.now_s += TURN_US * 1e-6;
    size_t count = cap < BYTES_A_TURN ? cap : BYTES_A_TURN;
    if (world.kind == PARROT_MODEM) { /* the same again and again, a piece every few turns */
        static size_t at;
        if (board_count() % 4000 >= TURN_US)
            return 0;
        for (size_t i = 0; i < count; i++)
            bytes[i] = (uint8_t)world.parrot[at++ % strlen(world.parrot)];
        return count;
    }
    if (world.kind == SILENT_MODEM)
        return 0;
    agn__esp_advance(&world.esp, world.now_s);
    int slot = agn__assembly_next(world.assembly, world.now_s);
    if (slot >= 0)
        answer_frame(slot);
    return agn__esp_to_device(&world.esp, bytes, count);
}

/* ---- the server ------------------------------------------------------------------------------------- */

static int16_t expected_class(uint16_t frame)
{
    return (int16_t)(frame % world.classes);
}

/* An answer as CoAP carries it. */
static void say_reply(const uint8_t *reply, size_t len)
{
    uint8_t answer[ESP_AT_MAX_DATAGRAM] = {0x54, 0x45, 0, 0, 1, 2, 3, 4, 0xFF};
    memcpy(answer + 9, reply, len);
    agn__esp_from_server(&world.esp, answer, 9 + len, world.now_s);
}

/* 5.03, with Max-Age as one byte or as four. */
static void say_busy(uint16_t frame, uint32_t model_id, uint32_t max_age_s, bool is_damaged)
{
    uint8_t answer[64] = {0x54, 0xA3, 0, 0, 1, 2, 3, 4, 0xD4, 1};
    size_t at = 10;
    for (int shift = 24; shift >= 0; shift -= 8)
        answer[at++] = (uint8_t)(max_age_s >> shift);
    answer[at++] = 0xFF;
    const struct agn_reply_packet packet = {.model_id = model_id, .frame = frame, .status = AGN_REPLY_BUSY};
    int len = agn_reply_pack(&packet, NULL, answer + at, sizeof answer - at);
    assert_true(len > 0);
    answer[at] ^= (uint8_t)(is_damaged ? 0x10 : 0);
    agn__esp_from_server(&world.esp, answer, at + (size_t)len, world.now_s);
}

static size_t make_reply(uint16_t frame, uint32_t model_id, uint32_t classes, uint8_t missing, uint8_t *reply)
{
    int16_t logits[MAX_CLASSES + 1] = {0};
    struct agn_reply_packet packet = {.model_id = model_id,
                                      .frame = frame,
                                      .status = AGN_REPLY_OK,
                                      .channels_missing = missing,
                                      .class_count = (uint16_t)classes};
    logits[expected_class(frame)] = 20000;
    int len = agn_reply_pack(&packet, logits, reply, 9 + 2 * MAX_CLASSES + 64);
    assert_true(len > 0);
    return (size_t)len;
}

/* Before the true answer: for the frame before, of another model, too long, with damage, nonsense. Each votes
 * for a class that is not this frame's. */
static void say_wrong_replies(uint16_t frame, uint32_t model_id)
{
    uint8_t reply[1400];
    size_t len = make_reply((uint16_t)(frame - 1), model_id, world.classes, 0, reply);
    say_reply(reply, len);
    len = make_reply((uint16_t)(frame + 1), model_id, world.classes, 0, reply);
    say_reply(reply, len);
    reply[4] = (uint8_t)frame; /* the frame's number, but the checksum of another */
    say_reply(reply, len);
    len = make_reply(frame, model_id ^ 1, world.classes, 0, reply);
    say_reply(reply, len);
    len = make_reply(frame, model_id, world.classes + 1, 0, reply);
    say_reply(reply, len);
    memset(reply, 0x41, sizeof reply);
    say_reply(reply, sizeof reply);
    agn__esp_from_server(&world.esp, reply, 3, world.now_s);
    say_busy(frame, model_id, 60, true);
    say_busy(frame, model_id ^ 1, 60, false);
    const uint8_t plain[] = {0x50, 0xA3, 0, 0};
    agn__esp_from_server(&world.esp, plain, sizeof plain, world.now_s);
}

static uint8_t count_missing(int slot)
{
    const uint8_t *map = agn__assembly_map(world.assembly, slot);
    size_t plane = (size_t)dev.model.map_h * dev.model.map_w;
    uint8_t missing = 0;
    for (int channel = dev.model.local_c; channel < dev.model.map_c; channel++, map += plane)
        missing = (uint8_t)(missing + (memchr(map, AGN_SYMBOL_ABSENT, plane) != NULL));
    return missing;
}

/* Frames that are complete, or whose wait is over. */
static void answer_frame(int slot)
{
    uint8_t reply[AGN_WIRE_MAX_REPLY];
    uint8_t missing = count_missing(slot);
    uint16_t frame = agn__assembly_frame(world.assembly, slot);
    if (world.is_server_hostile)
        say_wrong_replies(frame, dev.model.model_id);
    size_t len = make_reply(frame, dev.model.model_id, world.classes, missing, reply);
    agn__assembly_answered(world.assembly, slot, reply, len, world.now_s);
    say_reply(reply, len);
    if (world.is_server_hostile) /* twice */
        say_reply(reply, len);
}

/* Whether the server refuses the packet; holds that no other frame's comes before the pause is over. */
static bool is_refused(const struct agn_feature_packet *packet)
{
    if (packet->frame == world.busy_at) {
        if (world.busy_s > 0)
            return true; /* it hears of that once */
        world.busy_s = world.now_s;
        say_busy(packet->frame, packet->model_id, world.max_age_s, false);
        return true;
    }
    double pause_s = world.now_s - world.busy_s;
    if (world.busy_s > 0 && pause_s < world.least_pause_s)
        world.least_pause_s = pause_s;
    return false;
}

static int serve(void *user, const uint8_t *bytes, size_t len)
{
    struct agn_feature_packet packet;
    struct agn__offer offer;
    (void)user;
    if (world.is_dead || len <= AGN_COAP_REQUEST_OVERHEAD ||
        agn_feature_unpack(bytes + AGN_COAP_REQUEST_OVERHEAD, len - AGN_COAP_REQUEST_OVERHEAD, &packet) < 0 ||
        is_refused(&packet) ||
        agn__assembly_offer(world.assembly, &(struct agn__peer){{1}}, &packet, world.now_s, &offer) < 0)
        return 0;
    size_t reply_bytes;
    if (offer.kind == AGN__OFFER_REPEAT) {
        const uint8_t *reply = agn__assembly_reply(world.assembly, offer.slot, &reply_bytes);
        say_reply(reply, reply_bytes);
    }
    return 0;
}

static int open_server(void *user, const char *host, uint16_t port, uint16_t local_port)
{
    (void)user;
    (void)host;
    (void)port;
    (void)local_port;
    return 0;
}

static void close_server(void *user)
{
    (void)user;
}

/* ---- running ---------------------------------------------------------------------------------------- */

static void begin_world(const struct agn_modem_model *model)
{
    const struct agn__esp_world around = {.open = open_server, .close = close_server, .send = serve};
    const struct agn__assembly_limits limits = {.frames = 16, .wait_s = 1.0, .keep_s = 5};
    const struct agn_map_shape shape = {(uint8_t)(dev.model.map_c - dev.model.local_c),
                                        (uint8_t)dev.model.map_h, (uint8_t)dev.model.map_w};
    agn__assembly_free(world.assembly);
    world.assembly = agn__assembly_create(&limits, &shape, &dev.model.contexts, NULL, AGN_WIRE_MAX_REPLY);
    assert_non_null(world.assembly);
    world.kind = REAL_MODEM;
    world.is_server_hostile = world.is_dead = world.is_blind = false;
    world.falls_at = 0;
    world.busy_at = -1;
    world.busy_s = 0;
    world.least_pause_s = 1e9;
    world.period_s = 0;
    world.now_s = 0;
    world.text_bytes = 0;
    memset(&stats, 0, sizeof stats);
    agn__esp_init(&world.esp, model, &around, 0);
}

/* Runs the program and holds what must hold always. Returns how many frames were fused. */
static uint32_t run_device(const char *name)
{
    assert_int_equal(app_main(), 0);
    uint32_t frames = 0, fused = 0, value;
    for (char *line = world.text; *line; line = strchr(line, '\n') + 1) {
        bool is_local = strncmp(line, "local,", 6) == 0;
        bool is_fused = strncmp(line, "fused,", 6) == 0 || strncmp(line, "partial,", 8) == 0;
        if (!is_local && !is_fused)
            continue;
        value = (uint32_t)strtoul(strchr(line, ',') + 1, NULL, 10);
        if (is_local)
            assert_int_equal(value, world.local[frames]);
        else
            assert_int_equal(value, expected_class((uint16_t)frames));
        frames++;
        fused += is_fused;
    }
    assert_int_equal(frames, FRAMES);
    assert_int_equal(stats.frame_ms.count, FRAMES);
    assert_int_equal(stats.fused, fused);
    assert_int_equal(stats.local, FRAMES - fused);
    assert_in_range(stats.frame_ms.max, 0, FRAME_MS + 2);
    printf("    %s: %u of %d frames fused, %u partly; %u to %u ms a frame, %.0f on average; packets "
           "given %u, "
           "gone %u of %u bytes, last cap %u\n",
           name, fused, FRAMES, stats.partial, stats.frame_ms.min, stats.frame_ms.max,
           (double)stats.frame_ms.sum / FRAMES, edge.counts.packets, edge.counts.packets_sent,
           edge.counts.packets > 0 ? edge.counts.bytes / edge.counts.packets : 0, edge.cap);
    return fused;
}

static bool has_line(const char *line)
{
    return strstr(world.text, line) != NULL;
}

/* ---- tests ------------------------------------------------------------------------------------------ */

static void fuses_every_frame(void **state)
{
    (void)state;
    const struct agn_modem_model model = {.bandwidth_bps = 6e6, .delay_s = 0.002};
    begin_world(&model);
    assert_int_equal(run_device("no faults"), FRAMES);
    assert_int_equal(stats.partial, 0);
    assert_int_equal(edge.counts.again, 0);
    assert_int_equal(edge.counts.rounds, 0);
    assert_int_equal(edge.cap, AGN_WIRE_MAX_PACKET);
    assert_true(has_line("\nlocal_fallbacks,0\n") && has_line("\nframe_ms_max,") &&
                has_line("\nram_arena,") && has_line("\nunit,emulator's clock\n"));
}

/* Bytes lost on the serial line, one datagram in ten on the radio. AGN_EDGE_SEEDS=60 tells means over so many
 * runs. */
static void gets_through_losses(void **state)
{
    (void)state;
    static const struct {
        double uart_loss;
        uint32_t least;
    } lines[] = {{0, FRAMES}, {0.001, FRAMES - 1}, {0.003, FRAMES * 9 / 10}, {0.01, FRAMES * 8 / 10}};
    const char *seeds_text = getenv("AGN_EDGE_SEEDS");
    uint64_t seeds = seeds_text ? strtoull(seeds_text, NULL, 10) : 0;
    for (size_t i = 0; i < AGN_COUNT_OF(lines); i++) {
        struct agn_modem_model model = {
            .seed = 3, .bandwidth_bps = 6e6, .delay_s = 0.002, .loss = 0.1, .uart_loss = lines[i].uart_loss};
        char name[40];
        snprintf(name, sizeof name, "%.1f %% of bytes lost", 100 * lines[i].uart_loss);
        begin_world(&model);
        assert_in_range(run_device(name), lines[i].least, FRAMES);
        uint64_t fused = 0;
        for (model.seed = 1; model.seed <= seeds; model.seed++) {
            begin_world(&model);
            fused += run_device(name);
        }
        if (seeds > 0)
            printf("    %s, mean of %llu: %.1f\n", name, (unsigned long long)seeds,
                   (double)fused / (double)seeds);
    }
}

static void corrupted_bytes_change_no_prediction(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        const struct agn_modem_model model = {.seed = seed,
                                              .bandwidth_bps = 1e6,
                                              .delay_s = 0.003,
                                              .jitter_s = 0.004,
                                              .loss = 0.1,
                                              .reorder = 0.05,
                                              .uart_loss = 0.001,
                                              .uart_corrupt = 0.002,
                                              .reset = 0.02, /* also within a send */
                                              .busy = 0.05,
                                              .error = 0.05};
        begin_world(&model);
        assert_in_range(run_device("everything"), FRAMES / 3, FRAMES);
        assert_true(world.esp.stats.resets > 0 && world.esp.stats.uart_up_corrupted > 0);
    }
}

/* A dead server, and modems that say nothing, or the same again and again. */
static void keeps_deadlines_alone(void **state)
{
    (void)state;
    static const char *const parrots[] = {
        "\r\nERROR\r\n", "busy p...\r\n",        "\r\nready\r\n",
        "\r\nOK\r\n",    "\r\nOK\r\n>",          "\r\nOK\r\nCONNECT\r\nRecv 1 bytes\r\nSEND OK\r\n",
        "+IPD,4000:",    "\r\n+IPD,9:Tabcd1234", "WIFI DISCONNECT\r\nCLOSED\r\n"};
    const struct agn_modem_model model = {.bandwidth_bps = 6e6};
    begin_world(&model);
    world.is_dead = true;
    assert_int_equal(run_device("a dead server"), 0);
    assert_true(has_line("\nframes_unsent,0\n"));
    begin_world(&model);
    world.kind = SILENT_MODEM;
    assert_int_equal(run_device("a silent modem"), 0);
    char line[40];
    snprintf(line, sizeof line, "\nframes_unsent,%d\n", FRAMES);
    assert_true(has_line(line));
    for (size_t i = 0; i < AGN_COUNT_OF(parrots); i++) {
        begin_world(&model);
        world.kind = PARROT_MODEM;
        world.parrot = parrots[i];
        assert_int_equal(run_device("a parrot"), 0);
    }
}

/* The radio's rate falls from 3 Mbit/s to 12 kbit/s while frames 10 to 59 come, one a second. What fits gets
 * through; whole frames, as a device sends them that measures nothing, only make a queue. */
static void cuts_frames_to_what_the_radio_carries(void **state)
{
    (void)state;
    const struct agn_modem_model model = {.bandwidth_bps = 3e6, .delay_s = 0.002};
    uint32_t fused[2];
    for (int blind = 0; blind < 2; blind++) {
        begin_world(&model);
        world.falls_at = 10;
        world.falls_to_bps = 12e3;
        world.period_s = 1;
        world.is_blind = blind;
        fused[blind] = run_device(blind ? "a radio that gets slow, not measured" : "the same, measured");
        printf("    %u bytes/s in the end, answers within %u ms, %u frames unfit\n",
               agn_rate_speed(&edge.rate), edge.answer_ms, edge.counts.frames_unfit);
        if (!blind) /* of 1500, delays included */
            assert_in_range(agn_rate_speed(&edge.rate), 1000, 1500);
    }
    assert_in_range(fused[0], 10 + 38, FRAMES);
    assert_in_range(fused[1], 10, 10 + 10);
}

static void believes_only_its_answer(void **state)
{
    (void)state;
    const struct agn_modem_model model = {.bandwidth_bps = 6e6, .delay_s = 0.002};
    begin_world(&model);
    world.is_server_hostile = true;
    assert_int_equal(run_device("wrong replies first"), FRAMES);
    assert_true(edge.counts.replies_late >= FRAMES);
    assert_true(edge.counts.replies_damaged >= FRAMES);
    assert_true(edge.counts.replies_other >= FRAMES);
}

/* 60 frames at 20 a second, the sixth of which is refused: once its packets are out, or while the modem waits
 * for the bytes of one, as the radio is quick or slow. That costs neither a search for the modem nor a
 * restart. */
static void pauses_at(const struct agn_modem_model *model, const char *name)
{
    begin_world(model);
    world.period_s = 0.05;
    world.busy_at = 5;
    world.max_age_s = 1;
    uint32_t fused = run_device(name);
    assert_int_equal(edge.counts.frames_busy, 1);
    assert_in_range(edge.counts.frames_paused, 15, 50); /* the first ones come late, the modem had to start */
    assert_int_equal(fused, FRAMES - 1 - edge.counts.frames_paused);
    assert_true(world.least_pause_s >= 1.0 && world.least_pause_s < 1.6);
    assert_true(has_line("\nframes_busy,1\n") && has_line("\ndeadline_misses,0\n"));
    assert_in_range(stats.frame_ms.max, 0, 100); /* a refusal ends a frame at once */
    const struct esp_at_counts *counts = &edge.modem.counts;
    assert_int_equal(counts->resyncs, 1); /* at the start */
    assert_int_equal(counts->restarts + counts->failed + counts->unsure, 0);
}

static void pauses_when_asked_to(void **state)
{
    (void)state;
    struct agn_modem_model model = {.bandwidth_bps = 6e6};
    for (int ms = 0; ms <= 15; ms++) {
        char name[32];
        snprintf(name, sizeof name, "a pause of 1 s, %d ms away", ms);
        model.delay_s = ms * 1e-3;
        pauses_at(&model, name);
    }

    begin_world(&model);
    world.period_s = 1;
    world.busy_at = 5;
    world.max_age_s = UINT32_MAX;
    assert_int_equal(run_device("a server that asks for a century"), 5);
    assert_int_equal(edge.counts.frames_paused, FRAMES - 6);
    begin_world(&model); /* capped: with frames far enough apart the device comes back */
    world.period_s = 6;
    world.busy_at = 5;
    assert_in_range(run_device("the same, for longer"), FRAMES - 1 - 15, FRAMES - 1 - 9);
    assert_true(world.least_pause_s >= 60 && world.least_pause_s < 97);
}

/* ---- a model and frames ----------------------------------------------------------------------------- */

/* A random model whose frames take several hundred bytes. */
static int setup(void **state)
{
    struct random_model random;
    struct agn_rng rng;
    struct agn_dev_model opened;
    struct agn_dev_memory memory;
    (void)state;
    for (uint64_t seed = 1;; seed++) {
        agn_rng_seed(&rng, seed);
        random_model_make(&random, &rng, RANDOM_USUAL, 40, 24);
        random.model.alpha_q15 = 0; /* fused is what the server says */
        if (agn_model_agn_write(&random.model, &model_file, &model_file_bytes) < 0 ||
            agn_dev_model_open(&opened, model_file, model_file_bytes) < 0)
            return -1;
        agn_dev_memory(&opened, &memory);
        if (memory.raw_bytes >= 1500 && memory.raw_bytes <= 3000 && opened.classes >= 4 &&
            opened.classes <= MAX_CLASSES && opened.input_h >= 16)
            break;
        agn_free(model_file);
        random_model_free(&random);
    }
    size_t image_bytes = (size_t)opened.input_h * opened.input_w * opened.input_c;
    frame_pixel_bytes = FRAMES * image_bytes;
    frame_pixels = agn_alloc(FRAMES, image_bytes);
    world.classes = opened.classes;
    if (!frame_pixels || agn_dev_init(&dev, model_file, model_file_bytes, arena, sizeof arena) < 0)
        return -1;
    for (uint32_t i = 0; i < FRAMES; i++) {
        struct agn_dev_prediction prediction;
        uint8_t *image = random_image(&random.model, &rng);
        if (!image)
            return -1;
        memcpy(frame_pixels + i * image_bytes, image, image_bytes);
        agn_free(image);
        agn_dev_frame_begin(&dev, (uint16_t)i, 0);
        agn_dev_push_rows(&dev, frame_pixels + i * image_bytes, dev.model.input_h);
        agn_dev_predict(&dev, &prediction);
        world.local[i] = prediction.class_index;
    }
    printf("    frames of %u bytes of symbols, %u classes\n", memory.raw_bytes, world.classes);
    random_model_free(&random);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    agn__assembly_free(world.assembly);
    agn_free(model_file);
    agn_free(frame_pixels);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fuses_every_frame),
        cmocka_unit_test(gets_through_losses),
        cmocka_unit_test(corrupted_bytes_change_no_prediction),
        cmocka_unit_test(keeps_deadlines_alone),
        cmocka_unit_test(cuts_frames_to_what_the_radio_carries),
        cmocka_unit_test(believes_only_its_answer),
        cmocka_unit_test(pauses_when_asked_to),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
