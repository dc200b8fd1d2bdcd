/* agn_split.h on links that change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agilenn/base.h"
#include "agn_split.h"

/* Ticks of 0.1 ms. An image of 3,000 bytes, maps of 1,500 and 500; an exit behind each map. */
static const struct agn_split_cut cuts[] = {{3000, 10, 30}, {1500, 300, 20}, {500, 900, 10}};
static const struct agn_split_rule rules[] = {
    {32767, {0, 0, 0}, {30000, 30000, 30000}},
    {29491, {0, 8000, 9000}, {30000, 29900, 29700}},
    {16384, {0, 20000, 8000}, {30000, 27000, 28000}},
};
static const struct agn_split_profile profile = {3, 3, 400, cuts, rules};

/* A link, and a device slower than its profile says. */
struct course {
    struct agn_split split;
    struct agn_rng rng;
    double round, per_byte, noise, slowness;
    double sum; /* ticks of all frames */
    int frames, by_cut[3];
};

static double uniform(struct course *course)
{
    return agn_rng_uniform(&course->rng);
}

static struct course begin(double round, double per_byte)
{
    struct course course = {.round = round, .per_byte = per_byte, .noise = 0.1, .slowness = 1.0};
    agn_split_init(&course.split, &profile);
    agn_rng_seed(&course.rng, 7);
    return course;
}

/* The exit at which a frame leaves, or -1. */
static int leaves_at(struct course *course, const struct agn_split_way *way)
{
    double chance = uniform(course) * AGN_SPLIT_ONE;
    for (int c = 0; c <= way->cut; c++) {
        chance -= rules[way->rule].left[c];
        if (chance < 0.0)
            return c;
    }
    return -1;
}

static void go(struct course *course, int frames)
{
    for (int i = 0; i < frames; i++) {
        struct agn_split_way way;
        agn_split_choose(&course->split, &way);
        assert_in_range(way.cut, 0, 2);
        assert_int_equal(way.exit, rules[way.rule].exit);
        int left = leaves_at(course, &way);
        double device = cuts[left >= 0 ? left : way.cut].device * course->slowness, link = 0.0;
        course->by_cut[way.cut]++;
        course->frames++;
        if (left < 0) {
            agn_split_worked(&course->split, way.cut, (uint32_t)device);
            link = (course->round + course->per_byte * cuts[way.cut].bytes) *
                       (1.0 + course->noise * (uniform(course) - 0.5)) +
                   cuts[way.cut].server;
            agn_split_answered(&course->split, way.cut, cuts[way.cut].bytes, (uint32_t)link);
        }
        course->sum += device + link;
    }
}

/* What the best fixed way takes on average, of those that are right often enough. */
static double best_of(const struct course *course)
{
    double best = 1e30;
    for (int c = 0; c < 3; c++)
        for (int r = 0; r < 3; r++) {
            double stay = 1.0, sum = 0.0;
            if (rules[r].right[c] < 30000 - profile.allowed)
                continue;
            for (int e = 0; e <= c; e++) {
                double left = (double)rules[r].left[e] / AGN_SPLIT_ONE;
                sum += left * cuts[e].device * course->slowness;
                stay -= left;
            }
            sum += stay * (cuts[c].device * course->slowness + course->round +
                           course->per_byte * cuts[c].bytes + cuts[c].server);
            best = sum < best ? sum : best;
        }
    return best;
}

static void forget(struct course *course)
{
    course->sum = 0.0;
    course->frames = 0;
    memset(course->by_cut, 0, sizeof(course->by_cut));
}

static void near_the_best(struct course *course, double most)
{
    double took = course->sum / course->frames, best = best_of(course);
    printf("    round %.0f, %.2f a byte: %.0f ticks a frame, the best way %.0f; cuts %d %d %d\n",
           course->round, course->per_byte, took, best, course->by_cut[0], course->by_cut[1],
           course->by_cut[2]);
    assert_true(took < most * best);
}

/* A fast link takes the image, a slow one a deep cut; either way little is lost on trying others. */
static void finds_the_cut_of_each_link(void **state)
{
    (void)state;
    static const struct {
        double round, per_byte;
        int cut;
    } links[] = {{20, 0.01, 0}, {20, 0.05, 0}, {50, 0.4, 1}, {20, 4.0, 2}, {500, 8.0, 2}};
    for (size_t i = 0; i < AGN_COUNT_OF(links); i++) {
        struct course course = begin(links[i].round, links[i].per_byte);
        go(&course, 100);
        forget(&course);
        go(&course, 2000);
        near_the_best(&course, 1.25);
        assert_true(course.by_cut[links[i].cut] > course.frames * 8 / 10);
    }
}

static void follows_a_link_that_changes(void **state)
{
    (void)state;
    struct course course = begin(20, 0.02);
    go(&course, 300);
    course.per_byte = 4.0;
    go(&course, 100);
    forget(&course);
    go(&course, 1000);
    near_the_best(&course, 1.25);
    course.per_byte = 0.02;
    go(&course, 300);
    forget(&course);
    go(&course, 1000);
    near_the_best(&course, 1.25);
}

/* Ten times as slow as profiled: less is worth computing on the device. */
static void follows_a_device_that_is_slow(void **state)
{
    (void)state;
    struct course course = begin(50, 0.8);
    go(&course, 300);
    int deep = course.by_cut[1] + course.by_cut[2];
    course.slowness = 30.0;
    go(&course, 300);
    forget(&course);
    go(&course, 1000);
    near_the_best(&course, 1.6);
    assert_true(deep > 200 && course.by_cut[0] > 800);
}

/* Nothing that leaves too many wrong, however fast. */
static void keeps_to_what_is_right(void **state)
{
    (void)state;
    struct course course = begin(5000, 10.0);
    for (int i = 0; i < 500; i++) {
        struct agn_split_way way;
        agn_split_choose(&course.split, &way);
        assert_true(rules[way.rule].right[way.cut] >= 30000 - profile.allowed);
        agn_split_answered(&course.split, way.cut, cuts[way.cut].bytes, 30000);
    }
}

static void silence_is_a_slow_link(void **state)
{
    (void)state;
    struct course course = begin(20, 0.02);
    struct agn_split_way way;
    go(&course, 100);
    for (int i = 0; i < 200; i++) {
        agn_split_choose(&course.split, &way);
        agn_split_missed(&course.split, way.cut, cuts[way.cut].bytes, 2000);
    }
    assert_int_equal(way.rule, 1); /* the threshold that leaves most frames on the device, of those allowed */
    assert_int_equal(way.cut, 2);
}

static void extremes_have_a_result(void **state)
{
    (void)state;
    static const uint32_t values[] = {0, 1, 1000, 1U << 23, UINT32_MAX / 2, UINT32_MAX};
    struct agn_split_cut odd_cuts[AGN_SPLIT_MAX_CUTS];
    struct agn_split_rule odd_rules[2];
    struct agn_split_profile odd = {AGN_SPLIT_MAX_CUTS, 2, UINT16_MAX, odd_cuts, odd_rules};
    struct agn_rng rng;
    agn_rng_seed(&rng, 3);
    for (int turn = 0; turn < 300; turn++) {
        struct agn_split split;
        struct agn_split_way way;
        for (int c = 0; c < AGN_SPLIT_MAX_CUTS; c++) {
            odd_cuts[c] =
                (struct agn_split_cut){values[agn_rng_below(&rng, 6)], values[agn_rng_below(&rng, 6)],
                                       values[agn_rng_below(&rng, 6)]};
            for (int r = 0; r < 2; r++) {
                odd_rules[r].left[c] = (uint16_t)agn_rng_below(&rng, 65536);
                odd_rules[r].right[c] = (uint16_t)agn_rng_below(&rng, 65536);
            }
        }
        odd.cuts = (uint8_t)(1 + agn_rng_below(&rng, AGN_SPLIT_MAX_CUTS));
        agn_split_init(&split, &odd);
        for (int i = 0; i < 100; i++) {
            agn_split_choose(&split, &way);
            assert_in_range(way.cut, 0, odd.cuts - 1);
            assert_in_range(way.rule, 0, 1);
            agn_split_worked(&split, way.cut, values[agn_rng_below(&rng, 6)]);
            uint32_t bytes = values[agn_rng_below(&rng, 6)], ticks = values[agn_rng_below(&rng, 6)];
            if (i % 3 == 0)
                agn_split_missed(&split, way.cut, bytes, ticks);
            else
                agn_split_answered(&split, way.cut, bytes, ticks);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_cut_of_each_link),    cmocka_unit_test(follows_a_link_that_changes),
        cmocka_unit_test(follows_a_device_that_is_slow), cmocka_unit_test(keeps_to_what_is_right),
        cmocka_unit_test(silence_is_a_slow_link),        cmocka_unit_test(extremes_have_a_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
