/* How a data set is divided into training, test and validation images: its own splits, folders by name, or
 * shares of the training images, which are drawn class by class, so that each has its share. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sets/image_files.h"
#include "sets/parts.h"

enum { FOLDER_NAME_BYTES = 64 };

/* ---- what settings say ---------------------------------------------------------------- */

static bool is_given(const char *text)
{
    return text && *text;
}

/* ---- class folders --------------------------------------------------------------------- */

static bool has_folder(const char *path, const char *name)
{
    char folder[AGN__PATH_BYTES];
    return snprintf(folder, sizeof folder, "%s/%s", path, name) < (int)sizeof folder &&
           agn__is_folder(folder);
}

/* Folders of PATH that hold images themselves: classes without a split above them. */
static int list_flat_classes(const char *path, const struct agn__names *folders, struct agn__names *classes)
{
    char folder[AGN__PATH_BYTES];
    int status = AGN_OK;
    for (int i = 0; i < folders->count && status == AGN_OK; i++) {
        struct agn__names images = {0};
        status = agn__path_join(folder, path, folders->names[i]);
        if (status == AGN_OK)
            status = agn__list_folder(folder, false, &images);
        if (status == AGN_OK && images.count > 0)
            status = agn__names_add(classes, folders->names[i]);
        agn__names_free(&images);
    }
    return status;
}

/* "a, b, c and 7 more" */
static void write_names(const struct agn__names *names, char *text, size_t cap)
{
    enum { SHOWN = 6 };
    size_t length = 0;
    text[0] = '\0';
    for (int i = 0; i < names->count && i < SHOWN && length < cap; i++)
        length +=
            (size_t)snprintf(text + length, cap - length, "%s%.40s", i > 0 ? ", " : "", names->names[i]);
    if (names->count > SHOWN && length < cap)
        (void)snprintf(text + length, cap - length, " and %d more", names->count - SHOWN);
}

/* A folder that is meant to be the split, but is not called so: Train, training, TEST, testing, Val, ... */
static const char *misnamed(const struct agn__names *folders, const char *split)
{
    for (int i = 0; i < folders->count; i++)
        if (strncasecmp(folders->names[i], split, strlen(split)) == 0)
            return folders->names[i];
    return strcmp(split, "test") == 0 ? misnamed(folders, "val") : NULL;
}

static int explain_missing(const char *path, const char *split, const struct agn__names *folders,
                           const struct agn__names *classes)
{
    char found[400];
    const char *other = misnamed(folders, split);
    bool test = strcmp(split, "test") == 0;
    write_names(classes->count > 0 ? classes : folders, found, sizeof found);
    if (classes->count > 0 && !has_folder(path, "train"))
        return agn_fail(AGN_ERR_NOT_FOUND,
                        "%s has class folders itself (%s), and no train and test: to hold out a share of the "
                        "images as test, --set data.test=0.2; or move them to %s/train/CLASS and "
                        "%s/test/CLASS; or pass the folder above with --data DIR",
                        path, found, path, path);
    if (other && test)
        return agn_fail(AGN_ERR_NOT_FOUND, "%s has no folder test, but %s: --set data.test=%s, or rename it",
                        path, other, other);
    if (other)
        return agn_fail(AGN_ERR_NOT_FOUND, "%s has no folder %s, but %s: rename it to %s", path, split, other,
                        split);
    if (test && has_folder(path, "train"))
        return agn_fail(
            AGN_ERR_NOT_FOUND,
            "%s has no folder test (nor val, valid or validation, which would do), only %s: name the folder "
            "with the test images, --set data.test=FOLDER; or hold out a share of the training images, "
            "--set data.test=0.2",
            path, found);
    return agn_fail(AGN_ERR_NOT_FOUND,
                    "no folder %s/%s: a class-folder data set has its images in %s/%s/CLASS/*.jpg (or .jpeg, "
                    ".png), but %s%s is there; pass the folder above with --data DIR",
                    path, split, path, split, folders->count > 0 ? "only " : "nothing", found);
}

static int fail_missing(const char *path, const char *split)
{
    struct agn__names folders = {0}, classes = {0};
    if (!agn__is_folder(path))
        return agn_fail(AGN_ERR_NOT_FOUND,
                        "no folder %s: pass the folder of the data set with --data DIR; its images are "
                        "expected in %s/%s/CLASS/*.jpg (or .jpeg, .png)",
                        path, path, split);
    int status = agn__list_folder(path, true, &folders);
    if (status == AGN_OK)
        status = list_flat_classes(path, &folders, &classes);
    if (status == AGN_OK)
        status = explain_missing(path, split, &folders, &classes);
    agn__names_free(&folders);
    agn__names_free(&classes);
    return status;
}

/* Classes in PATH itself are training images from which a share is held out, if that is asked for. */
static int find_training_folder(struct agn__sink *sink, struct agn_dataset_source *source)
{
    struct agn__names folders = {0}, classes = {0};
    if (has_folder(source->path, "train"))
        return AGN_OK;
    if (sink->test_share == 0.0 || !agn__is_folder(source->path))
        return fail_missing(source->path, "train");
    int status = agn__list_folder(source->path, true, &folders);
    if (status == AGN_OK)
        status = list_flat_classes(source->path, &folders, &classes);
    if (status == AGN_OK && classes.count == 0)
        status = explain_missing(source->path, "train", &folders, &classes);
    if (status == AGN_OK)
        source->split = ".";
    agn__names_free(&folders);
    agn__names_free(&classes);
    return status;
}

static int find_test_folder(struct agn_dataset_source *source)
{
    static const char *const stand_ins[] = {"val", "valid", "validation"};
    const char *path = source->path, *taken = is_given(source->validation) ? source->validation : "";
    if (has_folder(path, "test"))
        return AGN_OK;
    for (size_t i = 0; i < AGN_COUNT_OF(stand_ins); i++) {
        if (!has_folder(path, stand_ins[i]))
            continue;
        if (strcmp(taken, stand_ins[i]) == 0)
            return agn_fail(AGN_ERR_NOT_FOUND,
                            "%s has no folder test, and data.validation takes %s: hold out a share of the "
                            "training images as test, --set data.test=0.2; or set data.validation to a "
                            "share (0.1), and %s is the test split",
                            path, taken, taken);
        agn_log(AGN_LOG_INFO, "%s has no folder test: %s is the test split", path, stand_ins[i]);
        source->split = stand_ins[i];
        return AGN_OK;
    }
    return fail_missing(path, "test");
}

static int find_named_folder(struct agn_dataset_source *source, const char *key, const char *name)
{
    if (has_folder(source->path, name)) {
        source->split = name;
        return AGN_OK;
    }
    char found[400];
    struct agn__names folders = {0};
    int status = agn__list_folder(source->path, true, &folders);
    write_names(&folders, found, sizeof found);
    agn__names_free(&folders);
    return status < 0 ? status
                      : agn_fail(AGN_ERR_NOT_FOUND,
                                 "no folder %s/%s, which data.%s = %s asks for: expected one that is there "
                                 "(%s), or a share of the training images, such as 0.1",
                                 source->path, name, key, name, found);
}

/* ---- what is read ------------------------------------------------------------------------ */

static int resolve_folder(struct agn__sink *sink, struct agn_dataset_source *source)
{
    switch (sink->part) {
    case AGN__PART_TEST:
        return is_given(source->test) ? find_named_folder(source, "test", source->test)
                                      : find_test_folder(source);
    case AGN__PART_VALIDATION:
        return find_named_folder(source, "validation", source->validation);
    default:
        return find_training_folder(sink, source);
    }
}

int agn__parts_resolve(struct agn__sink *sink)
{
    struct agn_dataset_source *source = &sink->resolved;
    *source = *sink->source;
    int status = agn_dataset_check_parts(source->format, source->test, source->validation);
    if (status < 0)
        return status;
    sink->test_share = agn_dataset_share(source->test);
    sink->validation_share = agn_dataset_share(source->validation);
    sink->part = strcmp(source->split, "train") == 0  ? AGN__PART_TRAIN
                 : strcmp(source->split, "test") == 0 ? AGN__PART_TEST
                                                      : AGN__PART_VALIDATION;
    if (sink->part == AGN__PART_VALIDATION && !is_given(source->validation))
        return agn_fail(AGN_ERR_NOT_FOUND,
                        "there are no validation images: hold out a share of the training images with --set "
                        "data.validation=0.1, or name their folder");
    bool of_training = (sink->part == AGN__PART_TRAIN && sink->test_share + sink->validation_share > 0.0) ||
                       (sink->part == AGN__PART_TEST && sink->test_share > 0.0) ||
                       (sink->part == AGN__PART_VALIDATION && sink->validation_share > 0.0);
    sink->shared = of_training;
    sink->source = source;
    if (of_training)
        source->split = "train";
    if (strcmp(source->format, "folder") != 0)
        return AGN_OK;
    return of_training ? find_training_folder(sink, source) : resolve_folder(sink, source);
}

bool agn__parts_need_labels(const struct agn__sink *sink)
{
    return sink->shared;
}

/* ---- shares -------------------------------------------------------------------------------- */

/* At least one image, if one is left for training. */
static int share_count(double share, int count)
{
    int taken = (int)lround(share * count);
    if (share == 0.0 || count < 2)
        return 0;
    return taken < 1 ? 1 : taken < count ? taken : count - 1;
}

/* Shuffles a class's images and gives the first ones to test, the next ones to validation. */
static void divide_class(const struct agn__sink *sink, int label, int *images, int count, uint8_t *part_of)
{
    struct agn_rng rng;
    const uint64_t spread = 0x9E3779B97F4A7C15U;
    int test = share_count(sink->test_share, count);
    int validation = share_count(sink->validation_share, count - test);
    agn_rng_seed(&rng, sink->source->split_seed * spread + (uint64_t)label);
    for (int i = count - 1; i > 0; i--) {
        int other = (int)agn_rng_below(&rng, (uint32_t)i + 1), image = images[i];
        images[i] = images[other];
        images[other] = image;
    }
    for (int i = 0; i < test + validation; i++)
        part_of[images[i]] = i < test ? AGN__PART_TEST : AGN__PART_VALIDATION;
}

/* part_of[i] for the i-th image of the pool; images of a class lie side by side in `order`. */
static int divide(const struct agn__sink *sink, int total, int pool, int classes, uint8_t *part_of)
{
    int *order = agn_alloc((size_t)pool, sizeof *order);
    int *first = agn_alloc((size_t)classes + 1, sizeof *first),
        *next = agn_alloc((size_t)classes, sizeof *next);
    int status = order && first && next ? AGN_OK : AGN_ERR_MEMORY;
    for (int i = 0; status == AGN_OK && i < pool; i++) {
        int label = sink->labels[agn__limit_pick(i, pool, total)];
        first[(label < classes ? label : 0) + 1]++; /* a wrong label is refused when its image comes */
    }
    for (int c = 0; status == AGN_OK && c < classes; c++) {
        first[c + 1] += first[c];
        next[c] = first[c];
    }
    for (int i = 0; status == AGN_OK && i < pool; i++) {
        int label = sink->labels[agn__limit_pick(i, pool, total)];
        order[next[label < classes ? label : 0]++] = i;
    }
    for (int c = 0; status == AGN_OK && c < classes; c++)
        divide_class(sink, c, order + first[c], first[c + 1] - first[c], part_of);
    agn_free(order);
    agn_free(first);
    agn_free(next);
    return status;
}

int agn__parts_choose(struct agn__sink *sink, int total, int classes)
{
    int most = sink->source->train_limit, limit = sink->source->limit;
    int pool = most > 0 && most < total ? most : total, count = 0;
    uint8_t *part_of = agn_alloc((size_t)pool, 1);
    sink->picks = agn_alloc((size_t)pool, sizeof *sink->picks);
    int status = part_of && sink->picks ? divide(sink, total, pool, classes, part_of) : AGN_ERR_MEMORY;
    for (int i = 0; status == AGN_OK && i < pool; i++)
        if (part_of[i] == sink->part)
            sink->picks[count++] = agn__limit_pick(i, pool, total);
    agn_free(part_of);
    if (status == AGN_OK && count == 0)
        status = agn_fail(AGN_ERR_RANGE,
                          "%s: no class has two images, so that none can be held out; set data.test and "
                          "data.validation to folders, or add images",
                          sink->source->path);
    int kept = limit > 0 && limit < count ? limit : count;
    for (int i = 0; status == AGN_OK && i < kept; i++)
        sink->picks[i] = sink->picks[agn__limit_pick(i, kept, count)];
    sink->kept = kept;
    return status;
}
