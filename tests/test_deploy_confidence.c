/* Calibration of a device's sureness: the margin that is put into the model, found here by trying all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/deploy.h"
#include "agilenn/hosted.h"
#include "tiny_model.h"

enum { IMAGES = 120, CLASSES = 4, PIXELS = 16 * 16 };
static const struct tiny_config config = {"conv:c8:s2 conv:c12", 16, 16, 1, 4, 3, CLASSES, false};

static struct {
    struct agn_dataset *data;
    struct agn_model *model;
    uint8_t *bytes;
    size_t size;
    int margins[IMAGES], right[IMAGES];
} world;

static int set_up(void **state)
{
    (void)state;
    world.data = tiny_dataset(&config, IMAGES, 1);
    world.model = tiny_trained_model(&config, world.data, world.data, 1);
    assert_int_equal(agn_deploy_device(world.model, world.data, 0, &world.bytes, &world.size, NULL), AGN_OK);
    struct agn_hosted device;
    struct agn_rng rng;
    agn_rng_seed(&rng, 5);
    assert_int_equal(agn_hosted_open(&device, world.bytes, world.size), 0);
    for (int i = 0; i < IMAGES; i++) {
        int class_index = agn_hosted_image(&device, world.data->pixels + i * PIXELS, 1, 0);
        assert_int_equal(agn_dev_is_sure(&device.dev), 0);
        world.margins[i] = agn_dev_margin(&device.dev);
        /* Labels such that the device errs, less so where it is sure. */
        world.right[i] = (int)agn_rng_below(&rng, 120) < world.margins[i];
        world.data->labels[i] = (uint16_t)(world.right[i] ? class_index : (class_index + 1) % CLASSES);
    }
    agn_hosted_close(&device);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    agn_free(world.bytes);
    agn_model_free(world.model);
    agn_dataset_free(world.data);
    return 0;
}

/* The smallest margin that will do; 0: none. */
static int expected_margin(double confidence, int *sure, int *sure_right)
{
    for (int margin = 1; margin <= INT16_MAX; margin++) {
        *sure = *sure_right = 0;
        for (int i = 0; i < IMAGES; i++) {
            *sure += world.margins[i] >= margin;
            *sure_right += world.margins[i] >= margin && world.right[i];
        }
        if (*sure > 0 && *sure - *sure_right + 1 <= (1.0 - confidence) * (*sure + 1))
            return margin;
    }
    *sure = *sure_right = 0;
    return 0;
}

static void the_smallest_margin_that_will_do(void **state)
{
    (void)state;
    const double confidences[] = {0.0, 0.3, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0};
    int different = 0, last = -1;
    for (size_t i = 0; i < AGN_COUNT_OF(confidences); i++) {
        struct agn_confidence_report report;
        struct agn_dev_model model;
        int sure, right, expected = expected_margin(confidences[i], &sure, &right), stays = 0;
        assert_int_equal(agn_deploy_confidence(world.bytes, world.size, world.data, confidences[i], &report),
                         0);
        assert_int_equal(agn_dev_model_open(&model, world.bytes, world.size), 0); /* the checksum, too */
        assert_int_equal(model.sure_margin, report.margin);
        assert_int_equal(report.images, IMAGES);
        assert_int_equal(report.margin > 0, expected > 0);
        for (int n = 0; n < IMAGES; n++) /* margins between two images' are the same thing */
            stays += report.margin > 0 && world.margins[n] >= report.margin;
        assert_int_equal(stays, sure);
        assert_true(report.margin >= expected);
        assert_true(report.sure_share == (double)sure / IMAGES);
        if (sure > 0)
            assert_true(report.sure_accuracy == 1.0 - (double)(sure - right) / sure);
        different += sure != last;
        last = sure;
    }
    assert_true(different >= 4); /* or the data show nothing */
    assert_int_equal(last, 0);   /* nobody is sure of everything */
}

static void refusals_leave_the_model_alone(void **state)
{
    (void)state;
    struct agn_dataset none = *world.data, wide = *world.data;
    uint8_t *before = agn_alloc(world.size, 1);
    memcpy(before, world.bytes, world.size);
    none.count = 0;
    wide.width = 8;
    assert_int_equal(agn_deploy_confidence(world.bytes, world.size, world.data, 1.1, NULL), AGN_ERR_ARG);
    assert_int_equal(agn_deploy_confidence(world.bytes, world.size, &none, 0.9, NULL), AGN_ERR_ARG);
    assert_int_equal(agn_deploy_confidence(world.bytes, world.size, &wide, 0.9, NULL), AGN_ERR_MISMATCH);
    assert_non_null(strstr(agn_error_message(), "16x8x1"));
    assert_int_equal(agn_deploy_confidence(world.bytes, world.size - 4, world.data, 0.9, NULL),
                     AGN_ERR_FORMAT);
    assert_memory_equal(world.bytes, before, world.size);
    agn_free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_margin_that_will_do),
        cmocka_unit_test(refusals_leave_the_model_alone),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
