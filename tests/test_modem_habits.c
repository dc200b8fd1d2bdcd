/* The ESP-AT driver with modems of bad habits, drawn at random from a seed, on a simulated clock: for a while
 * anything, then a well-behaved modem, in whatever state it is left. Within 10 s after 30 s of that a
 * datagram must get out, and at no time may the driver say of one what is not so.
 *
 * AGN_MODEM_SEEDS=100000 tries more of them, AGN_MODEM_SEED=7 one alone and tells its course. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/esp_at.h"
#include "support/habit_modem.h"

enum { SEEDS = 1000, GOOD_S = 30, SEND_S = 10 };

static const uint32_t other_rates[] = {115200, 74880};

/* A board with its program. */
struct board {
    struct habit_modem modem;
    struct esp_at driver;
    struct agn_rng rng;
    uint64_t now_us, next_send_us;
    uint32_t first_ms; /* of the driver's clock, which wraps */
    uint8_t datagram[ESP_AT_MAX_DATAGRAM], received[ESP_AT_MAX_DATAGRAM];
    size_t datagram_bytes;
    uint32_t number; /* of the latest datagram, from 1 */
    enum esp_at_outcome outcomes[HABIT_DATAGRAMS];
    uint32_t period_ms, patience_ms, judged_from;
    bool is_pending, only_when_open, is_line_good; /* since the start */
    const char *lie;
};

/* For AGN_MODEM_SEED: what is said, one side after the other. */
static bool is_loud;

static void tell(const struct board *board, char side, const uint8_t *bytes, size_t len)
{
    static char last;
    if (!is_loud)
        return;
    if (side != last)
        printf("\n    %9.3f %-10s %c ", (double)board->now_us / 1e6, esp_at_state_text(board->driver.state),
               side);
    last = side;
    for (size_t i = 0; i < len && i < 80; i++)
        putchar(bytes[i] >= ' ' && bytes[i] < 127 ? bytes[i] : bytes[i] == '\n' ? '|' : '.');
}

static size_t write_uart(void *user, const uint8_t *bytes, size_t len)
{
    struct board *board = user;
    bool is_datagram = bytes >= board->datagram && bytes < board->datagram + sizeof board->datagram;
    tell(board, '>', bytes, len);
    habit_modem_write(&board->modem, bytes, len, is_datagram ? board->number : 0,
                      is_datagram ? (size_t)(bytes - board->datagram) : 0);
    return len;
}

static void take(void *user, const uint8_t *bytes, size_t len)
{
    (void)user;
    (void)bytes;
    assert_in_range(len, 1, ESP_AT_MAX_DATAGRAM);
}

static void turn_pin(void *user, int hold)
{
    habit_modem_pin(&((struct board *)user)->modem, hold);
}

static void set_rate(void *user, uint32_t bps)
{
    struct board *board = user;
    board->modem.device_bps = bps;
    if (is_loud)
        printf("\n    %9.3f %u bit/s", (double)board->now_us / 1e6, bps);
}

static uint32_t now_ms(const struct board *board)
{
    return board->first_ms + (uint32_t)(board->now_us / 1000);
}

/* ---- what is drawn ---------------------------------------------------------------------------------- */

static bool draw(struct board *board, double share)
{
    return agn_rng_uniform(&board->rng) < share;
}

static uint32_t between(struct board *board, uint32_t from, uint32_t to)
{
    return from + agn_rng_below(&board->rng, to - from + 1);
}

/* From `from` to `to`, all magnitudes alike. */
static uint32_t magnitude(struct board *board, uint32_t from, uint32_t to)
{
    uint32_t max = to;
    while (max > 2 * from && draw(board, 0.6))
        max /= 2;
    return between(board, from, max);
}

static void draw_times(struct board *board, struct habits *habits)
{
    habits->boot_ms = draw(board, 0.5) ? magnitude(board, 100, 10000) : 300;
    habits->join_ms = draw(board, 0.5) ? magnitude(board, 100, 6000) : 500;
    habits->command_ms = draw(board, 0.2) ? magnitude(board, 1, 1000) : 1;
    habits->prompt_ms = draw(board, 0.3) ? magnitude(board, 1, 2000) : 1;
    habits->taken_ms = draw(board, 0.3) ? magnitude(board, 1, 1000) : 1;
    habits->sent_ms = draw(board, 0.3) ? magnitude(board, 1, 1500) : 2;
    habits->second_ms = magnitude(board, 1, 500);
}

static void draw_habits(struct board *board, struct habits *habits, uint32_t bad_ms)
{
    double more = draw(board, 0.5) ? 0.1 : 0.4;
    draw_times(board, habits);
    habits->early = (enum habit_early)between(board, 0, 2);
    habits->order = (enum habit_order)between(board, 0, ORDER_COUNT - 1);
    habits->strange = draw(board, more) ? agn_rng_uniform(&board->rng) : draw(board, more) ? 1.0 : 0;
    habits->loss = draw(board, more) ? 0.03 * agn_rng_uniform(&board->rng) : 0;
    habits->doubled = draw(board, more) ? 0.01 * agn_rng_uniform(&board->rng) : 0;
    habits->hang = draw(board, more) ? 0.02 * agn_rng_uniform(&board->rng) : 0;
    habits->reboot = draw(board, more) ? 0.05 * agn_rng_uniform(&board->rng) : 0;
    habits->latch = draw(board, more) ? 0.05 * agn_rng_uniform(&board->rng) : 0;
    habits->error = draw(board, more) ? 0.3 * agn_rng_uniform(&board->rng) : 0;
    habits->busy = draw(board, more) ? 0.5 * agn_rng_uniform(&board->rng) : 0;
    habits->close = draw(board, more) ? 0.2 * agn_rng_uniform(&board->rng) : 0;
    habits->mute = draw(board, more) ? agn_rng_uniform(&board->rng) : 0;
    if (draw(board, more)) {
        habits->absent_from_ms = between(board, 0, bad_ms);
        habits->absent_until_ms = between(board, habits->absent_from_ms, bad_ms);
        habit_modem_lose_network(&board->modem, habits->absent_from_ms);
    }
    habits->says_s = draw(board, 0.5);
    habits->is_deaf_at_work = draw(board, 0.2);
    habits->is_busy_joining = draw(board, 0.3);
    habits->obeys_reset_busy = draw(board, 0.5);
    habits->is_old = draw(board, 0.3);
    habits->answers_empty = draw(board, 0.2);
}

/* What another program has left. */
static void draw_leftovers(struct board *board, bool has_rates)
{
    struct habit_modem *modem = &board->modem;
    modem->echoes = draw(board, 0.5);
    modem->is_open = draw(board, 0.3);
    modem->is_multiple = draw(board, 0.2);
    modem->is_server = modem->is_multiple && draw(board, 0.3);
    modem->is_passive = draw(board, 0.2);
    modem->tells_peer = draw(board, 0.2);
    if (!modem->is_multiple) {
        modem->is_transparent_mode = draw(board, 0.2);
        modem->is_passing = modem->is_transparent_mode && draw(board, 0.5);
        modem->is_saved = draw(board, 0.1);
    }
    if (!modem->is_passing && draw(board, 0.2))
        modem->expected = between(board, 1, 2048);
    if (has_rates && draw(board, 0.3))
        modem->modem_bps = other_rates[between(board, 0, 1)];
    if (draw(board, 0.3))
        habit_modem_start(modem);
}

static struct esp_at_config draw_config(struct board *board, bool has_ssid, bool has_rates)
{
    struct esp_at_config config = {.host = "192.168.4.2",
                                   .port = 5683,
                                   .local_port = 5683,
                                   .ssid = has_ssid ? "net" : NULL,
                                   .password = "secret",
                                   .uart_bps = HABIT_BPS,
                                   .reopen_after = draw(board, 0.5) ? 20 : 0,
                                   .datagram = board->received,
                                   .datagram_cap = sizeof board->received,
                                   .user = board,
                                   .write = write_uart,
                                   .received = take,
                                   .reset = draw(board, 0.5) ? turn_pin : NULL};
    if (has_rates) {
        config.rates = other_rates;
        config.rate_count = AGN_COUNT_OF(other_rates);
        config.set_rate = set_rate;
    }
    return config;
}

static void begin(struct board *board, uint64_t seed, uint32_t *bad_ms)
{
    memset(board, 0, sizeof *board);
    agn_rng_seed(&board->rng, seed);
    habit_modem_init(&board->modem, agn_rng_u64(&board->rng), 0);
    *bad_ms = magnitude(board, 1000, 120000);
    board->first_ms = UINT32_MAX - between(board, 0, 60000);
    board->period_ms = magnitude(board, 1, 1000);
    board->patience_ms = magnitude(board, 100, 5000);
    board->only_when_open = draw(board, 0.5);
    bool has_ssid = draw(board, 0.5), has_rates = draw(board, 0.3);
    draw_habits(board, &board->modem.habits, *bad_ms);
    board->modem.habits.joins_itself = !has_ssid || draw(board, 0.5);
    board->is_line_good = board->modem.habits.loss <= 0 && board->modem.habits.doubled <= 0;
    draw_leftovers(board, has_rates);
    const struct esp_at_config config = draw_config(board, has_ssid, has_rates);
    assert_int_equal(esp_at_init(&board->driver, &config, now_ms(board)), 0);
}

/* ---- the course of a run ---------------------------------------------------------------------------- */

/* What has been said of a datagram, against what is so; also later: what lies in a modem may still go out. */
static void judge(struct board *board, uint32_t number)
{
    const struct habit_fate *fate = &board->modem.fates[number % HABIT_DATAGRAMS];
    enum esp_at_outcome outcome = board->outcomes[number % HABIT_DATAGRAMS];
    if (outcome == ESP_AT_FAILED && fate->is_on_air)
        board->lie = "failed, but went out";
    else if (outcome == ESP_AT_SENT && !fate->said_ok)
        board->lie = "sent, but the modem did not say so";
    else if (outcome == ESP_AT_SENT && board->is_line_good && !fate->is_whole)
        board->lie = "sent, but not whole";
}

static void take_outcome(struct board *board)
{
    enum esp_at_outcome outcome = esp_at_outcome(&board->driver);
    if (!board->is_pending || outcome == ESP_AT_PENDING)
        return;
    board->is_pending = false;
    board->outcomes[board->number % HABIT_DATAGRAMS] = outcome;
    judge(board, board->number);
    board->next_send_us = board->now_us + 1000ULL * board->period_ms;
}

static void send_another(struct board *board)
{
    if (board->is_pending || board->now_us < board->next_send_us ||
        (board->only_when_open && !esp_at_is_open(&board->driver)))
        return;
    board->number++;
    board->datagram_bytes =
        draw(board, 0.2) ? between(board, 1, ESP_AT_MAX_DATAGRAM) : between(board, 1, 200);
    for (size_t i = 0; i < board->datagram_bytes; i++)
        board->datagram[i] = (uint8_t)agn_rng_u64(&board->rng);
    struct habit_fate *fate = &board->modem.fates[board->number % HABIT_DATAGRAMS];
    memset(fate, 0, sizeof *fate);
    fate->len = (uint16_t)board->datagram_bytes;
    board->outcomes[board->number % HABIT_DATAGRAMS] = ESP_AT_PENDING;
    board->is_pending = true;
    assert_int_equal(esp_at_send(&board->driver, board->datagram, board->datagram_bytes, now_ms(board),
                                 board->patience_ms),
                     0);
    esp_at_poll(&board->driver, now_ms(board));
}

/* Until when the driver's clock has nothing to do. */
static uint64_t driver_due_us(const struct board *board)
{
    const struct esp_at *driver = &board->driver;
    uint32_t now = now_ms(board), in_ms = UINT32_MAX;
    if (driver->state != ESP_AT_STATE_READY)
        in_ms = driver->limit_ms - (now - driver->since_ms);
    if (driver->outcome == ESP_AT_PENDING && !driver->is_handed_over &&
        driver->patience_ms - (now - driver->asked_ms) < in_ms)
        in_ms = driver->patience_ms - (now - driver->asked_ms);
    if (driver->lines.expected > 0 && in_ms > 10)
        in_ms = 10;
    return (board->now_us / 1000 + (in_ms > 0 && in_ms < 100000 ? in_ms : 1)) * 1000;
}

static void turn(struct board *board, uint64_t until_us)
{
    uint8_t bytes[256];
    size_t count;
    uint64_t next_us = driver_due_us(board), modem_us = habit_modem_next_us(&board->modem);
    if (modem_us < next_us)
        next_us = (modem_us / 1000 + 1) * 1000;
    if (!board->is_pending && board->next_send_us > board->now_us && board->next_send_us < next_us)
        next_us = board->next_send_us;
    if (next_us <= board->now_us)
        next_us = board->now_us + 1000;
    board->now_us = next_us < until_us ? next_us : until_us;
    habit_modem_advance(&board->modem, board->now_us);
    while ((count = habit_modem_read(&board->modem, bytes, sizeof bytes)) > 0) {
        tell(board, '<', bytes, count);
        esp_at_input(&board->driver, bytes, count, now_ms(board));
    }
    esp_at_poll(&board->driver, now_ms(board));
    take_outcome(board);
    send_another(board);
}

static void judge_all(struct board *board)
{
    uint32_t first = board->number > HABIT_DATAGRAMS - 1 ? board->number - (HABIT_DATAGRAMS - 1) : 1;
    for (uint32_t number = first; number <= board->number && !board->lie; number++)
        judge(board, number);
}

/* Returns what is wrong, or NULL; how long the driver was silent after the first GOOD_S goes to *took_ms. */
static const char *run_seed(struct board *board, uint64_t seed, uint32_t *took_ms)
{
    uint32_t bad_ms;
    begin(board, seed, &bad_ms);
    uint64_t good_us = 1000ULL * bad_ms, from_us = good_us + GOOD_S * 1000000ULL;
    while (board->now_us < good_us && !board->lie)
        turn(board, good_us);
    habit_modem_reform(&board->modem);
    uint32_t sent = 0;
    while (board->now_us < from_us + SEND_S * 1000000ULL && !board->lie) {
        uint32_t sent_before = board->driver.counts.sent;
        turn(board, board->now_us < from_us ? from_us : from_us + SEND_S * 1000000ULL);
        if (board->now_us >= from_us && board->driver.counts.sent > sent_before && sent++ == 0)
            *took_ms = (uint32_t)((board->now_us - from_us) / 1000);
        if (sent > 3)
            break;
    }
    judge_all(board);
    if (board->lie)
        return board->lie;
    return sent > 0 ? NULL : "does not send";
}

static struct board board; /* large */

static void always_comes_back(void **state)
{
    (void)state;
    const char *seed_text = getenv("AGN_MODEM_SEED"), *seeds_text = getenv("AGN_MODEM_SEEDS");
    uint64_t first = seed_text ? strtoull(seed_text, NULL, 10) : 1;
    uint64_t count = seed_text ? 1 : seeds_text ? strtoull(seeds_text, NULL, 10) : SEEDS;
    uint32_t longest_ms = 0, failed = 0;
    is_loud = seed_text != NULL;
    uint64_t sent = 0, unsure = 0, unsent = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        uint32_t took_ms = 0;
        const char *wrong = run_seed(&board, seed, &took_ms);
        if (wrong && failed++ < 20)
            printf("    seed %llu: %s (datagram %u, state %s, after %.3f s)\n", (unsigned long long)seed,
                   wrong, board.number, esp_at_state_text(board.driver.state), (double)board.now_us / 1e6);
        longest_ms = took_ms > longest_ms ? took_ms : longest_ms;
        sent += board.driver.counts.sent;
        unsure += board.driver.counts.unsure;
        unsent += board.driver.counts.failed;
    }
    printf("    %llu modems, %u in trouble; longest silence behind %d s of good behaviour %u ms; sent %llu "
           "unsure %llu "
           "failed %llu\n",
           (unsigned long long)count, failed, GOOD_S, longest_ms, (unsigned long long)sent,
           (unsigned long long)unsure, (unsigned long long)unsent);
    assert_int_equal(failed, 0);
}

enum leftover {
    ECHO,
    OPEN,
    SEVERAL,
    SERVER,
    PASSIVE,
    PEER,
    TRANSPARENT,
    PASSING,
    SAVED,
    WAITING,
    SPEED,
    LEFTOVERS
};

static void leave(struct habit_modem *modem, enum leftover left)
{
    modem->echoes = left == ECHO;
    modem->is_open = left == OPEN;
    modem->is_multiple = left == SEVERAL || left == SERVER;
    modem->is_server = left == SERVER;
    modem->is_passive = left == PASSIVE;
    modem->tells_peer = left == PEER;
    modem->is_transparent_mode = left == TRANSPARENT || left == PASSING || left == SAVED;
    modem->is_passing = left == PASSING || left == SAVED;
    modem->is_saved = left == SAVED;
    modem->expected = left == WAITING ? 2048 : 0;
    if (left == SPEED)
        modem->modem_bps = other_rates[1];
}

/* Each by itself, in a modem that behaves well, with and without a reset pin: nothing is left of it. */
static void puts_right_what_is_left(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2 * LEFTOVERS; i++) {
        memset(&board, 0, sizeof board);
        agn_rng_seed(&board.rng, i);
        habit_modem_init(&board.modem, i, 0);
        leave(&board.modem, (enum leftover)(i / 2));
        board.is_line_good = true;
        board.period_ms = 20;
        board.patience_ms = 1000;
        struct esp_at_config config = draw_config(&board, false, true);
        config.reset = i % 2 ? turn_pin : NULL;
        assert_int_equal(esp_at_init(&board.driver, &config, now_ms(&board)), 0);
        while (board.driver.counts.sent < 3 && board.now_us < SEND_S * 1000000ULL)
            turn(&board, SEND_S * 1000000ULL);
        judge_all(&board);
        const struct habit_modem *modem = &board.modem;
        if (board.lie || board.driver.counts.sent < 3)
            fail_msg("leftover %u: %s, sent %u", i / 2, board.lie ? board.lie : "slow",
                     board.driver.counts.sent);
        assert_false(modem->is_multiple || modem->is_server || modem->is_passive || modem->tells_peer);
        assert_false(modem->is_transparent_mode || modem->is_passing || modem->is_saved || modem->echoes);
        assert_int_equal(board.driver.counts.restarts + board.driver.counts.pin_resets, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_right_what_is_left),
        cmocka_unit_test(always_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
