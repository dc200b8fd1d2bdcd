/* What both ends of a JPEG agree on: the header is libjpeg's, files are whole whatever the intervals are, and
 * nothing is written beyond a buffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"
#include "agn_jpeg_format.h"
#include "support/jpeg_judge.h"

static void *take(size_t bytes)
{
    void *memory = malloc(bytes > 0 ? bytes : 1);
    assert_non_null(memory);
    return memory;
}

/* The judge's own tables would be another proof of the same facts: its header has the same bytes. */
static void the_header_is_libjpegs(void **state)
{
    static const uint8_t pixels[33 * 21 * 3];
    (void)state;
    for (unsigned quality = 1; quality <= 100; quality++)
        for (unsigned channels = 1; channels <= 3; channels += 2) {
            const struct agn_jpeg_format format = {33, 21, (uint16_t)(quality * 7), (uint8_t)channels,
                                                   (uint8_t)quality};
            size_t own = AGN_JPEG_HEADER_BYTES(channels);
            uint8_t *file, *header = take(own);
            size_t len = judge_encode(&format, pixels, &file);
            assert_int_equal(agn_jpeg_header(&format, header, own), own);
            assert_int_equal(judge_scan_begin(file, len), own);
            assert_memory_equal(file, header, own);
            free(file);
            free(header);
        }
}

static void counts(void **state)
{
    static const struct {
        struct agn_jpeg_format format;
        uint16_t across, mcus, intervals, last;
    } cases[] = {{{1, 1, 1, 1, 50}, 1, 1, 1, 1},
                 {{28, 28, 16, 1, 50}, 4, 16, 1, 16},
                 {{28, 28, 5, 1, 50}, 4, 16, 4, 1},
                 {{32, 32, 3, 3, 50}, 2, 4, 2, 1},
                 {{33, 32, 65535, 3, 50}, 3, 6, 1, 6},
                 {{1024, 1024, 1, 1, 50}, 128, 16384, 16384, 1},
                 {{1024, 1024, 65535, 3, 50}, 64, 4096, 1, 4096}};
    (void)state;
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        const struct agn_jpeg_format *format = &cases[i].format;
        assert_int_equal(agn_jpeg_format_check(format), 0);
        assert_int_equal(agn_jpeg_mcus_across(format), cases[i].across);
        assert_int_equal(agn_jpeg_mcus(format), cases[i].mcus);
        assert_int_equal(agn_jpeg_intervals(format), cases[i].intervals);
        assert_int_equal(agn_jpeg_interval_mcus(format, (uint16_t)(cases[i].intervals - 1)), cases[i].last);
        assert_int_equal(agn_jpeg_interval_mcus(format, cases[i].intervals), 0);
        assert_int_equal(agn_jpeg_interval_mcus(format, 65535), 0);
    }
}

/* An image of which nothing came is grey, of any size and any cut. */
static void nothing_is_grey(void **state)
{
    struct agn_rng rng;
    (void)state;
    agn_rng_seed(&rng, 1);
    for (int round = 0; round < 500; round++) {
        const struct agn_jpeg_format format = {
            (uint16_t)(1 + agn_rng_below(&rng, 80)), (uint16_t)(1 + agn_rng_below(&rng, 80)),
            (uint16_t)(1 + agn_rng_below(&rng, 20)), agn_rng_below(&rng, 2) ? 3 : 1,
            (uint8_t)(1 + agn_rng_below(&rng, 100))};
        uint16_t count = agn_jpeg_intervals(&format);
        struct agn_jpeg_interval *none = calloc(count, sizeof *none);
        int32_t len = agn_jpeg_file(&format, none, count, NULL, 0);
        size_t bytes = (size_t)format.width * format.height * format.channels;
        uint8_t *file = take((size_t)len), *seen = take(bytes);
        assert_int_equal(agn_jpeg_file(&format, none, count, file, (size_t)len), len);
        assert_int_equal(judge_decode(&format, file, (size_t)len, seen), 0);
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(seen[i], 128);
        free(none);
        free(file);
        free(seen);
    }
}

/* Random bytes for intervals: the file has its markers where it should, and libjpeg reads it to the end. */
static void any_bytes_make_a_file(void **state)
{
    struct agn_rng rng;
    uint8_t junk[9][40], seen[40 * 40 * 3], file[2000];
    int refused = 0;
    (void)state;
    agn_rng_seed(&rng, 2);
    for (int round = 0; round < 2000; round++) {
        const struct agn_jpeg_format format = {40, 40, 1, 3, 50};
        struct agn_jpeg_interval intervals[9];
        for (unsigned i = 0; i < 9; i++) {
            intervals[i] = (struct agn_jpeg_interval){junk[i], agn_rng_below(&rng, sizeof junk[i] + 1)};
            for (size_t b = 0; b < sizeof junk[i]; b++)
                junk[i][b] = agn_rng_below(&rng, 8) == 0 ? 0xFF : (uint8_t)agn_rng_below(&rng, 3);
            refused += agn_jpeg_interval_check(intervals[i].bytes, intervals[i].len_bytes) < 0;
        }
        int32_t len = agn_jpeg_file(&format, intervals, 9, file, sizeof file);
        assert_true(len > 0);
        int markers = 0;
        for (int32_t i = AGN_JPEG_HEADER_BYTES(3); i < len - 1; i++)
            if (file[i] == 0xFF && file[i + 1] != 0)
                assert_int_equal(file[i + 1], markers++ == 8 ? 0xD9 : 0xD0 + (markers - 1) % 8);
        assert_int_equal(markers, 9);
        assert_true(judge_decode(&format, file, (size_t)len, seen) >= 0);
    }
    assert_in_range(refused, 4000, 17000);
}

static void intervals_with_markers_are_refused(void **state)
{
    static const uint8_t stuffed[] = {1, 0xFF, 0, 2}, marker[] = {1, 0xFF, 0xD9, 2}, open[] = {1, 0xFF};
    (void)state;
    assert_int_equal(agn_jpeg_interval_check(stuffed, 4), 0);
    assert_int_equal(agn_jpeg_interval_check(stuffed, 1), 0);
    assert_int_equal(agn_jpeg_interval_check(stuffed, 2), AGN_ERR_FORMAT);
    assert_int_equal(agn_jpeg_interval_check(marker, 4), AGN_ERR_FORMAT);
    assert_int_equal(agn_jpeg_interval_check(open, 2), AGN_ERR_FORMAT);
    assert_int_equal(agn_jpeg_interval_check(NULL, 0), AGN_ERR_FORMAT);
}

static void buffers_are_kept(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3, 4, 5};
    const struct agn_jpeg_interval intervals[] = {{bytes, 5}, {NULL, 0}, {bytes, 3}, {NULL, 0}};
    const struct agn_jpeg_format format = {32, 32, 1, 3, 50}, bad = {32, 32, 1, 2, 50};
    (void)state;
    int32_t len = agn_jpeg_file(&format, intervals, 4, NULL, 0);
    assert_int_equal(len, AGN_JPEG_HEADER_BYTES(3) + 5 + 4 + 3 + 4 + 3 * 2 + 2);
    for (int32_t cap = 0; cap <= len; cap++) {
        uint8_t *dst = take((size_t)cap);
        assert_int_equal(agn_jpeg_file(&format, intervals, 4, dst, (size_t)cap),
                         cap < len ? AGN_ERR_SPACE : len);
        assert_int_equal(agn_jpeg_header(&format, dst, (size_t)cap),
                         cap < (int)AGN_JPEG_HEADER_BYTES(3) ? AGN_ERR_SPACE : (int)AGN_JPEG_HEADER_BYTES(3));
        free(dst);
    }
    assert_int_equal(agn_jpeg_file(&format, intervals, 3, NULL, 0), AGN_ERR_RANGE);
    assert_int_equal(agn_jpeg_file(&format, intervals, 5, NULL, 0), AGN_ERR_RANGE);
    assert_int_equal(agn_jpeg_file(&bad, intervals, 4, NULL, 0), AGN_ERR_RANGE);
    assert_int_equal(agn_jpeg_header(&bad, NULL, 0), AGN_ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_is_libjpegs), cmocka_unit_test(counts),
        cmocka_unit_test(nothing_is_grey),        cmocka_unit_test(any_bytes_make_a_file),
        cmocka_unit_test(buffers_are_kept),       cmocka_unit_test(intervals_with_markers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
