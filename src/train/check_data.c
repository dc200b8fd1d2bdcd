/* Whether a data set can be trained on, and whether it is one for a given model. That files are whole and
 * images of one size is the readers' business (src/data). */
#include <string.h>

#include "train/start.h"

/* ---- what a preset leaves to the data ------------------------------------------------- */

/* idx files number their classes, so that those above the highest label are not known to be missing. */
static int fit_classes(struct agn_preset *p, const struct agn_dataset *train, const struct agn_dataset *test)
{
    int counted = train->classes > test->classes ? train->classes : test->classes, first = 0;
    const struct agn_dataset *larger = counted == train->classes ? train : test;
    char where[64] = "";
    if (p->data.classes == 0) {
        p->data.classes = counted;
        return AGN_OK;
    }
    if (p->data.classes == counted || (p->data.classes > counted && strcmp(p->data.format, "idx") == 0))
        return AGN_OK;
    while (first < larger->count && larger->labels[first] < p->data.classes)
        first++;
    if (first < larger->count) {
        snprintf(where, sizeof(where), " (%s image %d has label %d)", larger == train ? "train" : "test",
                 first, larger->labels[first]);
    }
    return agn_fail(AGN_ERR_RANGE,
                    "data.classes = %d, but the data set in %s has %d classes%s: leave data.classes out (or "
                    "0), and they are counted; or set it to %d",
                    p->data.classes, p->data.path, counted, where, counted);
}

/* The model will have outputs for them that nothing trains: labels with gaps, data.classes of idx files that
 * is more than there are, a data.train_limit that leaves some out. */
static int mention_unseen_classes(const struct agn_preset *p, const struct agn_dataset *train)
{
    enum { SHOWN = 8 };
    char names[SHOWN * 44] = "";
    size_t length = 0;
    int unseen = 0;
    bool *seen = agn_alloc((size_t)p->data.classes, sizeof(*seen));
    if (seen == NULL)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < train->count; i++)
        if (train->labels[i] < p->data.classes)
            seen[train->labels[i]] = true;
    for (int c = 0; c < p->data.classes; c++) {
        char number[16];
        snprintf(number, sizeof(number), "%d", c);
        if (!seen[c] && unseen++ < SHOWN) {
            length +=
                (size_t)snprintf(names + length, sizeof(names) - length, "%s%.40s", unseen > 1 ? ", " : "",
                                 c < train->classes ? train->class_names[c] : number);
        }
    }
    agn_free(seen);
    if (unseen > 0 && unseen < p->data.classes - 1) { /* a single class is refused elsewhere */
        agn_log(AGN_LOG_WARN,
                "%d of %d classes without a training image, so that the model cannot learn them: %s%s; add "
                "images, or look at data.train_limit and data.classes",
                unseen, p->data.classes, names, unseen > SHOWN ? ", ..." : "");
    }
    return AGN_OK;
}

int agn_train_fit_preset(struct agn_preset *preset, const struct agn_dataset *train,
                         const struct agn_dataset *test, struct agn_group *group)
{
    int batch = preset->train.batch, size = agn_group_size(group), most = train->count / size * size;
    int status = fit_classes(preset, train, test);
    if (status == AGN_OK && batch > train->count && most >= 2) {
        preset->train.batch = most;
        if (agn_group_rank(group) == 0) {
            agn_log(AGN_LOG_INFO, "train.batch = %d instead of %d: there are only %d training images", most,
                    batch, train->count);
        }
    }
    return status == AGN_OK && agn_group_rank(group) == 0 ? mention_unseen_classes(preset, train) : status;
}

/* ---- training ------------------------------------------------------------------------ */

static int check_set(const struct agn_preset *p, const char *what, const struct agn_dataset *data)
{
    if (data->height != p->data.height || data->width != p->data.width ||
        data->channels != p->data.channels) {
        return agn_fail(AGN_ERR_ARG, "the %s images are %dx%dx%d, but the preset says %dx%dx%d", what,
                        data->height, data->width, data->channels, p->data.height, p->data.width,
                        p->data.channels);
    }
    if (data->classes > p->data.classes) {
        return agn_fail(AGN_ERR_RANGE, "the %s set has %d classes, but data.classes = %d", what,
                        data->classes, p->data.classes);
    }
    return agn_dataset_check_labels(what, data);
}

/* With one class every answer is right, and skewness and accuracy look perfect. */
static int check_variety(const struct agn_preset *p, const struct agn_dataset *data)
{
    for (int i = 1; i < data->count; i++)
        if (data->labels[i] != data->labels[0])
            return AGN_OK;
    bool folder = strcmp(p->data.format, "folder") == 0;
    return agn_fail(
        AGN_ERR_MISMATCH, "all %d training images in %s are of one class, '%s': training needs two or more%s",
        data->count, p->data.path, data->class_names[data->labels[0]],
        folder ? "; each class has a folder of its own, train/CLASS" : "; check the labels, or the limit");
}

int agn__check_training_data(const struct agn_train_config *config)
{
    const struct agn_preset *p = &config->preset;
    int status = check_set(p, "training", config->train);
    if (status == AGN_OK)
        status = check_set(p, "test", config->test);
    if (status == AGN_OK && config->validation != NULL)
        status = check_set(p, "validation", config->validation);
    if (status == AGN_OK && config->train->count < p->train.batch)
        status = agn_fail(AGN_ERR_ARG,
                          "train.batch = %d, but there are only %d training images: choose a smaller batch",
                          p->train.batch, config->train->count);
    return status < 0 ? status : check_variety(p, config->train);
}
