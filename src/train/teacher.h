/* A trained network on whole images from which others learn (Hinton et al. 2015). */
#ifndef AGN_TRAIN_TEACHER_H
#define AGN_TRAIN_TEACHER_H

#include "agilenn/model.h"

/* Of the setting joint.teacher; all NULL without it. */
struct agn__teacher {
    struct agn_model *model;
    struct agn_net *net; /* its Remote NN, frozen, on the images themselves */
    int batch;
    /* From a pixel as the student's images are normalised to one as the teacher's are, by channel. */
    float scale[AGN_MAX_CHANNELS], shift[AGN_MAX_CHANNELS];
};

/* AGN_OK without a teacher. AGN_ERR_ARG: the file holds no network on images (system edge-only);
 * AGN_ERR_MISMATCH: other classes, or images of another size; errors of agn_model_load. To be closed also
 * after a failure. */
int agn__teacher_open(const struct agn_model *student, int batch, struct agn__teacher *teacher);
void agn__teacher_close(struct agn__teacher *teacher);
/* Logits (batch, classes) of these images (batch, height, width, channels), normalised as the student's;
 * valid until the next call. NULL in *logits without a teacher. */
int agn__teacher_ask(struct agn__teacher *teacher, const float *images, const float **logits);

/* Copies the teacher's weights to the last layers of the model's part, as many as have the shapes of its last
 * ones: their number of parameters. AGN_ERR_MISMATCH: none has. */
int agn__teacher_lend(const struct agn__teacher *teacher, const struct agn_part *part, const char *name);

#endif
