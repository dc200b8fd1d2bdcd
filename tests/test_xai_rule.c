/* Integration rules: known points, sums of weights, and the polynomials that each rule integrates exactly. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "xai/integration_rule.h"

static struct agn__integration_rule make(enum agn_xai_method method, int points)
{
    struct agn__integration_rule rule;
    if (agn__integration_rule_make(method, points, &rule) < 0)
        fail_msg("%d points: %s", points, agn_error_message());
    return rule;
}

static void expect_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance))
        fail_msg("%.17g, expected %.17g", got, expected);
}

/* The rule's value of the integral of t^degree from 0 to 1. */
static double integrate_power(const struct agn__integration_rule *rule, int degree)
{
    double sum = degree == 0 ? rule->baseline_weight : 0.0;
    for (int j = 0; j < rule->points; j++)
        sum += rule->weight[j] * pow(rule->t[j], degree);
    return sum;
}

/* Abramowitz & Stegun, table 25.4: positive abscissas on [-1, 1], from the largest, and weights. */
static void gauss_legendre_as_in_the_table(void **state)
{
    (void)state;
    static const struct {
        int points;
        double x[5], weight[5];
    } table[] = {
        {2, {0.577350269189626}, {1}},
        {3, {0.774596669241483, 0}, {0.555555555555556, 0.888888888888889}},
        {4, {0.861136311594053, 0.339981043584856}, {0.347854845137454, 0.652145154862546}},
        {5,
         {0.906179845938664, 0.538469310105683, 0},
         {0.236926885056189, 0.478628670499366, 0.568888888888889}},
        {10,
         {0.973906528517172, 0.865063366688985, 0.679409568299024, 0.433395394129247, 0.148874338981631},
         {0.066671344308688, 0.149451349150581, 0.219086362515982, 0.269266719309996, 0.295524224714753}},
    };
    for (size_t i = 0; i < AGN_COUNT_OF(table); i++) {
        int m = table[i].points;
        struct agn__integration_rule rule = make(AGN_XAI_IG_GAUSS_LEGENDRE, m);
        assert_int_equal(rule.points, m);
        for (int j = 0; j < (m + 1) / 2; j++) {
            expect_near(rule.t[j], 0.5 - 0.5 * table[i].x[j], 1e-15);
            expect_near(rule.t[m - 1 - j], 0.5 + 0.5 * table[i].x[j], 1e-15);
            expect_near(rule.weight[j], 0.5 * table[i].weight[j], 1e-15);
            expect_near(rule.weight[m - 1 - j], 0.5 * table[i].weight[j], 1e-15);
        }
    }
}

/* Exact up to degree 2 m - 1, not beyond; points ascend within (0, 1), weights are positive. */
static void gauss_legendre_with_any_number_of_points(void **state)
{
    (void)state;
    for (int m = 1; m <= AGN_XAI_MAX_POINTS; m++) {
        struct agn__integration_rule rule = make(AGN_XAI_IG_GAUSS_LEGENDRE, m);
        assert_true(rule.points == m && rule.baseline_weight == 0.0 && rule.times_input);
        for (int j = 0; j < m; j++) {
            assert_true(rule.t[j] > (j == 0 ? 0.0 : rule.t[j - 1]) && rule.t[j] < 1.0);
            assert_true(rule.weight[j] > 0.0);
        }
        for (int degree = 0; degree < 2 * m; degree++)
            expect_near(integrate_power(&rule, degree), 1.0 / (degree + 1), 1e-13);
        if (m <= 8) { /* the first miss shrinks with m; it is (m!)^4 / ((2m + 1) (2m)!^2) */
            double miss = pow(tgamma(m + 1), 4) / ((2 * m + 1) * pow(tgamma(2 * m + 1), 2));
            expect_near(1.0 / (2 * m + 1) - integrate_power(&rule, 2 * m), miss, 1e-3 * miss + 1e-15);
        }
    }
}

static void the_simple_rules(void **state)
{
    (void)state;
    static const int counts[] = {2, 3, 7, 128};
    for (size_t i = 0; i < AGN_COUNT_OF(counts); i++) {
        struct agn__integration_rule trapezoid = make(AGN_XAI_IG_TRAPEZOID, counts[i]);
        struct agn__integration_rule midpoint = make(AGN_XAI_IG_MIDPOINT, counts[i]);
        assert_int_equal(trapezoid.points, counts[i] - 1); /* and the one at 0 */
        assert_int_equal(midpoint.points, counts[i]);
        assert_true(trapezoid.baseline_weight > 0.0 && midpoint.baseline_weight == 0.0);
        assert_true(trapezoid.t[counts[i] - 2] == 1.0);
        for (int degree = 0; degree < 2; degree++) {
            expect_near(integrate_power(&trapezoid, degree), 1.0 / (degree + 1), 1e-14);
            expect_near(integrate_power(&midpoint, degree), 1.0 / (degree + 1), 1e-14);
        }
    }
    struct agn__integration_rule two = make(AGN_XAI_IG_TRAPEZOID, 2); /* the public code's */
    assert_true(two.points == 1 && two.baseline_weight == 0.5 && two.weight[0] == 0.5 && two.t[0] == 1.0);
    struct agn__integration_rule product = make(AGN_XAI_GRADIENT_X_INPUT, 77);
    struct agn__integration_rule plain = make(AGN_XAI_GRADIENT, 77);
    assert_true(product.points == 1 && product.t[0] == 1.0 && product.weight[0] == 1.0);
    assert_true(plain.points == 1 && plain.t[0] == 1.0 && plain.weight[0] == 1.0);
    assert_true(product.times_input && !plain.times_input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gauss_legendre_as_in_the_table),
        cmocka_unit_test(gauss_legendre_with_any_number_of_points),
        cmocka_unit_test(the_simple_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
