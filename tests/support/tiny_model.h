/* Small data sets in memory and small split models on them, for tests of what comes after training. */
#ifndef AGN_TEST_TINY_MODEL_H
#define AGN_TEST_TINY_MODEL_H

#include "agilenn/train.h"

struct tiny_config {
    const char *extractor;
    int height, width, channels;
    int local_channels, grid, classes;
    bool logits_bn;
};

/* The preset of a configuration, with small reference and Remote NN and `seed`. */
void tiny_preset(const struct tiny_config *config, int seed, struct agn_preset *preset);

/* Images of soft blobs and noise, `count` of them; label = the blob's kind. Freed with agn_dataset_free. */
struct agn_dataset *tiny_dataset(const struct tiny_config *config, int count, uint64_t seed);

/* An untrained model whose BN statistics are those of the data, and whose BN scales, shifts and dense
 * layers are random: features lie in 0..6, some clipped at either end. Ends the test on failure. */
struct agn_model *tiny_random_model(const struct tiny_config *config, const struct agn_dataset *data,
                                    int seed);

/* Trained for a moment. Freed with agn_model_free. */
struct agn_model *tiny_trained_model(const struct tiny_config *config, const struct agn_dataset *train,
                                     const struct agn_dataset *test, int seed);

#endif
