/* From a trained model to the int8 device model, and to C sources around it. */
#ifndef AGILENN_DEPLOY_H
#define AGILENN_DEPLOY_H

#include "agilenn/model.h"
#include "agilenn/model_agn.h"

/* ---- int8 device model ---------------------------------------------------------- */

/* Can the device run the model's extractor and Local NN? AGN_ERR_UNSUPPORTED names the layer that does not
 * fit, and the limit. */
int agn_deploy_check(const struct agn_model *model);

struct agn_quantisation_report {
    int layer_count;
    struct {
        double low, high;      /* calibrated range of the layer's result */
        double scale;          /* real value of one step */
        double weight_sqnr_db; /* signal to quantisation noise of the weights */
    } layers[AGN_DEV_MAX_GRAPH_LAYERS];
    int calibration_images;
};

/* Quantises extractor and Local NN after training: weights symmetric int8 per output channel,
 * activations affine int8 per tensor with the range seen on `images` images of `calibration`
 * (0 = 1024). `*bytes` is a checked model.agn, freed with agn_free. `report` may be NULL.
 * AGN_ERR_UNSUPPORTED: what agn_deploy_check says;
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
 * of a device model (changed in place) is right for a share
 * `confidence`, 0 to 1, of the images: at most (1 - confidence) (n + 1) - 1 wrong of n, the one more being
 * for the frame to come. `report` may be NULL. Errors of agn_hosted_check_data; AGN_ERR_ARG. */
int agn_deploy_confidence(uint8_t *bytes, size_t size_bytes, const struct agn_dataset *data,
                          double confidence, struct agn_confidence_report *report);

/* A device model with a margin for each class, as agn_send_decision_learn finds them, in place of what it
 * had:
 * `*result`, freed with agn_free, has as many bytes more as a table of them takes. Errors of
 * agn_hosted_check; AGN_ERR_UNSUPPORTED: no Local NN; AGN_ERR_ARG: another number of classes, or a margin
 * above 32767. */
int agn_deploy_margins(const uint8_t *bytes, size_t size_bytes, const uint16_t *margins, int classes,
                       uint8_t **result, size_t *result_bytes);

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

#endif
