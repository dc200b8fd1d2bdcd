/* Data sets: the choice of a reader, and what all formats have in common.
 * Formats themselves are in files of their own; where their images go is in sink.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sets/parts.h"

struct agn_dataset *agn__dataset_alloc(const struct agn_dataset_source *source, int count, int classes)
{
    struct agn_dataset *dataset = agn_alloc(1, sizeof *dataset);
    if (!dataset)
        return NULL;
    dataset->count = count;
    dataset->height = source->height;
    dataset->width = source->width;
    dataset->channels = source->channels;
    dataset->classes = classes;
    size_t image_bytes = (size_t)source->height * (size_t)source->width * (size_t)source->channels;
    dataset->pixels = agn_alloc((size_t)count, image_bytes);
    dataset->labels = agn_alloc((size_t)count, sizeof *dataset->labels);
    dataset->class_names = agn_alloc((size_t)classes, sizeof *dataset->class_names);
    if (!dataset->pixels || !dataset->labels || !dataset->class_names) {
        agn_dataset_free(dataset);
        return NULL;
    }
    return dataset;
}

int agn__copy_class_names(char **copies, int classes, const char *const *names, int names_count)
{
    for (int i = 0; i < classes; i++) {
        char number[16];
        (void)snprintf(number, sizeof number, "%d", i);
        const char *name = names && i < names_count && names[i] ? names[i] : number;
        size_t size = strlen(name) + 1;
        copies[i] = agn_alloc(size, 1);
        if (!copies[i])
            return AGN_ERR_MEMORY;
        memcpy(copies[i], name, size);
    }
    return AGN_OK;
}

int agn__dataset_name_classes(struct agn_dataset *dataset, const char *const *names, int names_count)
{
    return agn__copy_class_names(dataset->class_names, dataset->classes, names, names_count);
}

int agn__limit_count(const struct agn_dataset_source *source, int total)
{
    return source->limit > 0 && source->limit < total ? source->limit : total;
}

int agn__limit_pick(int kept, int kept_count, int total)
{
    return (int)((int64_t)kept * total / kept_count);
}

/* ---- the formats ---- */

struct format {
    const char *name;
    int (*read)(struct agn__sink *sink);
    int height, width, channels; /* 0 where images have any size */
    const char *signs[3];        /* files or folders of which any one gives the format away */
};

static const struct format formats[] = {
    {"idx",
     agn__idx_read,
     0,
     0,
     0,
     {"train-images-idx3-ubyte.gz", "train-images-idx3-ubyte", "t10k-images-idx3-ubyte.gz"}},
    {"folder", agn__folder_read, 0, 0, 0, {NULL}},
    {"cifar10", agn__cifar10_read, 32, 32, 3, {"data_batch_1.bin", "test_batch.bin", "cifar-10-batches-bin"}},
    {"cifar100", agn__cifar100_read, 32, 32, 3, {"fine_label_names.txt", "train.bin", "cifar-100-binary"}},
    {"svhn", agn__svhn_read, 32, 32, 3, {"train_32x32.mat", "test_32x32.mat", NULL}},
    {"tiny-imagenet", agn__tiny_imagenet_read, 64, 64, 3, {"wnids.txt", "tiny-imagenet-200", NULL}},
};

static const struct format *find_format(const char *name)
{
    for (size_t i = 0; i < AGN_COUNT_OF(formats); i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

bool agn_dataset_format_size(const char *format, int *height, int *width, int *channels)
{
    const struct format *found = find_format(format);
    if (!found || found->height == 0)
        return false;
    *height = found->height;
    *width = found->width;
    *channels = found->channels;
    return true;
}

const char *agn_dataset_detect(const char *path)
{
    for (size_t i = 0; i < AGN_COUNT_OF(formats); i++)
        for (size_t j = 0; j < AGN_COUNT_OF(formats[i].signs) && formats[i].signs[j]; j++) {
            char file[1024];
            int length = snprintf(file, sizeof file, "%s/%s", path, formats[i].signs[j]);
            if (length > 0 && (size_t)length < sizeof file && agn_file_exists(file))
                return formats[i].name;
        }
    return "folder";
}

/* How images are to be read, into the sink. */
static int take_options(struct agn__sink *sink)
{
    const char *bad_files = sink->source->bad_files ? sink->source->bad_files : "refuse";
    const char *ground = sink->source->ground ? sink->source->ground : "white";
    sink->skip = strcmp(bad_files, "skip") == 0;
    if (!sink->skip && strcmp(bad_files, "refuse") != 0)
        return agn_fail(AGN_ERR_ARG, "bad files '%s': expected refuse or skip", bad_files);
    if (!agn_dataset_ground(ground, sink->ground))
        return agn_fail(AGN_ERR_ARG, "ground '%s': expected white, black or #RRGGBB", ground);
    return AGN_OK;
}

static int check_source(const struct agn_dataset_source *source)
{
    if (!source->format || !source->path || !source->split)
        return agn_fail(AGN_ERR_ARG, "a data set needs a format, a folder and a split");
    if (strcmp(source->split, "train") != 0 && strcmp(source->split, "test") != 0 &&
        strcmp(source->split, "validation") != 0)
        return agn_fail(AGN_ERR_ARG, "unknown split '%s': expected train, test or validation", source->split);
    if (source->height < 1 || source->width < 1 || source->height > 4096 || source->width > 4096)
        return agn_fail(AGN_ERR_ARG, "image size %dx%d: height and width must be 1 to 4096", source->height,
                        source->width);
    if (source->channels < 1 || source->channels > AGN_MAX_CHANNELS)
        return agn_fail(AGN_ERR_ARG, "%d image channels: expected 1 to %d", source->channels,
                        AGN_MAX_CHANNELS);
    if (source->limit < 0 || source->train_limit < 0)
        return agn_fail(AGN_ERR_ARG, "a limit of %d images: expected 0 (all) or more",
                        source->limit < 0 ? source->limit : source->train_limit);
    return AGN_OK;
}

int agn__dataset_read(struct agn__sink *sink)
{
    int status = check_source(sink->source);
    if (status == AGN_OK)
        status = take_options(sink);
    if (status < 0)
        return status;
    const struct format *format = find_format(sink->source->format);
    if (!format) {
        char known[256];
        agn_dataset_list_formats(known, sizeof known);
        return agn_fail(AGN_ERR_ARG, "unknown data set format '%s': expected %s", sink->source->format,
                        known);
    }
    if (strcmp(format->name, "idx") != 0 && sink->source->channels != 1 && sink->source->channels != 3)
        return agn_fail(AGN_ERR_ARG, "%d image channels: format %s is read with 1 (grey) or 3 (RGB)",
                        sink->source->channels, format->name);
    status = agn__parts_resolve(sink);
    return status < 0 ? status : format->read(sink);
}

int agn_dataset_open(const struct agn_dataset_source *source, struct agn_dataset **dataset)
{
    struct agn__sink sink = {.source = source, .channels = source->channels};
    int status = agn__sink_read(&sink);
    if (status < 0) {
        agn_dataset_free(sink.dataset);
        return status;
    }
    *dataset = sink.dataset;
    return AGN_OK;
}
