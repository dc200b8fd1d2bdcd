/* The ESP-AT driver with the modem of src/modem, a serial line and a server, on a simulated clock: thousands
 * of datagrams through losses, and how soon the driver recovers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "agn_wire.h"
#include "modem/esp.h"
#include "support/modem_rig.h"

/* A board, a serial line with a speed, a modem, a server that answers, and one clock. */
struct world {
    struct rig rig;
    struct agn__esp esp;
    double now_s; /* does not wrap */
    bool right_server;
    uint8_t datagram[ESP_AT_MAX_DATAGRAM];
    size_t datagram_bytes;
    uint32_t sequence;    /* of datagrams that the device has sent */
    uint32_t answered[2]; /* the server's: datagrams that came whole, and not */
    uint32_t fresh, stale,
        damaged; /* the device's: answers to the current datagram, to older ones, bad ones */
};

enum { BYTES_A_MS = 92, UART_BPS = 921600 };

static int open_server(void *user, const char *host, uint16_t port, uint16_t local_port)
{
    struct world *world = user;
    (void)local_port; /* damaged, it matters to nobody */
    world->right_server = strcmp(host, "192.168.4.2") == 0 && port == 5683;
    return 0;
}

static void close_server(void *user)
{
    (void)user;
}

/* Answers a datagram that came whole with its first 8 bytes. */
static int serve(void *user, const uint8_t *bytes, size_t len)
{
    struct world *world = user;
    uint8_t reply[12];
    uint32_t crc;
    if (!world->right_server)
        return 0;
    bool is_whole = len == world->datagram_bytes;
    if (is_whole) {
        memcpy(&crc, bytes + len - 4, 4);
        is_whole = agn_crc32(0, bytes, len - 4) == crc;
    }
    world->answered[is_whole ? 0 : 1]++;
    if (!is_whole)
        return 0;
    memcpy(reply, bytes, 8);
    crc = agn_crc32(0, reply, 8);
    memcpy(reply + 8, &crc, 4);
    agn__esp_from_server(&world->esp, reply, sizeof reply, world->now_s);
    return 0;
}

static void judge_answer(void *user, const uint8_t *bytes, size_t len)
{
    struct world *world = user;
    uint32_t crc, sequence;
    bool is_whole = len == 12;
    if (is_whole) {
        memcpy(&crc, bytes + 8, 4);
        is_whole = agn_crc32(0, bytes, 8) == crc;
    }
    if (!is_whole) {
        world->damaged++;
        return;
    }
    memcpy(&sequence, bytes, 4);
    assert_in_range(sequence, 1, world->sequence); /* nothing that was never sent */
    *(sequence == world->sequence ? &world->fresh : &world->stale) += 1;
}

static size_t write_to_world(void *user, const uint8_t *bytes, size_t len)
{
    return rig_write(&((struct world *)user)->rig, bytes, len);
}

static void turn_pin(void *user, int hold)
{
    struct world *world = user;
    const struct agn_modem_model model = world->esp.model;
    const struct agn__esp_world around = world->esp.world;
    if (hold)
        agn__esp_init(&world->esp, &model, &around, world->now_s);
}

static void begin_world(struct world *world, const struct agn_modem_model *model, uint32_t now_ms)
{
    struct esp_at_config config = rig_config(&world->rig);
    config.user = world;
    config.write = write_to_world;
    config.received = judge_answer;
    config.reset = turn_pin;
    config.uart_bps = UART_BPS;
    config.reopen_after = 20;
    const struct agn__esp_world around = {
        .user = world, .open = open_server, .close = close_server, .send = serve};
    world->rig.now_ms = now_ms;
    world->rig.room = 2048;
    agn__esp_init(&world->esp, model, &around, world->now_s);
    assert_int_equal(esp_at_init(&world->rig.modem, &config, now_ms), 0);
}

/* One millisecond. */
static void tick(struct world *world)
{
    struct rig *rig = &world->rig;
    uint8_t bytes[BYTES_A_MS];
    rig->now_ms++;
    world->now_s += 0.001;
    size_t count = rig->said_bytes < BYTES_A_MS ? rig->said_bytes : BYTES_A_MS;
    agn__esp_from_device(&world->esp, rig->said, count, world->now_s);
    memmove(rig->said, rig->said + count, rig->said_bytes - count);
    rig->said_bytes -= count;
    rig->room = 2048 - rig->said_bytes;
    agn__esp_advance(&world->esp, world->now_s);
    count = agn__esp_to_device(&world->esp, bytes, sizeof bytes);
    esp_at_input(&rig->modem, bytes, count, rig->now_ms);
    esp_at_poll(&rig->modem, rig->now_ms);
}

static void make_datagram(struct world *world, struct agn_rng *rng, size_t len)
{
    world->sequence++;
    for (size_t i = 0; i < len; i++)
        world->datagram[i] = (uint8_t)agn_rng_u64(rng);
    memcpy(world->datagram, &world->sequence, 4);
    uint32_t crc = agn_crc32(0, world->datagram, len - 4);
    memcpy(world->datagram + len - 4, &crc, 4);
    world->datagram_bytes = len;
}

struct course {
    uint32_t frames, answered, longest_gap_ms; /* between answers */
    uint32_t elapsed_ms;
};

/* Sends `frames` datagrams of `len` bytes, each waiting up to deadline_ms for its answer. */
static struct course run_course(struct world *world, uint32_t frames, size_t len, uint32_t deadline_ms)
{
    struct course course = {.frames = frames};
    struct agn_rng rng;
    agn_rng_seed(&rng, 5);
    uint32_t begin_ms = world->rig.now_ms, last_ms = begin_ms;
    for (uint32_t frame = 0; frame < frames; frame++) {
        uint32_t until_ms = 700;
        while (esp_at_outcome(&world->rig.modem) == ESP_AT_PENDING) { /* the one before: its time-outs */
            assert_true(until_ms-- > 0);
            tick(world);
        }
        make_datagram(world, &rng, len);
        world->fresh = 0;
        uint32_t sent_ms = world->rig.now_ms;
        assert_int_equal(esp_at_send(&world->rig.modem, world->datagram, len, sent_ms, deadline_ms), 0);
        while (world->fresh == 0 && world->rig.now_ms - sent_ms < deadline_ms)
            tick(world);
        if (world->fresh > 0) {
            uint32_t gap_ms = world->rig.now_ms - last_ms;
            course.longest_gap_ms = gap_ms > course.longest_gap_ms ? gap_ms : course.longest_gap_ms;
            last_ms = world->rig.now_ms;
            course.answered++;
        }
    }
    course.elapsed_ms = world->rig.now_ms - begin_ms;
    return course;
}

static void print_course(const char *name, const struct course *course, const struct world *world)
{
    const struct esp_at_counts *counts = &world->rig.modem.counts;
    printf(
        "    %s: %u of %u datagrams answered, longest gap %u ms, %.1f ms each; sent %u unsure %u failed %u; "
        "time-outs %u resyncs %u reopened %u restarts %u pin %u ready %u; damaged answers %u, stale %u\n",
        name, course->answered, course->frames, course->longest_gap_ms,
        (double)course->elapsed_ms / course->frames, counts->sent, counts->unsure, counts->failed,
        counts->timeouts, counts->resyncs, counts->opened, counts->restarts, counts->pin_resets,
        counts->ready_seen, world->damaged, world->stale);
}

static void say_nonsense(struct world *world, struct agn_rng *rng)
{
    uint8_t bytes[64];
    size_t count = agn_rng_below(rng, sizeof bytes);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)agn_rng_u64(rng);
    agn__esp_from_device(&world->esp, bytes, count, world->now_s);
    rig_hear_nonsense(&world->rig, rng);
}

static struct world world; /* large */

static void works_with_a_perfect_modem(void **state)
{
    (void)state;
    const struct agn_modem_model model = {.bandwidth_bps = 6e6, .delay_s = 0.002};
    memset(&world, 0, sizeof world);
    begin_world(&world, &model, UINT32_MAX - 3000);
    while (!esp_at_is_open(&world.rig.modem))
        tick(&world);
    assert_true(world.rig.now_ms - (UINT32_MAX - 3000) < 1500);
    struct course course = run_course(&world, 1000, 700, 200);
    print_course("perfect", &course, &world);
    assert_int_equal(course.answered, 1000);
    assert_int_equal(world.answered[1], 0);
    assert_int_equal(world.rig.modem.counts.unsure, 0);
    assert_int_equal(world.rig.modem.counts.restarts, 0);
}

/* The serial line loses one byte in a hundred both ways, the radio one datagram in ten. */
static void works_through_loss(void **state)
{
    (void)state;
    static const size_t lengths[] = {60, 200, 1170};
    for (size_t i = 0; i < AGN_COUNT_OF(lengths); i++) {
        const struct agn_modem_model model = {.seed = 7 + i,
                                              .bandwidth_bps = 6e6,
                                              .delay_s = 0.002,
                                              .jitter_s = 0.004,
                                              .loss = 0.1,
                                              .reorder = 0.02,
                                              .uart_loss = 0.01};
        memset(&world, 0, sizeof world);
        begin_world(&world, &model, 0);
        struct course course = run_course(&world, 3000, lengths[i], 200);
        print_course("1 % of bytes, 10 % of datagrams", &course, &world);
        assert_true(world.rig.modem.counts.sent + world.rig.modem.counts.unsure > 1000);
        if (lengths[i] < 100) {
            assert_true(course.answered > 600);
            assert_true(course.longest_gap_ms < 15000);
        }
    }
}

/* Both sides hear nonsense for a while, or the modem loses power within a send; from then on the line is
 * good. docs/MODEM.md states how soon a datagram gets through again. */
static void recovers_in_stated_time(void **state)
{
    (void)state;
    enum { STATED_MS = 5000 };
    const struct agn_modem_model model = {.bandwidth_bps = 6e6};
    uint32_t longest_ms = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct agn_rng rng;
        agn_rng_seed(&rng, seed);
        memset(&world, 0, sizeof world);
        begin_world(&world, &model, 0);
        while (!esp_at_is_open(&world.rig.modem))
            tick(&world);
        make_datagram(&world, &rng, 4 + 8 + agn_rng_below(&rng, 1400));
        (void)esp_at_send(&world.rig.modem, world.datagram, world.datagram_bytes, world.rig.now_ms, 100);
        for (uint32_t i = agn_rng_below(&rng, 40); i > 0; i--)
            tick(&world);
        if (seed % 4 == 0)
            turn_pin(&world, 1);
        for (uint32_t i = agn_rng_below(&rng, 400); seed % 4 != 0 && i > 0; i--) {
            say_nonsense(&world, &rng);
            tick(&world);
        }
        uint32_t begin_ms = world.rig.now_ms;
        while (esp_at_outcome(&world.rig.modem) == ESP_AT_PENDING)
            tick(&world);
        for (;;) {
            (void)esp_at_send(&world.rig.modem, world.datagram, world.datagram_bytes, world.rig.now_ms, 500);
            while (esp_at_outcome(&world.rig.modem) == ESP_AT_PENDING)
                tick(&world);
            if (esp_at_outcome(&world.rig.modem) == ESP_AT_SENT)
                break;
            assert_in_range(world.rig.now_ms - begin_ms, 0, STATED_MS);
        }
        uint32_t took_ms = world.rig.now_ms - begin_ms;
        longest_ms = took_ms > longest_ms ? took_ms : longest_ms;
    }
    printf("    longest recovery %u ms\n", longest_ms);
    assert_in_range(longest_ms, 100, STATED_MS);
}

/* Resets, busy and ERROR replies, corrupted bytes as well. */
static void works_through_everything(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        const struct agn_modem_model model = {.seed = seed,
                                              .bandwidth_bps = 270e3,
                                              .delay_s = 0.005,
                                              .jitter_s = 0.01,
                                              .loss = 0.1,
                                              .uart_loss = 0.0005,
                                              .uart_corrupt = 0.0005,
                                              .reset = 0.01,
                                              .busy = 0.05,
                                              .error = 0.02};
        memset(&world, 0, sizeof world);
        begin_world(&world, &model, 0);
        struct course course = run_course(&world, 2000, 300, 200);
        print_course("everything", &course, &world);
        assert_true(course.answered > 800);
        assert_true(course.longest_gap_ms < 20000);
        assert_true(world.esp.stats.resets >= 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(works_with_a_perfect_modem),
        cmocka_unit_test(works_through_loss),
        cmocka_unit_test(recovers_in_stated_time),
        cmocka_unit_test(works_through_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
