/* Folders of image files: what is in them, and reading many at once. Which file has which
 * label is the business of the formats (folder.c, tiny_imagenet.c). */
#define _POSIX_C_SOURCE 200809L
#include "sets/image_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MAX_FILE_BYTES = 256 << 20 };

void agn__names_free(struct agn__names *list)
{
    for (int i = 0; i < list->count; i++)
        free(list->names[i]);
    free(list->names);
    *list = (struct agn__names){0};
}

int agn__names_add(struct agn__names *list, const char *name)
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

void agn__names_sort(struct agn__names *list)
{
    if (list->count > 0)
        qsort(list->names, (size_t)list->count, sizeof *list->names, compare_names);
}

int agn__names_find(const struct agn__names *list, const char *name)
{
    if (list->count == 0)
        return -1;
    char **found = bsearch(&name, list->names, (size_t)list->count, sizeof *list->names, compare_names);
    return found ? (int)(found - list->names) : -1;
}

int agn__path_join(char path[AGN__PATH_BYTES], const char *folder, const char *name)
{
    int length = snprintf(path, AGN__PATH_BYTES, "%s/%s", folder, name);
    if (length < 0 || length >= AGN__PATH_BYTES)
        return agn_fail(AGN_ERR_ARG, "%.64s.../%.64s: the path is too long", folder, name);
    return AGN_OK;
}

bool agn__is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool agn__is_image_name(const char *name)
{
    static const char *const endings[] = {".jpg",  ".jpeg", ".jpe",  ".jfif", ".png", ".webp", ".heic",
                                          ".heif", ".hif",  ".avif", ".gif",  ".tif", ".tiff", ".bmp"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < AGN_COUNT_OF(endings); i++)
        if (strcasecmp(dot, endings[i]) == 0)
            return true;
    return false;
}

/* Calls visit(user, path, name) for what is in a folder, but for hidden entries, in the folder's order. */
static int visit_folder(const char *folder, int (*visit)(void *user, const char *path, const char *name),
                        void *user)
{
    DIR *directory = opendir(folder);
    if (!directory)
        return agn_fail(AGN_ERR_IO, "cannot list %s: %s", folder, strerror(errno));
    int status = AGN_OK;
    while (status == AGN_OK) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (!entry) {
            if (errno != 0)
                status = agn_fail(AGN_ERR_IO, "cannot list %s: %s", folder, strerror(errno));
            break;
        }
        char path[AGN__PATH_BYTES];
        if (entry->d_name[0] == '.')
            continue;
        status = agn__path_join(path, folder, entry->d_name);
        if (status == AGN_OK)
            status = visit(user, path, entry->d_name);
    }
    (void)closedir(directory);
    return status;
}

struct visit {
    bool want_folders;
    struct agn__names *names;
    struct agn__unread *unread; /* may be NULL */
};

static int list_entry(void *user, const char *path, const char *name)
{
    struct visit *visit = user;
    if (visit->want_folders ? agn__is_folder(path) : agn__is_image_name(name))
        return agn__names_add(visit->names, name);
    if (visit->want_folders || !visit->unread)
        return AGN_OK;
    return agn__unread_add(visit->unread, agn__is_folder(path) ? "folder in a class folder" : NULL, path);
}

int agn__list_folder(const char *folder, bool want_folders, struct agn__names *list)
{
    struct visit visit = {want_folders, list, NULL};
    int status = visit_folder(folder, list_entry, &visit);
    agn__names_sort(list);
    return status;
}

static int count_stray(void *user, const char *path, const char *name)
{
    (void)name;
    return agn__is_folder(path) ? AGN_OK : agn__unread_add(user, "beside the class folders", path);
}

int agn__count_stray(const char *folder, struct agn__unread *unread)
{
    return visit_folder(folder, count_stray, unread);
}

void agn__image_files_free(struct agn__image_files *list)
{
    agn__names_free(&list->files);
    free(list->labels);
    list->labels = NULL;
}

int agn__image_files_add(struct agn__image_files *list, const char *relative, int label)
{
    if (list->files.count == AGN__MAX_IMAGES)
        return agn_fail(AGN_ERR_RANGE, "%s: more than %d images", list->folder, AGN__MAX_IMAGES);
    if (list->files.count == list->label_capacity) {
        int capacity = list->label_capacity ? 2 * list->label_capacity : 256;
        uint16_t *grown = realloc(list->labels, (size_t)capacity * sizeof *grown);
        if (!grown)
            return agn_fail(AGN_ERR_MEMORY, "cannot list %s: out of memory", list->folder);
        list->labels = grown;
        list->label_capacity = capacity;
    }
    list->labels[list->files.count] = (uint16_t)label;
    return agn__names_add(&list->files, relative);
}

int agn__image_files_add_folder(struct agn__image_files *list, const char *relative, int label,
                                struct agn__unread *unread)
{
    char folder[AGN__PATH_BYTES], file[AGN__PATH_BYTES];
    struct agn__names images = {0};
    struct visit visit = {false, &images, unread};
    int status = agn__path_join(folder, list->folder, relative);
    if (status == AGN_OK)
        status = visit_folder(folder, list_entry, &visit);
    agn__names_sort(&images);
    for (int i = 0; status == AGN_OK && i < images.count; i++) {
        status = agn__path_join(file, relative, images.names[i]);
        if (status == AGN_OK)
            status = agn__image_files_add(list, file, label);
    }
    int count = images.count;
    agn__names_free(&images);
    return status < 0 ? status : count;
}

struct loading {
    const struct agn__image_files *list;
    struct agn__sink *sink;
};

static int load_image(void *user, int kept)
{
    const struct loading *loading = user;
    struct agn__sink *sink = loading->sink;
    int file = agn__sink_pick(sink, kept);
    char path[AGN__PATH_BYTES];
    uint8_t *data = NULL;
    size_t size = 0;
    struct agn__image image = {0};
    int status = agn__path_join(path, loading->list->folder, loading->list->files.names[file]);
    if (status == AGN_OK)
        status = agn_file_read(path, MAX_FILE_BYTES, &data, &size);
    struct agn__image_file decoded = {
        .data = data, .size_bytes = size, .name = path, .channels = sink->channels};
    memcpy(decoded.ground, sink->ground, sizeof decoded.ground);
    if (status == AGN_OK)
        status = agn__image_decode(&decoded, &image);
    if (status == AGN_OK && decoded.warning[0] != '\0')
        status = agn__sink_warn(sink, decoded.warning);
    if (status == AGN_OK)
        status = agn__sink_put(sink, kept, loading->list->labels[file], &image);
    agn_free(image.pixels);
    agn_free(data);
    return status < 0 ? agn__sink_bad(sink, status) : AGN_OK;
}

int agn__image_files_load(const struct agn__image_files *list, struct agn__sink *sink)
{
    struct loading loading = {list, sink};
    return agn__load_parallel(0, sink->kept, load_image, &loading, list->folder);
}
