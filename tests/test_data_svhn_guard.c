/* MATLAB files whose sizes lie are refused before matio takes memory for them; those that SVHN may come in
 * pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "agilenn/sets.h"
#include "sets/mat_guard.h"
#include "temp_folder.h"

enum { PIXELS = 3072, IMAGES = 2, FILE_BYTES = 1 << 16 };

/* Where the parts of X's matrix are. */
enum { TAG = 0, FLAGS = 8, DIMENSIONS = 24, NAME = 48, DATA = 56 };

struct bytes {
    uint8_t at[FILE_BYTES];
    size_t count;
    bool is_big_endian;
};

static void set_u32(struct bytes *bytes, size_t at, uint32_t value)
{
    assert_true(at + 4 <= sizeof bytes->at);
    for (size_t i = 0; i < 4; i++)
        bytes->at[at + i] = (uint8_t)(value >> 8 * (bytes->is_big_endian ? 3 - i : i));
}

static void add_u32(struct bytes *bytes, uint32_t value)
{
    set_u32(bytes, bytes->count, value);
    bytes->count += 4;
}

static void add(struct bytes *bytes, const void *data, size_t count)
{
    assert_true(bytes->count + count <= sizeof bytes->at);
    memcpy(bytes->at + bytes->count, data, count);
    bytes->count += count;
}

static void begin_file(struct bytes *file, bool is_big_endian)
{
    static const uint8_t zeros[124];
    file->count = 0;
    file->is_big_endian = is_big_endian;
    add(file, zeros, sizeof zeros);
    add(file, is_big_endian ? "\x01\x00MI" : "\x00\x01IM", 4);
}

/* A variable with a name of one letter and data of uint8; `data` may be NULL for zeros. */
static void make_matrix(struct bytes *matrix, bool is_big_endian, char name, uint32_t class_type, int rank,
                        const uint32_t *dimensions, const uint8_t *data)
{
    static const uint8_t zeros[FILE_BYTES];
    uint32_t count = 1, pad = (uint32_t)rank % 2 * 4;
    for (int i = 0; i < rank; i++)
        count *= dimensions[i];
    uint32_t padded = (count + 7) / 8 * 8;
    *matrix = (struct bytes){.is_big_endian = is_big_endian};
    add_u32(matrix, 14);
    add_u32(matrix, 40 + 4 * (uint32_t)rank + pad + padded);
    add_u32(matrix, 6);
    add_u32(matrix, 8);
    add_u32(matrix, class_type);
    add_u32(matrix, 0);
    add_u32(matrix, 5);
    add_u32(matrix, 4 * (uint32_t)rank);
    for (int i = 0; i < rank; i++)
        add_u32(matrix, dimensions[i]);
    add(matrix, zeros, pad);
    add_u32(matrix, 1 << 16 | 1);
    add(matrix, (const char[4]){name}, 4);
    add_u32(matrix, 2);
    add_u32(matrix, count);
    add(matrix, data ? data : zeros, count);
    add(matrix, zeros, padded - count);
}

static void make_x(struct bytes *matrix, bool is_big_endian)
{
    make_matrix(matrix, is_big_endian, 'X', 9, 4, (const uint32_t[]){32, 32, 3, IMAGES}, NULL);
}

static void add_variable(struct bytes *file, const struct bytes *matrix, bool is_compressed)
{
    if (!is_compressed) {
        add(file, matrix->at, matrix->count);
        return;
    }
    static uint8_t packed[FILE_BYTES];
    uLongf count = sizeof packed;
    assert_int_equal(compress(packed, &count, matrix->at, matrix->count), Z_OK);
    add_u32(file, 15);
    add_u32(file, (uint32_t)count);
    add(file, packed, count);
}

static void assert_refused(const struct bytes *file, const char *message)
{
    int got = agn__mat_guard(temp_file("train_32x32.mat", file->at, file->count));
    if (got != AGN_ERR_FORMAT || !strstr(agn_error_message(), message))
        fail_msg("status %d, '%s', expected '%s'", got, agn_error_message(), message);
}

static void assert_read(const struct bytes *file, const uint8_t labels[IMAGES])
{
    (void)temp_file("train_32x32.mat", file->at, file->count);
    struct agn_dataset_source source = {.format = "svhn",
                                        .path = temp_folder(),
                                        .split = "train",
                                        .height = 32,
                                        .width = 32,
                                        .channels = 3,
                                        .limit = 0};
    struct agn_dataset *dataset = NULL;
    if (agn_dataset_open(&source, &dataset) != AGN_OK)
        fail_msg("%s", agn_error_message());
    assert_int_equal(dataset->count, IMAGES);
    for (int i = 0; i < IMAGES; i++) {
        assert_int_equal(dataset->labels[i], labels[i]);
        assert_int_equal(dataset->pixels[i * PIXELS + 3 * 31 + 2], 40 + i);
    }
    agn_dataset_free(dataset);
}

/* Both byte orders, compressed or not, either order of the variables, y as MATLAB stores doubles (class
 * double, bytes in the file), others between. */
static void what_svhn_may_be_is_read(void **state)
{
    (void)state;
    static struct bytes x, y, other, file;
    static uint8_t pixels[IMAGES * PIXELS];
    const uint8_t labels[IMAGES] = {7, 3};
    for (int i = 0; i < IMAGES; i++)
        pixels[(i * 3 + 2) * 1024 + 31 * 32] = (uint8_t)(40 + i);
    for (unsigned kind = 0; kind < 16; kind++) {
        bool is_big_endian = kind & 1, is_compressed = kind & 2, is_y_first = kind & 4;
        make_matrix(&x, is_big_endian, 'X', 9, 4, (const uint32_t[]){32, 32, 3, IMAGES}, pixels);
        make_matrix(&y, is_big_endian, 'y', kind & 8 ? 6 : 9, 2, (const uint32_t[]){IMAGES, 1}, labels);
        make_matrix(&other, is_big_endian, 'z', 6, 3, (const uint32_t[]){5, 1, 3}, NULL);
        begin_file(&file, is_big_endian);
        add_variable(&file, is_y_first ? &y : &x, is_compressed);
        add_variable(&file, &other, !is_compressed);
        add_variable(&file, is_y_first ? &x : &y, is_compressed);
        assert_read(&file, labels);
    }
}

/* Each claim of the header, false, in both byte orders, plain and compressed. */
static void false_claims_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint32_t value;
        const char *message;
    } lies[] = {
        {TAG + 4, 0x70000000, "at byte 128 claims 1879048192 bytes"},
        {TAG + 4, 0xffffffff, "at byte 128 claims 4294967295 bytes"},
        {FLAGS, 5, "does not begin with array flags"},
        {FLAGS + 4, 16, "does not begin with array flags"},
        {FLAGS + 8, 1, "has class 1, expected an array of numbers"},
        {FLAGS + 8, 2, "has class 2, expected an array of numbers"},
        {FLAGS + 8, 5, "has class 5, expected an array of numbers"},
        {FLAGS + 8, 17, "has class 17, expected an array of numbers"},
        {FLAGS + 8, 0x809, "is complex"},
        {DIMENSIONS, 6, "no proper dimensions"},
        {DIMENSIONS, 0x80005, "no proper dimensions"},
        {DIMENSIONS + 4, 4, "no proper dimensions"},
        {DIMENSIONS + 4, 18, "no proper dimensions"},
        {DIMENSIONS + 4, 36, "no proper dimensions"},
        {DIMENSIONS + 4, 0xfffffff0, "no proper dimensions"},
        {DIMENSIONS + 8, 0x7fffffff, "claims more than 2147483647 values"},
        {DIMENSIONS + 8, 0xffffffff, "claims more than 2147483647 values"},
        {DIMENSIONS + 20, 700, "claims 2150400 values, impossible"},
        {DIMENSIONS + 20, 0, "has 6144 bytes of data, expected 0 values"},
        {NAME, 0x10002, "no proper name"},
        {NAME, 0x50001, "no proper name"},
        {NAME, 1, "no proper name"},
        {NAME + 4, 0, "other characters"},
        {DATA, 14, "variable X (at byte 128) has data of type 14"},
        {DATA, 0, "variable X (at byte 128) has data of type 0"},
        {DATA, 0x60002, "variable X (at byte 128) has data of type 2 in 6 bytes"},
        {DATA, 0x40002, "claims 6144 values, impossible in 4 bytes"},
        {DATA, 4, "6144 "},
        {DATA + 4, 1, "has 1 bytes of data, expected 6144 values of 1"},
        {DATA + 4, 0xffffffff, "has 4294967295 bytes of data, expected 6144 values of 1"},
    };
    static struct bytes matrix, file;
    for (size_t i = 0; i < 4 * AGN_COUNT_OF(lies); i++) {
        make_x(&matrix, i & 1);
        set_u32(&matrix, lies[i / 4].at, lies[i / 4].value);
        begin_file(&file, i & 1);
        add_variable(&file, &matrix, i & 2);
        assert_refused(&file, lies[i / 4].message);
    }
}

/* 500 images and all sizes to match, but the bytes of two: nothing inflates that much. */
static void claims_beyond_deflate_are_refused(void **state)
{
    (void)state;
    static struct bytes matrix, file;
    make_x(&matrix, false);
    set_u32(&matrix, TAG + 4, 56 + 500 * PIXELS);
    set_u32(&matrix, DIMENSIONS + 20, 500);
    set_u32(&matrix, DATA + 4, 500 * PIXELS);
    begin_file(&file, false);
    add_variable(&file, &matrix, true);
    assert_true(file.count < 300);
    assert_refused(&file, "at byte 128 claims 1536056 bytes, impossible");
}

static void headers_that_end_early_are_refused(void **state)
{
    (void)state;
    static struct bytes matrix, file;
    for (size_t count = 0; count < 64; count++)
        for (int is_compressed = 0; is_compressed < 2; is_compressed++) {
            make_x(&matrix, false);
            if (count >= 8)
                set_u32(&matrix, TAG + 4, (uint32_t)count - 8);
            matrix.count = count;
            begin_file(&file, false);
            add_variable(&file, &matrix, is_compressed);
            if (is_compressed || count > 0)
                assert_refused(&file, "is cut off");
        }
    /* a header that is whole in the stream but ends outside of the array's own size */
    for (uint32_t count = 0; count < 56; count++) {
        make_x(&matrix, false);
        set_u32(&matrix, TAG + 4, count);
        begin_file(&file, false);
        add_variable(&file, &matrix, true);
        assert_refused(&file, "is cut off");
    }
}

static void names_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"%s", "1a", "a b", "a\n", "\xc3\xa4", ""};
    static struct bytes matrix, file;
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++) {
        make_x(&matrix, false);
        memset(matrix.at + NAME + 4, 0, 4);
        memcpy(matrix.at + NAME + 4, bad[i], strlen(bad[i]));
        set_u32(&matrix, NAME, (uint32_t)(strlen(bad[i]) ? strlen(bad[i]) : 2) << 16 | 1);
        begin_file(&file, false);
        add_variable(&file, &matrix, false);
        assert_refused(&file, "other characters than letters");
    }
    make_x(&matrix, false);
    set_u32(&matrix, NAME, 1);
    set_u32(&matrix, NAME + 4, 64);
    begin_file(&file, false);
    add_variable(&file, &matrix, false);
    assert_refused(&file, "no proper name");
}

static void elements_that_are_no_variables_are_refused(void **state)
{
    (void)state;
    static struct bytes matrix, file;
    make_x(&matrix, false);
    set_u32(&matrix, TAG, 13);
    begin_file(&file, false);
    add_variable(&file, &matrix, false);
    assert_refused(&file, "element at byte 128 has type 13, expected a variable");
    begin_file(&file, false);
    add_variable(&file, &matrix, true);
    assert_refused(&file, "is no array");

    make_x(&matrix, false);
    begin_file(&file, false);
    add_variable(&file, &matrix, true);
    memset(file.at + 136, 0xff, 16);
    assert_refused(&file, "cannot be inflated");

    begin_file(&file, false);
    add_variable(&file, &matrix, false);
    add(&file, "more", 4);
    assert_refused(&file, "at byte 6336 is cut off in its tag");
    file.count -= 5;
    assert_refused(&file, "at byte 128 claims 6200 bytes, the file ends after 6199");
    set_u32(&file, 132, 0xffffffff);
    assert_refused(&file, "at byte 128 claims 4294967295 bytes, the file ends");

    make_matrix(&matrix, false, 'a', 9, 2, (const uint32_t[]){1, 1}, NULL);
    begin_file(&file, false);
    for (int i = 0; i < 64; i++)
        add_variable(&file, &matrix, false);
    assert_int_equal(agn__mat_guard(temp_file("train_32x32.mat", file.at, file.count)), AGN_OK);
    add_variable(&file, &matrix, true);
    assert_refused(&file, "more than 64 variables");
}

static void other_versions_are_refused(void **state)
{
    (void)state;
    static struct bytes file;
    begin_file(&file, false);
    memcpy(file.at + 124, "\x00\x02IM", 4);
    assert_refused(&file, "version 7.3, which is HDF5");
    memset(file.at, 0, 128); /* version 4: type, rows, columns, no imaginary part, name */
    set_u32(&file, 4, 0x7fffffff);
    set_u32(&file, 8, 0x7fffffff);
    set_u32(&file, 16, 2);
    assert_refused(&file, "not a MATLAB 5 file");
    file.count = 127;
    assert_refused(&file, "not a MATLAB 5 file");
    assert_int_equal(agn__mat_guard("/nowhere/at.mat"), AGN_ERR_IO);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, temp_folder_setup, temp_folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_svhn_may_be_is_read),
        TEST(false_claims_are_refused),
        TEST(claims_beyond_deflate_are_refused),
        TEST(headers_that_end_early_are_refused),
        TEST(names_are_checked),
        TEST(elements_that_are_no_variables_are_refused),
        TEST(other_versions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
