/* From a trained model to its two ends: the int8 device model and the Remote NN of the server. */
#ifndef AGILENN_DEPLOY_H
#define AGILENN_DEPLOY_H

#include "agilenn/model_agn.h"
#include "agilenn/train.h"

/* 32-bit number of everything that device and server must agree on: CRC-32 of the
 * parameters of extractor and Remote NN, centroids, alpha and shapes. Device and server refuse to work with
 * another's. */
uint32_t agn_model_id(const struct agn_model *model);

/* ---- int8 device model ---------------------------------------------------------- */

/* Can the device run this extractor? AGN_ERR_UNSUPPORTED names the layer that does not fit, and the limit. */
int agn_deploy_check(const struct agn_graph *extractor);

struct agn_quantisation_report {
    int layer_count;
    struct {
        double low, high;      /* calibrated range of the layer's result */
        double scale;          /* real value of one step */
        double weight_sqnr_db; /* signal to quantisation noise of the weights */
    } layers[AGN_DEV_MAX_LAYERS];
    int calibration_images;
};

/* Quantises extractor and Local NN after training: weights symmetric int8 per output channel,
 * activations affine int8 per tensor with the range seen on `images` images of `calibration`
 * (0 = 1024). `*bytes` is a checked model.agn, freed with agn_free. `report` may be NULL.
 * AGN_ERR_UNSUPPORTED: an extractor that is no chain of convolutions with BN, or too long;
 * AGN_ERR_MISMATCH: images of another size; AGN_ERR_RANGE: a parameter that is infinite or no number. */
int agn_deploy_device(const struct agn_model *model, const struct agn_dataset *calibration, int images,
                      uint8_t **bytes, size_t *size_bytes, struct agn_quantisation_report *report);

struct agn_confidence_report {
    int images;
    int margin;           /* put into the model; 0: the device is never sure */
    double sure_accuracy; /* of the local prediction on the images with at least that margin; 0: there are
                             none */
    double sure_share;    /* share of such images */
};

/* Calibrates agn_dev_is_sure: sets the smallest margin of the local logits from which on the local prediction
 * of a device model (4-byte aligned, as of agn_deploy_device; changed in place) is right for a share
 * `confidence`, 0 to 1, of the images: at most (1 - confidence) (n + 1) - 1 wrong of n, the one more being
 * for the frame to come. `report` may be NULL. AGN_ERR_MISMATCH: images of another size; AGN_ERR_ARG. */
int agn_deploy_confidence(uint8_t *bytes, size_t size_bytes, const struct agn_dataset *data,
                          double confidence, struct agn_confidence_report *report);

/* A checked model.agn as C sources. */
struct agn_c_source {
    const char *folder; /* made if it is not there */
    const char *prefix; /* of all that belongs to the model, as "face" in face_model_data.h; NULL: "agn" */
    const uint8_t *bytes;
    size_t size_bytes;
    const char *const *class_names; /* as many as the model has */
};
struct agn_c_source_report {
    int files, replaced, removed; /* written; of these, there before; of an earlier export, there no more */
    int strangers;     /* C files in the folders of the export which no export is known to have written: build
                          systems take them, too */
    char stranger[64]; /* one of these, cut if need be */
};

/* Writes runtime, model, sizes, class names, a test vector, examples and build files. Of an earlier export in
 * the same folder nothing stays; other files are left alone. AGN_ERR_ARG: the prefix is no C identifier of at
 * most 32 characters. `report` may be NULL. */
int agn_deploy_c_source(const struct agn_c_source *source, struct agn_c_source_report *report);

/* ---- Remote NN -------------------------------------------------------------------- */

struct agn_remote;

/* 0 asks for the default in brackets. */
struct agn_remote_config {
    const struct agn_remote *weights_of; /* of the same model: packed weights are shared with it, which takes
                                            memory once only; not created at the same time [a copy] */
    int threads;   /* of one call [agn_nn_threads()]; a server with several workers gives each one thread */
    int max_batch; /* frames computed together; more in one call are no error [32] */
    bool
        int8; /* in 8-bit integers, see agilenn/inference.h: AGN_ERR_UNSUPPORTED where that is not possible */
};

/* The Remote NN planned for up to max_batch frames at once, one by one included. It takes what it needs from
 * `model`. `config` NULL, and agn_remote_create: the defaults, in floats. */
int agn_remote_create_as(const struct agn_model *model, const struct agn_remote_config *config,
                         struct agn_remote **remote);
int agn_remote_create(const struct agn_model *model, struct agn_remote **remote);
void agn_remote_free(struct agn_remote *remote);

/* features (count, h, w, sent channels) -> logits (count, classes). Of the type that the server's
 * `infer` wants: `remote` is a struct agn_remote. One call at a time for each remote. */
int agn_remote_infer(void *remote, const float *features, int count, float *logits);

/* Times calls of `count` frames for some 20 ms: *seconds of one call, the median. What is measured is the
 * machine as busy as it is just then. */
int agn_remote_measure(struct agn_remote *remote, int count, double *seconds);
/* How many of its layers run in reference code: the libraries have none for this processor. */
int agn_remote_reference_layers(const struct agn_remote *remote);

/* What computing the Remote NN in 8 bits costs. */
struct agn_int8_accuracy {
    int images;
    int fused[2], remote[2]; /* right answers: in floats, in 8 bits; extractor and Local NN in floats both */
    int same;                /* images for which both Remote NNs answer the same */
};

/* Over all images of `data`. AGN_ERR_UNSUPPORTED: no 8 bits here; AGN_ERR_MISMATCH: images of another size.
 */
int agn_int8_accuracy(const struct agn_model *model, const struct agn_dataset *data,
                      struct agn_int8_accuracy *accuracy);

#endif
