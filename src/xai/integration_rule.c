/* The integration rules of the attribution methods: trapezoid, midpoint, Gauss-Legendre, one point at F. */
#include "xai/integration_rule.h"

#include <math.h>

static int check_points(const char *rule, int points, int least)
{
    if (points < least || points > AGN_XAI_MAX_POINTS) {
        return agn_fail(AGN_ERR_RANGE, "the %s rule takes %d to %d points, not %d%s", rule, least,
                        AGN_XAI_MAX_POINTS, points,
                        points == 1 ? "; ig-midpoint and ig-gauss-legendre take 1" : "");
    }
    return AGN_OK;
}

static void trapezoid(int points, struct agn__integration_rule *rule)
{
    double intervals = points - 1;
    rule->baseline_weight = 0.5 / intervals;
    rule->points = points - 1;
    for (int j = 1; j < points; j++) {
        rule->t[j - 1] = j / intervals;
        rule->weight[j - 1] = (j == points - 1 ? 0.5 : 1.0) / intervals;
    }
}

static void midpoint(int points, struct agn__integration_rule *rule)
{
    rule->points = points;
    for (int j = 0; j < points; j++) {
        rule->t[j] = (j + 0.5) / points;
        rule->weight[j] = 1.0 / points;
    }
}

/* P_m(x) of Legendre by its recurrence, and the derivative. */
static double legendre(int m, double x, double *slope)
{
    double before = 1.0, value = x;
    for (int n = 2; n <= m; n++) {
        double next = ((2 * n - 1) * x * value - (n - 1) * before) / n;
        before = value;
        value = next;
    }
    *slope = m * (x * value - before) / (x * x - 1.0);
    return value;
}

/* Nodes are the roots of P_m, found by Newton's method from Tricomi's approximation, in which no two
 * starts fall to the same root; by symmetry only one half is searched. On [0, 1]: t = (1 + x) / 2, and
 * the weights 2 / ((1 - x^2) P_m'(x)^2) halve. */
static void gauss_legendre(int points, struct agn__integration_rule *rule)
{
    static const double pi = 3.14159265358979323846;
    rule->points = points;
    for (int j = 0; j < (points + 1) / 2; j++) {
        double x = cos(pi * (j + 0.75) / (points + 0.5)), slope = 0.0, step = 1.0;
        for (int round = 0; round < 100 && fabs(step) > 1e-15; round++) {
            step = legendre(points, x, &slope) / slope;
            x -= step;
        }
        legendre(points, x, &slope);
        double weight = 1.0 / ((1.0 - x * x) * slope * slope);
        rule->t[j] = 0.5 * (1.0 - x);
        rule->t[points - 1 - j] = 0.5 * (1.0 + x);
        rule->weight[j] = rule->weight[points - 1 - j] = weight;
    }
}

static void at_features(struct agn__integration_rule *rule)
{
    rule->points = 1;
    rule->t[0] = rule->weight[0] = 1.0;
}

int agn__integration_rule_make(enum agn_xai_method method, int points, struct agn__integration_rule *rule)
{
    int status = AGN_OK;
    *rule = (struct agn__integration_rule){.times_input = method != AGN_XAI_GRADIENT};
    switch (method) {
    case AGN_XAI_IG_TRAPEZOID:
        status = check_points("trapezoidal", points, 2);
        if (status == AGN_OK)
            trapezoid(points, rule);
        return status;
    case AGN_XAI_IG_MIDPOINT:
        status = check_points("midpoint", points, 1);
        if (status == AGN_OK)
            midpoint(points, rule);
        return status;
    case AGN_XAI_IG_GAUSS_LEGENDRE:
        status = check_points("Gauss-Legendre", points, 1);
        if (status == AGN_OK)
            gauss_legendre(points, rule);
        return status;
    case AGN_XAI_GRADIENT_X_INPUT:
    case AGN_XAI_GRADIENT:
        at_features(rule);
        return AGN_OK;
    }
    return agn_fail(AGN_ERR_ARG, "unknown attribution method %d", (int)method);
}
