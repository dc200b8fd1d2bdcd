/* The figures of a training by images trained on, read from its metrics.jsonl, for plots. */
#ifndef AGN_PLOT_METRICS_FILE_H
#define AGN_PLOT_METRICS_FILE_H

#include "agilenn/base.h"

enum agn__series { AGN__ACCURACY, AGN__SKEWNESS, AGN__VALID, AGN__DISORDER, AGN__LOSS, AGN__SERIES };

struct agn__metrics_point {
    bool joint;                         /* of joint training, or the Remote NN's; not of phase 1 */
    double images, values[AGN__SERIES]; /* NAN: not measured in this phase */
};

/* Accuracy on the validation images. */
struct agn__metrics_validation {
    bool joint;
    double images, accuracy;
};

struct agn__metrics {
    struct agn__metrics_point *points; /* images ascend */
    int count, capacity;
    struct agn__metrics_validation *validations; /* images ascend */
    int validation_count, validation_capacity;
    bool imitation; /* phase 1 was imitation of a stem */
};

/* Where a resumed training repeats steps, the later lines count. AGN_ERR_FORMAT names the line that is not as
 * expected. At least one point on success; to be freed in any case. */
int agn__metrics_read(const char *path, struct agn__metrics *metrics);
void agn__metrics_free(struct agn__metrics *metrics);

#endif
