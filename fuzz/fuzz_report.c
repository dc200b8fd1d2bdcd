/* The body of POST /report: what is taken keeps the sums possible, what is refused leaves all as it was. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/truth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agn_monitor_truth total = {.predictions = 7, .correct = 6, .fallbacks = 5, .paused = 4};
    const struct agn_monitor_truth before = total;
    int status = agn__truth_add(&total, (const char *)data, size);
    if (status < 0 && memcmp(&total, &before, sizeof total) != 0)
        abort();
    if (total.predictions < before.predictions || total.correct < before.correct ||
        total.correct - before.correct > total.predictions - before.predictions ||
        total.fallbacks > total.predictions || total.paused > total.fallbacks)
        abort();
    return 0;
}
