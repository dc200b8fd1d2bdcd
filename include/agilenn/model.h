/* The split model: its parts, its files, and what computes with it.
 *
 * A model is an extractor (image -> F, h x w x C), a Local NN on the first k channels of F, a
 * quantiser and a Remote NN on the others, the weight alpha of the local prediction, and the
 * frozen reference network that measures importance while training. */
#ifndef AGILENN_MODEL_H
#define AGILENN_MODEL_H

#include "agilenn/data.h"
#include "agilenn/nn.h"
#include "agilenn/preset.h"
#include "agn_wire.h"

enum { AGN_MAX_FEATURES = 255, AGN_MODEL_DISTRIBUTIONS = 64, AGN_MAX_CLASSES = 1000, AGN_MAX_STAGES = 3 };

/* ---- the model ------------------------------------------------------------- */

/* What a network is for, in the order in which files hold them: the reference last, those before it are what
 * joint training makes and averages. An extractor may have further stages, each with an exit as the Local NN
 * is the first one's. */
enum agn_role {
    AGN_EXTRACTOR,
    AGN_LOCAL,
    AGN_REMOTE,
    AGN_STAGE_2,
    AGN_EXIT_2,
    AGN_STAGE_3,
    AGN_EXIT_3,
    AGN_REFERENCE,
    AGN_ROLES
};

/* The networks of a stage and of its exit; stages count from 1. */
static inline enum agn_role agn_stage_role(int stage)
{
    return stage == 1 ? AGN_EXTRACTOR : (enum agn_role)(AGN_STAGE_2 + 2 * (stage - 2));
}
static inline enum agn_role agn_exit_role(int stage)
{
    return stage == 1 ? AGN_LOCAL : (enum agn_role)(AGN_EXIT_2 + 2 * (stage - 2));
}

struct agn_part {
    struct agn_graph graph;
    struct agn_params *params;
};

/* Nothing but its input: the system has no such part. Its `params` hold nothing. */
static inline bool agn_part_is_empty(const struct agn_part *part)
{
    return part->graph.count <= 1;
}

struct agn_model {
    struct agn_preset preset;
    const struct agn_system *system;
    struct agn_normalisation normalisation;
    struct agn_shape map; /* of F, the last stage's */
    int classes, sent_channels;
    /* Operator of the Remote NN's graph that makes the image again, with values from -1 to 1, for a
     * classifier behind it; 0: it has no such decoder. With one, images are normalised to -1 to 1 as well. */
    int decoded;
    char **class_names; /* classes */
    struct agn_part parts[AGN_ROLES];
    float centroids[AGN_LEVELS];        /* [0] = 0 and ascending in size; ascending with a decoder */
    float usage[AGN_LEVELS];            /* moving share of symbols on each level */
    float alpha_weight, alpha_momentum; /* w of alpha (agn_model_alpha), and its momentum */
    float alpha_second, alpha_steps;    /* Adam's second moment of it, and steps so far */
    /* Context model of the codecs (agn_model_contexts): (sent_channels, AGN_CONTEXTS), and distributions. */
    uint8_t *context_map, context_cumulative[AGN_MODEL_DISTRIBUTIONS * AGN_DISTRIBUTION_BYTES];
    int distributions;
    /* [channels that came], 0 to 1: multiplies the remote logits; [0] = 0, [sent_channels] = 1. The second
     * where these are the first channels (as packets come, or while the rest is not sent yet), the first
     * where they are others. */
    float trust[AGN_MAX_FEATURES + 1], leading_trust[AGN_MAX_FEATURES + 1];
    float *fill; /* sent_channels: mean quantised value, stands in for a channel that never came */
    /* Mean normalised importance of each channel on the test images, before joint training (after
     * selection) and after it. */
    float importance_before[AGN_MAX_FEATURES], importance_after[AGN_MAX_FEATURES];
    double skewness_before, reference_accuracy; /* both before joint training */
};

/* ---- systems -------------------------------------------------------------- */

/* What training does, one after the other. Numbers as in checkpoints. */
enum agn_phase {
    AGN_PHASE_REFERENCE, /* the reference network, with the extractor as its stem */
    AGN_PHASE_JOINT,     /* extractor, Local NN, Remote NN and quantiser together; needs the reference, too */
    AGN_PHASE_DONE,
    AGN_PHASE_REMOTE,     /* the Remote NN alone, on what the device sends */
    AGN_PHASE_LOCAL,      /* the Local NN alone, on images */
    AGN_PHASE_EXITS,      /* extractor, Local NN and Remote NN together, each answer with its own loss */
    AGN_PHASE_CLASSIFIER, /* what the Remote NN has behind its decoder, on images */
    AGN_PHASE_CODER,      /* extractor, quantiser and decoder, with the classifier as it is */
};

/* Does the phase prepare for another one, by the preset's [reference]? */
static inline bool agn_phase_prepares(enum agn_phase phase)
{
    return phase == AGN_PHASE_REFERENCE || phase == AGN_PHASE_CLASSIFIER;
}

struct agn_model;
struct agn_cut;

/* A way to share a prediction between device and server: `model.system = NAME` in presets. What a system does
 * follows from the parts that it builds: a device without an extractor sends pixels, a model without a Local
 * NN has no answer of its own, one without a Remote NN sends nothing, one without a reference has no
 * importance, and figures of what is not there are left out. A system is a file in src/systems/ and a row in
 * agn_systems. */
struct agn_system {
    const char *name, *meaning;
    /* That its models have, 1 << AGN_REMOTE and so on; the others are empty, but for further stages. */
    unsigned parts;
    /* Their graphs, map and sent_channels (0 without a Remote NN), from model->preset. The first channels of
     * the map, those that are not sent, are the Local NN's; with `exits` all are, and all are sent. */
    int (*build)(struct agn_model *model);
    enum agn_phase phases[4]; /* of training; AGN_PHASE_DONE ends them */
    /* The Local NN is an exit, and so is each further stage's: the first of which the softmax reaches
     * model.exit_threshold gives the model's answer, and nothing is sent; else the Remote NN answers alone.
     * Without, the two are fused. */
    bool exits;
    /* What the server sees of the map, with `expand` and an extractor: NULL without. */
    void (*quantise)(const struct agn_model *model, const float *features, size_t count, float *values);
    /* The symbols of a frame on the wire; NULL without a Remote NN. */
    int (*sent_shape)(const struct agn_model *model, struct agn_map_shape *shape);
    /* Input of the Remote NN from these, agn_server_model's `expand` with the model; NULL: the quantiser's
     * levels, and model->fill for what never came. */
    int (*expand)(const void *model, const uint8_t *symbols, float *features);
    float (*feature_limit)(
        const struct agn_model *model); /* largest magnitude of `features`; with `expand` */
    /* Of a system with several cuts, else NULL: map, sent and feature_limit of one of them (agn_model_cut),
     * and agn_model_cut_expand. */
    int (*cut)(const struct agn_model *model, int cut, struct agn_cut *result);
    int (*cut_expand)(const struct agn_model *model, int cut, const uint8_t *symbols, float *features);
    /* Of a system that may send images as JPEG, else NULL: agn_server_model's `decode` with the model, which
     * says AGN_ERR_UNSUPPORTED where this one does not; and agn_preset_as_sent. */
    int (*decode)(const void *model, const struct agn_feature_packet *packet, uint8_t *map);
    int (*as_sent)(const struct agn_preset *preset, struct agn_dataset *data);
};
/* All of them, NULL at the end; the first is meant where a preset names none. In src/systems/. */
extern const struct agn_system *const agn_systems[];
/* Of that name; NULL: the first. AGN_ERR_ARG lists what there is. */
int agn_system_find(const char *name, const struct agn_system **system);

/* First channel of the map that is sent; all that follow are, too. */
static inline int agn_model_first_sent(const struct agn_model *model)
{
    return model->map.channels - model->sent_channels;
}
/* Channels of the map that the Local NN reads, its first ones; where model.sends is all these are sent as
 * well. */
static inline int agn_model_local_channels(const struct agn_model *model)
{
    if (model->system->exits)
        return model->map.channels;
    bool splits = (model->system->parts & 1U << AGN_REFERENCE) != 0;
    return splits ? model->preset.model.local_channels : agn_model_first_sent(model);
}
/* Whether features go as symbols of the learned quantiser, which has levels, contexts, fill and trust then.
 */
static inline bool agn_model_sends_symbols(const struct agn_model *model)
{
    return !agn_part_is_empty(&model->parts[AGN_EXTRACTOR]) && model->system->expand == NULL;
}
/* AGN_ERR_UNSUPPORTED where they do not; says so. */
int agn_model_need_symbols(const struct agn_model *model);

/* "extractor", "local", "remote", "stage2", "exit2", ..., "reference": the networks' layers are called so. */
const char *agn_role_name(enum agn_role role);

/* AGN_ERR_UNSUPPORTED: the model's system has no such part; says so. */
int agn_model_need(const struct agn_model *model, enum agn_role role);

/* Fresh networks as the preset describes. `normalisation` and class names come from the data; without any
 * (NULL, to look at the networks only) pixels are taken as shares of 255 and classes are numbered. */
int agn_model_create(const struct agn_preset *preset, const struct agn_dataset *data,
                     struct agn_model **model);
void agn_model_free(struct agn_model *model);
/* sigmoid(w / T), or with model.alpha_form = softmax the first of softmax(w1, w2): sigmoid(w1 - w2); 0
 * without a Local NN and with an exit, 1 without a Remote NN. */
double agn_model_alpha(const struct agn_model *model);
/* One SGD step of w from the loss's derivative with respect to alpha. */
void agn_model_step_alpha(struct agn_model *model, float diff_alpha, const struct agn_sgd *sgd);
/* The same by Adam, without decay. */
void agn_model_step_alpha_adam(struct agn_model *model, float diff_alpha, const struct agn_adam *adam);

/* 32-bit number of everything that device and server must agree on: CRC-32 of the parameters of extractor
 * (all stages) and Remote NN (or, in its place, the Local NN), centroids, alpha, contexts, shapes and the
 * quality of JPEG. Device and server refuse to work with another's. */
uint32_t agn_model_id(const struct agn_model *model);

/* ---- stages and cuts ------------------------------------------------------- */

/* Stages of the extractor, 0 without one. */
int agn_model_stages(const struct agn_model *model);
/* What it makes, (h, w, c). */
static inline struct agn_shape agn_model_stage_map(const struct agn_model *model, int stage)
{
    return agn_graph_output_shape(&model->parts[agn_stage_role(stage)].graph);
}
/* What a preset's text (model.extractor, model.local) says of a stage: its part between `|`, without blanks
 * around it; "" behind the last. */
void agn_stage_text(const char *text, int stage, char part[AGN_PRESET_TEXT_BYTES]);
/* Parts of such a text: its `|` and one. */
int agn_stage_texts(const char *text);

/* A place where device and server may share the work. */
struct agn_cut {
    struct agn_shape map;      /* what is sent */
    struct agn_map_shape sent; /* as symbols on the wire */
    uint32_t model_id;         /* agn_model_id of the usual cut, another one of each other cut */
    /* What the server runs of it one after the other, the Remote NN last. */
    enum agn_role roles[AGN_MAX_STAGES + 1];
    int role_count;
    float feature_limit; /* largest magnitude of what is expanded; 0: levels of the learned quantiser */
};
/* 1, but with exits stages + 1: cut 0 sends the image's pixels, cut i the map behind stage i in 8 bits. The
 * last one is the usual one, of which agn_system's functions, model->map and sent_channels are. */
int agn_model_cuts(const struct agn_model *model);
/* AGN_ERR_UNSUPPORTED: nothing is sent. AGN_ERR_RANGE: there is no such cut, or an image too large to be sent
 * as it is. */
int agn_model_cut(const struct agn_model *model, int cut, struct agn_cut *result);
/* agn_system's `expand` at a cut that agn_model_cut knows: symbols (cut.sent) -> features (cut.map), what the
 * first of cut.roles reads. Rows of which something never came; it is 0 there. AGN_ERR_UNSUPPORTED: symbols
 * of the learned quantiser. */
int agn_model_cut_expand(const struct agn_model *model, int cut, const uint8_t *symbols, float *features);

/* AGN_ERR_NUMERIC: a parameter or its moments are infinite or no numbers, or a variance is negative; names
 * it. */
int agn_model_check_finite(const struct agn_model *model);
/* Do levels of the model's quantiser ascend, and (without a decoder) from 0 to at most 6? AGN_ERR_FORMAT
 * names the tensor they came from. */
int agn_model_check_levels(const struct agn_model *model, const float levels[AGN_LEVELS], const char *tensor);

/* As the model's images are normalised where these are the training images. */
void agn_model_normalisation(const struct agn_model *model, const struct agn_dataset *data,
                             struct agn_normalisation *normalisation);

/* Is this a data set for this model? AGN_ERR_MISMATCH: images of another size, more classes than the model
 * has, or classes of other names (where both have names); AGN_ERR_RANGE: a label outside the classes. */
int agn_model_check_data(const struct agn_model *model, const struct agn_dataset *data);

/* Images as the server sees them: where devices send JPEG, each goes through their encoder and back, once;
 * where they send features or the pixels themselves nothing changes. Training and evaluation in float want
 * such images, a device takes them as they are. AGN_ERR_MISMATCH: not the preset's size. */
int agn_preset_as_sent(const struct agn_preset *preset, struct agn_dataset *data);

/* The first class that both sides name, and name differently; -1: none. data->classes must be among the
 * model's. */
int agn_model_other_class(char *const *in_model, const struct agn_dataset *data);

/* ---- files -------------------------------------------------------------------- */

/* model.safetensors. Atomic. */
int agn_model_save(const struct agn_model *model, const char *path);
/* Also from a checkpoint: of one with averaged weights (train.ema) these are the model. */
int agn_model_load(const char *path, struct agn_model **model);

/* What a checkpoint has beside a model; training makes it. */
struct agn_model_sections {
    const struct agn_tensor_view *tensors;
    int count;
    const char *state; /* JSON, metadata "training_state" */
};
/* The model with the momenta of its networks, and `sections`. Atomic. */
int agn_model_save_checkpoint(const struct agn_model *model, const char *path,
                              const struct agn_model_sections *sections);
/* The model of a file; of a checkpoint, the weights that training goes on with, and their momenta. */
int agn_model_from_tensors(const struct agn_tensor_file *file, struct agn_model **model);

/* ---- reference.safetensors: a pre-trained reference network and its stem ------------------------- */

/* What training it took. */
struct agn_effort {
    double seconds;
    int64_t images;
};
/* Extractor (as the stem), reference, normalisation and effort. */
int agn_reference_save(const struct agn_model *model, const char *path, const struct agn_effort *effort);
/* Takes all of it over into a fresh model, in place of pre-training. `effort` stays as it is where the file
 * does not say. */
int agn_reference_adopt(const char *path, struct agn_model *model, struct agn_effort *effort);

/* Reads the given reference's own stem, preset.reference.stem, into `stem`, and reference and normalisation
 * into the model. path NULL: an error that asks for it. */
int agn_stem_open(const char *path, struct agn_model *model, struct agn_part *stem);
void agn_stem_close(struct agn_part *stem);

/* ---- the codecs' context model ------------------------------------------------------ */

/* As wire/ sees it; valid as long as the model is, and until its contexts are learned anew. */
void agn_model_contexts(const struct agn_model *model, struct agn_context_model *contexts);

/* Learns the tables (where the model sends features) from the symbols of (at most 4000 of) the images, which
 * should be those trained on. A fresh model has one distribution for all. Measures model->fill on the same
 * symbols. Changes the model's id: devices need a new model.agn. Errors of agn_model_check_data. */
int agn_model_learn_contexts(struct agn_model *model, const struct agn_dataset *data);

/* One distribution for all contexts and trust in whatever comes, as in a fresh model. */
void agn_model_forget_contexts(struct agn_model *model);

/* Learns both trusts from (at most 3000 of) the images, which should be those trained on, with channels lost
 * and model->fill in their place. Training does it. Models of before there was trust get a guess; of before
 * there was one for the first channels, that for any. */
int agn_model_learn_trust(struct agn_model *model, const struct agn_dataset *data);
float agn_model_trust(const struct agn_model *model, int came, bool leading);

/* ---- from images to logits ------------------------------------------------------------ */

/* Index of the largest; of equals the first. */
int agn_argmax(const float *row, int count);
/* Softmax of the largest. */
double agn_surest(const float *logits, int classes);
/* fused = local_weight local + remote_weight remote; one that is NULL is left out. All (classes). */
void agn_fuse_f32(const float *local, float local_weight, const float *remote, float remote_weight,
                  int classes, float *fused);

/* The model's logits from those of its networks, NULL for one that it has not; `local` of several exits are
 * those of agn_runner_output. True: by an exit, which is sure. */
bool agn_model_answer(const struct agn_model *model, const float *local, const float *remote, float *answer);

/* Features (positions, channels) and two parts of them: their first k channels, and those from `sent` on. */
struct agn_channel_split {
    size_t positions;
    int channels, k, sent;
};
struct agn_channel_split agn_model_split(const struct agn_model *model, size_t positions);
void agn_split_channels(const struct agn_channel_split *split, const float *features, float *first,
                        float *rest);
/* Gradients back: channels that are in both parts get the sum, those in neither 0. */
void agn_join_channels(const struct agn_channel_split *split, const float *first, const float *rest,
                       float *features);

/* Networks of a model planned for batches of one size, in inference mode. Everybody who evaluates in float
 * goes this way. */
struct agn_runner {
    const struct agn_model *model;
    int batch;
    size_t positions, sent; /* of a batch: n h w, n h w (sent channels) */
    struct agn_net *nets[AGN_ROLES];
    float *first, *rest; /* (n, h, w, the Local NN's channels) and (n, h, w, sent channels): the features */
    uint8_t *symbols;    /* of `rest`, where these are sent */
    float *values;       /* what the server sees of `rest` when all of it comes */
    float *answers;      /* (n, classes), of several exits: the first's that is sure, else the last's */
};
/* `roles`: 1 << AGN_LOCAL (with all exits) and so on; the extractor, with all stages, is always there. Parts
 * that the model lacks need no care: an extractor's features are the images then, unquantised, and other
 * parts have no output. To be closed also after a failure. */
int agn_runner_open(struct agn_runner *runner, const struct agn_model *model, int batch, unsigned roles);
void agn_runner_close(struct agn_runner *runner);
/* images (n, image) -> the last stage's features, also as first, rest, symbols and values. */
int agn_runner_extract(struct agn_runner *runner, const float *images);
/* The part's logits of its input: first, values (or what is left of them), features. With AGN_LOCAL all exits
 * run: this input is the last one's, those before read what their stages made. */
int agn_runner_run(struct agn_runner *runner, enum agn_role role, const float *input);
/* What the part made of image i of the batch; NULL: the model has no such part. Of AGN_LOCAL the device's
 * answer: that of the first exit that is sure, else of the last one. */
const float *agn_runner_output(const struct agn_runner *runner, enum agn_role role, int i);
/* The logits of one exit, whether it was sure or not. */
const float *agn_runner_exit(const struct agn_runner *runner, int stage, int i);

/* ---- what exits and cuts are worth -------------------------------------------------- */

enum { AGN_CUTS = AGN_MAX_STAGES + 1, AGN_EXIT_THRESHOLDS = 16 };

/* The first exit before the cut of which the softmax reaches the threshold answers, else the server. */
struct agn_exit_rule {
    int left[AGN_MAX_STAGES + 1]; /* images, at exit 1 and so on; [0]: at none, the server answered */
    int right;                    /* answers */
};
struct agn_exit_profile {
    int images, stages;
    int exit_right[AGN_MAX_STAGES +
                   1]; /* right answers of each exit where all images left there, from [1] on */
    int count;         /* thresholds; one above 1 is never reached */
    double thresholds[AGN_EXIT_THRESHOLDS];
    struct agn_exit_rule rules[AGN_EXIT_THRESHOLDS][AGN_CUTS]; /* at each threshold and each cut */
};
/* In float, with what is sent at a cut in 8 bits; one pass over the images. At most AGN_EXIT_THRESHOLDS
 * thresholds. AGN_ERR_UNSUPPORTED: no exits; else errors of agn_model_check_data. */
int agn_exit_profile(const struct agn_model *model, const struct agn_dataset *data, const double *thresholds,
                     int count, struct agn_exit_profile *profile);

/* One image under one of the losses. */
struct agn_lossy_image {
    int number, draw;            /* of the image in the data set's order; of the loss */
    int came;                    /* channels that arrived */
    bool leading;                /* and they are the first ones */
    const float *local, *remote; /* logits; remote means nothing when nothing came */
    int32_t label;
};

struct agn_lossy {
    const struct agn_model *model;
    int images, draws; /* at most so many images (0: all), each under so many losses */
    bool shuffle;      /* data sets may stand class by class */
    /* lost[channel] becomes 0 or 1. */
    void (*draw)(void *user, int image, int draw, uint8_t *lost);
    void (*see)(void *user, const struct agn_lossy_image *image);
    void *user;
};

/* Runs the networks: what is lost is imputed by model->fill. */
int agn_model_run_lossy(const struct agn_lossy *lossy, const struct agn_dataset *data);

/* Cuts the channels into at most `packets` ranges (1 or more), each lost with the chance `rate`;
 * lost[channel] is 0 or 1. */
void agn_lossy_draw_channels(struct agn_rng *rng, int packets, double rate, int channels, uint8_t *lost);

#endif
