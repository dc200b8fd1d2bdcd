/* Presets: a data set, the networks, and how to train them, as an INI file.
 *
 * docs and defaults of every key: `agilenn info --preset-keys`. Values may be overridden
 * by "section.key=value". The text of a preset travels inside checkpoints and models, so that a
 * trained file explains itself. */
#ifndef AGILENN_PRESET_H
#define AGILENN_PRESET_H

#include <stdio.h>

#include "agilenn/base.h"

enum { AGN_PRESET_TEXT_BYTES = 1024 };

/* What keys with words may be. */
enum agn_bad_files { AGN_BAD_FILES_REFUSE, AGN_BAD_FILES_SKIP };
enum agn_alpha_form { AGN_ALPHA_SIGMOID, AGN_ALPHA_SOFTMAX };
enum agn_sends { AGN_SENDS_REST, AGN_SENDS_ALL };
enum agn_optimizer { AGN_OPTIMIZER_SGD, AGN_OPTIMIZER_ADAM, AGN_OPTIMIZER_AS_TRAIN };
enum agn_teach { AGN_TEACH_NOTHING, AGN_TEACH_LOGITS, AGN_TEACH_LABELS };
enum agn_class_weights { AGN_CLASSES_AS_THEY_ARE, AGN_CLASSES_BALANCED };
enum agn_choose { AGN_CHOOSE_LAST, AGN_CHOOSE_BEST };
enum agn_importance { AGN_IMPORTANCE_CHANNEL, AGN_IMPORTANCE_ELEMENT };
enum agn_selection { AGN_SELECT_TOPK, AGN_SELECT_IMPORTANCE, AGN_SELECT_NONE };

struct agn_preset {
    char name[64];
    struct {
        char format[16];                  /* one of agn_dataset_formats */
        char path[AGN_PRESET_TEXT_BYTES]; /* folder of the data set */
        int height, width, channels, classes;
        int train_limit, test_limit;   /* images to keep, 0 = all */
        char test[64], validation[64]; /* a share, or a folder's name; "": the set's own test split; none */
        int split_seed;                /* of shares */
        int flip, crop_pad;
        int bad_files;   /* enum agn_bad_files */
        char ground[16]; /* as in agn_dataset_source */
    } data;
    struct {
        char system[24]; /* a name of agn_systems; "": the first */
        char extractor[AGN_PRESET_TEXT_BYTES], reference[AGN_PRESET_TEXT_BYTES],
            remote[AGN_PRESET_TEXT_BYTES];
        char decoder[AGN_PRESET_TEXT_BYTES];     /* of the system deepcod */
        char local[AGN_PRESET_TEXT_BYTES];       /* Local NN before pooling; "": pooling comes first */
        double reference_width, remote_width;    /* of their channels (agn_graph_parse_scaled) */
        int local_channels;                      /* k: the first channels, which the Local NN reads */
        int sends;                               /* enum agn_sends */
        int grid;                                /* g of the Local NN's pooling */
        int logits_bn;                           /* BN on local and remote logits */
        int alpha_form;                          /* enum agn_alpha_form */
        double alpha_initial, alpha_temperature; /* T of alpha = sigmoid(w / T) */
        int codec;                               /* enum agn_codec */
        int jpeg_quality;                        /* of the codec jpeg, libjpeg's scale */
        double exit_threshold;                   /* softmax of an exit that is sure, of systems with exits */
    } model;
    struct {
        int seed, batch;
        int optimizer;             /* enum agn_optimizer */
        double beta1, beta2, clip; /* of Adam; largest norm of a step's gradients, 0 = off */
        double momentum, weight_decay, warmup_epochs, final_rate, bn_momentum;
        double label_smoothing;
        double mixup;       /* a of Beta(a, a); 0 = off */
        int cutout;         /* side, pixels; 0 = off */
        double ema;         /* decay of the weights' moving average; 0 = off */
        int compute;        /* enum agn_compute */
        int validate_every; /* epochs */
        int choose;         /* enum agn_choose: whose parameters a phase ends with */
        int class_weights;  /* enum agn_class_weights */
    } train;
    struct {
        double epochs, rate;
        int optimizer;                    /* enum agn_optimizer */
        double channel_dropout;           /* share of images without the channels from k on; 0 = off */
        double stochastic_depth;          /* chance that an image skips the last residual branch; 0 = off */
        char stem[AGN_PRESET_TEXT_BYTES]; /* network that extractors imitate; "": none */
    } reference;
    struct {
        double epochs, rate;
        double lambda; /* weight of the prediction loss; 1 - lambda for skewness and disorder */
        double anchor; /* mu: weight of CE(reference(F)) */
        double local;  /* weight of CE(local logits) */
        double distill, local_distill, distill_temperature;
        char teacher[AGN_PRESET_TEXT_BYTES];     /* a model file; "": none */
        double rho, rho_margin, disorder_margin; /* margins: added while training only */
        int teacher_start;                       /* 1: networks start with its last layers */
        int measure_every;                       /* importance: of every such image of a batch */
        int correct_only, warm_start;
        int method; /* enum agn_xai_method */
        int points;
        int importance;          /* enum agn_importance */
        int selection;           /* enum agn_selection */
        double packet_loss;      /* chance that a packet is lost in training; 0 = off */
        double tail_drop;        /* chance that only the first of the sent channels come; 0 = off */
        double bits;             /* weight of the mean bits of a sent symbol; 0 = off */
        double soft_temperature; /* of the quantiser's gradient; 0 = straight-through */
        double centroid_rate;    /* share of the new batch in a centroid's moving mean */
        double reconstruction;   /* weight of the decoder's squared error */
        int teach;               /* enum agn_teach: what else its images should do */
    } joint;
};

/* Fills in the defaults, without a data set or networks. */
void agn_preset_defaults(struct agn_preset *preset);

/* A name ("fashion") is looked up in $AGILENN_PRESETS, ./presets, and beside the program
 * (../share/agilenn/presets, ../presets); a name with '/' or ending in .ini is a path.
 * `base = NAME` before the first section of a file takes over what that preset says, from the same folder or
 * as above. AGN_ERR_NOT_FOUND lists what there is. */
int agn_preset_load(const char *name, struct agn_preset *preset);

/* Reads INI text over the values that `preset` has; no `base`, which is a matter of files. */
int agn_preset_parse(const char *text, struct agn_preset *preset);

/* Applies "section.key=value"; an unknown key or a bad value is an error that names it. */
int agn_preset_set(struct agn_preset *preset, const char *assignment);

/* Do the values fit together? One sentence if not. */
int agn_preset_check(const struct agn_preset *preset);

/* Writes the preset as INI text into `text`; its length, or AGN_ERR_SPACE. */
int agn_preset_format(const struct agn_preset *preset, char *text, size_t cap);

/* What agn_dataset_open needs for split "train", "test" or "validation"; `limit` < 0 means the preset's.
 * Points into the preset. */
struct agn_dataset_source;
struct agn_dataset_source agn_preset_source(const struct agn_preset *preset, const char *split, int limit);

/* Prints all keys with ranges, defaults and meaning. */
void agn_preset_print_keys(FILE *stream);

#endif
