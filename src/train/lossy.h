/* Predictions in float when packets are lost, for whoever looks at them. */
#ifndef AGN_TRAIN_LOSSY_H
#define AGN_TRAIN_LOSSY_H

#include "train/train_internal.h"

/* One image under one of the losses. */
struct agn__lossy_image {
    int number, draw;            /* of the image in the data set's order; of the loss */
    int came;                    /* channels that arrived */
    const float *local, *remote; /* logits; remote means nothing when nothing came */
    int32_t label;
};

struct agn__lossy {
    const struct agn_model *model;
    int images, draws; /* at most so many images (0: all), each under so many losses */
    bool shuffle;      /* data sets may stand class by class */
    /* lost[channel] becomes 0 or 1. */
    void (*draw)(void *user, int image, int draw, uint8_t *lost);
    void (*see)(void *user, const struct agn__lossy_image *image);
    void *user;
};

/* Runs the networks: what is lost is imputed by model->fill. */
int agn__run_lossy(const struct agn__lossy *lossy, const struct agn_dataset *data);

#endif
