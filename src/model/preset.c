/* Presets: one table of keys serves reading, checking, writing and help. */
#include "agilenn/preset.h"
#include "agn_wire.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agilenn/data.h"
#include "agilenn/model.h"
#include "agilenn/xai.h"

enum value_type { TEXT, WHOLE, REAL, WORD };

struct key {
    const char *section, *name;
    enum value_type type;
    size_t offset, size;
    double low, high;
    const char *standard, *help;
};

#define FIELD(member) offsetof(struct agn_preset, member), sizeof(((struct agn_preset *)0)->member)

static const struct key keys[] = {
    {"data", "format", TEXT, FIELD(data.format), 0, 0, "idx", "what the data set's files are (docs/DATA.md)"},
    {"data", "path", TEXT, FIELD(data.path), 0, 0, "", "folder of the data set"},
    {"data", "height", WHOLE, FIELD(data.height), 8, 1024, "28", "image height, pixels"},
    {"data", "width", WHOLE, FIELD(data.width), 8, 1024, "28", "image width, pixels"},
    {"data", "channels", WHOLE, FIELD(data.channels), 1, 3, "1", "1 grey, 3 RGB"},
    {"data", "classes", WHOLE, FIELD(data.classes), 0, 1000, "0",
     "number of classes; 0 = counted in the data"},
    {"data", "train_limit", WHOLE, FIELD(data.train_limit), 0, 100000000, "0",
     "training images to use, 0 = all"},
    {"data", "test_limit", WHOLE, FIELD(data.test_limit), 0, 100000000, "0", "test images to use, 0 = all"},
    {"data", "test", TEXT, FIELD(data.test), 0, 0, "",
     "test images: a share of the training images to hold out (0.2), or a folder beside train; none = the "
     "set's own test split"},
    {"data", "validation", TEXT, FIELD(data.validation), 0, 0, "",
     "images on which accuracy is measured while training: a share of the training images to hold out (0.1), "
     "or a folder beside train (val)"},
    {"data", "split_seed", WHOLE, FIELD(data.split_seed), 0, 2147483647, "1",
     "of the images that data.test and data.validation hold out"},
    {"data", "flip", WHOLE, FIELD(data.flip), 0, 1, "0", "mirror training images at random"},
    {"data", "crop_pad", WHOLE, FIELD(data.crop_pad), 0, 64, "0", "pad by so many pixels and crop at random"},
    {"data", "bad_files", WORD, FIELD(data.bad_files), 0, 0, "refuse",
     "files or records that cannot be read: refuse, or skip (go on without them, naming the first)"},
    {"data", "ground", TEXT, FIELD(data.ground), 0, 0, "white",
     "what shows where images are transparent: white, black or #RRGGBB"},
    {"model", "system", TEXT, FIELD(model.system), 0, 0, "",
     "how device and server share the work; none = the first of these"},
    {"model", "extractor", TEXT, FIELD(model.extractor), 0, 0, "conv:c16:s2 conv:c24",
     "device network: image to feature map; spinn's may have up to 3 stages with | between them, each "
     "with an exit"},
    {"model", "reference", TEXT, FIELD(model.reference), 0, 0, "",
     "reference network on the whole feature map"},
    {"model", "remote", TEXT, FIELD(model.remote), 0, 0, "", "server network on the sent channels"},
    {"model", "decoder", TEXT, FIELD(model.decoder), 0, 0, "",
     "deepcod: server network that makes an image of what is sent, in front of model.remote"},
    {"model", "reference_width", REAL, FIELD(model.reference_width), 0.05, 4, "1",
     "multiplies the reference's channels, MobileNetV2's width multiplier"},
    {"model", "remote_width", REAL, FIELD(model.remote_width), 0.05, 4, "1",
     "multiplies the Remote NN's channels likewise"},
    {"model", "local", TEXT, FIELD(model.local), 0, 0, "",
     "device network on the first k channels, in front of pooling and dense layer (conv, dw and mb as "
     "devices "
     "compute them); local-only's whole network; spinn's exits, one for each stage with | between them"},
    {"model", "local_channels", WHOLE, FIELD(model.local_channels), 1, 254, "5",
     "k: channels that the Local NN reads, the first and most important ones"},
    {"model", "sends", WORD, FIELD(model.sends), 0, 0, "rest",
     "which channels an unsure device sends: rest (all but the first k, the paper's), or all, most important "
     "first"},
    {"model", "grid", WHOLE, FIELD(model.grid), 1, 16, "4",
     "g: the Local NN pools to g x g cells; 1 is the paper's"},
    {"model", "logits_bn", WHOLE, FIELD(model.logits_bn), 0, 1, "0",
     "BN on local and remote logits, as in the paper's public code"},
    {"model", "alpha_form", WORD, FIELD(model.alpha_form), 0, 0, "sigmoid",
     "sigmoid(w/T) as in the paper, or softmax of two weights as in its public code"},
    {"model", "alpha_initial", REAL, FIELD(model.alpha_initial), 0.001, 0.999, "0.27",
     "weight of the local prediction before training"},
    {"model", "alpha_temperature", REAL, FIELD(model.alpha_temperature), 0.1, 100, "6",
     "T of alpha = sigmoid(w/T); softmax has none"},
    {"model", "codec", WORD, FIELD(model.codec), 0, 0, "range",
     "range, lzw or raw3; jpeg sends the image as JPEG (edge-only)"},
    {"model", "jpeg_quality", WHOLE, FIELD(model.jpeg_quality), 1, 100, "50",
     "of model.codec = jpeg, as libjpeg counts it"},
    {"model", "exit_threshold", REAL, FIELD(model.exit_threshold), 0.01, 0.9999, "0.8",
     "softmax from which on the device answers at its exit and sends nothing (spinn)"},
    {"train", "seed", WHOLE, FIELD(train.seed), 0, 2147483647, "1", "of weights, order and augmentation"},
    {"train", "batch", WHOLE, FIELD(train.batch), 2, 4096, "64", "images a step"},
    {"train", "optimizer", WORD, FIELD(train.optimizer), 0, 0, "sgd",
     "sgd (with Nesterov momentum) or adam, both with decoupled weight decay"},
    {"train", "momentum", REAL, FIELD(train.momentum), 0, 0.999, "0.9", "of SGD (Nesterov)"},
    {"train", "beta1", REAL, FIELD(train.beta1), 0, 0.9999, "0.9",
     "of Adam: keeps so much of the mean gradient"},
    {"train", "beta2", REAL, FIELD(train.beta2), 0, 0.99999, "0.999", "of Adam: likewise of its square"},
    {"train", "clip", REAL, FIELD(train.clip), 0, 1000000, "0",
     "largest norm of a step's gradients, all weights together; longer ones are shortened to it; 0 = off"},
    {"train", "weight_decay", REAL, FIELD(train.weight_decay), 0, 0.1, "0.005", "decoupled, on weights only"},
    {"train", "warmup_epochs", REAL, FIELD(train.warmup_epochs), 0, 100, "0.1", "epochs of rising rate"},
    {"train", "final_rate", REAL, FIELD(train.final_rate), 0, 1, "0.01",
     "last rate as a share of the first (cosine)"},
    {"train", "bn_momentum", REAL, FIELD(train.bn_momentum), 0.001, 1, "0.1",
     "new batch's weight in BN statistics"},
    {"train", "label_smoothing", REAL, FIELD(train.label_smoothing), 0, 0.9, "0",
     "share of a label that is spread over all classes"},
    {"train", "mixup", REAL, FIELD(train.mixup), 0, 10, "0",
     "a of Beta(a, a), the shares in which two images are mixed; 0 = off"},
    {"train", "cutout", WHOLE, FIELD(train.cutout), 0, 512, "0",
     "side in pixels of a square that is blanked at a random place; 0 = off"},
    {"train", "ema", REAL, FIELD(train.ema), 0, 0.99999, "0",
     "decay of a moving average of the weights in joint training, which then is the model; 0 = off"},
    {"train", "compute", WORD, FIELD(train.compute), 0, 0, "f32",
     "numbers of convolutions and dense layers while training: f32, bf16 (where the CPU has it), or "
     "bf16-emulated (to measure bf16's accuracy on any AVX-512, slowly)"},
    {"train", "class_weights", WORD, FIELD(train.class_weights), 0, 0, "none",
     "what an image's cross-entropies count: all the same (none), or as much as makes each class count the "
     "same "
     "(balanced)"},
    {"train", "validate_every", WHOLE, FIELD(train.validate_every), 1, 10000, "1",
     "epochs between two measurements of accuracy on the validation images (data.validation)"},
    {"train", "choose", WORD, FIELD(train.choose), 0, 0, "last",
     "which parameters a phase ends with: those of its last epoch, or of the one with the best accuracy on "
     "the validation images (best)"},
    {"reference", "epochs", REAL, FIELD(reference.epochs), 0, 10000, "1",
     "pre-training of extractor + reference"},
    {"reference", "rate", REAL, FIELD(reference.rate), 1e-6, 10, "0.1", "learning rate"},
    {"reference", "optimizer", WORD, FIELD(reference.optimizer), 0, 0, "train",
     "of pre-training: sgd, adam, or train.optimizer (train)"},
    {"reference", "channel_dropout", REAL, FIELD(reference.channel_dropout), 0, 0.9, "0",
     "share of images from which pre-training sees the first k channels only, so that these become the "
     "important ones; 0 = off"},
    {"reference", "stochastic_depth", REAL, FIELD(reference.stochastic_depth), 0, 0.9, "0",
     "chance that an image skips the last residual branch in pre-training, less for those before; 0 = off"},
    {"reference", "stem", TEXT, FIELD(reference.stem), 0, 0, "",
     "stem of a given reference (train --reference FILE) that the extractor learns to imitate; empty = the "
     "extractor is the stem"},
    {"joint", "epochs", REAL, FIELD(joint.epochs), 0, 10000, "3", "joint training"},
    {"joint", "rate", REAL, FIELD(joint.rate), 1e-6, 10, "0.1", "learning rate"},
    {"joint", "lambda", REAL, FIELD(joint.lambda), 0, 1, "0.3", "weight of the prediction loss"},
    {"joint", "anchor", REAL, FIELD(joint.anchor), 0, 100, "0.3",
     "mu: keeps the reference valid; 0 is the paper's"},
    {"joint", "local", REAL, FIELD(joint.local), 0, 100, "0.3",
     "weight of the Local NN's own loss; 0 is the paper's"},
    {"joint", "distill", REAL, FIELD(joint.distill), 0, 100, "0",
     "weight of learning the reference's prediction; 0 is the paper's"},
    {"joint", "teacher", TEXT, FIELD(joint.teacher), 0, 0, "",
     "trained model of the system edge-only, whose network on whole images is the teacher in joint.distill "
     "and "
     "joint.local_distill, in all phases and systems that train one classifier, too; none = the reference "
     "and the fused "
     "prediction teach"},
    {"joint", "teacher_start", WHOLE, FIELD(joint.teacher_start), 0, 1, "0",
     "whether the reference and a Remote NN alone start with the teacher's weights, in as many of their last "
     "layers as are of its shapes"},
    {"joint", "local_distill", REAL, FIELD(joint.local_distill), 0, 100, "0",
     "weight of the Local NN's learning the fused prediction; 0 is the paper's"},
    {"joint", "distill_temperature", REAL, FIELD(joint.distill_temperature), 0.1, 100, "4",
     "by which predictions are softened in both"},
    {"joint", "rho", REAL, FIELD(joint.rho), 0.001, 0.999, "0.8",
     "share of importance that k channels should have"},
    {"joint", "rho_margin", REAL, FIELD(joint.rho_margin), 0, 0.2, "0", "added to rho while training"},
    {"joint", "disorder_margin", REAL, FIELD(joint.disorder_margin), 0, 0.2, "0",
     "lead that the first k channels should have over the others while training; 0 is the paper's"},
    {"joint", "correct_only", WHOLE, FIELD(joint.correct_only), 0, 1, "1",
     "only samples that the reference gets right count for importance"},
    {"joint", "warm_start", WHOLE, FIELD(joint.warm_start), 0, 1, "1",
     "start the remote network from the reference where shapes agree"},
    {"joint", "method", WORD, FIELD(joint.method), 0, 0, "ig-trapezoid",
     "attribution: ig-trapezoid, ig-midpoint (Riemann sum), ig-gauss-legendre, gradient-x-input or gradient "
     "(saliency)"},
    {"joint", "points", WHOLE, FIELD(joint.points), 1, 128, "2", "gradients of integrated gradients"},
    {"joint", "measure_every", WHOLE, FIELD(joint.measure_every), 1, 64, "1",
     "importance is measured, and anchored, on one in so many images of a batch: cheaper, noisier"},
    {"joint", "importance", WORD, FIELD(joint.importance), 0, 0, "channel",
     "what skewness and disorder losses compare: channel (paper) or element (its public code)"},
    {"joint", "selection", WORD, FIELD(joint.selection), 0, 0, "topk",
     "which channels become the first k: most often among the top k (topk, the paper's Algorithm 1), largest "
     "mean importance (importance), or as they are (none)"},
    {"joint", "packet_loss", REAL, FIELD(joint.packet_loss), 0, 0.9, "0",
     "chance that a packet is lost while training, so that the Remote NN copes with what arrives; 0 = off"},
    {"joint", "tail_drop", REAL, FIELD(joint.tail_drop), 0, 1, "0",
     "share of images of which only the first sent channels come, a random number of them, so that the first "
     "packet alone is worth much; 0 = off"},
    {"joint", "bits", REAL, FIELD(joint.bits), 0, 100, "0",
     "weight of the bits that a sent symbol costs the range coder; 0 = off"},
    {"joint", "soft_temperature", REAL, FIELD(joint.soft_temperature), 0, 10, "0",
     "quantiser's gradient: softness of assignment, 0 = straight-through"},
    {"joint", "centroid_rate", REAL, FIELD(joint.centroid_rate), 0, 1, "0.05",
     "speed at which centroids follow the features"},
    {"joint", "reconstruction", REAL, FIELD(joint.reconstruction), 0, 1000, "10",
     "deepcod: weight of the mean squared error of the decoder's images, whose values are -1 to 1"},
    {"joint", "teach", WORD, FIELD(joint.teach), 0, 0, "none",
     "deepcod: what else the decoder learns: nothing (none), squared error of the classifier's logits to "
     "those "
     "of the original images (logits), or cross-entropy (labels)"},
};

/* ---- words ------------------------------------------------------------------------ */

struct word {
    const char *word;
    int value;
};

static const struct word bad_files[] = {
    {"refuse", AGN_BAD_FILES_REFUSE}, {"skip", AGN_BAD_FILES_SKIP}, {NULL, 0}};
static const struct word alpha_forms[] = {
    {"sigmoid", AGN_ALPHA_SIGMOID}, {"softmax", AGN_ALPHA_SOFTMAX}, {NULL, 0}};
static const struct word sends[] = {{"rest", AGN_SENDS_REST}, {"all", AGN_SENDS_ALL}, {NULL, 0}};
static const struct word codecs[] = {{"range", AGN_CODEC_RANGE},
                                     {"lzw", AGN_CODEC_LZW},
                                     {"raw3", AGN_CODEC_RAW3},
                                     {"jpeg", AGN_CODEC_JPEG},
                                     {NULL, 0}};
static const struct word computes[] = {{"f32", AGN_COMPUTE_F32},
                                       {"bf16", AGN_COMPUTE_BF16},
                                       {"bf16-emulated", AGN_COMPUTE_BF16_EMULATED},
                                       {NULL, 0}};
static const struct word optimizers[] = {{"sgd", AGN_OPTIMIZER_SGD}, {"adam", AGN_OPTIMIZER_ADAM}, {NULL, 0}};
static const struct word phase_optimizers[] = {
    {"train", AGN_OPTIMIZER_AS_TRAIN}, {"sgd", AGN_OPTIMIZER_SGD}, {"adam", AGN_OPTIMIZER_ADAM}, {NULL, 0}};
static const struct word lessons[] = {
    {"none", AGN_TEACH_NOTHING}, {"logits", AGN_TEACH_LOGITS}, {"labels", AGN_TEACH_LABELS}, {NULL, 0}};
static const struct word class_weights[] = {
    {"none", AGN_CLASSES_AS_THEY_ARE}, {"balanced", AGN_CLASSES_BALANCED}, {NULL, 0}};
static const struct word chosen_epochs[] = {{"last", AGN_CHOOSE_LAST}, {"best", AGN_CHOOSE_BEST}, {NULL, 0}};
static const struct word methods[] = {{"ig-trapezoid", AGN_XAI_IG_TRAPEZOID},
                                      {"ig-midpoint", AGN_XAI_IG_MIDPOINT},
                                      {"ig-gauss-legendre", AGN_XAI_IG_GAUSS_LEGENDRE},
                                      {"gradient-x-input", AGN_XAI_GRADIENT_X_INPUT},
                                      {"gradient", AGN_XAI_GRADIENT},
                                      {NULL, 0}};
static const struct word importances[] = {
    {"channel", AGN_IMPORTANCE_CHANNEL}, {"element", AGN_IMPORTANCE_ELEMENT}, {NULL, 0}};
static const struct word selections[] = {
    {"topk", AGN_SELECT_TOPK}, {"importance", AGN_SELECT_IMPORTANCE}, {"none", AGN_SELECT_NONE}, {NULL, 0}};

static const struct {
    size_t offset;
    const struct word *words;
} vocabularies[] = {{offsetof(struct agn_preset, data.bad_files), bad_files},
                    {offsetof(struct agn_preset, model.alpha_form), alpha_forms},
                    {offsetof(struct agn_preset, model.sends), sends},
                    {offsetof(struct agn_preset, model.codec), codecs},
                    {offsetof(struct agn_preset, train.compute), computes},
                    {offsetof(struct agn_preset, train.optimizer), optimizers},
                    {offsetof(struct agn_preset, reference.optimizer), phase_optimizers},
                    {offsetof(struct agn_preset, joint.teach), lessons},
                    {offsetof(struct agn_preset, train.class_weights), class_weights},
                    {offsetof(struct agn_preset, train.choose), chosen_epochs},
                    {offsetof(struct agn_preset, joint.method), methods},
                    {offsetof(struct agn_preset, joint.importance), importances},
                    {offsetof(struct agn_preset, joint.selection), selections}};

/* Of a key of type WORD. */
static const struct word *words_of(const struct key *key)
{
    size_t i = 0;
    while (vocabularies[i].offset != key->offset)
        i++;
    return vocabularies[i].words;
}

static int set_word(int *value, const struct key *key, const char *text)
{
    const struct word *words = words_of(key);
    char list[128] = "";
    for (int i = 0; words[i].word != NULL; i++) {
        size_t at = strlen(list);
        if (strcmp(text, words[i].word) == 0) {
            *value = words[i].value;
            return AGN_OK;
        }
        snprintf(list + at, sizeof(list) - at, "%s%s",
                 i == 0                      ? ""
                 : words[i + 1].word == NULL ? " or "
                                             : ", ",
                 words[i].word);
    }
    if (words == codecs && strcmp(text, "huffman") == 0) { /* in presets and models of 0.2 and before */
        agn_log(AGN_LOG_WARN,
                "model.codec = huffman: there is no such codec any more, range takes its place");
        *value = AGN_CODEC_RANGE;
        return AGN_OK;
    }
    return agn_fail(AGN_ERR_ARG, "%s.%s = '%.100s': expected %s", key->section, key->name, text, list);
}

static const char *word_of(int value, const struct key *key)
{
    const struct word *words = words_of(key);
    while (words->value != value)
        words++;
    return words->word;
}

/* ---- values ----------------------------------------------------------------------- */

static void *field(struct agn_preset *preset, const struct key *key)
{
    return (char *)preset + key->offset;
}

/* Longest word of a text: an INI line has room for so much after its key. */
enum { MOST_WORD = 160 };

/* Texts must survive being written as INI and read again. */
static int check_text(const struct key *key, const char *value)
{
    size_t word = 0;
    if (strlen(value) >= key->size) {
        return agn_fail(AGN_ERR_RANGE, "%s.%s: the value has more than %zu characters", key->section,
                        key->name, key->size - 1);
    }
    for (const char *at = value; *at != '\0'; at++) {
        bool blank = *at == ' ', edge = at == value || at[1] == '\0' || at[1] == ' ';
        word = blank ? 0 : word + 1;
        if ((unsigned char)*at < ' ' || *at == 0x7F || (blank && edge) ||
            (word == 1 && (*at == ';' || (*at == '#' && at != value)))) {
            return agn_fail(AGN_ERR_RANGE,
                            "%s.%s = '%.100s': no control characters, no word that begins with ';', none but "
                            "the first that begins with '#', and blanks only one by one between words",
                            key->section, key->name, value);
        }
        if (word > MOST_WORD) {
            return agn_fail(AGN_ERR_RANGE, "%s.%s: a word has more than %d characters; shorten it",
                            key->section, key->name, MOST_WORD);
        }
    }
    return AGN_OK;
}

static bool is_path(const struct key *key)
{
    return key->offset == offsetof(struct agn_preset, data.path) ||
           key->offset == offsetof(struct agn_preset, joint.teacher);
}

static int set_value(struct agn_preset *preset, const struct key *key, const char *value)
{
    char *end = NULL, expanded[AGN_PRESET_TEXT_BYTES];
    if (is_path(key)) {
        int status = strlen(value) < key->size ? agn_path_expand(value, expanded, sizeof(expanded)) : AGN_OK;
        if (status < 0)
            return status;
        value = strlen(value) < key->size ? expanded : value; /* check_text refuses it */
    }
    if (key->type == TEXT) {
        int status = check_text(key, value);
        if (status == AGN_OK)
            memcpy(field(preset, key), value, strlen(value) + 1); /* check_text: it fits */
        return status;
    }
    if (key->type == WORD)
        return set_word(field(preset, key), key, value);
    double number = strtod(value, &end);
    bool whole = key->type == WHOLE;
    if (end == value || *end != '\0' || !isfinite(number) || number < key->low || number > key->high ||
        (whole && number != floor(number))) {
        return agn_fail(AGN_ERR_RANGE, "%s.%s = '%s': expected a %s from %g to %g", key->section, key->name,
                        value, whole ? "whole number" : "number", key->low, key->high);
    }
    if (whole)
        *(int *)field(preset, key) = (int)number;
    else
        *(double *)field(preset, key) = number;
    return AGN_OK;
}

/* NULL and a message when there is none of that name. */
static const struct key *find_key(const char *section, const char *name)
{
    for (size_t i = 0; i < AGN_COUNT_OF(keys); i++)
        if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
            return &keys[i];
    agn_fail(AGN_ERR_ARG, "there is no setting '%s.%s'; `agilenn info --preset-keys` lists all", section,
             name);
    return NULL;
}

void agn_preset_defaults(struct agn_preset *preset)
{
    memset(preset, 0, sizeof(*preset));
    for (size_t i = 0; i < AGN_COUNT_OF(keys); i++)
        set_value(preset, &keys[i], keys[i].standard);
}

int agn_preset_set(struct agn_preset *preset, const char *assignment)
{
    char section[32], name[32];
    const char *dot = strchr(assignment, '.'), *equals = strchr(assignment, '=');
    if (dot == NULL || equals == NULL || dot > equals || (size_t)(dot - assignment) >= sizeof(section) ||
        (size_t)(equals - dot - 1) >= sizeof(name))
        return agn_fail(AGN_ERR_ARG, "'%s' is not SECTION.KEY=VALUE, such as joint.rho=0.8", assignment);
    snprintf(section, sizeof(section), "%.*s", (int)(dot - assignment), assignment);
    snprintf(name, sizeof(name), "%.*s", (int)(equals - dot - 1), dot + 1);
    const struct key *key = find_key(section, name);
    return key == NULL ? AGN_ERR_ARG : set_value(preset, key, equals + 1);
}

/* ---- INI ------------------------------------------------------------------------- */

struct reading {
    struct agn_preset *preset;
    const struct key *last;           /* of this section */
    const char *at;                   /* what the parser has not seen yet */
    int line;                         /* number of the one it sees */
    bool indented;                    /* that line: the value before goes on */
    int given_in[AGN_COUNT_OF(keys)]; /* line of each key; 0: not yet */
    int status;                       /* of the first entry that fails: the parser goes on after it */
};

/* Hands the parser its next line. */
static char *next_line(char *line, int cap, void *user)
{
    struct reading *reading = user;
    size_t length = strcspn(reading->at, "\n"), whole = length + (reading->at[length] == '\n');
    if (reading->at[0] == '\0')
        return NULL;
    reading->line++;
    if (whole >= (size_t)cap && reading->status == AGN_OK) {
        reading->status = agn_fail(AGN_ERR_FORMAT,
                                   "line %d has more than %d characters; break it between words and indent "
                                   "what follows",
                                   reading->line, cap - 2);
    }
    if (whole >= (size_t)cap)
        return NULL;
    reading->indented = isspace((unsigned char)reading->at[0]) != 0;
    reading->last = reading->at[0] == '[' ? NULL : reading->last;
    memcpy(line, reading->at, whole);
    line[whole] = '\0';
    reading->at += whole;
    return line;
}

/* The parser hands over each line of a value by itself, those after the first under the same name. */
static int append_line(struct reading *reading, const struct key *key, const char *line)
{
    char joined[AGN_PRESET_TEXT_BYTES + 256];
    if (key->type != TEXT) {
        return agn_fail(AGN_ERR_ARG, "%s.%s goes on over a second line: it is a number or a word",
                        key->section, key->name);
    }
    snprintf(joined, sizeof(joined), "%s %s", (const char *)field(reading->preset, key), line);
    return set_value(reading->preset, key, joined);
}

static int on_entry(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;
    if (reading->status < 0)
        return 0;
    const struct key *key = find_key(section, name);
    int *given_in = key == NULL ? NULL : &reading->given_in[key - keys];
    if (key == NULL) {
        reading->status = AGN_ERR_ARG;
    } else if (key == reading->last && reading->indented) {
        reading->status = append_line(reading, key, value);
    } else if (*given_in > 0) {
        reading->status = agn_fail(AGN_ERR_ARG, "%s.%s is given twice, in lines %d and %d", section, name,
                                   *given_in, reading->line);
    } else {
        *given_in = reading->line;
        reading->status = set_value(reading->preset, key, value);
    }
    reading->last = key;
    return reading->status == AGN_OK;
}

int agn_preset_parse(const char *text, struct agn_preset *preset)
{
    struct agn_preset copy = *preset;
    struct reading reading = {.preset = &copy, .at = text};
    int line = ini_parse_stream(next_line, &reading, on_entry, &reading);
    if (reading.status < 0)
        return reading.status;
    if (line != 0)
        return agn_fail(AGN_ERR_FORMAT, "line %d is neither [section], key = value, nor a comment", line);
    *preset = copy;
    return AGN_OK;
}

/* Breaks lines between words: the parser's lines are short. */
static void print_text(FILE *stream, const char *text)
{
    size_t width = 0;
    for (const char *at = text; *at != '\0'; at++) {
        width++;
        if (*at == ' ' && width + strcspn(at + 1, " ") > MOST_WORD) {
            fputs("\n   ", stream);
            width = 0;
        }
        fputc(*at, stream);
    }
}

/* The fewest digits that give the same number when read. */
static void print_real(FILE *stream, double value)
{
    char text[32];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    fputs(text, stream);
}

/* Keys that models were written without: as long as they stand as usual, files are as they were before. */
static const size_t later[] = {
    offsetof(struct agn_preset, model.system),         offsetof(struct agn_preset, model.local),
    offsetof(struct agn_preset, train.optimizer),      offsetof(struct agn_preset, train.beta1),
    offsetof(struct agn_preset, train.beta2),          offsetof(struct agn_preset, train.clip),
    offsetof(struct agn_preset, model.jpeg_quality),   offsetof(struct agn_preset, model.exit_threshold),
    offsetof(struct agn_preset, model.decoder),        offsetof(struct agn_preset, reference.optimizer),
    offsetof(struct agn_preset, joint.reconstruction), offsetof(struct agn_preset, joint.teach),
    offsetof(struct agn_preset, model.sends),          offsetof(struct agn_preset, joint.tail_drop),
    offsetof(struct agn_preset, joint.local_distill),  offsetof(struct agn_preset, joint.teacher),
    offsetof(struct agn_preset, joint.teacher_start),  offsetof(struct agn_preset, joint.measure_every)};

static bool is_left_out(const struct key *key, const char *value, const char *usual)
{
    size_t i = 0;
    while (i < AGN_COUNT_OF(later) && later[i] != key->offset)
        i++;
    return i < AGN_COUNT_OF(later) &&
           (key->type == TEXT ? strcmp(value, usual) == 0 : memcmp(value, usual, key->size) == 0);
}

static void print_preset(const struct agn_preset *preset, FILE *stream)
{
    const char *section = "";
    struct agn_preset usual;
    agn_preset_defaults(&usual);
    for (size_t i = 0; i < AGN_COUNT_OF(keys); i++) {
        const struct key *key = &keys[i];
        const void *value = (const char *)preset + key->offset;
        if (strcmp(section, key->section) != 0) {
            fprintf(stream, "%s[%s]\n", i == 0 ? "" : "\n", key->section);
            section = key->section;
        }
        if (is_left_out(key, value, (const char *)&usual + key->offset))
            continue;
        fprintf(stream, "%s = ", key->name);
        if (key->type == TEXT)
            print_text(stream, value);
        else if (key->type == WORD)
            fputs(word_of(*(const int *)value, key), stream);
        else if (key->type == WHOLE)
            fprintf(stream, "%d", *(const int *)value);
        else
            print_real(stream, *(const double *)value);
        fputc('\n', stream);
    }
}

int agn_preset_format(const struct agn_preset *preset, char *text, size_t cap)
{
    char *printed = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&printed, &length);
    if (stream == NULL)
        return agn_fail(AGN_ERR_MEMORY, "cannot write the preset: out of memory");
    print_preset(preset, stream);
    if (fclose(stream) != 0) {
        free(printed);
        return agn_fail(AGN_ERR_MEMORY, "cannot write the preset: out of memory");
    }
    int status = length < cap ? (int)length
                              : agn_fail(AGN_ERR_SPACE, "a preset needs %zu bytes, not %zu", length + 1, cap);
    if (status >= 0)
        memcpy(text, printed, length + 1);
    free(printed);
    return status;
}

struct agn_dataset_source agn_preset_source(const struct agn_preset *preset, const char *split, int limit)
{
    int own = strcmp(split, "train") == 0  ? preset->data.train_limit
              : strcmp(split, "test") == 0 ? preset->data.test_limit
                                           : 0;
    return (struct agn_dataset_source){.format = preset->data.format,
                                       .path = preset->data.path,
                                       .split = split,
                                       .height = preset->data.height,
                                       .width = preset->data.width,
                                       .channels = preset->data.channels,
                                       .bad_files =
                                           preset->data.bad_files == AGN_BAD_FILES_SKIP ? "skip" : "refuse",
                                       .ground = preset->data.ground,
                                       .limit = limit >= 0 ? limit : own,
                                       .test = preset->data.test,
                                       .validation = preset->data.validation,
                                       .split_seed = (uint64_t)preset->data.split_seed,
                                       .train_limit = preset->data.train_limit};
}

static void print_help(FILE *stream, const struct key *key)
{
    char formats[256];
    agn_dataset_list_formats(formats, sizeof(formats));
    fputs(key->help, stream);
    if (key->offset == offsetof(struct agn_preset, data.format))
        fprintf(stream, ": %s", formats);
    for (int i = 0; key->offset == offsetof(struct agn_preset, model.system) && agn_systems[i] != NULL; i++)
        fprintf(stream, "%s%s (%s)", i > 0 ? ", " : ": ", agn_systems[i]->name, agn_systems[i]->meaning);
}

void agn_preset_print_keys(FILE *stream)
{
    const char *section = "";
    for (size_t i = 0; i < AGN_COUNT_OF(keys); i++) {
        const struct key *key = &keys[i];
        if (strcmp(section, key->section) != 0) {
            fprintf(stream, "%s[%s]\n", i == 0 ? "" : "\n", key->section);
            section = key->section;
        }
        fprintf(stream, "  %-18s ", key->name);
        print_help(stream, key);
        fprintf(stream, " (default %s", key->standard[0] == '\0' ? "none" : key->standard);
        if (key->type == WHOLE || key->type == REAL)
            fprintf(stream, "; %g to %g", key->low, key->high);
        fprintf(stream, ")\n");
    }
}

/* ---- finding -------------------------------------------------------------------------- */

enum { MAX_FOLDERS = 4, PRESET_FILE_BYTES = 65536 };

static int preset_folders(char folders[MAX_FOLDERS][PATH_MAX])
{
    int count = 0;
    char program[PATH_MAX];
    const char *from_environment = getenv("AGILENN_PRESETS");
    if (from_environment != NULL)
        snprintf(folders[count++], PATH_MAX, "%s", from_environment);
    snprintf(folders[count++], PATH_MAX, "presets");
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (n > 0) {
        program[n] = '\0';
        char *slash = strrchr(program, '/');
        if (slash != NULL && slash - program < PATH_MAX - 64) {
            *slash = '\0';
            snprintf(folders[count++], PATH_MAX, "%.*s/../share/agilenn/presets", PATH_MAX - 64, program);
            snprintf(folders[count++], PATH_MAX, "%.*s/../presets", PATH_MAX - 64, program);
        }
    }
    return count;
}

/* ---- files: `base = NAME`, then sections -------------------------------------------------------- */

enum { MOST_BASES = 4 };

static int find_preset(const char *name, const char *beside, char path[PATH_MAX]);

/* Takes a first line `base = NAME` off the text; "": there is none. */
static int take_base(char *text, char name[64])
{
    char *at = text, *value;
    name[0] = '\0';
    for (;;) { /* past comments and empty lines */
        at += strspn(at, " \t\r\n");
        if (*at != ';' && *at != '#')
            break;
        at += strcspn(at, "\n");
    }
    size_t key = strcspn(at, " \t=\n"), line = strcspn(at, "\n");
    if (key != 4 || strncmp(at, "base", 4) != 0)
        return AGN_OK;
    value = at + key + strspn(at + key, " \t");
    if (*value != '=')
        return AGN_OK;
    value += 1 + strspn(value + 1, " \t");
    size_t length = strcspn(value, " \t\r\n;");
    if (length == 0 || length >= 64)
        return agn_fail(AGN_ERR_FORMAT, "base names no preset: expected base = NAME, as in base = cifar10");
    memcpy(name, value, length);
    name[length] = '\0';
    memset(at, ' ', line); /* line numbers stay */
    return AGN_OK;
}

static int read_over(const char *path, int depth, struct agn_preset *preset);

static int read_text(const char *path, char *text, int depth, struct agn_preset *preset)
{
    char base[64], base_path[PATH_MAX];
    int status = take_base(text, base);
    if (status == AGN_OK && base[0] != '\0' && depth == MOST_BASES)
        status =
            agn_fail(AGN_ERR_RANGE, "base = %s: more than %d presets stand on each other, or in a circle",
                     base, MOST_BASES);
    if (status == AGN_OK && base[0] != '\0')
        status = find_preset(base, path, base_path);
    if (status == AGN_OK && base[0] != '\0')
        status = read_over(base_path, depth + 1, preset);
    return status < 0 ? status : agn_preset_parse(text, preset);
}

static int read_over(const char *path, int depth, struct agn_preset *preset)
{
    uint8_t *data = NULL;
    size_t size = 0;
    int status = agn_file_read(path, PRESET_FILE_BYTES, &data, &size);
    char *text = status < 0 ? NULL : agn_alloc(size + 1, 1);
    if (text == NULL) {
        agn_free(data);
        return status < 0 ? status : AGN_ERR_MEMORY;
    }
    memcpy(text, data, size);
    status = read_text(path, text, depth, preset);
    if (status < 0 && strncmp(agn_error_message(), "preset ", 7) != 0) {
        char reason[512];
        snprintf(reason, sizeof(reason), "%s", agn_error_message());
        status = agn_fail(status, "preset %s: %s", path, reason);
    }
    agn_free(text);
    agn_free(data);
    return status;
}

static int read_preset(const char *path, struct agn_preset *preset)
{
    agn_preset_defaults(preset);
    return read_over(path, 0, preset);
}

static void set_name(struct agn_preset *preset, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    size_t length = strlen(base);
    if (length > 4 && strcmp(base + length - 4, ".ini") == 0)
        length -= 4;
    snprintf(preset->name, sizeof(preset->name), "%.*s", (int)length, base);
}

static void list_presets(const char *folder, char *list, size_t cap)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        size_t length = strlen(entry->d_name), at = strlen(list);
        if (length > 4 && strcmp(entry->d_name + length - 4, ".ini") == 0 && at + length + 2 < cap)
            snprintf(list + at, cap - at, " %.*s", (int)(length - 4), entry->d_name);
    }
    if (dir != NULL)
        closedir(dir);
}

static bool is_file_name(const char *name)
{
    size_t length = strlen(name);
    return strchr(name, '/') != NULL || (length > 4 && strcmp(name + length - 4, ".ini") == 0);
}

/* `beside`: a file in whose folder it may lie, too; NULL: none. */
static int find_preset(const char *name, const char *beside, char path[PATH_MAX])
{
    char folders[MAX_FOLDERS + 1][PATH_MAX], list[512] = "";
    const char *slash = beside == NULL ? NULL : strrchr(beside, '/');
    int count = 0;
    if (is_file_name(name)) {
        snprintf(path, PATH_MAX, "%s", name);
        return AGN_OK;
    }
    if (beside != NULL) {
        snprintf(folders[count++], PATH_MAX, "%.*s", slash == NULL ? 1 : (int)(slash - beside),
                 slash == NULL ? "." : beside);
    }
    count += preset_folders(folders + count);
    for (int i = 0; i < count; i++) {
        snprintf(path, PATH_MAX, "%.3900s/%.100s.ini", folders[i], name);
        if (agn_file_exists(path))
            return AGN_OK;
        if (list[0] == '\0')
            list_presets(folders[i], list, sizeof(list));
    }
    return agn_fail(AGN_ERR_NOT_FOUND,
                    "no preset is called '%s'; there are:%s (or give the path of an .ini file)", name,
                    list[0] == '\0' ? " none that I can find" : list);
}

int agn_preset_load(const char *name, struct agn_preset *preset)
{
    char path[PATH_MAX];
    struct agn_preset loaded;
    int status = find_preset(name, NULL, path);
    if (status == AGN_OK)
        status = read_preset(path, &loaded);
    if (status == AGN_OK) {
        set_name(&loaded, name);
        *preset = loaded;
    }
    return status;
}
