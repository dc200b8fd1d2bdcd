/* Class folders: PATH/SPLIT/CLASS/ *.jpg, *.png and other images (agn__is_image_name).
 *
 * Classes are numbered in byte order of their names in PATH/train (or in the split itself
 * where there is no train), so that a class missing from the test split shifts no label.
 * Files are taken in byte order. */
#include <string.h>

#include "sets/image_files.h"
#include "sets/parts.h"

struct listing {
    struct agn__names classes;
    struct agn__image_files images;
};

static void listing_free(struct listing *listing)
{
    agn__names_free(&listing->classes);
    agn__image_files_free(&listing->images);
}

/* Every class of this split must be known: labels would mean different things otherwise. */
static int list_known_classes(struct listing *listing, const char *train_folder,
                              const struct agn__names *present)
{
    const char *folder = listing->images.folder;
    bool own = !agn__is_folder(train_folder) || strcmp(train_folder, folder) == 0;
    int status = agn__list_folder(own ? folder : train_folder, true, &listing->classes);
    for (int i = 0; status == AGN_OK && i < present->count; i++)
        if (agn__names_find(&listing->classes, present->names[i]) < 0)
            status = agn_fail(AGN_ERR_MISMATCH, "%s has a class '%s' that %s does not have", folder,
                              present->names[i], train_folder);
    return status;
}

/* Of a class that is never shown nothing can be learned; in the test split it is only not asked for. */
static int refuse_empty_classes(struct agn__sink *sink, const char *folder, const struct agn__names *empty)
{
    bool train = sink->part == AGN__PART_TRAIN || sink->shared;
    int status = AGN_OK;
    for (int i = 0; i < empty->count && status == AGN_OK; i++)
        if (train)
            status =
                agn__sink_fault(sink, agn_fail(AGN_ERR_FORMAT,
                                               "%s/%s has no image that is read: put images of the class "
                                               "there, or remove the folder (in test, too)",
                                               folder, empty->names[i]));
        else
            agn_log(AGN_LOG_WARN, "%s/%s has no image that is read", folder, empty->names[i]);
    return status;
}

static int list_images(struct agn__sink *sink, struct listing *listing, const struct agn__names *present)
{
    const char *folder = listing->images.folder;
    struct agn__names empty = {0};
    int status = AGN_OK;
    for (int i = 0; i < present->count && status == AGN_OK; i++) {
        int label = agn__names_find(&listing->classes, present->names[i]);
        int count = agn__image_files_add_folder(&listing->images, present->names[i], label, &sink->unread);
        status = count == 0 ? agn__names_add(&empty, present->names[i]) : count < 0 ? count : AGN_OK;
    }
    if (status == AGN_OK && listing->images.files.count == 0)
        status = agn_fail(AGN_ERR_FORMAT, "%s has no images: expected %s/CLASS/*.jpg (or .jpeg, .png)",
                          folder, folder);
    if (status == AGN_OK)
        status = refuse_empty_classes(sink, folder, &empty);
    agn__names_free(&empty);
    return status;
}

static int list_split(struct agn__sink *sink, struct listing *listing)
{
    const struct agn_dataset_source *source = sink->source;
    char train_folder[AGN__PATH_BYTES];
    const char *folder = listing->images.folder;
    struct agn__names present = {0};
    bool flat = strcmp(source->split, ".") == 0; /* classes lie in PATH itself */
    int status = agn__path_join(listing->images.folder, source->path, flat ? "" : source->split);
    if (flat)
        listing->images.folder[strlen(listing->images.folder) - 1] = '\0';
    if (status == AGN_OK)
        status = agn__path_join(train_folder, source->path, "train");
    if (status < 0)
        return status;
    status = agn__list_folder(folder, true, &present);
    if (status == AGN_OK && present.count == 0)
        status = agn_fail(AGN_ERR_FORMAT, "%s has no class folders: expected %s/CLASS/*.jpg (or .jpeg, .png)",
                          folder, folder);
    if (status == AGN_OK)
        status = list_known_classes(listing, train_folder, &present);
    if (status == AGN_OK && listing->classes.count > AGN__MAX_CLASSES)
        status = agn_fail(AGN_ERR_RANGE, "%s: more than %d classes", folder, AGN__MAX_CLASSES);
    if (status == AGN_OK)
        status = agn__count_stray(folder, &sink->unread);
    if (status == AGN_OK)
        status = list_images(sink, listing, &present);
    agn__names_free(&present);
    return status;
}

int agn__folder_read(struct agn__sink *sink)
{
    struct listing listing = {0};
    int status = list_split(sink, &listing);
    sink->labels = listing.images.labels;
    if (status == AGN_OK)
        status = agn__sink_begin(sink, listing.images.files.count, listing.classes.count,
                                 (const char *const *)listing.classes.names, listing.classes.count);
    if (status == AGN_OK)
        status = agn__sink_keep_files(sink, listing.images.folder, listing.images.files.names);
    if (status == AGN_OK)
        status = agn__image_files_load(&listing.images, sink);
    listing_free(&listing);
    return status;
}
