/* The safetensors reader and writer: round trips and hostile files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"
#include "temp_folder.h"

static float weights[6] = {1.0f, -2.5f, 3.0f, 4.0f, 5.0f, 6.0f};
static uint8_t bytes[3] = {7, 8, 9};
static uint64_t counter = UINT64_C(0xfedcba9876543210);
static int32_t numbers[2] = {-1, 2};
static int8_t small[1] = {-128};

static struct agn_tensor_view example[] = {
    {"bytes", AGN_U8, 1, {3}, bytes, sizeof bytes},
    {"conv1.weight", AGN_F32, 2, {2, 3}, weights, sizeof weights},
    {"small", AGN_I8, 3, {1, 1, 1}, small, sizeof small},
    {"empty", AGN_F32, 2, {0, 5}, NULL, 0},
    {"counter", AGN_U64, 0, {0}, &counter, sizeof counter},
    {"numbers", AGN_I32, 1, {2}, numbers, sizeof numbers},
};

static char *example_metadata[][2] = {{"preset", "fashion"}, {"note", "quotes \" and \xc3\xa9"}};

static const struct agn_tensor_file example_file = {.tensors = example,
                                                    .count = (int)AGN_COUNT_OF(example),
                                                    .metadata = example_metadata,
                                                    .metadata_count = 2};

static void assert_equals_example(const struct agn_tensor_file *file)
{
    assert_int_equal(file->count, AGN_COUNT_OF(example));
    for (size_t i = 0; i < AGN_COUNT_OF(example); i++) {
        const struct agn_tensor_view *tensor = agn_tensor_file_find(file, example[i].name);
        assert_non_null(tensor);
        assert_int_equal(tensor->dtype, example[i].dtype);
        assert_int_equal(tensor->rank, example[i].rank);
        assert_int_equal(tensor->size_bytes, example[i].size_bytes);
        for (int d = 0; d < tensor->rank; d++)
            assert_int_equal(tensor->dims[d], example[i].dims[d]);
        assert_int_equal((uintptr_t)tensor->data % 64, 0);
        if (tensor->size_bytes > 0)
            assert_memory_equal(tensor->data, example[i].data, tensor->size_bytes);
    }
    assert_null(agn_tensor_file_find(file, "none"));
    assert_string_equal(agn_tensor_file_metadata(file, "preset"), "fashion");
    assert_string_equal(agn_tensor_file_metadata(file, "note"), "quotes \" and \xc3\xa9");
    assert_null(agn_tensor_file_metadata(file, "none"));
}

static void round_trip(void **state)
{
    (void)state;
    const char *path = temp_path("model.safetensors");
    assert_int_equal(agn_tensor_file_write(path, &example_file), AGN_OK);
    struct agn_tensor_file file;
    assert_int_equal(agn_tensor_file_read(path, &file), AGN_OK);
    assert_equals_example(&file);
    agn_tensor_file_free(&file);
    assert_null(file.tensors);
    assert_int_equal(temp_count_entries(temp_folder()), 1);
}

static void written_tensors_are_aligned_to_their_types(void **state)
{
    (void)state;
    const char *path = temp_path("model.safetensors");
    assert_int_equal(agn_tensor_file_write(path, &example_file), AGN_OK);
    uint8_t *data;
    size_t size;
    uint64_t header_bytes;
    assert_int_equal(agn_file_read(path, 1 << 20, &data, &size), AGN_OK);
    memcpy(&header_bytes, data, 8);
    assert_int_equal(header_bytes % 8, 0);
    const uint8_t *body = data + 8 + header_bytes;
    assert_memory_equal(body, &counter, sizeof counter); /* the widest first */
    assert_memory_equal(body + 8, weights, sizeof weights);
    assert_memory_equal(body + 8 + 24, numbers, sizeof numbers);
    assert_int_equal(size, 8 + header_bytes + 8 + 24 + 8 + 3 + 1);
    agn_free(data);
}

/* Builds a file of a header and `data_bytes` bytes of data and parses it from memory of
 * exactly its size, so that a sanitizer sees any read beyond. */
static int parse(const char *header, size_t data_bytes, struct agn_tensor_file *file)
{
    uint64_t header_bytes = strlen(header);
    size_t size = 8 + (size_t)header_bytes + data_bytes;
    uint8_t *memory = malloc(size);
    memcpy(memory, &header_bytes, 8);
    memcpy(memory + 8, header, (size_t)header_bytes);
    for (size_t i = 0; i < data_bytes; i++)
        memory[8 + header_bytes + i] = (uint8_t)i;
    int status = agn_tensor_file_parse(memory, size, file);
    free(memory);
    return status;
}

static void order_of_data_and_misaligned_headers(void **state)
{
    (void)state;
    struct agn_tensor_file file;
    assert_int_equal(parse("{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[3,7]},"
                           "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}} ",
                           7, &file),
                     AGN_OK);
    assert_int_equal(file.count, 2);
    assert_string_equal(file.tensors[0].name, "a");
    assert_string_equal(file.tensors[1].name, "b");
    assert_memory_equal(file.tensors[1].data, ((uint8_t[]){3, 4, 5, 6}), 4);
    assert_int_equal((uintptr_t)file.tensors[1].data % 64, 0);
    agn_tensor_file_free(&file);
    assert_int_equal(parse("{}", 0, &file), AGN_OK);
    assert_int_equal(file.count, 0);
    agn_tensor_file_free(&file);
}

static const struct bad_header {
    const char *header;
    size_t data_bytes;
    int status;
    const char *message;
} bad_headers[] = {
    {"[]", 0, AGN_ERR_FORMAT, "not an object"},
    {"", 0, AGN_ERR_FORMAT, "malformed"},
    {"{\"a\":", 0, AGN_ERR_FORMAT, "malformed"},
    {"{} x", 0, AGN_ERR_FORMAT, "malformed"},
    {"{}", 5, AGN_ERR_FORMAT, "5 bytes follow"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
     "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
     1, AGN_ERR_FORMAT, "duplicate"},
    {"{\"a\":7}", 0, AGN_ERR_FORMAT, "'a': not described"},
    {"{\"\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, AGN_ERR_FORMAT,
     "a name has 1 to 95"},
    {"{\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456\":"
     "{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
     1, AGN_ERR_FORMAT, "a name has 1 to 95"},
    {"{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, AGN_ERR_FORMAT,
     "malformed"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, AGN_ERR_FORMAT, "'a': no dtype"},
    {"{\"a\":{\"dtype\":16,\"shape\":[1],\"data_offsets\":[0,2]}}", 2, AGN_ERR_FORMAT, "no dtype"},
    {"{\"a\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, AGN_ERR_FORMAT, "not its shape"},
    {"{\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,3]}}", 3, AGN_ERR_FORMAT, "not its shape"},
    {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693953],\"data_offsets\":[0,8]}}", 8, AGN_ERR_FORMAT,
     "not its shape"},
    {"{\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, AGN_ERR_FORMAT, "not its shape"},
    {"{\"a\":{\"dtype\":\"F8_X\",\"shape\":[1],\"data_offsets\":[0,4]}}", 3, AGN_ERR_FORMAT, "within"},
    {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, AGN_ERR_FORMAT, "no shape"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1, AGN_ERR_FORMAT, "dimension 0"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1.0],\"data_offsets\":[0,1]}}", 1, AGN_ERR_FORMAT, "dimension 0"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, AGN_ERR_UNSUPPORTED,
     "7 dimensions"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, AGN_ERR_FORMAT, "data_offsets"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, AGN_ERR_FORMAT, "data_offsets"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 1, AGN_ERR_FORMAT, "data_offsets"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,\"1\"]}}", 1, AGN_ERR_FORMAT,
     "data_offsets"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 1, AGN_ERR_FORMAT,
     "within the 1 bytes"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[-1,0]}}", 1, AGN_ERR_FORMAT, "within"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}}", 1, AGN_ERR_FORMAT, "within"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,3]}}", 3, AGN_ERR_FORMAT, "not its shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_offsets\":[0,4]}}", 4, AGN_ERR_FORMAT,
     "not its shape"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, AGN_ERR_FORMAT,
     "not its shape"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[99999999999999999999],\"data_offsets\":[0,0]}}", 0, AGN_ERR_FORMAT,
     "malformed"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
     3, AGN_ERR_FORMAT, "'b': its data starts at byte 1, inside another"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}",
     3, AGN_ERR_FORMAT, "'b': its data starts at byte 2, after a hole"},
    {"{\"__metadata__\":[]}", 0, AGN_ERR_FORMAT, "not an object of strings"},
    {"{\"__metadata__\":{\"k\":1}}", 0, AGN_ERR_FORMAT, "'k' is not a string"},
};

static void bad_headers_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < AGN_COUNT_OF(bad_headers); i++) {
        struct agn_tensor_file file = {.count = 42};
        int status = parse(bad_headers[i].header, bad_headers[i].data_bytes, &file);
        if (status != bad_headers[i].status || !strstr(agn_error_message(), bad_headers[i].message) ||
            file.count != 42)
            fail_msg("header %zu (%s): status %d, '%s'", i, bad_headers[i].header, status,
                     agn_error_message());
    }
}

static void bad_lengths_are_refused(void **state)
{
    (void)state;
    struct agn_tensor_file file;
    const uint8_t tiny[10] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}'};
    for (size_t size = 0; size <= sizeof tiny; size++)
        assert_int_equal(agn_tensor_file_parse(tiny, size, &file), AGN_ERR_FORMAT);
    const uint8_t beyond[10] = {3, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    assert_int_equal(agn_tensor_file_parse(beyond, sizeof beyond, &file), AGN_ERR_FORMAT);
}

/* Every truncation fails; every changed byte either fails or gives tensors within bounds. */
static void truncated_and_changed_files(void **state)
{
    (void)state;
    const char *path = temp_path("model.safetensors");
    assert_int_equal(agn_tensor_file_write(path, &example_file), AGN_OK);
    uint8_t *data;
    size_t size;
    assert_int_equal(agn_file_read(path, 1 << 20, &data, &size), AGN_OK);
    struct agn_tensor_file file;
    for (size_t length = 0; length < size; length++) {
        uint8_t *part = malloc(length + 1);
        memcpy(part, data, length);
        assert_true(agn_tensor_file_parse(part, length, &file) < 0);
        free(part);
    }
    struct agn_rng rng;
    agn_rng_seed(&rng, 5);
    for (int i = 0; i < 4000; i++) {
        size_t at = agn_rng_below(&rng, (uint32_t)size);
        uint8_t kept = data[at];
        data[at] = (uint8_t)agn_rng_u64(&rng);
        if (agn_tensor_file_parse(data, size, &file) == AGN_OK) {
            unsigned sum = 0;
            for (int t = 0; t < file.count; t++)
                for (size_t b = 0; b < file.tensors[t].size_bytes; b++)
                    sum += ((const uint8_t *)file.tensors[t].data)[b];
            assert_true(sum < 512u * size);
            agn_tensor_file_free(&file);
        }
        data[at] = kept;
    }
    agn_free(data);
}

/* A file of one tensor with `count` values. */
static void parse_values(const char *type, size_t count, const void *values, size_t values_bytes,
                         struct agn_tensor_file *file)
{
    uint8_t memory[512];
    char header[160];
    snprintf(header, sizeof header, "{\"a\":{\"dtype\":\"%s\",\"shape\":[%zu],\"data_offsets\":[0,%zu]}}",
             type, count, values_bytes);
    uint64_t header_bytes = strlen(header);
    memcpy(memory, &header_bytes, 8);
    memcpy(memory + 8, header, (size_t)header_bytes);
    memcpy(memory + 8 + header_bytes, values, values_bytes);
    assert_int_equal(agn_tensor_file_parse(memory, 8 + (size_t)header_bytes + values_bytes, file), AGN_OK);
    assert_int_equal(file->count, 1);
}

static void expect_floats(const char *type, const void *values, size_t values_bytes, const float *wanted,
                          size_t count)
{
    struct agn_tensor_file file;
    parse_values(type, count, values, values_bytes, &file);
    assert_int_equal(file.tensors[0].dtype, AGN_F32);
    assert_int_equal(file.tensors[0].size_bytes, count * sizeof(float));
    assert_memory_equal(file.tensors[0].data, wanted, count * sizeof(float));
    agn_tensor_file_free(&file);
}

static void other_floats_become_f32(void **state)
{
    (void)state;
    static const uint16_t half[] = {0x0000, 0x8000, 0x3c00, 0xc100, 0x7bff,
                                    0x0400, 0x0001, 0x83ff, 0x7c00, 0xfc00};
    static const float of_half[] = {0.0F,     -0.0F,    1.0F,        -2.5F,    65504.0F,
                                    0x1p-14F, 0x1p-24F, -0x3ffp-24F, INFINITY, -INFINITY};
    static const uint16_t brain[] = {0x0000, 0x3f80, 0xc020, 0x0080, 0x0001, 0x7f80};
    static const float of_brain[] = {0.0F, 1.0F, -2.5F, 0x1p-126F, 0x1p-133F, INFINITY};
    static const double wide[] = {0.1, -2.5, 1e300, -1e39, 1e-300, -INFINITY};
    static const float of_wide[] = {0.1F, -2.5F, INFINITY, -INFINITY, 0.0F, -INFINITY};
    expect_floats("F16", half, sizeof half, of_half, AGN_COUNT_OF(of_half));
    expect_floats("BF16", brain, sizeof brain, of_brain, AGN_COUNT_OF(of_brain));
    expect_floats("F64", wide, sizeof wide, of_wide, AGN_COUNT_OF(of_wide));
}

static void not_a_number_stays_one(void **state)
{
    (void)state;
    static const uint16_t half = 0x7e01, brain = 0xffc1;
    static const double wide = NAN;
    const struct {
        const char *type;
        const void *value;
        size_t bytes;
    } cases[] = {{"F16", &half, 2}, {"BF16", &brain, 2}, {"F64", &wide, 8}};
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct agn_tensor_file file;
        parse_values(cases[i].type, 1, cases[i].value, cases[i].bytes, &file);
        assert_true(isnan(*(const float *)file.tensors[0].data));
        agn_tensor_file_free(&file);
    }
}

static void types_that_nobody_asks_for_are_kept_as_bytes(void **state)
{
    (void)state;
    static const int64_t batches = 7;
    const char *const types[] = {"I64", "I16", "U16", "U32", "BOOL", "F8_E4M3"};
    const size_t counts[] = {1, 4, 4, 2, 8, 5}; /* of a type not known no shape is wrong */
    for (size_t i = 0; i < AGN_COUNT_OF(types); i++) {
        struct agn_tensor_file file;
        parse_values(types[i], counts[i], &batches, sizeof batches, &file);
        assert_int_equal(file.tensors[0].dtype, AGN_OTHER);
        assert_int_equal(file.tensors[0].size_bytes, sizeof batches);
        assert_memory_equal(file.tensors[0].data, &batches, sizeof batches);
        assert_int_equal(agn_tensor_file_write(temp_path("other.st"), &file), AGN_ERR_ARG);
        agn_tensor_file_free(&file);
    }
}

static void read_errors_name_the_file(void **state)
{
    (void)state;
    struct agn_tensor_file file;
    assert_int_equal(agn_tensor_file_read(temp_path("none.st"), &file), AGN_ERR_NOT_FOUND);
    assert_int_equal(agn_tensor_file_read(temp_file("bad.st", "1234567", 7), &file), AGN_ERR_FORMAT);
    assert_non_null(strstr(agn_error_message(), "bad.st: not a safetensors file"));
}

static void writer_refuses_what_a_reader_would(void **state)
{
    (void)state;
    const char *path = temp_file("kept.st", "old", 3);
    float value = 0;
    struct agn_tensor_view good = {"a", AGN_F32, 1, {1}, &value, 4};
    struct agn_tensor_view bad[8];
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++)
        bad[i] = good;
    strcpy(bad[0].name, "");
    strcpy(bad[1].name, "__metadata__");
    bad[2].dims[0] = 2;
    bad[3].dims[0] = -1;
    bad[4].rank = 7;
    bad[5].data = NULL;
    strcpy(bad[6].name, "\xff\xfe");
    memset(bad[7].name, 'x', sizeof bad[7].name);
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++) {
        struct agn_tensor_file file = {.tensors = &bad[i], .count = 1};
        if (agn_tensor_file_write(path, &file) != AGN_ERR_ARG)
            fail_msg("tensor %zu was not refused", i);
    }
    struct agn_tensor_view twice[2] = {good, good};
    struct agn_tensor_file file = {.tensors = twice, .count = 2};
    assert_int_equal(agn_tensor_file_write(path, &file), AGN_ERR_ARG);
    assert_non_null(strstr(agn_error_message(), "twice"));

    uint8_t *data;
    size_t size;
    assert_int_equal(agn_file_read(path, 100, &data, &size), AGN_OK);
    assert_string_equal((char *)data, "old");
    agn_free(data);
    assert_int_equal(temp_count_entries(temp_folder()), 1);
    assert_int_equal(agn_tensor_file_write(temp_path("no/x.st"), &example_file), AGN_ERR_IO);
}

#define FILE_TEST(function) cmocka_unit_test_setup_teardown(function, temp_folder_setup, temp_folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(round_trip),
        FILE_TEST(written_tensors_are_aligned_to_their_types),
        cmocka_unit_test(order_of_data_and_misaligned_headers),
        cmocka_unit_test(bad_headers_are_refused),
        cmocka_unit_test(bad_lengths_are_refused),
        FILE_TEST(truncated_and_changed_files),
        cmocka_unit_test(other_floats_become_f32),
        cmocka_unit_test(not_a_number_stays_one),
        FILE_TEST(types_that_nobody_asks_for_are_kept_as_bytes),
        FILE_TEST(read_errors_name_the_file),
        FILE_TEST(writer_refuses_what_a_reader_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
