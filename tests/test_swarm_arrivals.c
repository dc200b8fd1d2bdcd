/* Arrivals: that they follow from rate and seed alone, and that Poisson arrivals are such. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "swarm/arrivals.h"

enum { DEVICES = 10, IMAGES = 7 };

static void fixed_arrivals_are_evenly_spaced(void **state)
{
    (void)state;
    struct agn__schedule schedule;
    struct agn__arrival arrival;
    int count = 0;
    agn__schedule_begin(&schedule, 250.0, true, 4.0, DEVICES, IMAGES, 1);
    while (agn__schedule_next(&schedule, &arrival)) {
        assert_true(fabs(arrival.at_s - count / 250.0) < 1e-9);
        assert_int_equal(arrival.device, count % DEVICES);
        assert_in_range(arrival.image, 0, IMAGES - 1);
        count++;
    }
    assert_int_equal(count, 1000);
    assert_false(agn__schedule_next(&schedule, &arrival));
}

/* Intervals of the whole: mean and deviation 1/rate, no memory; of each device: its share, as regular as
 * chance. */
static void poisson_arrivals_are_memoryless(void **state)
{
    (void)state;
    const double rate = 1000.0, end_s = 100.0;
    struct agn__schedule schedule;
    struct agn__arrival arrival;
    int count = 0, of_device[DEVICES] = {0}, of_image[IMAGES] = {0}, long_waits = 0;
    double last_s = 0, last_wait_s = 0, sum = 0, squares = 0, products = 0;
    agn__schedule_begin(&schedule, rate, false, end_s, DEVICES, IMAGES, 3);
    while (agn__schedule_next(&schedule, &arrival)) {
        double wait_s = arrival.at_s - last_s;
        assert_true(wait_s >= 0 && arrival.at_s < end_s);
        sum += wait_s;
        squares += wait_s * wait_s;
        products += wait_s * last_wait_s;
        long_waits += wait_s > 3 / rate;
        last_s = arrival.at_s;
        last_wait_s = wait_s;
        of_device[arrival.device]++;
        of_image[arrival.image]++;
        count++;
    }
    double n = count, mean = sum / n, variance = squares / n - mean * mean;
    assert_true(fabs(n - rate * end_s) < 5 * sqrt(rate * end_s));
    assert_true(fabs(sqrt(variance) / mean - 1) < 0.03);
    assert_true(fabs(products / n - mean * mean) < 0.03 * mean * mean);
    assert_true(fabs(long_waits / n - exp(-3.0)) < 0.005);
    for (int i = 0; i < DEVICES; i++)
        assert_true(fabs(of_device[i] - n / DEVICES) < 5 * sqrt(n / DEVICES));
    for (int i = 0; i < IMAGES; i++)
        assert_true(fabs(of_image[i] - n / IMAGES) < 5 * sqrt(n / IMAGES));
}

static void the_seed_decides(void **state)
{
    (void)state;
    struct agn__schedule one, same, other;
    agn__schedule_begin(&one, 100.0, false, 10.0, DEVICES, IMAGES, 1);
    agn__schedule_begin(&same, 100.0, false, 10.0, DEVICES, IMAGES, 1);
    agn__schedule_begin(&other, 100.0, false, 10.0, DEVICES, IMAGES, 2);
    int differ = 0;
    for (int i = 0; i < 500; i++) {
        struct agn__arrival a, b, c;
        assert_true(agn__schedule_next(&one, &a));
        assert_true(agn__schedule_next(&same, &b));
        assert_true(agn__schedule_next(&other, &c));
        assert_true(a.at_s <= b.at_s && a.at_s >= b.at_s);
        assert_int_equal(a.device, b.device);
        assert_int_equal(a.image, b.image);
        differ += a.device != c.device;
    }
    assert_true(differ > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_arrivals_are_evenly_spaced),
        cmocka_unit_test(poisson_arrivals_are_memoryless),
        cmocka_unit_test(the_seed_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
