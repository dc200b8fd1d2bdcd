/* What of a model runs on the device, as layers of the device: extractor and Local NN, one after the other,
 * or one stage of the extractor and its exit after the other. */
#ifndef AGN_DEPLOY_NETWORK_H
#define AGN_DEPLOY_NETWORK_H

#include "agilenn/deploy.h"

/* One layer on its way from float to int8. */
struct agn__layer {
    enum agn_role role;               /* the part it is of */
    const struct agn_op_spec *op;     /* a convolution, or ADD */
    const struct agn_op_spec *bn;     /* behind a convolution */
    int result;                       /* operator of the part's graph that makes its result */
    int source[2];                    /* tensors: 0 is the image, i + 1 what layer i makes */
    int first, in_c;                  /* channels [first, first + in_c) of the source */
    int kernel, ic, oc;               /* ic: of a window; 1 for depthwise ones */
    double low, high, scale, sqnr_db; /* of its result */
    int zero_point;
    int8_t *weights;
    struct agn_model_channel *channels;
    struct agn_model_sum sum;
};

/* A pooling grid and a dense layer on channels [0, channels) of a tensor. */
struct agn__answer {
    enum agn_role role; /* the part that ends with it */
    int tensor, channels, grid;
    int8_t *weights;
    struct agn_model_channel *classes;
};

/* Where a stage of the extractor ends. */
struct agn__stage {
    int map;    /* tensor that it makes */
    int layers; /* so many are run to have the map and the answer of the stage's exit */
};

struct agn__network {
    const struct agn_model *model;
    struct agn__layer *layers; /* AGN_DEV_MAX_GRAPH_LAYERS */
    int layer_count;
    bool is_graph; /* more than a chain of the extractor's layers with a Local NN behind them */
    struct agn__stage stages[AGN_MAX_STAGES];
    int stage_count;
    int map; /* tensor that is sent, the last stage's; 0: nothing is */
    struct agn__answer answers[AGN_MAX_STAGES];
    int answer_count;
    int images; /* to calibrate on */
};

/* Finds the layers; AGN_ERR_UNSUPPORTED names what the device cannot run. agn__network_free takes any state.
 */
int agn__network_of(const struct agn_model *model, struct agn__network *network);
void agn__network_free(struct agn__network *network);
/* Ranges of all layers on images of `data`, and the scales that follow. */
int agn__calibrate(struct agn__network *network, const struct agn_dataset *data);

/* The stage, from 1, that the part is or whose exit it is; 1 of a Local NN without an extractor. */
int agn__stage_of(enum agn_role role);
static inline bool agn__is_exit(enum agn_role role)
{
    return role == agn_exit_role(agn__stage_of(role));
}

/* Scale and zero point of a tensor's channel; of the image those of a pixel less 128. */
void agn__tensor_steps(const struct agn__network *network, int tensor, int channel, double *scale,
                       int *zero_point);

#endif
