/* Class folders: PATH/SPLIT/CLASS/ *.jpg, *.jpeg, *.png.
 *
 * Classes are numbered in byte order of their names in PATH/train (or in the split itself
 * where there is no train), so that a class missing from the test split shifts no label.
 * Files are taken in byte order and decoded on several threads. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "data/dataset.h"
#include "data/image.h"

enum { PATH_BYTES = 1024, MAX_CLASSES = 65535, MAX_FILE_BYTES = 256 << 20 };

struct name_list {
    char **names;
    int count, capacity;
};

static void names_free(struct name_list *list)
{
    for (int i = 0; i < list->count; i++)
        free(list->names[i]);
    free(list->names);
    *list = (struct name_list){0};
}

static int names_add(struct name_list *list, const char *name)
{
    if (list->count == list->capacity) {
        int capacity = list->capacity ? 2 * list->capacity : 64;
        char **grown = realloc(list->names, (size_t)capacity * sizeof *grown);
        if (!grown)
            return agn_fail(AGN_ERR_MEMORY, "cannot list files: out of memory");
        list->names = grown;
        list->capacity = capacity;
    }
    char *copy = strdup(name);
    if (!copy)
        return agn_fail(AGN_ERR_MEMORY, "cannot list files: out of memory");
    list->names[list->count++] = copy;
    return AGN_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int join(char path[PATH_BYTES], const char *folder, const char *name)
{
    int length = snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    if (length < 0 || length >= PATH_BYTES)
        return agn_fail(AGN_ERR_ARG, "%.64s.../%.64s: the path is too long", folder, name);
    return AGN_OK;
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool is_image_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot &&
           (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 || strcasecmp(dot, ".png") == 0);
}

/* Names in a folder, sorted: its folders, or its images. Hidden ones are left out. */
static int list_folder(const char *folder, bool want_folders, struct name_list *list)
{
    DIR *directory = opendir(folder);
    if (!directory)
        return agn_fail(AGN_ERR_IO, "cannot list %s: %s", folder, strerror(errno));
    int status = AGN_OK;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (!entry) {
            if (errno != 0)
                status = agn_fail(AGN_ERR_IO, "cannot list %s: %s", folder, strerror(errno));
            break;
        }
        char path[PATH_BYTES];
        if (entry->d_name[0] == '.')
            continue;
        status = join(path, folder, entry->d_name);
        if (status == AGN_OK && (want_folders ? is_folder(path) : is_image_name(entry->d_name)))
            status = names_add(list, entry->d_name);
        if (status < 0)
            break;
    }
    (void)closedir(directory);
    if (list->count > 0)
        qsort(list->names, (size_t)list->count, sizeof *list->names, compare_names);
    return status;
}

/* The images of a split: relative paths CLASS/FILE, and the label of each. */
struct listing {
    char split_folder[PATH_BYTES];
    struct name_list classes, files;
    uint16_t *labels;
};

static void listing_free(struct listing *listing)
{
    names_free(&listing->classes);
    names_free(&listing->files);
    free(listing->labels);
}

static int list_class(struct listing *listing, const char *name, int label)
{
    char folder[PATH_BYTES], relative[PATH_BYTES];
    struct name_list images = {0};
    int status = join(folder, listing->split_folder, name);
    if (status == AGN_OK)
        status = list_folder(folder, false, &images);
    if (status == AGN_OK && images.count == 0)
        agn_log(AGN_LOG_WARN, "%s has no .jpg, .jpeg or .png image", folder);
    int total = listing->files.count + images.count;
    if (status == AGN_OK && total > AGN__MAX_IMAGES)
        status = agn_fail(AGN_ERR_RANGE, "%s: more than %d images", listing->split_folder, AGN__MAX_IMAGES);
    if (status == AGN_OK && images.count > 0) {
        uint16_t *grown = realloc(listing->labels, (size_t)total * sizeof *grown);
        if (grown)
            listing->labels = grown;
        else
            status = agn_fail(AGN_ERR_MEMORY, "cannot list %s: out of memory", folder);
    }
    for (int i = 0; status == AGN_OK && i < images.count; i++) {
        listing->labels[listing->files.count] = (uint16_t)label;
        status = join(relative, name, images.names[i]);
        if (status == AGN_OK)
            status = names_add(&listing->files, relative);
    }
    names_free(&images);
    return status;
}

/* Every class of this split must be known: labels would mean different things otherwise. */
static int list_known_classes(struct listing *listing, const char *train_folder, struct name_list *present)
{
    bool own = !is_folder(train_folder) || strcmp(train_folder, listing->split_folder) == 0;
    int status = list_folder(own ? listing->split_folder : train_folder, true, &listing->classes);
    for (int i = 0; status == AGN_OK && i < present->count; i++)
        if (!bsearch(&present->names[i], listing->classes.names, (size_t)listing->classes.count,
                     sizeof(char *), compare_names))
            status = agn_fail(AGN_ERR_MISMATCH, "%s has a class '%s' that %s does not have",
                              listing->split_folder, present->names[i], train_folder);
    return status;
}

static int list_split(const struct agn_dataset_source *source, struct listing *listing)
{
    char train_folder[PATH_BYTES];
    struct name_list present = {0};
    int status = join(listing->split_folder, source->path, source->split);
    if (status == AGN_OK)
        status = join(train_folder, source->path, "train");
    if (status < 0)
        return status;
    if (!is_folder(listing->split_folder))
        return agn_fail(
            AGN_ERR_NOT_FOUND,
            "no folder %s: a class-folder data set has its images in %s/CLASS/*.jpg (or .jpeg, .png); "
            "pass the folder above with --data DIR",
            listing->split_folder, listing->split_folder);
    status = list_folder(listing->split_folder, true, &present);
    if (status == AGN_OK && present.count == 0)
        status = agn_fail(AGN_ERR_FORMAT, "%s has no class folders: expected %s/CLASS/*.jpg (or .jpeg, .png)",
                          listing->split_folder, listing->split_folder);
    if (status == AGN_OK)
        status = list_known_classes(listing, train_folder, &present);
    if (status == AGN_OK && listing->classes.count > MAX_CLASSES)
        status = agn_fail(AGN_ERR_RANGE, "%s: more than %d classes", listing->split_folder, MAX_CLASSES);
    int label = 0;
    for (int i = 0; status == AGN_OK && i < present.count; i++) {
        while (strcmp(listing->classes.names[label], present.names[i]) != 0)
            label++; /* both lists are sorted */
        status = list_class(listing, present.names[i], label);
    }
    if (status == AGN_OK && listing->files.count == 0)
        status = agn_fail(AGN_ERR_FORMAT, "%s has no images: expected %s/CLASS/*.jpg (or .jpeg, .png)",
                          listing->split_folder, listing->split_folder);
    names_free(&present);
    return status;
}

static int load_image(const char *folder, const char *relative, const struct agn_dataset *dataset,
                      uint8_t *dst)
{
    char path[PATH_BYTES];
    uint8_t *data = NULL;
    size_t size;
    struct agn__image image = {0};
    int status = join(path, folder, relative);
    if (status == AGN_OK)
        status = agn_file_read(path, MAX_FILE_BYTES, &data, &size);
    if (status == AGN_OK)
        status = agn__image_decode(data, size, path, dataset->channels, &image);
    if (status == AGN_OK)
        status = agn__image_resize(&image, dataset->height, dataset->width, dst);
    agn_free(image.pixels);
    agn_free(data);
    return status;
}

/* The first failure in file order, whichever thread meets it first. Messages are per
 * thread, so the sentence has to be carried over. */
struct first_failure {
    int index, status;
    char message[1024];
};

static int load_images(const struct listing *listing, struct agn_dataset *dataset)
{
    size_t image_bytes = (size_t)dataset->height * (size_t)dataset->width * (size_t)dataset->channels;
    int count = dataset->count, total = listing->files.count;
    struct first_failure failure = {.index = count};
#pragma omp parallel for schedule(dynamic, 16)
    for (int i = 0; i < count; i++) {
        int failed_at;
#pragma omp atomic read
        failed_at = failure.index;
        if (i > failed_at)
            continue;
        int file = agn__limit_pick(i, count, total);
        int status =
            agn_interrupt_requested()
                ? agn_fail(AGN_ERR_INTERRUPTED, "interrupted while reading %s", listing->split_folder)
                : load_image(listing->split_folder, listing->files.names[file], dataset,
                             dataset->pixels + (size_t)i * image_bytes);
        dataset->labels[i] = listing->labels[file];
        if (status < 0) {
#pragma omp critical(agn_folder_failure)
            if (i < failure.index) {
#pragma omp atomic write
                failure.index = i;
                failure.status = status;
                (void)snprintf(failure.message, sizeof failure.message, "%s", agn_error_message());
            }
        }
    }
    return failure.index < count ? agn_fail(failure.status, "%s", failure.message) : AGN_OK;
}

int agn__folder_open(const struct agn_dataset_source *source, struct agn_dataset **dataset)
{
    if (source->channels != 1 && source->channels != 3)
        return agn_fail(AGN_ERR_ARG, "%d image channels: class folders are read with 1 (grey) or 3 (RGB)",
                        source->channels);
    struct listing listing = {0};
    struct agn_dataset *made = NULL;
    int status = list_split(source, &listing);
    if (status < 0)
        goto out;
    made = agn__dataset_alloc(source, agn__limit_count(source, listing.files.count), listing.classes.count);
    if (!made) {
        status = AGN_ERR_MEMORY;
        goto out;
    }
    status =
        agn__dataset_name_classes(made, (const char *const *)listing.classes.names, listing.classes.count);
    if (status == AGN_OK)
        status = load_images(&listing, made);
    if (status == AGN_OK) {
        *dataset = made;
        made = NULL;
    }
out:
    agn_dataset_free(made);
    listing_free(&listing);
    return status;
}
