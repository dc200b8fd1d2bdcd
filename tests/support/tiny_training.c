/* See tiny_training.h. */
#include "tiny_training.h"

#include <stdio.h>
#include <stdlib.h>

static char *class_names[] = {"left", "right", "edge"};

void tiny_dataset_make(struct tiny_dataset *tiny, int count, uint64_t seed)
{
    struct agn_rng rng;
    agn_rng_seed(&rng, seed);
    tiny->set = (struct agn_dataset){.count = count,
                                     .height = TINY_SIDE,
                                     .width = TINY_SIDE,
                                     .channels = 1,
                                     .classes = TINY_CLASSES,
                                     .pixels = calloc((size_t)count, TINY_SIDE * TINY_SIDE),
                                     .labels = calloc((size_t)count, sizeof(uint16_t)),
                                     .class_names = class_names};
    if (tiny->set.pixels == NULL || tiny->set.labels == NULL) {
        fprintf(stderr, "tiny_dataset_make: out of memory\n");
        exit(2);
    }
    for (int i = 0; i < count; i++) {
        uint8_t *image = tiny->set.pixels + (size_t)i * TINY_SIDE * TINY_SIDE;
        int label = i % TINY_CLASSES, at = 2 + (int)agn_rng_below(&rng, TINY_SIDE - 4);
        tiny->set.labels[i] = (uint16_t)label;
        for (int p = 0; p < TINY_SIDE * TINY_SIDE; p++) {
            int y = p / TINY_SIDE, x = p % TINY_SIDE;
            bool bright = label == 0   ? x == at || x == at + 1
                          : label == 1 ? y == at || y == at + 1
                                       : (x + y) % 4 < 2;
            image[p] = (uint8_t)((bright ? 150 : 30) + (int)agn_rng_below(&rng, 100));
        }
    }
}

void tiny_dataset_free(struct tiny_dataset *tiny)
{
    free(tiny->set.pixels);
    free(tiny->set.labels);
    tiny->set.pixels = NULL;
    tiny->set.labels = NULL;
}

void tiny_preset_make(struct agn_preset *preset)
{
    static const char *const settings[] = {"data.height=12",
                                           "data.width=12",
                                           "data.classes=3",
                                           "model.extractor=conv:c6:s2 conv:c8",
                                           "model.reference=conv:c12 mb:c12:e2 conv:c16:s2",
                                           "model.remote=conv:c12 conv:c16:s2",
                                           "model.local_channels=2",
                                           "model.grid=2",
                                           "train.batch=32",
                                           "reference.epochs=3",
                                           "joint.epochs=6"};
    agn_preset_defaults(preset);
    snprintf(preset->name, sizeof(preset->name), "tiny");
    for (size_t i = 0; i < AGN_COUNT_OF(settings); i++) {
        if (agn_preset_set(preset, settings[i]) < 0) {
            fprintf(stderr, "tiny_preset_make: %s\n", agn_error_message());
            exit(2);
        }
    }
}
