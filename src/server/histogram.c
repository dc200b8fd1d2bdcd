/* Durations counted in buckets on a logarithmic scale; see include/agilenn/server.h. */
#include "server/histogram.h"

#include <math.h>

/* Twice the bound of two buckets before, so that no bound depends on rounding. */
static const double first_bounds_s[2] = {50e-6, 70.710678118654752e-6};

double agn_server_bucket_bound_s(int bucket)
{
    if (bucket >= AGN_SERVER_LATENCY_BUCKETS - 1)
        return INFINITY;
    return ldexp(first_bounds_s[bucket % 2], bucket / 2);
}

void agn__histogram_add(struct agn_server_histogram *histogram, double seconds)
{
    int low = 0, high = AGN_SERVER_LATENCY_BUCKETS - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (seconds <= agn_server_bucket_bound_s(middle))
            high = middle;
        else
            low = middle + 1;
    }
    histogram->buckets[low]++;
    histogram->count++;
    histogram->sum_s += seconds;
    if (seconds > histogram->max_s)
        histogram->max_s = seconds;
}

double agn_server_quantile_s(const struct agn_server_histogram *histogram, double quantile)
{
    double rank = quantile * (double)histogram->count, before = 0.0;
    for (int i = 0; i < AGN_SERVER_LATENCY_BUCKETS && histogram->count > 0; i++) {
        double here = (double)histogram->buckets[i];
        if (here > 0.0 && before + here >= rank) {
            double low = i > 0 ? agn_server_bucket_bound_s(i - 1) : 0.0;
            double high = fmin(agn_server_bucket_bound_s(i), histogram->max_s);
            return high > low ? low + (high - low) * fmax(rank - before, 0.0) / here : high;
        }
        before += here;
    }
    return 0.0;
}
