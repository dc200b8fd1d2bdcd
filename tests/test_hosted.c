/* The device on a host: answers against the naive device, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/hosted.h"
#include "support/naive_device.h"
#include "support/small_model.h"
#include "support/temp_folder.h"

static struct {
    struct small_model small;
    uint8_t *file, image[SMALL_SIDE * SMALL_SIDE];
    size_t bytes;
} world;

static int set_up(void **state)
{
    small_model_make(&world.small);
    small_model_image(world.image);
    int status = agn_model_agn_write(&world.small.model, &world.file, &world.bytes);
    return status < 0 ? -1 : temp_folder_setup(state);
}

static int tear_down(void **state)
{
    agn_free(world.file);
    return temp_folder_teardown(state);
}

static void answers_are_the_naive_device_s(void **state)
{
    (void)state;
    struct agn_hosted device;
    struct naive_result expected;
    uint8_t symbols[SMALL_SENT * SMALL_MAP_SIDE * SMALL_MAP_SIDE], moved[4096];
    assert_true(world.bytes < sizeof moved);
    memcpy(moved + 1, world.file, world.bytes);
    assert_int_equal(agn_hosted_open(&device, moved + 1, world.bytes), 0);
    memset(moved, 0, sizeof moved);
    naive_run(&world.small.model, world.image, &expected);
    assert_int_equal(agn_hosted_image(&device, world.image, 7, 40),
                     agn_argmax_s16(expected.local, SMALL_CLASSES));
    assert_memory_equal(agn_dev_local(&device.dev), expected.local, sizeof(int16_t) * SMALL_CLASSES);
    struct agn_map_shape shape = agn_hosted_shape(&device.dev.model);
    assert_int_equal(shape.channels, SMALL_SENT);
    assert_int_equal(shape.height, SMALL_MAP_SIDE);
    assert_int_equal(shape.width, SMALL_MAP_SIDE);
    agn_hosted_symbols(&device, symbols);
    assert_memory_equal(symbols, expected.symbols, sizeof symbols);
    naive_free(&expected);
    agn_hosted_close(&device);
    agn_hosted_close(&device);
}

static void files_are_read_and_checked(void **state)
{
    (void)state;
    uint8_t *bytes = NULL;
    size_t size = 0;
    struct agn_dev_model model;
    assert_int_equal(agn_hosted_read(temp_file("good.agn", world.file, world.bytes), &bytes, &size, &model),
                     0);
    assert_int_equal(size, world.bytes);
    assert_int_equal(model.model_id, SMALL_MODEL_ID);
    agn_free(bytes);
    bytes = NULL;
    world.file[world.bytes / 2] ^= 1;
    const char *path = temp_file("bad.agn", world.file, world.bytes);
    assert_int_equal(agn_hosted_read(path, &bytes, &size, &model), AGN_ERR_CHECKSUM);
    assert_non_null(strstr(agn_error_message(), path));
    assert_non_null(strstr(agn_error_message(), "the file is damaged"));
    struct agn_hosted device;
    assert_int_equal(agn_hosted_open(&device, world.file, world.bytes), AGN_ERR_CHECKSUM);
    world.file[world.bytes / 2] ^= 1;
    assert_int_equal(agn_hosted_open(&device, world.file, 0), AGN_ERR_FORMAT);
    assert_int_equal(agn_hosted_read(temp_path("none.agn"), &bytes, &size, &model), AGN_ERR_NOT_FOUND);
    assert_null(bytes);
}

static void images_must_fit(void **state)
{
    (void)state;
    struct agn_dev_model model;
    const struct agn_dataset good = {
        .count = 1, .height = SMALL_SIDE, .width = SMALL_SIDE, .channels = 1, .classes = SMALL_CLASSES};
    assert_int_equal(agn_hosted_check("it", world.file, world.bytes, &model), 0);
    assert_int_equal(agn_hosted_check_data(&model, &good), 0);
    for (int i = 0; i < 5; i++) {
        struct agn_dataset bad = good;
        bad.height += i == 0;
        bad.width += i == 1;
        bad.channels += i == 2;
        bad.classes += i == 3;
        bad.count -= i == 4;
        assert_int_equal(agn_hosted_check_data(&model, &bad), i < 4 ? AGN_ERR_MISMATCH : AGN_ERR_ARG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_the_naive_device_s),
        cmocka_unit_test(files_are_read_and_checked),
        cmocka_unit_test(images_must_fit),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
