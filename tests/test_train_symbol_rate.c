/* The rate term: bits against the entropy of known symbols, the gradient against finite differences, and that
 * training with it sends fewer bits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agn_wire.h"
#include "tiny_training.h"
#include "train/joint.h"

enum { BATCH = 16 };

static void expect_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance))
        fail_msg("got %.9g, expected %.9g", got, expected);
}

struct rig {
    struct agn_train_config config;
    struct agn__trainer trainer;
    struct agn__joint joint;
};

static void open_rig(struct rig *rig, const char *setting)
{
    *rig = (struct rig){0};
    tiny_preset_make(&rig->config.preset);
    rig->config.preset.train.batch = BATCH;
    assert_int_equal(agn_preset_set(&rig->config.preset, setting), AGN_OK);
    assert_int_equal(agn_model_create(&rig->config.preset, NULL, &rig->trainer.model), AGN_OK);
    rig->trainer.config = &rig->config;
    assert_int_equal(agn__joint_open(&rig->trainer, &rig->joint), AGN_OK);
}

static void close_rig(struct rig *rig)
{
    agn__joint_close(&rig->joint);
    agn__beside_free(&rig->trainer.beside);
    agn_model_free(rig->trainer.model);
}

/* ---- bits -------------------------------------------------------------------------------------- */

/* Symbols of one step, followed so often that the moving counts are these symbols' alone. */
static double settled_bits(struct rig *rig)
{
    struct agn_batch batch = {.count = BATCH};
    struct agn__tally tally = {0};
    for (int step = 0; step < 400; step++) {
        tally = (struct agn__tally){0};
        assert_int_equal(agn__rate_measure(&rig->joint, &batch, &tally), AGN_OK);
    }
    size_t symbols = rig->joint.positions * (size_t)rig->trainer.model->sent_channels;
    double weight = rig->config.preset.joint.bits;
    expect_near(tally.loss, weight * tally.bits / (double)symbols, 1e-9);
    return tally.bits / (double)symbols;
}

static void independent_symbols_cost_their_entropy(void **state)
{
    (void)state;
    struct rig rig;
    struct agn_rng rng;
    open_rig(&rig, "joint.bits=0.5");
    size_t symbols = rig.joint.positions * (size_t)rig.trainer.model->sent_channels;
    agn_rng_seed(&rng, 1);
    int ones = 0;
    for (size_t i = 0; i < symbols; i++) {
        bool one = agn_rng_uniform(&rng) < 0.1;
        rig.joint.symbols[i] = one;
        ones += one;
    }
    double p = (double)ones / (double)symbols, entropy = -p * log2(p) - (1.0 - p) * log2(1.0 - p);
    double bits = settled_bits(&rig);
    /* counted in contexts that say nothing: a little below the entropy, by what chance makes them say */
    assert_true(bits < entropy && bits > 0.85 * entropy);
    close_rig(&rig);
}

static void predictable_symbols_cost_little(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, "joint.bits=0.5");
    size_t channels = (size_t)rig.trainer.model->sent_channels, width = (size_t)rig.trainer.model->map.width;
    for (size_t i = 0; i < rig.joint.positions * channels; i++) { /* columns 0 3 0 3 ... */
        size_t x = i / channels % width;
        rig.joint.symbols[i] = x % 2 == 1 ? 3 : 0;
    }
    /* in the first row the first and the second symbol have the same neighbours: 2 bits of 36 symbols */
    expect_near(settled_bits(&rig), 2.0 / 36.0, 0.05);
    close_rig(&rig);
}

static void contexts_are_the_codecs(void **state)
{
    (void)state;
    struct rig rig;
    struct agn_batch batch = {.count = BATCH};
    struct agn__tally tally = {0};
    struct agn_rng rng;
    open_rig(&rig, "joint.bits=0.5");
    const struct agn_model *model = rig.trainer.model;
    size_t channels = (size_t)model->sent_channels, height = (size_t)model->map.height,
           width = (size_t)model->map.width;
    agn_rng_seed(&rng, 2);
    for (size_t i = 0; i < rig.joint.positions * channels; i++)
        rig.joint.symbols[i] = (uint8_t)agn_rng_below(&rng, AGN_LEVELS);
    assert_int_equal(agn__rate_measure(&rig.joint, &batch, &tally), AGN_OK);
    for (size_t image = 0; image < BATCH; image++) {
        for (size_t c = 0; c < channels; c++) {
            uint8_t plane[TINY_SIDE * TINY_SIDE];
            for (size_t at = 0; at < height * width; at++)
                plane[at] = rig.joint.symbols[(image * height * width + at) * channels + c];
            for (size_t at = 0; at < height * width; at++) {
                size_t y = at / width;
                unsigned expected = agn_context_at(plane + y * width, y > 0 ? plane + (y - 1) * width : NULL,
                                                   (unsigned)(at % width), (unsigned)width);
                assert_int_equal(rig.joint.contexts[(image * height * width + at) * channels + c], expected);
            }
        }
    }
    close_rig(&rig);
}

/* ---- the gradient -------------------------------------------------------------------------------- */

/* sum_l a_l(x) bits_l in double precision. */
static double soft_bits(const struct agn_model *model, double temperature, double x, const float *bits)
{
    const float *c = model->centroids;
    double gap = ((double)c[AGN_LEVELS - 1] - (double)c[0]) / (AGN_LEVELS - 1), tau = temperature * gap * gap;
    double sum = 0.0, cost = 0.0;
    for (int l = 0; l < AGN_LEVELS; l++) {
        double a = exp(-(x - (double)c[l]) * (x - (double)c[l]) / tau);
        sum += a;
        cost += a * (double)bits[l];
    }
    return cost / sum;
}

static void gradient_equals_finite_differences(void **state)
{
    (void)state;
    enum { VALUES = 600 };
    static const float levels[AGN_LEVELS] = {0.0F, 0.1F, 0.3F, 0.5F, 0.9F, 1.4F, 2.0F, 3.1F};
    static const struct {
        const char *setting;
        double temperature;
    } cases[] = {{"joint.soft_temperature=0", 0.25}, {"joint.soft_temperature=1.5", 1.5}};
    for (size_t k = 0; k < AGN_COUNT_OF(cases); k++) {
        struct rig rig;
        struct agn_rng rng;
        float values[VALUES], diff[VALUES];
        uint8_t contexts[VALUES];
        open_rig(&rig, "joint.bits=0.5");
        struct agn_model *model = rig.trainer.model;
        assert_int_equal(agn_preset_set(&model->preset, cases[k].setting), AGN_OK);
        memcpy(model->centroids, levels, sizeof(levels));
        size_t channels = (size_t)model->sent_channels, table = channels * AGN_CONTEXTS * AGN_LEVELS;
        agn_rng_seed(&rng, 3);
        for (size_t i = 0; i < table; i++)
            rig.joint.bits[i] = (float)(10.0 * agn_rng_uniform(&rng));
        for (int i = 0; i < VALUES; i++) {
            values[i] = (float)(3.5 * agn_rng_uniform(&rng));
            contexts[i] = (uint8_t)agn_rng_below(&rng, AGN_CONTEXTS);
            diff[i] = 1.0F;
        }
        struct agn__priced priced = {values, contexts, rig.joint.bits, VALUES, false};
        agn__rate_gradient(model, &priced, 0.7, diff);
        for (size_t i = 0; i < VALUES; i++) {
            const float *bits = rig.joint.bits + (i % channels * AGN_CONTEXTS + contexts[i]) * AGN_LEVELS;
            double x = (double)values[i], h = 1e-5, t = cases[k].temperature;
            double slope = (soft_bits(model, t, x + h, bits) - soft_bits(model, t, x - h, bits)) / (2.0 * h);
            expect_near((double)diff[i] - 1.0, 0.7 * slope, 2e-3 * (1.0 + fabs(slope)));
        }
        /* Where a ReLU6 lets no gradient pass none is added; the others stay as they are. */
        for (int i = 0; i < VALUES; i += 3)
            values[i] = i % 2 == 0 ? 0.0F : 6.0F;
        float clamped[VALUES] = {0};
        priced.clamped = true;
        agn__rate_gradient(model, &priced, 0.7, clamped);
        for (int i = 0; i < VALUES; i++)
            expect_near((double)clamped[i], i % 3 == 0 ? 0.0 : (double)diff[i] - 1.0, 1e-5);
        close_rig(&rig);
    }
}

/* ---- training -------------------------------------------------------------------------------------- */

static struct agn_model *train_with(double bits, const struct tiny_dataset *data)
{
    struct agn_train_config config = {.train = &data->set, .test = &data->set};
    struct agn_train_report report;
    struct agn_model *model = NULL;
    tiny_preset_make(&config.preset);
    config.preset.reference.epochs = 1;
    config.preset.joint.epochs = 4;
    config.preset.joint.bits = bits;
    assert_int_equal(agn_train_run(&config, &model, &report), AGN_OK);
    print_message("bits weight %.1f: %.1f %% zeros, fused accuracy %.3f\n", bits,
                  100.0 * report.evaluation.level_share[0], report.evaluation.fused_accuracy);
    assert_true(report.evaluation.fused_accuracy > 0.8);
    return model;
}

/* Bits of the data's symbols by counts of their own. */
static double bits_of(struct agn_model *model, const struct tiny_dataset *data)
{
    struct agn_evaluation evaluation;
    double bits = 0.0;
    assert_int_equal(agn_model_evaluate(model, &data->set, &evaluation), AGN_OK);
    for (int l = 0; l < AGN_LEVELS; l++) {
        double share = evaluation.level_share[l];
        bits -= share > 0.0 ? share * log2(share) : 0.0;
    }
    return bits;
}

static void a_price_makes_symbols_cheaper(void **state)
{
    (void)state;
    struct tiny_dataset data;
    tiny_dataset_make(&data, 400, 1);
    struct agn_model *plain = train_with(0.0, &data), *priced = train_with(0.3, &data);
    double before = bits_of(plain, &data), after = bits_of(priced, &data);
    print_message("entropy of a symbol: %.3f bits, with the price %.3f\n", before, after);
    assert_true(after < 0.8 * before);
    agn_model_free(plain);
    agn_model_free(priced);
    tiny_dataset_free(&data);
}

static int setup(void **state)
{
    (void)state;
    agn_nn_set_threads(1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(independent_symbols_cost_their_entropy),
        cmocka_unit_test(predictable_symbols_cost_little),
        cmocka_unit_test(contexts_are_the_codecs),
        cmocka_unit_test(gradient_equals_finite_differences),
        cmocka_unit_test(a_price_makes_symbols_cheaper),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
