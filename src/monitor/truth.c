/* Reads reports; a report with one wrong figure changes nothing. */
#include "monitor/truth.h"

#include <jansson.h>

#include "agilenn/base.h"

/* Far above what a second brings, and so low that sums never overflow in the life of a server. */
static const json_int_t MAX_COUNT = 1000000000;

int agn__truth_add(struct agn_monitor_truth *total, const char *text, size_t size_bytes)
{
    json_int_t predictions, correct, fallbacks, paused = 0;
    json_t *report = json_loadb(text, size_bytes, JSON_REJECT_DUPLICATES, NULL);
    int failed = report ? json_unpack(report, "{s:I, s:I, s:I, s?I !}", "predictions", &predictions,
                                      "correct", &correct, "fallbacks", &fallbacks, "paused", &paused)
                        : -1;
    json_decref(report);
    if (failed)
        return agn_fail(AGN_ERR_FORMAT, "expected {\"predictions\": N, \"correct\": N, \"fallbacks\": N}");
    if (predictions < 0 || predictions > MAX_COUNT || correct < 0 || correct > predictions || fallbacks < 0 ||
        fallbacks > predictions || paused < 0 || paused > fallbacks)
        return agn_fail(AGN_ERR_RANGE,
                        "expected correct and fallbacks of 0 to predictions, paused of 0 to fallbacks, and "
                        "predictions up to %d",
                        (int)MAX_COUNT);
    total->predictions += (uint64_t)predictions;
    total->correct += (uint64_t)correct;
    total->fallbacks += (uint64_t)fallbacks;
    total->paused += (uint64_t)paused;
    return 0;
}
