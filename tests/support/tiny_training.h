/* A data set of small images that a small network learns in a second, and a preset for it. */
#ifndef AGN_TEST_TINY_TRAINING_H
#define AGN_TEST_TINY_TRAINING_H

#include "agilenn/train.h"

enum { TINY_SIDE = 12, TINY_CLASSES = 3 };

struct tiny_dataset {
    struct agn_dataset set;
};

/* Noisy grey images of an upright bar, a level bar, or a pattern of slanted stripes. Exits when out of
 * memory. */
void tiny_dataset_make(struct tiny_dataset *tiny, int count, uint64_t seed);
void tiny_dataset_free(struct tiny_dataset *tiny);

/* For such images: 6 x 6 x 8 features, of which 2 channels stay. */
void tiny_preset_make(struct agn_preset *preset);

#endif
