/* Looking at trained models: explanations of single images, the worst mistakes, what lost packets and 8-bit
 * inference cost. */
#ifndef AGILENN_MEASURE_H
#define AGILENN_MEASURE_H

#include "agilenn/plot.h"
#include "agilenn/train.h"

/* ---- explanations ------------------------------------------------------------------ */

struct agn_explain_config {
    struct agn_model *model; /* its networks are run, nothing in it changes */
    const struct agn_dataset *data;
    const int *images;  /* positions in `data`, or NULL: the first `count` */
    int count;          /* 1 to AGN_PLOT_MAX_ROWS */
    const char *method; /* of attribution, see agn_xai_method_from_name; NULL: the preset's */
    int points;         /* gradients on the line; 0: the preset's */
    const char *path;   /* of the PNG; NULL: figures only */
};

struct agn_explanation {
    int image, label;
    int reference_class, local_class, remote_class, fused_class;
    double fused_probability; /* softmax of the fused logits, of fused_class */
    double skewness;          /* share of importance of the first k channels */
    bool disordered;          /* some later channel outweighs one of the first k */
    bool reference_valid;     /* the reference sees the true class; else importance says little */
    /* Integrated gradients are complete: with enough points the sum is loss - loss_at_zero. */
    double attribution_sum, loss, loss_at_zero; /* of A; l(F); l(0), the reference's */
    float importance[AGN_MAX_FEATURES];         /* share of each channel; sums to 1 (to 0 where A is 0) */
};

/* Attributes the reference's loss at each image's true label to the feature map, fills
 * explanations[0..count) and draws the PNG (agn_plot_explanation). AGN_ERR_RANGE: no such image;
 * AGN_ERR_MISMATCH: images of another size or more classes than the model's; errors of agn_xai_create
 * and of plots. */
int agn_explain(const struct agn_explain_config *config, struct agn_explanation *explanations);

/* ---- completeness of integrated gradients ---------------------------------------------- */

enum { AGN_COMPLETENESS_ROWS = 8, AGN_COMPLETENESS_RULES = 3 };

struct agn_completeness {
    int images;
    double difference;                 /* mean |l(F) - l(0)| over the images */
    int points[AGN_COMPLETENESS_ROWS]; /* 1, 2, 4 ... 128 */
    /* Mean |sum of A - (l(F) - l(0))| as a share of `difference`, by trapezoid, midpoint and Gauss-Legendre;
     * NAN: the rule takes no such number of points, or there is no difference. */
    double gap[AGN_COMPLETENESS_ROWS][AGN_COMPLETENESS_RULES];
};

/* Measures it on the configuration's images; method, points and path are not looked at. Errors as of
 * agn_explain. */
int agn_explain_completeness(const struct agn_explain_config *config, struct agn_completeness *completeness);

/* ---- the worst mistakes ------------------------------------------------------------------ */

struct agn_mistake {
    int image, label, predicted; /* position in the data set, true class, the wrong one */
    double margin;               /* logit of the wrong class less that of the true one, >= 0 */
    double probability;          /* softmax of the logits, of the wrong class */
};

/* Room for the mistakes with the largest margins; `list` (of `capacity`) is the caller's. */
struct agn_mistakes {
    struct agn_mistake *list; /* the first `count`: largest margin first, of equals the one told first */
    int capacity, count;
    int found; /* all mistakes, kept or not */
};

/* Keeps the prediction if it is wrong and among the worst so far. Logits of `classes` classes. */
void agn_mistakes_add(struct agn_mistakes *mistakes, const struct agn_prediction *prediction, int classes);

/* ---- evaluation when packets are lost ------------------------------------------- */

enum { AGN_MOST_LOSSES = 16 };

struct agn_loss_plan {
    int packets;   /* of a frame, each a range of channels with random borders; at most one a channel */
    uint64_t seed; /* of borders and losses */
    int count;
    double loss[AGN_MOST_LOSSES]; /* chances that a packet is lost */
};
struct agn_loss_evaluation {
    int images, local_right;                                 /* local_right: without any server */
    int right[AGN_MOST_LOSSES], unanswered[AGN_MOST_LOSSES]; /* at each loss; nothing of the frame arrived */
};
/* Accuracy in float at each loss: lost channels are imputed by model->fill, and a frame of which nothing
 * arrives is decided locally. */
int agn_model_evaluate_loss(const struct agn_model *model, const struct agn_dataset *data,
                            const struct agn_loss_plan *plan, struct agn_loss_evaluation *evaluation);

/* ---- 8-bit inference ----------------------------------------------------------------- */

/* What computing the Remote NN in 8 bits costs. */
struct agn_int8_accuracy {
    int images;
    int fused[2], remote[2]; /* right answers: in floats, in 8 bits; extractor and Local NN in floats both */
    int same;                /* images for which both Remote NNs answer the same */
};

/* Over all images of `data`. AGN_ERR_UNSUPPORTED: no 8 bits here; AGN_ERR_MISMATCH: images of other size. */
int agn_int8_accuracy(const struct agn_model *model, const struct agn_dataset *data,
                      struct agn_int8_accuracy *accuracy);
/* Adds them to the list, as "int8.KEY". */
void agn_int8_figures(const struct agn_int8_accuracy *accuracy, struct agn_figures *figures);

#endif
