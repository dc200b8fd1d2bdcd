/* Curves under loss, budget and silence on a small trained model: their ends are the fused and the local
 * accuracy, counted here from the device's symbols without packets. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/curves.h"
#include "agilenn/edge.h"
#include "agilenn/hosted.h"
#include "agilenn/plot.h"
#include "temp_folder.h"
#include "tiny_model.h"

enum { IMAGES = 60, CLASSES = 4, EXTRA = 46 };
static const struct tiny_config config = {"conv:c8:s2 conv:c12", 16, 16, 1, 4, 3, CLASSES, false};

static struct {
    struct agn_dataset *data;
    struct agn_model *model, *other;
    uint8_t *bytes;
    size_t size;
    struct agn_curves curves;
    struct agn_curve_frame frames[IMAGES];
} world;

static struct agn_curves_config usual(void)
{
    return (struct agn_curves_config){.model = world.model,
                                      .device = world.bytes,
                                      .device_bytes = world.size,
                                      .data = world.data,
                                      .packet_bytes = {1152, 72, 48},
                                      .extra_bytes = EXTRA,
                                      .seed = 3};
}

static int set_up(void **state)
{
    if (temp_folder_setup(state) != 0)
        return -1;
    world.data = tiny_dataset(&config, IMAGES, 1);
    world.model = tiny_trained_model(&config, world.data, world.data, 1);
    world.other = tiny_random_model(&config, world.data, 2);
    assert_int_equal(agn_deploy_device(world.model, world.data, 0, &world.bytes, &world.size, NULL), AGN_OK);
    struct agn_curves_config it = usual();
    it.frames = world.frames;
    assert_int_equal(agn_curves_measure(&it, &world.curves), AGN_OK);
    return 0;
}

static int tear_down(void **state)
{
    agn_free(world.bytes);
    agn_model_free(world.model);
    agn_model_free(world.other);
    agn_dataset_free(world.data);
    return temp_folder_teardown(state);
}

/* The class that the device's symbols and logits lead to, without packets. */
static int fused_class(const struct agn_dev *dev, struct agn_remote *remote)
{
    const struct agn_dev_model *m = &dev->model;
    unsigned sent = (unsigned)(m->map_c - m->local_c);
    float features[12 * 8 * 8], logits[CLASSES];
    int32_t sums[CLASSES];
    assert_true((size_t)sent * m->map_h * m->map_w <= AGN_COUNT_OF(features));
    for (unsigned c = 0; c < sent; c++)
        for (unsigned y = 0; y < m->map_h; y++)
            for (unsigned x = 0; x < m->map_w; x++)
                features[(y * m->map_w + x) * sent + c] =
                    world.model->centroids[agn_dev_symbol(dev, c, y, x)];
    assert_int_equal(agn_remote_infer(remote, features, 1, logits), AGN_OK);
    for (int i = 0; i < CLASSES; i++)
        sums[i] = agn_fuse(agn_dev_local(dev)[i], (int16_t)lroundf(256.0F * logits[i]), m->alpha_q15);
    return (int)agn_argmax_s32(sums, CLASSES);
}

static void the_ends_are_fused_and_local(void **state)
{
    (void)state;
    struct agn_hosted device;
    struct agn_remote *remote = NULL;
    int local = 0, fused = 0;
    assert_int_equal(agn_hosted_open(&device, world.bytes, world.size), 0);
    assert_int_equal(agn_remote_create(world.model, &remote), AGN_OK);
    for (int i = 0; i < IMAGES; i++) {
        int local_class = agn_hosted_image(&device, world.data->pixels + (size_t)i * 16 * 16, 1, 0);
        local += local_class == world.data->labels[i];
        fused += fused_class(&device.dev, remote) == world.data->labels[i];
    }
    agn_remote_free(remote);
    agn_hosted_close(&device);
    const struct agn_curves *c = &world.curves;
    double fused_accuracy = (double)fused / IMAGES, local_accuracy = (double)local / IMAGES;
    assert_true(fused != local); /* or the test shows nothing */
    assert_true(c->fused_accuracy == fused_accuracy && c->local_accuracy == local_accuracy);
    for (int s = 0; s < c->packet_sizes; s++) {
        assert_true(c->loss[s][0].accuracy == fused_accuracy && c->loss[s][0].fused == 1.0);
        assert_true(c->loss[s][0].both_accuracy == fused_accuracy && c->loss[s][0].arrived == 1.0);
        const struct agn_curve_point *all_lost = &c->loss[s][AGN_CURVE_LOSSES - 1];
        assert_true(all_lost->x == 1.0 && all_lost->fused == 0.0 && all_lost->arrived == 0.0);
        assert_true(all_lost->accuracy == local_accuracy && all_lost->both_accuracy == local_accuracy);
    }
    assert_true(c->budget[0].accuracy == local_accuracy && c->budget[0].bytes == 0.0);
    assert_true(c->budget[AGN_CURVE_BUDGETS - 1].accuracy == fused_accuracy);
    assert_true(c->share[0].accuracy == fused_accuracy && c->share[0].x == 1.0 && c->threshold[0] == 0);
}

static void frames_add_up(void **state)
{
    (void)state;
    const struct agn_curves *c = &world.curves;
    int local = 0, fused = 0;
    long bytes = 0;
    for (int i = 0; i < IMAGES; i++) {
        const struct agn_curve_frame *f = &world.frames[i];
        assert_int_equal(f->label, world.data->labels[i]);
        assert_true(f->second_class >= 0 && f->second_class < CLASSES && f->second_class != f->local_class);
        assert_true(f->margin >= 0);
        local += f->local_class == f->label;
        fused += f->fused_class == f->label;
        bytes += f->bytes;
    }
    assert_true((double)local / IMAGES == c->local_accuracy && (double)fused / IMAGES == c->fused_accuracy);
    assert_true(fabs((double)bytes / IMAGES - c->loss[0][0].bytes) < 1e-9);
    assert_int_equal(agn_curves_write_frames(world.frames, IMAGES, temp_path("frames.csv")), AGN_OK);
    assert_int_equal(temp_count_lines("frames.csv"), 1 + IMAGES);
}

static void loss_takes_its_share(void **state)
{
    (void)state;
    const struct agn_curves *c = &world.curves;
    assert_int_equal(c->packet_sizes, 3);
    assert_true(c->loss[2][0].packets > c->loss[1][0].packets &&
                c->loss[1][0].packets > c->loss[0][0].packets);
    for (int s = 0; s < c->packet_sizes; s++)
        for (int l = 1; l < AGN_CURVE_LOSSES; l++) {
            const struct agn_curve_point *p = &c->loss[s][l];
            assert_true(p->arrived <= p[-1].arrived && p->fused <= p[-1].fused);
            /* Packets of equal weight, 60 frames: four standard deviations. */
            double packets = IMAGES * p->packets, spread = sqrt(p->x * (1.0 - p->x) / packets);
            assert_true(fabs(p->arrived - (1.0 - p->x)) <= 4.0 * spread + 0.02);
            assert_true(p->bytes == c->loss[s][0].bytes); /* the device sends all the same */
        }
    int answers = 0;
    for (int i = 0; i < AGN_CURVE_PARTS; i++)
        answers += c->parts[i].answers;
    assert_int_equal(c->parts[0].answers, IMAGES);
    assert_true(answers > IMAGES);
}

static void budgets_and_shares_ascend(void **state)
{
    (void)state;
    const struct agn_curves *c = &world.curves;
    for (int i = 1; i < AGN_CURVE_BUDGETS; i++) {
        const struct agn_curve_point *p = &c->budget[i];
        assert_true(p->x > p[-1].x && p->bytes >= p[-1].bytes && p->arrived >= p[-1].arrived);
        if (i < AGN_CURVE_BUDGETS - 1)
            assert_true(p->bytes <= p->x);
    }
    assert_true(c->budget[AGN_CURVE_BUDGETS - 1].bytes == c->loss[0][0].bytes);
    for (int i = 1; i < AGN_CURVE_SHARES; i++) {
        const struct agn_curve_point *p = &c->share[i];
        assert_true(p->x <= p[-1].x && p->bytes <= p[-1].bytes && p->x <= 1.0 - 0.05 * i + 1e-9);
        assert_true(i == 1 || c->threshold[i] <= c->threshold[i - 1]);
        assert_true(c->threshold[i] >= 1);
    }
}

static void the_seed_decides(void **state)
{
    (void)state;
    struct agn_curves_config it = usual();
    struct agn_curves again;
    assert_int_equal(agn_curves_measure(&it, &again), AGN_OK);
    assert_memory_equal(again.loss, world.curves.loss, sizeof again.loss);
    it.seed = 4;
    assert_int_equal(agn_curves_measure(&it, &again), AGN_OK);
    assert_memory_not_equal(again.loss, world.curves.loss, sizeof again.loss);
    assert_memory_equal(again.budget, world.curves.budget, sizeof again.budget);
    it.packet_bytes[0] = 0;
    assert_int_equal(agn_curves_measure(&it, &again), AGN_OK);
    assert_int_equal(again.packet_sizes, 3);
    assert_int_equal(again.packet_bytes[2], 256);
}

/* A packet is lost for good only if it is lost in each round. */
static void rounds_repair(void **state)
{
    (void)state;
    struct agn_curves_config it = usual();
    struct agn_curves again;
    it.rounds = 3;
    assert_int_equal(agn_curves_measure(&it, &again), AGN_OK);
    for (int s = 0; s < again.packet_sizes; s++)
        for (int l = 0; l < AGN_CURVE_LOSSES; l++) {
            const struct agn_curve_point *p = &again.loss[s][l], *once = &world.curves.loss[s][0];
            double lost = pow(p->x, 3.0), packets = IMAGES * once->packets;
            assert_true(fabs(p->arrived - (1.0 - lost)) <= 4.0 * sqrt(lost * (1.0 - lost) / packets) + 0.02);
            if (p->x == 0.0)
                assert_true(p->bytes == once->bytes && p->both_accuracy == p->accuracy);
            if (p->x == 1.0)
                assert_true(p->bytes == 3.0 * once->bytes && p->accuracy == again.local_accuracy);
            assert_true(p->bytes >= once->bytes && p->bytes <= 3.0 * once->bytes);
        }
}

static void expect_failure(const struct agn_curves_config *it, int status, const char *words)
{
    struct agn_curves curves = {.images = -7};
    assert_int_equal(agn_curves_measure(it, &curves), status);
    assert_non_null(strstr(agn_error_message(), words));
    assert_int_equal(curves.images, -7);
}

static void refusals(void **state)
{
    (void)state;
    struct agn_curves_config it = usual();
    it.model = world.other;
    expect_failure(&it, AGN_ERR_MISMATCH, "export it anew");
    it = usual();
    it.device_bytes--;
    expect_failure(&it, AGN_ERR_FORMAT, "truncated");
    it = usual();
    it.packet_bytes[1] = AGN_FEATURE_OVERHEAD_BYTES + 2;
    expect_failure(&it, AGN_ERR_RANGE, "22 bytes are too small");
    it.packet_bytes[1] = AGN_WIRE_MAX_PACKET + 1;
    expect_failure(&it, AGN_ERR_RANGE, "at most 1152");
    it = usual();
    it.rounds = AGN_CURVE_ROUNDS + 1;
    expect_failure(&it, AGN_ERR_RANGE, "expected 1 to 4");
    it = usual();
    it.extra_bytes = -1;
    expect_failure(&it, AGN_ERR_RANGE, "0 to 1000");
}

static void files_are_written(void **state)
{
    (void)state;
    char folder[512];
    snprintf(folder, sizeof folder, "%s", temp_path("a/curves"));
    if (agn_plot_available() < 0)
        skip();
    assert_int_equal(agn_curves_write(&world.curves, "it's a model", folder), AGN_OK);
    assert_int_equal(temp_count_lines("a/curves/loss.csv"), 1 + 3 * AGN_CURVE_LOSSES);
    assert_int_equal(temp_count_lines("a/curves/budget.csv"), 1 + AGN_CURVE_BUDGETS);
    assert_int_equal(temp_count_lines("a/curves/share.csv"), 1 + AGN_CURVE_SHARES);
    assert_true(temp_count_lines("a/curves/parts.csv") > 2);
    const char *const pictures[] = {"a/curves/loss.png", "a/curves/budget.png", "a/curves/share.png"};
    for (size_t i = 0; i < AGN_COUNT_OF(pictures); i++)
        assert_true(agn_file_exists(temp_path(pictures[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ends_are_fused_and_local),
        cmocka_unit_test(frames_add_up),
        cmocka_unit_test(loss_takes_its_share),
        cmocka_unit_test(budgets_and_shares_ascend),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(rounds_repair),
        cmocka_unit_test(refusals),
        cmocka_unit_test(files_are_written),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
