/* Inside src/sets: what the readers of data set formats share. */
#ifndef AGN_SETS_DATASET_H
#define AGN_SETS_DATASET_H

#include "agilenn/sets.h"

/* More images than any set this is made for; keeps sizes that a header claims within reason. */
enum { AGN__MAX_IMAGES = 1 << 24 };

/* Room for `count` zeroed images of source's size and their labels; class_names is left
 * empty. NULL and agn_fail when there is no memory. */
struct agn_dataset *agn__dataset_alloc(const struct agn_dataset_source *source, int count, int classes);

/* Copies `classes` names; where names is NULL or an entry is, the class's number. */
int agn__dataset_name_classes(struct agn_dataset *dataset, const char *const *names, int names_count);
int agn__copy_class_names(char **copies, int classes, const char *const *names, int names_count);

/* How many of `total` images source->limit keeps, and which one is the kept-th of them. */
int agn__limit_count(const struct agn_dataset_source *source, int total);
int agn__limit_pick(int kept, int kept_count, int total);

struct agn__sink;

/* Keeps FOLDER/paths[i] of the images that the sink's data set keeps; nothing when there is no data set.
 * After agn__sink_begin. */
int agn__sink_keep_files(struct agn__sink *sink, const char *folder, char *const *paths);

/* The readers: hand the images of sink->source to the sink. */
int agn__idx_read(struct agn__sink *sink);
int agn__folder_read(struct agn__sink *sink);
int agn__cifar10_read(struct agn__sink *sink);
int agn__cifar100_read(struct agn__sink *sink);
int agn__svhn_read(struct agn__sink *sink);
int agn__tiny_imagenet_read(struct agn__sink *sink);

/* Checks the source, then runs the reader of its format. */
int agn__dataset_read(struct agn__sink *sink);

#endif
