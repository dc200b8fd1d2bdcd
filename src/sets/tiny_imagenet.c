/* Tiny ImageNet in its own layout:
 *
 *   wnids.txt                     a class id a line, in the order of the labels
 *   words.txt                     ID tab NAMES, of more classes than there are; may be missing
 *   train/ID/images/ *.JPEG       or train/ID/ *.JPEG
 *   val/images/ *.JPEG            with val/val_annotations.txt: FILE tab ID tab box, a line an image
 *   val/ID/images/ *.JPEG         or val/ID/ *.JPEG, as some copies have been rearranged
 *
 * Its own test images have no labels, so split "test" is val. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sets/image_files.h"

enum { MAX_TEXT_BYTES = 64 << 20 };

struct class_row {
    const char *id;
    int label;
    const char *name;
};

struct tiny {
    char root[AGN__PATH_BYTES];
    char *ids_text, *words_text;
    struct class_row *classes; /* in byte order of their ids */
    int class_count;
    struct agn__image_files images;
};

static void tiny_free(struct tiny *tiny)
{
    agn_free(tiny->ids_text);
    agn_free(tiny->words_text);
    agn_free(tiny->classes);
    agn__image_files_free(&tiny->images);
}

static int read_text(const struct tiny *tiny, const char *name, char path[AGN__PATH_BYTES], char **text)
{
    uint8_t *data = NULL;
    size_t size;
    int status = agn__path_join(path, tiny->root, name);
    if (status == AGN_OK)
        status = agn_file_read(path, MAX_TEXT_BYTES, &data, &size);
    *text = (char *)data;
    return status;
}

static int compare_rows(const void *a, const void *b)
{
    return strcmp(((const struct class_row *)a)->id, ((const struct class_row *)b)->id);
}

static struct class_row *find_class(const struct tiny *tiny, const char *id)
{
    const struct class_row key = {.id = id};
    return bsearch(&key, tiny->classes, (size_t)tiny->class_count, sizeof key, compare_rows);
}

static int read_classes(const struct agn_dataset_source *source, struct tiny *tiny)
{
    char path[AGN__PATH_BYTES], *rest = NULL;
    if (snprintf(tiny->root, sizeof tiny->root, "%s/tiny-imagenet-200", source->path) >=
            (int)sizeof tiny->root ||
        !agn__is_folder(tiny->root))
        (void)snprintf(tiny->root, sizeof tiny->root, "%s", source->path);
    int status = read_text(tiny, "wnids.txt", path, &tiny->ids_text);
    if (status == AGN_ERR_NOT_FOUND)
        return agn_fail(AGN_ERR_NOT_FOUND,
                        "no Tiny ImageNet in %s: wnids.txt is missing; get it with `agilenn data fetch "
                        "tiny-imagenet --out DIR`, or pass the folder that holds it with --data DIR",
                        tiny->root);
    if (status != AGN_OK)
        return status;
    size_t lines = 1;
    for (const char *byte = tiny->ids_text; *byte; byte++)
        lines += *byte == '\n';
    tiny->classes = agn_alloc(lines, sizeof *tiny->classes);
    if (!tiny->classes)
        return AGN_ERR_MEMORY;
    for (char *id = strtok_r(tiny->ids_text, " \t\r\n", &rest); id; id = strtok_r(NULL, " \t\r\n", &rest)) {
        if (tiny->class_count == (int)lines || tiny->class_count == AGN__MAX_CLASSES || id[0] == '.' ||
            strchr(id, '/'))
            return agn_fail(AGN_ERR_FORMAT, "%s: record %d '%.40s': expected one class id a line, at most %d",
                            path, tiny->class_count, id, AGN__MAX_CLASSES);
        tiny->classes[tiny->class_count] = (struct class_row){id, tiny->class_count, NULL};
        tiny->class_count++;
    }
    if (tiny->class_count == 0)
        return agn_fail(AGN_ERR_FORMAT, "%s: no class ids, expected one a line", path);
    qsort(tiny->classes, (size_t)tiny->class_count, sizeof *tiny->classes, compare_rows);
    for (int i = 1; i < tiny->class_count; i++)
        if (compare_rows(&tiny->classes[i - 1], &tiny->classes[i]) == 0)
            return agn_fail(AGN_ERR_FORMAT, "%s: class id '%.40s' is there twice", path, tiny->classes[i].id);
    return AGN_OK;
}

/* Names are a courtesy: classes without one keep their id. */
static int read_words(struct tiny *tiny)
{
    char path[AGN__PATH_BYTES], *rest = NULL;
    int status = read_text(tiny, "words.txt", path, &tiny->words_text);
    if (status == AGN_ERR_NOT_FOUND)
        return AGN_OK;
    if (status != AGN_OK)
        return status;
    for (char *line = strtok_r(tiny->words_text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        char *tab = strchr(line, '\t');
        if (!tab || !tab[1])
            continue;
        *tab = '\0';
        struct class_row *row = find_class(tiny, line);
        if (row)
            row->name = tab + 1;
    }
    return AGN_OK;
}

/* SPLIT/ID/images/, else SPLIT/ID/, of all classes. */
static int list_class_folders(struct agn__sink *sink, struct tiny *tiny, const char *split)
{
    int status = AGN_OK;
    for (int i = 0; status >= 0 && i < tiny->class_count; i++) {
        const struct class_row *row = &tiny->classes[i];
        char relative[AGN__PATH_BYTES], folder[AGN__PATH_BYTES];
        int length = snprintf(relative, sizeof relative, "%s/%s/images", split, row->id);
        if (length < 0 || (size_t)length >= sizeof relative)
            return agn_fail(AGN_ERR_ARG, "%.40s: the class id is too long", row->id);
        status = agn__path_join(folder, tiny->root, relative);
        struct agn__unread *unread = &sink->unread;
        if (status == AGN_OK && !agn__is_folder(folder)) {
            unread = NULL; /* boxes lie beside the images */
            relative[strlen(relative) - strlen("/images")] = '\0';
            status = agn__path_join(folder, tiny->root, relative);
        }
        if (status == AGN_OK && !agn__is_folder(folder))
            status =
                agn__sink_fault(sink, agn_fail(AGN_ERR_FORMAT,
                                               "no folder %s: wnids.txt names that class; fetch the data "
                                               "set again",
                                               folder));
        else if (status == AGN_OK) {
            status = agn__image_files_add_folder(&tiny->images, relative, row->label, unread);
            if (status == 0 && strcmp(split, "train") == 0)
                status = agn__sink_fault(sink, agn_fail(AGN_ERR_FORMAT,
                                                        "%s has no image that is read: put images of the "
                                                        "class there, or take it out of wnids.txt",
                                                        folder));
        }
    }
    return status < 0 ? status : AGN_OK;
}

/* Folders beside the classes' own hold images that nobody will see: a class that wnids.txt lacks, ... */
static int count_unnamed(struct agn__sink *sink, const struct tiny *tiny, const char *folder)
{
    struct agn__names folders = {0};
    char path[AGN__PATH_BYTES];
    int status = agn__list_folder(folder, true, &folders);
    for (int i = 0; status == AGN_OK && i < folders.count; i++) {
        if (find_class(tiny, folders.names[i]))
            continue;
        status = agn__path_join(path, folder, folders.names[i]);
        if (status == AGN_OK)
            status = agn__unread_add(&sink->unread, "folder not named in wnids.txt", path);
    }
    agn__names_free(&folders);
    return status;
}

static int add_annotated(struct agn__sink *sink, struct tiny *tiny, const char *path, char *line, int record)
{
    char relative[AGN__PATH_BYTES], *rest = NULL;
    const char *file = strtok_r(line, "\t ", &rest);
    const char *id = strtok_r(NULL, "\t ", &rest);
    if (!file)
        return AGN_OK;
    const struct class_row *row = id ? find_class(tiny, id) : NULL;
    if (!row || file[0] == '.' || strchr(file, '/'))
        return agn__sink_bad(sink,
                             agn_fail(AGN_ERR_FORMAT,
                                      "%s: record %d '%.40s %.40s': expected a file name and one of the "
                                      "class ids of wnids.txt",
                                      path, record, file, id ? id : ""));
    int length = snprintf(relative, sizeof relative, "val/images/%s", file);
    if (length < 0 || (size_t)length >= sizeof relative)
        return agn_fail(AGN_ERR_FORMAT, "%s: record %d: the file name is too long", path, record);
    return agn__image_files_add(&tiny->images, relative, row->label);
}

static int list_validation(struct agn__sink *sink, struct tiny *tiny)
{
    char path[AGN__PATH_BYTES], *text = NULL, *rest = NULL;
    int status = read_text(tiny, "val/val_annotations.txt", path, &text);
    if (status == AGN_ERR_NOT_FOUND)
        return list_class_folders(sink, tiny, "val");
    int record = 0;
    for (char *line = status == AGN_OK ? strtok_r(text, "\r\n", &rest) : NULL; line && status == AGN_OK;
         line = strtok_r(NULL, "\r\n", &rest))
        status = add_annotated(sink, tiny, path, line, record++);
    agn_free(text);
    return status;
}

static int list_split(struct agn__sink *sink, struct tiny *tiny)
{
    bool train = strcmp(sink->source->split, "train") == 0;
    char folder[AGN__PATH_BYTES];
    int status = agn__path_join(folder, tiny->root, train ? "train" : "val");
    if (status < 0)
        return status;
    if (!agn__is_folder(folder))
        return agn_fail(AGN_ERR_NOT_FOUND, "no folder %s: expected Tiny ImageNet's %s images there", folder,
                        train ? "train" : "validation");
    (void)snprintf(tiny->images.folder, sizeof tiny->images.folder, "%s", tiny->root);
    status = train ? list_class_folders(sink, tiny, "train") : list_validation(sink, tiny);
    if (train && status == AGN_OK)
        status = count_unnamed(sink, tiny, folder);
    if (status == AGN_OK && tiny->images.files.count == 0)
        status = agn_fail(AGN_ERR_FORMAT, "%s has no images: expected %s", folder,
                          train ? "ID/images/*.JPEG" : "images/*.JPEG and val_annotations.txt");
    return status;
}

/* Where a split has fewer classes than wnids.txt, labels still mean the same. */
static int begin(struct agn__sink *sink, const struct tiny *tiny)
{
    const char **names = agn_alloc((size_t)tiny->class_count, sizeof *names);
    if (!names)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < tiny->class_count; i++) {
        const struct class_row *row = &tiny->classes[i];
        names[row->label] = row->name ? row->name : row->id;
    }
    int status = agn__sink_begin(sink, tiny->images.files.count, tiny->class_count, names, tiny->class_count);
    agn_free(names);
    return status;
}

int agn__tiny_imagenet_read(struct agn__sink *sink)
{
    struct tiny *tiny = agn_alloc(1, sizeof *tiny);
    if (!tiny)
        return AGN_ERR_MEMORY;
    int status = read_classes(sink->source, tiny);
    if (status == AGN_OK)
        status = read_words(tiny);
    if (status == AGN_OK)
        status = list_split(sink, tiny);
    sink->labels = tiny->images.labels;
    if (status == AGN_OK)
        status = begin(sink, tiny);
    if (status == AGN_OK)
        status = agn__sink_keep_files(sink, tiny->images.folder, tiny->images.files.names);
    if (status == AGN_OK)
        status = agn__image_files_load(&tiny->images, sink);
    tiny_free(tiny);
    agn_free(tiny);
    return status;
}
