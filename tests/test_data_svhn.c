/* SVHN's .mat files: good ones, compressed or not, and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <matio.h>
#include <stdio.h>
#include <string.h>

#include "agilenn/sets.h"
#include "temp_folder.h"

enum { COUNT = 6, PIXELS = 3072 };

static uint8_t x[COUNT * PIXELS];
static const uint8_t good_labels[COUNT] = {1, 10, 5, 2, 9, 10};

static uint8_t pixel(int image, int c, int row, int column)
{
    return (uint8_t)(31 * image + 90 * c + 3 * row + column);
}

/* MATLAB's order: rows run fastest, then columns, colours, images. */
static int set_up(void **state)
{
    for (int image = 0; image < COUNT; image++)
        for (int c = 0; c < 3; c++)
            for (int column = 0; column < 32; column++)
                for (int row = 0; row < 32; row++)
                    x[((image * 3 + c) * 32 + column) * 32 + row] = pixel(image, c, row, column);
    return temp_folder_setup(state);
}

struct mat {
    size_t dims[4];
    int rank;
    enum matio_classes y_class;
    const void *y;
    size_t y_count;
    bool zlib;
    bool no_x, no_y;
};

static const struct mat good = {{32, 32, 3, COUNT}, 4, MAT_C_UINT8, good_labels, COUNT, true, false, false};

static const char *write_mat(const char *name, const struct mat *content)
{
    const char *path = temp_file(name, "", 0);
    mat_t *mat = Mat_CreateVer(path, NULL, MAT_FT_MAT5);
    assert_non_null(mat);
    enum matio_compression compression = content->zlib ? MAT_COMPRESSION_ZLIB : MAT_COMPRESSION_NONE;
    size_t dims[4], y_dims[2] = {content->y_count, 1};
    memcpy(dims, content->dims, sizeof dims);
    matvar_t *variable =
        Mat_VarCreate("X", MAT_C_UINT8, MAT_T_UINT8, content->rank, dims, x, MAT_F_DONT_COPY_DATA);
    if (!content->no_x)
        assert_int_equal(Mat_VarWrite(mat, variable, compression), 0);
    Mat_VarFree(variable);
    variable =
        Mat_VarCreate("y", content->y_class, content->y_class == MAT_C_UINT8 ? MAT_T_UINT8 : MAT_T_DOUBLE, 2,
                      y_dims, (void *)(uintptr_t)content->y, MAT_F_DONT_COPY_DATA);
    if (!content->no_y)
        assert_int_equal(Mat_VarWrite(mat, variable, compression), 0);
    Mat_VarFree(variable);
    (void)Mat_Close(mat);
    return path;
}

static int open_set(const char *split, int limit, struct agn_dataset **dataset)
{
    struct agn_dataset_source source = {.format = "svhn",
                                        .path = temp_folder(),
                                        .split = split,
                                        .height = 32,
                                        .width = 32,
                                        .channels = 3,
                                        .limit = limit};
    *dataset = NULL;
    return agn_dataset_open(&source, dataset);
}

static void assert_refused(int status, const char *message)
{
    struct agn_dataset *dataset;
    int got = open_set("train", 0, &dataset);
    if (got != status || dataset || !strstr(agn_error_message(), message))
        fail_msg("status %d, '%s', expected %d, '%s'", got, agn_error_message(), status, message);
}

static void assert_good(const char *split)
{
    struct agn_dataset *dataset;
    assert_int_equal(open_set(split, 0, &dataset), AGN_OK);
    assert_int_equal(dataset->count, COUNT);
    assert_int_equal(dataset->classes, 10);
    const uint8_t *at = dataset->pixels;
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(dataset->labels[i], good_labels[i] % 10);
        for (int row = 0; row < 32; row++)
            for (int column = 0; column < 32; column++)
                for (int c = 0; c < 3; c++)
                    assert_int_equal(*at++, pixel(i, c, row, column));
    }
    agn_dataset_free(dataset);
}

static void reads_both_splits(void **state)
{
    (void)state;
    struct mat plain = good;
    plain.zlib = false;
    (void)write_mat("train_32x32.mat", &good);
    (void)write_mat("test_32x32.mat", &plain);
    assert_good("train");
    assert_good("test");
    assert_string_equal(agn_dataset_detect(temp_folder()), "svhn");
}

static void reads_double_labels_and_limits(void **state)
{
    (void)state;
    static const double labels[COUNT] = {1, 10, 5, 2, 9, 10};
    struct mat doubles = good;
    doubles.y_class = MAT_C_DOUBLE;
    doubles.y = labels;
    (void)write_mat("train_32x32.mat", &doubles);
    assert_good("train");
    struct agn_dataset *dataset;
    assert_int_equal(open_set("train", 2, &dataset), AGN_OK);
    assert_int_equal(dataset->count, 2);
    assert_int_equal(dataset->labels[1], 2);
    assert_int_equal(dataset->pixels[PIXELS], pixel(3, 0, 0, 0));
    agn_dataset_free(dataset);
}

/* X and y of a type, each value from `from`. */
static void write_typed(enum matio_classes class, enum matio_types type, size_t each, const void *from_x,
                        const void *from_y)
{
    const char *path = temp_file("train_32x32.mat", "", 0);
    mat_t *mat = Mat_CreateVer(path, NULL, MAT_FT_MAT5);
    size_t dims[4] = {32, 32, 3, COUNT}, y_dims[2] = {1, COUNT};
    assert_non_null(mat);
    assert_true(Mat_SizeOfClass((int)class) == each);
    matvar_t *variables[] = {
        Mat_VarCreate("X", class, type, 4, dims, (void *)(uintptr_t)from_x, MAT_F_DONT_COPY_DATA),
        Mat_VarCreate("y", class, type, 2, y_dims, (void *)(uintptr_t)from_y, MAT_F_DONT_COPY_DATA)};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(Mat_VarWrite(mat, variables[i], MAT_COMPRESSION_ZLIB), 0);
        Mat_VarFree(variables[i]);
    }
    (void)Mat_Close(mat);
}

#define READS_AS(ctype, class, type)                                                                         \
    do {                                                                                                     \
        static ctype wide_x[COUNT * PIXELS];                                                                 \
        ctype wide_y[COUNT];                                                                                 \
        for (int i = 0; i < COUNT * PIXELS; i++)                                                             \
            wide_x[i] = (ctype)x[i];                                                                         \
        for (int i = 0; i < COUNT; i++)                                                                      \
            wide_y[i] = (ctype)good_labels[i];                                                               \
        write_typed(class, type, sizeof(ctype), wide_x, wide_y);                                             \
        assert_good("train");                                                                                \
        wide_x[2 * PIXELS] = (ctype)-1;                                                                      \
        write_typed(class, type, sizeof(ctype), wide_x, wide_y);                                             \
        assert_refused(AGN_ERR_FORMAT, "record 2 has a pixel in X");                                         \
    } while (0)

static void reads_all_types(void **state)
{
    (void)state;
    READS_AS(int16_t, MAT_C_INT16, MAT_T_INT16);
    READS_AS(uint16_t, MAT_C_UINT16, MAT_T_UINT16);
    READS_AS(int32_t, MAT_C_INT32, MAT_T_INT32);
    READS_AS(uint32_t, MAT_C_UINT32, MAT_T_UINT32);
    READS_AS(int64_t, MAT_C_INT64, MAT_T_INT64);
    READS_AS(uint64_t, MAT_C_UINT64, MAT_T_UINT64);
    READS_AS(float, MAT_C_SINGLE, MAT_T_SINGLE);
    READS_AS(double, MAT_C_DOUBLE, MAT_T_DOUBLE);
    static double fraction[COUNT * PIXELS];
    fraction[PIXELS] = 0.5;
    static const double labels[COUNT] = {1, 10, 5, 2, 9, 10};
    write_typed(MAT_C_DOUBLE, MAT_T_DOUBLE, sizeof(double), fraction, labels);
    assert_refused(AGN_ERR_FORMAT, "record 1 has a pixel in X that is no integer from 0 to 255");
}

static void wrong_variables_are_refused(void **state)
{
    (void)state;
    struct mat bad = good;
    assert_refused(AGN_ERR_NOT_FOUND, "train_32x32.mat is missing");
    bad.no_x = true;
    (void)write_mat("train_32x32.mat", &bad);
    assert_refused(AGN_ERR_FORMAT, "variable X is missing");
    bad = good;
    bad.no_y = true;
    (void)write_mat("train_32x32.mat", &bad);
    assert_refused(AGN_ERR_FORMAT, "variable y is missing");
    bad = good;
    bad.dims[0] = 16;
    (void)write_mat("train_32x32.mat", &bad);
    assert_refused(AGN_ERR_FORMAT, "expected numbers of 32x32x3xN");
    bad = good;
    bad.rank = 3;
    (void)write_mat("train_32x32.mat", &bad);
    assert_refused(AGN_ERR_FORMAT, "rank 3");
    bad = good;
    bad.y_count = COUNT - 1;
    (void)write_mat("train_32x32.mat", &bad);
    assert_refused(AGN_ERR_FORMAT, "expected 6 numbers");
    (void)temp_file("train_32x32.mat", "no matrix", 9);
    assert_refused(AGN_ERR_FORMAT, "not a MATLAB 5 file");
}

static void wrong_labels_are_found(void **state)
{
    (void)state;
    static const uint8_t labels[COUNT] = {1, 0, 5, 2, 11, 10};
    struct mat bad = good;
    bad.y = labels;
    (void)write_mat("train_32x32.mat", &bad);
    assert_refused(AGN_ERR_FORMAT, "record 1 has a label other than 1 to 10");
    struct agn_dataset_report report;
    struct agn_dataset_source source = {.format = "svhn", .path = temp_folder(), .split = "train"};
    assert_int_equal(agn_dataset_inspect(&source, &report), AGN_OK);
    assert_int_equal(report.count, COUNT - 2);
    assert_int_equal(report.bad.count, 2);
    assert_int_equal(report.class_counts[0], 1);
    agn_dataset_report_free(&report);
}

/* Every truncation is refused. */
static void truncation_is_refused(void **state)
{
    (void)state;
    for (int zlib = 0; zlib < 2; zlib++) {
        struct mat whole = good;
        uint8_t *data = NULL;
        size_t size = 0;
        whole.zlib = zlib;
        assert_int_equal(agn_file_read(write_mat("whole.mat", &whole), 1 << 20, &data, &size), AGN_OK);
        for (size_t cut = 0; cut + 8 < size; cut += 97) {
            struct agn_dataset *dataset;
            (void)temp_file("train_32x32.mat", data, cut);
            int status = open_set("train", 0, &dataset);
            if (status != AGN_ERR_FORMAT)
                fail_msg("zlib %d, %zu of %zu bytes: status %d", zlib, cut, size, status);
        }
        agn_free(data);
    }
}

/* A header may claim any number of images: nothing may be allocated for them. */
static void huge_claims_are_refused(void **state)
{
    (void)state;
    struct mat plain = good;
    uint8_t *data = NULL;
    size_t size = 0;
    plain.zlib = false;
    assert_int_equal(agn_file_read(write_mat("whole.mat", &plain), 1 << 20, &data, &size), AGN_OK);
    /* 128 bytes of header, 8 of tag, 16 of flags, 8 of tag, then four dimensions of 32 bits */
    assert_int_equal(data[128 + 8 + 16 + 8], 32);
    data[128 + 8 + 16 + 8 + 12 + 3] = 0x01; /* 16 million images more */
    (void)temp_file("train_32x32.mat", data, size);
    assert_refused(AGN_ERR_FORMAT, "at byte 128 claims more than 2147483647 values, impossible in");
    agn_free(data);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, temp_folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_both_splits),           TEST(reads_double_labels_and_limits), TEST(reads_all_types),
        TEST(wrong_variables_are_refused), TEST(wrong_labels_are_found),         TEST(truncation_is_refused),
        TEST(huge_claims_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
