/* What systems build models of. */
#ifndef AGN_SYSTEMS_PARTS_H
#define AGN_SYSTEMS_PARTS_H

#include "agilenn/model.h"

/* The rows of agn_systems. */
extern const struct agn_system agn__system_agilenn, agn__system_edge_only, agn__system_local_only,
    agn__system_spinn, agn__system_deepcod;

/* Each gives AGN_OK or a failure that names the preset's setting. */

/* model.extractor on the image, as a device computes it where `device`; sets model->map. */
int agn__build_extractor(struct agn_model *model, bool device);
/* The same as stages, one behind the other, for a device. */
int agn__build_stages(struct agn_model *model);
/* model.local, a pooling grid and a dense layer on the first channels of model->map, those that
 * model->sent_channels leaves. */
int agn__build_local(struct agn_model *model);
/* The same on all channels of each stage's map, by that stage's part of model.local. */
int agn__build_exits(struct agn_model *model);

struct agn__classifier {
    const char *text; /* the network, as presets describe it */
    double width;     /* of its channels */
    bool logits_bn;
};
/* The network, global average pooling if it lacks it, and the logits, behind operator `op` of the graph. */
int agn__append_classifier(struct agn_model *model, enum agn_role role, int op,
                           const struct agn__classifier *classifier);
/* The same as the whole graph. */
int agn__build_classifier(struct agn_model *model, enum agn_role role, struct agn_shape input,
                          const struct agn__classifier *classifier);

/* agn_system's `expand` of rows of a map (or image) that went as bytes do (agn_pixels_shape): (byte - mean) /
 * std by turns over `channels` channels; a run that never came is 0. Rows that lack one. */
int agn__expand_bytes(struct agn_shape map, const struct agn_map_shape *shape,
                      const struct agn_normalisation *by, int channels, const uint8_t *symbols,
                      float *features);

/* Of images that are sent pixel by pixel: `sent_shape`, which needs no model, (h, w, c), `expand` by the
 * normalisation of training, where a run that never came is 0, the mean, and `feature_limit`. */
int agn__pixels_shape(const struct agn_preset *preset, struct agn_map_shape *shape);
struct agn_shape agn__image_shape(const struct agn_preset *preset);
int agn__expand_pixels(const struct agn_model *model, const uint8_t *symbols, float *features);
float agn__pixels_limit(const struct agn_model *model);

/* The symbols of all channels of the map but the first, which stay. */
int agn__sent_map(const struct agn_model *model, struct agn_map_shape *shape);
/* Puts the setting that describes a network into the message of a failure. */
int agn__explain_network(int status, const char *setting);

#endif
