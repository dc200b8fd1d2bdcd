/* TensorBoard event files, read back by a reader of their own: records, checksums, protobuf fields. */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "temp_folder.h"
#include "tiny_training.h"
#include "train/event_file.h"

enum { MOST_SCALARS = 4096 };

struct scalar {
    char tag[160];
    int64_t step;
    double value, wall_time;
};

static struct log {
    char version[32];
    struct scalar scalars[MOST_SCALARS];
    int count;
} events;

/* ---- the reader ------------------------------------------------------------------------ */

/* Remainder of the data, bit by bit from the highest power, divided by Castagnoli's polynomial; unlike the
 * writer's, nothing is reflected but the bits of input and output. */
static uint32_t checksum(const uint8_t *data, size_t size)
{
    uint32_t remainder = 0xFFFFFFFFU, reflected = 0;
    for (size_t i = 0; i < size * 8; i++) {
        uint32_t bit = (uint32_t)(data[i / 8] >> (i % 8)) & 1U;
        uint32_t top = (remainder >> 31) ^ bit;
        remainder = (remainder << 1) ^ (top != 0 ? 0x1EDC6F41U : 0U);
    }
    for (int bit = 0; bit < 32; bit++)
        reflected |= ((remainder >> bit) & 1U) << (31 - bit);
    return ~reflected;
}

static uint32_t unmask(uint32_t masked)
{
    uint32_t turned = masked - 0xA282EAD8U;
    return (turned >> 17) | (turned << 15);
}

/* One field of a protobuf message; bytes and numbers as they come. */
struct field {
    unsigned number, wire_type;
    uint64_t varint;
    const uint8_t *data;
    size_t size;
};

static uint64_t read_varint(const uint8_t **at, const uint8_t *end)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        assert_true(*at < end);
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0)
            return value;
    }
    fail_msg("a varint has more than 10 bytes");
    return 0;
}

static struct field read_field(const uint8_t **at, const uint8_t *end)
{
    uint64_t key = read_varint(at, end);
    struct field field = {.number = (unsigned)(key >> 3), .wire_type = (unsigned)(key & 7)};
    if (field.wire_type == 0) {
        field.varint = read_varint(at, end);
        return field;
    }
    field.size = field.wire_type == 1 ? 8 : field.wire_type == 5 ? 4 : (size_t)read_varint(at, end);
    assert_true(field.wire_type == 1 || field.wire_type == 2 || field.wire_type == 5);
    assert_true(field.size <= (size_t)(end - *at));
    field.data = *at;
    *at += field.size;
    return field;
}

static void read_value(const struct field *value, struct scalar *scalar)
{
    const uint8_t *at = value->data, *end = at + value->size;
    float number = NAN;
    while (at < end) {
        struct field f = read_field(&at, end);
        if (f.number == 1 && f.wire_type == 2 && f.size < sizeof(scalar->tag))
            memcpy(scalar->tag, f.data, f.size);
        else if (f.number == 2 && f.wire_type == 5)
            memcpy(&number, f.data, sizeof(number));
        else
            fail_msg("a value has a field %u of type %u", f.number, f.wire_type);
    }
    scalar->value = (double)number;
}

static void read_event(const uint8_t *data, size_t size)
{
    const uint8_t *at = data, *end = data + size;
    struct scalar scalar = {.step = -1};
    bool has_summary = false;
    while (at < end) {
        struct field f = read_field(&at, end);
        if (f.number == 1 && f.wire_type == 1) {
            memcpy(&scalar.wall_time, f.data, sizeof(double));
        } else if (f.number == 2 && f.wire_type == 0) {
            scalar.step = (int64_t)f.varint;
        } else if (f.number == 3 && f.wire_type == 2 && f.size < sizeof(events.version)) {
            memcpy(events.version, f.data, f.size);
        } else if (f.number == 5 && f.wire_type == 2) {
            const uint8_t *inner = f.data;
            struct field value = read_field(&inner, f.data + f.size);
            assert_true(value.number == 1 && inner == f.data + f.size);
            read_value(&value, &scalar);
            has_summary = true;
        } else {
            fail_msg("an event has a field %u of type %u", f.number, f.wire_type);
        }
    }
    assert_true(fabs(scalar.wall_time - (double)time(NULL)) < 3600.0);
    if (has_summary) {
        assert_true(events.count < MOST_SCALARS);
        events.scalars[events.count++] = scalar;
    }
}

static void read_events(const char *path)
{
    uint8_t *data = NULL;
    size_t size = 0, at = 0;
    memset(&events, 0, sizeof(events));
    assert_int_equal(agn_file_read(path, 1 << 24, &data, &size), AGN_OK);
    while (at < size) {
        uint64_t length;
        uint32_t length_sum, sum;
        assert_true(size - at >= 16);
        memcpy(&length, data + at, 8);
        memcpy(&length_sum, data + at + 8, 4);
        assert_int_equal(unmask(length_sum), checksum(data + at, 8));
        assert_true(length <= size - at - 16);
        memcpy(&sum, data + at + 12 + length, 4);
        assert_int_equal(unmask(sum), checksum(data + at + 12, (size_t)length));
        read_event(data + at + 12, (size_t)length);
        at += 16 + (size_t)length;
    }
    agn_free(data);
    assert_string_equal(events.version, "brain.Event:2");
}

/* Path of the folder's event file number `index`, by name; every entry must be one. */
static const char *event_path(const char *folder, int index)
{
    struct dirent **names = NULL;
    static char path[4096];
    int count = scandir(folder, &names, NULL, alphasort), seen = 0;
    path[0] = '\0';
    for (int i = 0; i < count; i++) {
        if (names[i]->d_name[0] != '.') {
            assert_non_null(strstr(names[i]->d_name, "tfevents"));
            if (seen++ == index)
                snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
        }
        free(names[i]);
    }
    free(names);
    assert_true(path[0] != '\0');
    return path;
}

/* ---- tests ------------------------------------------------------------------------------- */

static void the_readers_checksum(void **state)
{
    (void)state;
    static const uint8_t zeros[32] = {0};
    assert_int_equal(checksum((const uint8_t *)"123456789", 9), 0xE3069283U); /* RFC 3720, B.4 */
    assert_int_equal(checksum(zeros, sizeof(zeros)), 0x8A9136AAU);
}

static void scalars_come_back(void **state)
{
    (void)state;
    static const int64_t steps[] = {0, 1, 127, 128, 300, INT64_C(1) << 40};
    static const double values[] = {0.0, -1.5, 3.25e-8, 1e30, (double)INFINITY, 0.1};
    const char *folder = temp_path("a/b/events");
    struct agn__event_file *file = NULL;
    assert_int_equal(agn__event_file_open(folder, &file), AGN_OK);
    for (size_t i = 0; i < AGN_COUNT_OF(steps); i++)
        agn__event_file_scalar(file, i % 2 == 0 ? "joint/loss" : "x", steps[i], values[i]);
    assert_true(agn__event_file_close(file));
    read_events(event_path(folder, 0));
    assert_int_equal(events.count, AGN_COUNT_OF(steps));
    for (int i = 0; i < events.count; i++) {
        assert_string_equal(events.scalars[i].tag, i % 2 == 0 ? "joint/loss" : "x");
        assert_int_equal(events.scalars[i].step, steps[i]);
        assert_true(events.scalars[i].value == (double)(float)values[i]);
    }
    assert_int_equal(agn__event_file_open(folder, &file), AGN_OK); /* beside, not over, the first one */
    assert_true(agn__event_file_close(file));
    assert_int_equal(temp_count_entries(folder), 2);
}

static void folders_that_cannot_be(void **state)
{
    (void)state;
    struct agn__event_file *file = NULL;
    char longest[2000];
    assert_int_equal(agn__event_file_open(temp_file("taken", "x", 1), &file), AGN_ERR_IO);
    assert_int_equal(agn__event_file_open("/proc/nowhere", &file), AGN_ERR_IO);
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_true(agn__event_file_open(longest, &file) < 0);
    assert_null(file);
    assert_true(agn__event_file_close(NULL));
}

static double find_last(const char *tag)
{
    for (int i = events.count - 1; i >= 0; i--)
        if (strcmp(events.scalars[i].tag, tag) == 0)
            return events.scalars[i].value;
    fail_msg("there is no '%s'", tag);
    return NAN;
}

/* A short training: both phases, steps that never fall. */
static void training_writes_its_figures(void **state)
{
    (void)state;
    struct tiny_dataset data;
    struct agn_train_report report;
    struct agn_model *model = NULL;
    const char *folder = temp_path("training");
    tiny_dataset_make(&data, 320, 1);
    struct agn_train_config config = {.train = &data.set, .test = &data.set, .tensorboard = folder};
    tiny_preset_make(&config.preset);
    agn_nn_set_threads(1);
    if (agn_train_run(&config, &model, &report) < 0)
        fail_msg("%s", agn_error_message());
    read_events(event_path(folder, 0));
    assert_true(find_last("reference/loss") > 0.0 && find_last("reference/rate") > 0.0);
    assert_true(find_last("joint/loss") > 0.0 && find_last("joint/accuracy") > 0.5);
    assert_true(find_last("joint/skewness") > 0.3 && find_last("joint/skewness") <= 1.0);
    assert_true(find_last("joint/alpha") > 0.0 && find_last("joint/stall_seconds") >= 0.0);
    for (int i = 1; i < events.count; i++)
        assert_true(events.scalars[i].step >= events.scalars[i - 1].step);
    assert_int_equal(events.scalars[events.count - 1].step, 90); /* 10 steps an epoch, 3 and 6 epochs */
    agn_model_free(model);
    tiny_dataset_free(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_readers_checksum),
        cmocka_unit_test(scalars_come_back),
        cmocka_unit_test(folders_that_cannot_be),
        cmocka_unit_test(training_writes_its_figures),
    };
    return cmocka_run_group_tests(tests, temp_folder_setup, temp_folder_teardown);
}
