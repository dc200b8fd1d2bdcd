/* CIFAR-10 and CIFAR-100 in their official binary layout: files of records without a header.
 *
 *   CIFAR-10   1 label byte, then 1024 red, 1024 green, 1024 blue bytes, rows first
 *   CIFAR-100  1 coarse label byte, 1 fine label byte, then the same
 *
 * Files may hold any whole number of records. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sets/image_files.h"
#include "sets/parts.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, PIXELS = 3 * PLANE, MAX_FILES = 5, MAX_NAMES_BYTES = 1 << 16 };

struct layout {
    const char *title;  /* for messages */
    const char *folder; /* what the official archive unpacks to */
    const char *train[MAX_FILES], *test;
    const char *names;        /* file with a class name a line */
    int label_bytes, classes; /* the last label byte is the one used */
};

static const struct layout cifar10 = {
    .title = "CIFAR-10",
    .folder = "cifar-10-batches-bin",
    .train = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
              "data_batch_5.bin"},
    .test = "test_batch.bin",
    .names = "batches.meta.txt",
    .label_bytes = 1,
    .classes = 10,
};

static const struct layout cifar100 = {
    .title = "CIFAR-100",
    .folder = "cifar-100-binary",
    .train = {"train.bin"},
    .test = "test.bin",
    .names = "fine_label_names.txt",
    .label_bytes = 2,
    .classes = 100,
};

struct batch_file {
    char path[AGN__PATH_BYTES];
    size_t size_bytes;
    int first, count; /* records: number of the first one in the split, how many */
};

struct split {
    const struct layout *layout;
    char folder[AGN__PATH_BYTES];
    struct batch_file files[MAX_FILES];
    int file_count, total;
    size_t record_bytes;
};

/* PATH itself, or the archive's folder in it. */
static int find_folder(const struct agn_dataset_source *source, struct split *split)
{
    int status = agn__path_join(split->folder, source->path, split->layout->folder);
    if (status < 0 || agn__is_folder(split->folder))
        return status;
    (void)snprintf(split->folder, sizeof split->folder, "%s", source->path);
    return AGN_OK;
}

static int measure_file(struct agn__sink *sink, struct split *split, const char *name)
{
    struct batch_file *file = &split->files[split->file_count];
    int status = agn__path_join(file->path, split->folder, name);
    if (status < 0)
        return status;
    struct stat info;
    if (stat(file->path, &info) != 0 || !S_ISREG(info.st_mode))
        return agn__sink_bad(sink,
                             agn_fail(AGN_ERR_NOT_FOUND,
                                      "no %s in %s: %s is missing; get it with `agilenn data fetch`, or pass "
                                      "the folder that holds it with --data DIR",
                                      split->layout->title, split->folder, name));
    file->size_bytes = (size_t)info.st_size;
    size_t records = file->size_bytes / split->record_bytes, rest = file->size_bytes % split->record_bytes;
    if (rest != 0 || records == 0)
        status = agn__sink_bad(
            sink, agn_fail(AGN_ERR_FORMAT, "%s: record %zu has %zu bytes, expected %zu; fetch the file again",
                           file->path, records, rest, split->record_bytes));
    if (status == AGN_OK && records > (size_t)(AGN__MAX_IMAGES - split->total))
        status = agn_fail(AGN_ERR_RANGE, "%s: more than %d records", file->path, AGN__MAX_IMAGES);
    if (status < 0 || records == 0)
        return status;
    file->first = split->total;
    file->count = (int)records;
    split->total += file->count;
    split->file_count++;
    return AGN_OK;
}

static int measure_split(struct agn__sink *sink, struct split *split)
{
    const struct layout *layout = split->layout;
    bool train = strcmp(sink->source->split, "train") == 0;
    const char *const *names = train ? layout->train : &layout->test;
    int status = AGN_OK;
    for (int i = 0; status == AGN_OK && i < (train ? MAX_FILES : 1) && names[i]; i++)
        status = measure_file(sink, split, names[i]);
    if (status == AGN_OK && split->total == 0)
        status = agn_fail(AGN_ERR_NOT_FOUND, "no %s images of split %s in %s", layout->title,
                          sink->source->split, split->folder);
    return status;
}

/* One name a line; a file that is not there, or has too few, leaves numbers. `text` holds what names point
 * to. */
static int read_names(const struct split *split, char **text, const char *names[])
{
    char path[AGN__PATH_BYTES];
    uint8_t *data = NULL;
    size_t size = 0;
    int status = agn__path_join(path, split->folder, split->layout->names);
    if (status < 0 || !agn_file_exists(path))
        return status;
    status = agn_file_read(path, MAX_NAMES_BYTES, &data, &size);
    if (status < 0)
        return status;
    *text = (char *)data;
    int count = 0;
    char *rest = NULL;
    for (char *line = strtok_r(*text, "\r\n", &rest); line && count < split->layout->classes;
         line = strtok_r(NULL, "\r\n", &rest))
        names[count++] = line;
    return count;
}

struct loading {
    struct agn__sink *sink;
    const struct split *split;
    const struct batch_file *file;
    const uint8_t *data;
};

static int load_record(void *user, int kept)
{
    const struct loading *loading = user;
    const struct layout *layout = loading->split->layout;
    int number = agn__sink_pick(loading->sink, kept) - loading->file->first;
    const uint8_t *record = loading->data + (size_t)number * loading->split->record_bytes;
    int label = record[layout->label_bytes - 1];
    if (label >= layout->classes)
        return agn__sink_bad(loading->sink,
                             agn_fail(AGN_ERR_FORMAT, "%s: record %d has label %d, expected 0 to %d",
                                      loading->file->path, number, label, layout->classes - 1));
    uint8_t pixels[PIXELS];
    const uint8_t *planes = record + layout->label_bytes;
    for (int i = 0; i < PLANE; i++)
        for (int c = 0; c < 3; c++)
            pixels[3 * i + c] = planes[c * PLANE + i];
    const struct agn__image image = {SIDE, SIDE, 3, pixels};
    return agn__sink_put(loading->sink, kept, label, &image);
}

static int load_file(struct agn__sink *sink, const struct split *split, const struct batch_file *file)
{
    uint8_t *data = NULL;
    size_t size = 0;
    int status = agn_file_read(file->path, file->size_bytes, &data, &size);
    if (status == AGN_OK && size != file->size_bytes)
        status = agn_fail(AGN_ERR_IO, "%s: %zu bytes read, expected %zu; it changed meanwhile", file->path,
                          size, file->size_bytes);
    if (status < 0) {
        agn_free(data);
        return agn__sink_bad(sink, status);
    }
    struct loading loading = {sink, split, file, data};
    status = agn__load_parallel(agn__sink_first(sink, file->first),
                                agn__sink_first(sink, file->first + file->count), load_record, &loading,
                                file->path);
    agn_free(data);
    return status;
}

/* Of all records, for parts that are drawn by class. */
static int read_labels(const struct split *split, uint16_t **labels)
{
    int status = AGN_OK;
    *labels = agn_alloc((size_t)split->total, sizeof **labels);
    if (!*labels)
        return AGN_ERR_MEMORY;
    for (int i = 0; status == AGN_OK && i < split->file_count; i++) {
        const struct batch_file *file = &split->files[i];
        uint8_t *data = NULL;
        size_t size = 0;
        status = agn_file_read(file->path, file->size_bytes, &data, &size);
        for (int record = 0; status == AGN_OK && record < file->count; record++) {
            size_t at = (size_t)record * split->record_bytes + (size_t)split->layout->label_bytes - 1;
            (*labels)[file->first + record] = at < size ? data[at] : 0; /* load_file says what is wrong */
        }
        agn_free(data);
    }
    return status;
}

static int read_split(struct agn__sink *sink, const struct layout *layout)
{
    struct split *split = agn_alloc(1, sizeof *split);
    if (!split)
        return AGN_ERR_MEMORY;
    split->layout = layout;
    split->record_bytes = (size_t)layout->label_bytes + PIXELS;
    const char *names[100] = {NULL};
    char *text = NULL;
    uint16_t *labels = NULL;
    int name_count = 0;
    int status = find_folder(sink->source, split);
    if (status == AGN_OK)
        status = measure_split(sink, split);
    if (status == AGN_OK)
        status = name_count = read_names(split, &text, names);
    if (status >= 0 && agn__parts_need_labels(sink))
        status = read_labels(split, &labels);
    sink->labels = labels;
    if (status >= 0)
        status = agn__sink_begin(sink, split->total, layout->classes, names, name_count);
    for (int i = 0; status == AGN_OK && i < split->file_count; i++)
        status = load_file(sink, split, &split->files[i]);
    agn_free(labels);
    agn_free(text);
    agn_free(split);
    return status;
}

int agn__cifar10_read(struct agn__sink *sink)
{
    return read_split(sink, &cifar10);
}

int agn__cifar100_read(struct agn__sink *sink)
{
    return read_split(sink, &cifar100);
}
