/* Mean and interval of a few measurements. */
#include <math.h>

#include "agilenn/base.h"
#include "agilenn/figures.h"

/* Student's t of 97.5 %, by degrees of freedom. */
static double student(int freedom)
{
    static const double exact[] = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060,
                                   2.2622,  2.2281, 2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199,
                                   2.1098,  2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639,
                                   2.0595,  2.0555, 2.0518, 2.0484, 2.0452, 2.0423};
    const double z = 1.959964;
    if (freedom <= (int)AGN_COUNT_OF(exact))
        return exact[freedom - 1];
    /* Cornish and Fisher's expansion, right to five digits from here on. */
    return z + (pow(z, 3) + z) / (4.0 * freedom) +
           (5.0 * pow(z, 5) + 16.0 * pow(z, 3) + 3.0 * z) / (96.0 * freedom * freedom);
}

/* Wilson (1927): of a share of n images. */
static void wilson(double share, int n, double *low, double *high)
{
    const double z = 1.959964, d = 1.0 + z * z / n, middle = share + z * z / (2.0 * n);
    const double half = z * sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n));
    *low = fmax((middle - half) / d, 0.0);
    *high = fmin((middle + half) / d, 1.0);
}

struct agn_statistic agn_statistic_of(const double *values, int count, int images)
{
    struct agn_statistic s = {.mean = NAN, .low = NAN, .high = NAN};
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < count; i++)
        if (isfinite(values[i])) {
            sum += values[i];
            s.n++;
        }
    if (s.n == 0)
        return s;
    s.mean = sum / s.n;
    for (int i = 0; i < count; i++)
        if (isfinite(values[i]))
            squares += (values[i] - s.mean) * (values[i] - s.mean);
    if (s.n > 1) {
        double half = student(s.n - 1) * sqrt(squares / (s.n - 1)) / sqrt((double)s.n);
        s.low = s.mean - half;
        s.high = s.mean + half;
    } else if (images > 0 && s.mean >= 0.0 && s.mean <= 1.0) {
        wilson(s.mean, images, &s.low, &s.high);
    }
    return s;
}
