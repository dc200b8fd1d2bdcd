/* Softmax cross-entropy of the engine: its passes against the double-precision reference. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agilenn/nn.h"
#include "net_check.h"
#include "reference_net.h"

enum { ROWS = 9, CLASSES = 13, COUNT = ROWS * CLASSES };

static const int32_t labels[ROWS] = {0, 12, -1, 5, 5, -7, 1, 2, 3};

static void passes(void **state)
{
    (void)state;
    float logits[COUNT], tangent[COUNT], prob[COUNT], loss[ROWS], diff[COUNT], diff_dot[COUNT];
    double wide_logits[COUNT], wide_tangent[COUNT], wide_prob[COUNT], wide_loss[ROWS], wide_diff[COUNT],
        wide_dot[COUNT];
    net_check_fill(logits, COUNT, 1);
    net_check_fill(tangent, COUNT, 2);
    for (int i = 0; i < COUNT; i++) {
        logits[i] *= 4.0F;
        wide_logits[i] = (double)logits[i];
        wide_tangent[i] = (double)tangent[i];
    }
    reference_ce_forward(wide_logits, labels, ROWS, CLASSES, wide_prob, wide_loss);
    agn_softmax_ce_forward(logits, labels, ROWS, CLASSES, prob, loss);
    net_check_close("softmax", "prob", prob, wide_prob, COUNT, 0.0, 2e-6);
    net_check_close("softmax", "loss", loss, wide_loss, ROWS, 0.0, 2e-6);
    agn_softmax_ce_forward(logits, labels, ROWS, CLASSES, diff, NULL);
    net_check_close("softmax", "prob without loss", diff, wide_prob, COUNT, 0.0, 2e-6);

    reference_ce_backward(wide_prob, labels, ROWS, CLASSES, 0.25, wide_diff);
    agn_softmax_ce_backward(prob, labels, ROWS, CLASSES, 0.25F, diff);
    net_check_close("softmax", "diff", diff, wide_diff, COUNT, 0.0, 2e-6);

    reference_ce_tangent_backward(wide_prob, labels, wide_tangent, ROWS, CLASSES, wide_dot);
    agn_softmax_ce_tangent_backward(prob, labels, tangent, ROWS, CLASSES, diff_dot);
    net_check_close("softmax", "tangent-backward", diff_dot, wide_dot, COUNT, 0.0, 4e-6);
}

/* Rows with a label < 0 count for nothing. */
static void skipped_rows(void **state)
{
    (void)state;
    const float logits[4] = {1.0F, 2.0F, 3.0F, -1.0F}, tangent[4] = {1.0F, -1.0F, 1.0F, 1.0F};
    const int32_t skip[2] = {-1, 1};
    float prob[4], loss[2], diff[4], diff_dot[4];
    agn_softmax_ce_forward(logits, skip, 2, 2, prob, loss);
    agn_softmax_ce_backward(prob, skip, 2, 2, 1.0F, diff);
    agn_softmax_ce_tangent_backward(prob, skip, tangent, 2, 2, diff_dot);
    assert_true(loss[0] == 0.0F && diff[0] == 0.0F && diff[1] == 0.0F);
    assert_true(diff_dot[0] == 0.0F && diff_dot[1] == 0.0F);
    assert_true(loss[1] > 3.9F && loss[1] < 4.1F);
    assert_true(fabsf(prob[0] + prob[1] - 1.0F) < 1e-6F); /* still a distribution */
}

/* Logits far apart: no overflow, no NaN, a loss that is right. */
static void extreme_logits(void **state)
{
    (void)state;
    const float logits[6] = {1e4F, -1e4F, 0.0F, -3e38F, 3e38F, 3e38F};
    const int32_t label[2] = {1, 1};
    float prob[6], loss[2], diff[6];
    agn_softmax_ce_forward(logits, label, 2, 3, prob, loss);
    assert_true(prob[0] == 1.0F && prob[1] == 0.0F && prob[2] == 0.0F);
    assert_true(loss[0] == 2e4F);
    assert_true(prob[3] == 0.0F && prob[4] == 0.5F && prob[5] == 0.5F);
    assert_true(isfinite(loss[1]));
    agn_softmax_ce_backward(prob, label, 2, 3, 1.0F, diff);
    assert_true(diff[0] == 1.0F && diff[1] == -1.0F && diff[4] == -0.5F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(passes), cmocka_unit_test(skipped_rows),
                                       cmocka_unit_test(extreme_logits)};
    return cmocka_run_group_tests_name("nn softmax cross-entropy", tests, NULL, NULL);
}
