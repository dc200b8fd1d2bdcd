/* Where on the line from the zero baseline to F gradients are taken, and with which weights. */
#ifndef AGN_XAI_INTEGRATION_RULE_H
#define AGN_XAI_INTEGRATION_RULE_H

#include "agilenn/xai.h"

struct agn__integration_rule {
    int points;                                               /* with t > 0, ascending */
    double t[AGN_XAI_MAX_POINTS], weight[AGN_XAI_MAX_POINTS]; /* t in (0, 1] */
    double baseline_weight; /* of the point t = 0; 0: the rule has none there */
    bool times_input;       /* attributions are features times gradients, not gradients alone */
};

/* The weights, that of the baseline included, add up to 1. AGN_ERR_RANGE: a number of points that the rule
 * does not take. */
int agn__integration_rule_make(enum agn_xai_method method, int points, struct agn__integration_rule *rule);

#endif
