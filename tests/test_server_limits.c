/* Limits of peers: rates, the balance for answers, a table that does not grow; and the server by them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "server/limits.h"

static struct agn__peer peer_number(unsigned number)
{
    struct agn__peer peer = {{0}};
    memcpy(peer.bytes + 12, &number, sizeof number);
    return peer;
}

static struct agn__limits *limits_of(double messages, double bytes, int peers)
{
    struct agn__limits_config config = {.peers = peers,
                                        .messages_per_s = messages,
                                        .bytes_per_s = bytes,
                                        .answer_ratio = 3,
                                        .answer_max_bytes = 1000};
    struct agn__limits *limits = agn__limits_create(&config);
    assert_non_null(limits);
    return limits;
}

static int taken(struct agn__limits *limits, unsigned peer, int messages, size_t bytes, double now_s)
{
    struct agn__peer who = peer_number(peer);
    int count = 0;
    for (int i = 0; i < messages; i++)
        count += agn__limits_take(limits, &who, bytes, now_s);
    return count;
}

static void messages_are_limited(void **state)
{
    (void)state;
    struct agn__limits *limits = limits_of(10, 0, 8);
    assert_int_equal(taken(limits, 1, 100, 50, 5.0), 20); /* two seconds' worth at once */
    assert_int_equal(taken(limits, 2, 100, 50, 5.0), 20); /* another's trouble is not mine */
    assert_int_equal(taken(limits, 1, 100, 50, 5.5), 5);
    assert_int_equal(taken(limits, 1, 100, 50, 5.5), 0);
    assert_int_equal(taken(limits, 1, 100, 50, 5.0), 0);    /* a clock that goes back gives nothing */
    assert_int_equal(taken(limits, 1, 100, 50, 100.0), 20); /* and a long rest no more than the burst */
    agn__limits_free(limits);
}

static void bytes_are_limited(void **state)
{
    (void)state;
    struct agn__limits *limits = limits_of(0, 1000, 8);
    assert_int_equal(taken(limits, 1, 100, 400, 5.0), 5);
    assert_int_equal(taken(limits, 1, 1, 100000, 50.0), 0); /* never */
    assert_int_equal(taken(limits, 1, 10, 200, 50.0), 10);
    agn__limits_free(limits);
    limits = limits_of(-1, -1, 8);
    assert_int_equal(taken(limits, 1, 10000, 1200, 1.0), 10000);
    agn__limits_free(limits);
}

static void answers_need_requests(void **state)
{
    (void)state;
    struct agn__limits *limits = limits_of(0, 0, 8);
    struct agn__peer one = peer_number(1), two = peer_number(2);
    assert_false(agn__limits_spend(limits, &one, 1)); /* never heard of */
    assert_int_equal(taken(limits, 1, 1, 20, 1.0), 1);
    assert_false(agn__limits_spend(limits, &one, 61));
    assert_true(agn__limits_spend(limits, &one, 40));
    assert_true(agn__limits_spend(limits, &one, 20));
    assert_false(agn__limits_spend(limits, &one, 1));
    assert_false(agn__limits_spend(limits, &two, 1));
    assert_int_equal(taken(limits, 1, 100, 1000, 1.0), 100);
    assert_true(agn__limits_spend(limits, &one, 1000)); /* saved up, but not without bound */
    assert_false(agn__limits_spend(limits, &one, 1));
    agn__limits_free(limits);
}

/* Against a model that remembers everybody: those within the last N peers are known exactly. */
static void the_longest_silent_is_forgotten(void **state)
{
    (void)state;
    enum { PEERS = 50, KNOWN = 120 };
    struct agn__limits *limits = limits_of(0, 0, PEERS);
    int last_heard[KNOWN];
    struct agn_rng rng;
    agn_rng_seed(&rng, 9);
    for (int i = 0; i < KNOWN; i++)
        last_heard[i] = -1;
    for (int turn = 0; turn < 20000; turn++) {
        unsigned number = agn_rng_below(&rng, KNOWN);
        struct agn__peer peer = peer_number(number);
        int newer = 0; /* peers heard since */
        for (int i = 0; i < KNOWN; i++)
            newer += last_heard[i] > last_heard[number];
        bool known = last_heard[number] >= 0 && newer < PEERS;
        assert_int_equal(agn__limits_spend(limits, &peer, 0), known);
        assert_true(agn__limits_take(limits, &peer, 10, turn));
        last_heard[number] = turn;
    }
    agn__limits_free(limits);
}

/* Which peers meet in one bucket follows from a seed that differs each time. */
static void buckets_cannot_be_foreseen(void **state)
{
    (void)state;
    enum { PEERS = 4000, BUCKETS = 97 };
    uint64_t seeds[2] = {agn__hash_seed(), agn__hash_seed()};
    int together = 0, still = 0;
    assert_true(seeds[0] != seeds[1]);
    struct agn__peer one = peer_number(0);
    for (unsigned i = 1; i < PEERS; i++) {
        struct agn__peer other = peer_number(i);
        if (agn__peer_hash(&other, seeds[0]) % BUCKETS != agn__peer_hash(&one, seeds[0]) % BUCKETS)
            continue;
        together++;
        still += agn__peer_hash(&other, seeds[1]) % BUCKETS == agn__peer_hash(&one, seeds[1]) % BUCKETS;
    }
    assert_in_range(together, 10, 100); /* 41 on average */
    assert_true(still < together / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_limited),       cmocka_unit_test(bytes_are_limited),
        cmocka_unit_test(answers_need_requests),      cmocka_unit_test(the_longest_silent_is_forgotten),
        cmocka_unit_test(buckets_cannot_be_foreseen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
