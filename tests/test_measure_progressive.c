/* Frames as they come, on a small trained model: the ends of all curves are what curves.h says with nothing
 * and with everything, what lies between is counted here from the device's symbols without packets, and
 * asking for more lies between the first packet alone and all of them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/curves.h"
#include "agilenn/edge.h"
#include "agilenn/features.h"
#include "agilenn/hosted.h"
#include "agilenn/plot.h"
#include "agilenn/progressive.h"
#include "temp_folder.h"
#include "tiny_model.h"

enum { IMAGES = 60, CLASSES = 4, SENT = 8, SIDE = 8, PLANE = SIDE * SIDE };
static const struct tiny_config config = {"conv:c8:s2 conv:c12", 16, 16, 1, 4, 3, CLASSES, false};

static struct {
    struct agn_dataset *data;
    struct agn_model *model;
    uint8_t *bytes;
    size_t size;
    struct agn_curves curves[3];           /* of version 0 (the default), 1 and 2 of the protocol */
    struct agn_progressive progressive[3]; /* likewise */
} world;

static struct agn_progressive_config usual(int protocol)
{
    return (struct agn_progressive_config){.model = world.model,
                                           .device = world.bytes,
                                           .device_bytes = world.size,
                                           .data = world.data,
                                           .packet_bytes = {1152, 96, 64},
                                           .extra_bytes = 37,
                                           .protocol = protocol,
                                           .draws = 2,
                                           .seed = 3};
}

static int set_up(void **state)
{
    if (temp_folder_setup(state) != 0)
        return -1;
    world.data = tiny_dataset(&config, IMAGES, 1);
    world.model = tiny_trained_model(&config, world.data, world.data, 1);
    for (int i = 1; i < SENT; i++) /* whatever a moment of training trusts in */
    {
        world.model->trust[i] = 0.5F + 0.5F * (float)i / SENT;
        world.model->leading_trust[i] = 0.4F + 0.6F * (float)i / SENT;
    }
    assert_int_equal(world.model->sent_channels, SENT);
    assert_int_equal(agn_deploy_device(world.model, world.data, 0, &world.bytes, &world.size, NULL), AGN_OK);
    for (int v = 0; v <= 2; v++) {
        const struct agn_curves_config curves = {.model = world.model,
                                                 .device = world.bytes,
                                                 .device_bytes = world.size,
                                                 .data = world.data,
                                                 .packet_bytes = {1152, 96, 64},
                                                 .extra_bytes = 37,
                                                 .protocol = v};
        struct agn_progressive_config it = usual(v);
        assert_int_equal(agn_curves_measure(&curves, &world.curves[v]), AGN_OK);
        assert_int_equal(agn_progressive_measure(&it, &world.progressive[v]), AGN_OK);
    }
    return 0;
}

static int tear_down(void **state)
{
    agn_free(world.bytes);
    agn_model_free(world.model);
    agn_dataset_free(world.data);
    return temp_folder_teardown(state);
}

static bool is_near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

static void the_ends_are_those_of_the_curves(void **state)
{
    (void)state;
    for (int v = 0; v <= 2; v++) {
        const struct agn_progressive *p = &world.progressive[v];
        const struct agn_curves *c = &world.curves[v];
        assert_true(c->fused_accuracy != c->local_accuracy); /* or the test shows nothing */
        assert_true(p->fused_accuracy == c->fused_accuracy && p->local_accuracy == c->local_accuracy);
        assert_int_equal(p->channels, SENT);
        for (int o = 0; o < AGN_ORDER_COUNT; o++) {
            if (o == AGN_ORDER_MEASURED && !p->is_measured)
                continue;
            const struct agn_progressive_point *none = &p->order[o][0], *all = &p->order[o][SENT];
            assert_true(is_near(none->accuracy, c->local_accuracy) && none->bytes == 0.0);
            assert_true(is_near(all->accuracy, c->fused_accuracy));
            assert_true(is_near(all->accuracy, all->any_accuracy) || v == 2); /* of which bits are lost */
        }
        assert_true(is_near(p->order[AGN_ORDER_SENT][SENT].bytes, c->loss[0][0].bytes));
        for (int s = 0; s < p->sizes; s++) {
            const struct agn_progressive_point *all = &p->packets[s][p->most[s]];
            assert_true(is_near(all->accuracy, c->loss[s][0].accuracy));
            assert_true(is_near(all->bytes, c->loss[s][0].bytes) && all->share > 0.0 && all->share <= 1.0);
            assert_true(is_near(p->packets[s][0].accuracy, c->local_accuracy));
        }
        assert_int_equal(p->most[0], 1);
        assert_true(p->most[2] > p->most[1] && p->most[1] > 1);
    }
    assert_memory_equal(world.progressive[0].order, world.progressive[1].order,
                        sizeof world.progressive[0].order);
    /* Version 2 has fewer bytes of header: 12 of a whole frame, 9 of a part. */
    assert_true(is_near(world.progressive[1].order[AGN_ORDER_SENT][SENT].bytes,
                        world.progressive[2].order[AGN_ORDER_SENT][SENT].bytes + 12.0));
    assert_true(is_near(world.progressive[1].order[AGN_ORDER_REVERSED][3].bytes,
                        world.progressive[2].order[AGN_ORDER_REVERSED][3].bytes + 9.0));
}

/* The class that some of the channels lead to, without packets and in version 1's logits. */
static int class_of(const struct agn_dev *dev, struct agn_remote *remote, const uint8_t *channels, int count)
{
    float features[SENT * PLANE], logits[CLASSES];
    int32_t sums[CLASSES];
    uint8_t map[SENT * PLANE];
    memset(map, AGN_SYMBOL_ABSENT, sizeof map);
    for (int i = 0; i < count; i++)
        memset(map + channels[i] * PLANE, 0, PLANE);
    const struct agn_map_shape shape = {.channels = SENT, .height = SIDE, .width = SIDE};
    float trust = agn_model_trust(world.model, count, agn_map_received(map, &shape).leading);
    for (unsigned at = 0; at < PLANE; at++) {
        for (int c = 0; c < SENT; c++)
            features[at * SENT + (unsigned)c] = world.model->fill[c];
        for (int i = 0; i < count; i++)
            features[at * SENT + channels[i]] =
                world.model->centroids[agn_dev_symbol(dev, channels[i], at / SIDE, at % SIDE)];
    }
    assert_int_equal(agn_remote_infer(remote, features, 1, logits), AGN_OK);
    for (int i = 0; i < CLASSES; i++)
        sums[i] = agn_fuse(agn_dev_local(dev)[i], (int16_t)lroundf(256.0F * (logits[i] * trust)),
                           dev->model.alpha_q15);
    return (int)agn_argmax_s32(sums, CLASSES);
}

static void what_lies_between_is_what_the_channels_say(void **state)
{
    (void)state;
    struct agn_hosted device;
    struct agn_remote *remote = NULL;
    const struct agn_progressive *p = &world.progressive[1];
    static const uint8_t sent[SENT] = {0, 1, 2, 3, 4, 5, 6, 7}, reversed[SENT] = {7, 6, 5, 4, 3, 2, 1, 0};
    int right[3][SENT + 1] = {{0}};
    assert_int_equal(agn_hosted_open(&device, world.bytes, world.size), 0);
    assert_int_equal(agn_remote_create(world.model, &remote), AGN_OK);
    for (int i = 0; i < IMAGES; i++) {
        int label = world.data->labels[i];
        assert_true(agn_hosted_image(&device, world.data->pixels + (size_t)i * 16 * 16, 1, 0) >= 0);
        for (int n = 1; n <= SENT; n++) {
            right[0][n] += class_of(&device.dev, remote, sent, n) == label;
            right[1][n] += class_of(&device.dev, remote, reversed, n) == label;
            for (int d = 0; d < p->draws; d++)
                right[2][n] += class_of(&device.dev, remote, p->drawn[d], n) == label;
        }
    }
    agn_remote_free(remote);
    agn_hosted_close(&device);
    int different = 0;
    for (int n = 1; n <= SENT; n++) {
        assert_true(is_near(p->order[AGN_ORDER_SENT][n].accuracy, (double)right[0][n] / IMAGES));
        assert_true(is_near(p->order[AGN_ORDER_REVERSED][n].accuracy, (double)right[1][n] / IMAGES));
        assert_true(is_near(p->order[AGN_ORDER_RANDOM][n].accuracy, (double)right[2][n] / IMAGES / p->draws));
        different += right[0][n] != right[1][n];
        for (int o = 0; o < AGN_ORDER_MEASURED; o++)
            assert_true(p->order[o][n].bytes + 1e-9 >= p->order[o][n - 1].bytes);
    }
    assert_true(different > 0); /* or the orders might be one */
}

static void asking_lies_between_one_and_all(void **state)
{
    (void)state;
    const struct agn_progressive *p = &world.progressive[2];
    assert_true(p->asks && !world.progressive[0].asks && !world.progressive[1].asks);
    assert_true(p->share[0] == 1.0 && p->share[1] <= 0.5 && p->share[2] <= 0.3 && p->share[2] > 0.0);
    for (int s = 0; s < p->sizes; s++) {
        const struct agn_progressive_ask *first = &p->ask[s][0][0], *all = first;
        assert_true(is_near(first->packets, 1.0) && is_near(first->bytes, p->packets[s][1].bytes));
        assert_true(is_near(first->accuracy, p->packets[s][1].accuracy));
        all += AGN_PROGRESSIVE_MARGINS - 1;
        assert_true(is_near(all->bytes, p->packets[s][p->most[s]].bytes));
        assert_true(is_near(all->accuracy, p->packets[s][p->most[s]].accuracy));
        assert_true(is_near(all->packets, world.curves[2].loss[s][0].packets));
        for (int i = 0; i < AGN_PROGRESSIVE_SHARES; i++)
            for (int m = 1; m < AGN_PROGRESSIVE_MARGINS; m++) {
                const struct agn_progressive_ask *a = &p->ask[s][i][m];
                assert_true(a->margin > a[-1].margin && a->packets >= a[-1].packets &&
                            a->bytes >= a[-1].bytes);
                assert_true(i == 0 || a->packets <= p->ask[s][i - 1][m].packets);
            }
    }
    assert_true(p->ask[2][0][0].packets < p->ask[2][0][AGN_PROGRESSIVE_MARGINS - 1].packets);
}

static void the_seed_draws_permutations(void **state)
{
    (void)state;
    struct agn_progressive_config it = usual(1);
    static struct agn_progressive again;
    assert_int_equal(agn_progressive_measure(&it, &again), AGN_OK);
    assert_memory_equal(again.order, world.progressive[1].order, sizeof again.order);
    assert_int_equal(again.order_images, IMAGES);
    it.order_images = 7;
    assert_int_equal(agn_progressive_measure(&it, &again), AGN_OK);
    assert_int_equal(again.order_images, 7);
    assert_true(is_near(again.order[AGN_ORDER_RANDOM][1].share, 1.0)); /* of seven */
    assert_true(is_near(7.0 * again.order[AGN_ORDER_SENT][1].accuracy,
                        round(7.0 * again.order[AGN_ORDER_SENT][1].accuracy)));
    assert_memory_equal(again.packets, world.progressive[1].packets, sizeof again.packets);
    it.seed = 4;
    it.packet_bytes[0] = 0;
    assert_int_equal(agn_progressive_measure(&it, &again), AGN_OK);
    assert_memory_not_equal(again.drawn, world.progressive[1].drawn, sizeof again.drawn);
    assert_int_equal(again.sizes, 3);
    assert_int_equal(again.packet_bytes[2], 48);
    for (int d = 0; d < again.draws; d++) {
        unsigned seen = 0;
        for (int c = 0; c < SENT; c++)
            seen |= 1U << again.drawn[d][c];
        assert_int_equal(seen, (1U << SENT) - 1);
    }
}

static void expect_failure(const struct agn_progressive_config *it, int status, const char *words)
{
    static struct agn_progressive result;
    result.images = -7;
    assert_int_equal(agn_progressive_measure(it, &result), status);
    assert_non_null(strstr(agn_error_message(), words));
    assert_int_equal(result.images, -7);
}

static void refusals(void **state)
{
    (void)state;
    struct agn_progressive_config it = usual(3);
    expect_failure(&it, AGN_ERR_RANGE, "version 3 of the protocol");
    it = usual(2);
    it.draws = AGN_PROGRESSIVE_DRAWS + 1;
    expect_failure(&it, AGN_ERR_RANGE, "expected 1 to 8");
    it = usual(2);
    it.packet_bytes[1] = AGN_WIRE_MAX_PACKET + 1;
    expect_failure(&it, AGN_ERR_RANGE, "at most 1152");
    it.packet_bytes[1] = 12;
    expect_failure(&it, AGN_ERR_RANGE, "12 bytes are too small");
    it = usual(2);
    it.extra_bytes = 1001;
    expect_failure(&it, AGN_ERR_RANGE, "0 to 1000");
}

static void files_are_written(void **state)
{
    (void)state;
    char folder[512];
    const struct agn_progressive *p = &world.progressive[2];
    snprintf(folder, sizeof folder, "%s", temp_path("a/curves"));
    if (agn_plot_available() < 0)
        skip();
    assert_int_equal(agn_progressive_write(p, "it's a model", folder), AGN_OK);
    int orders = p->is_measured ? 4 : 3;
    assert_int_equal(temp_count_lines("a/curves/progress.csv"),
                     1 + orders * (SENT + 1) + p->most[0] + p->most[1] + p->most[2] + 3);
    assert_int_equal(temp_count_lines("a/curves/ask.csv"),
                     1 + 3 * AGN_PROGRESSIVE_SHARES * AGN_PROGRESSIVE_MARGINS);
    assert_true(agn_file_exists(temp_path("a/curves/progress.png")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ends_are_those_of_the_curves),
        cmocka_unit_test(what_lies_between_is_what_the_channels_say),
        cmocka_unit_test(asking_lies_between_one_and_all),
        cmocka_unit_test(the_seed_draws_permutations),
        cmocka_unit_test(refusals),
        cmocka_unit_test(files_are_written),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
