/* Inside src/sets: folders of image files, listed and loaded. */
#ifndef AGN_SETS_IMAGE_FILES_H
#define AGN_SETS_IMAGE_FILES_H

#include "sets/sink.h"

enum { AGN__PATH_BYTES = 1024, AGN__MAX_CLASSES = 65535 };

struct agn__names {
    char **names;
    int count, capacity;
};

void agn__names_free(struct agn__names *list);
int agn__names_add(struct agn__names *list, const char *name);
void agn__names_sort(struct agn__names *list); /* by bytes */
/* Position of a name in a sorted list, or -1. */
int agn__names_find(const struct agn__names *list, const char *name);

/* FOLDER/NAME. */
int agn__path_join(char path[AGN__PATH_BYTES], const char *folder, const char *name);
bool agn__is_folder(const char *path);
/* Names in a folder, sorted: its folders, or its images (by their ending). Hidden ones are left out. */
int agn__list_folder(const char *folder, bool want_folders, struct agn__names *list);
/* Whether files of such a name are tried as images: by its ending; what they are, their content says. */
bool agn__is_image_name(const char *name);
/* Counts the files in a split's own folder, which no reader takes. Hidden ones are left out. */
int agn__count_stray(const char *folder, struct agn__unread *unread);

/* Image files and their labels; paths are relative to `folder`. */
struct agn__image_files {
    char folder[AGN__PATH_BYTES];
    struct agn__names files;
    uint16_t *labels; /* files.count, of label_capacity */
    int label_capacity;
};

void agn__image_files_free(struct agn__image_files *list);
int agn__image_files_add(struct agn__image_files *list, const char *relative, int label);
/* All images directly in list->folder/`relative`, in byte order; returns their number or an error. What else
 * is there is counted in `unread`, unless that is NULL. */
int agn__image_files_add_folder(struct agn__image_files *list, const char *relative, int label,
                                struct agn__unread *unread);
/* Decodes those that the sink wants, on several threads. After agn__sink_begin. */
int agn__image_files_load(const struct agn__image_files *list, struct agn__sink *sink);

#endif
