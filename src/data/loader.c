/* Batches, prepared ahead of time by one thread in a ring of buffers.
 *
 * The order of an epoch and what happens to each image follow from seed and epoch alone,
 * so timing never changes a result. The pixels' way into a batch is in augment.c. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "data/augment.h"

enum { RING = 4 }; /* one batch in the caller's hands, three ahead of it */

/* `room` images of a common batch, from position `begin` on. */
struct slot {
    float *images;
    int32_t *labels, *indices;
    int count; /* those of the own part */
};

struct agn_loader {
    const struct agn_dataset *dataset;
    struct agn_loader_config config;
    struct agn__normaliser normaliser;
    int steps;
    int common;      /* images of a common batch */
    int begin, room; /* what is prepared of it */
    int32_t *order;  /* of the epoch; written only while the thread is idle */
    uint64_t augment_key;
    struct slot slots[RING];
    double stall_s;

    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work; /* something to prepare, or time to stop */
    pthread_cond_t news; /* a batch is ready, or the thread has become idle */
    /* All below: under the mutex. Batch b of an epoch lies in slot b % RING. */
    bool started, running, filling, stop;
    int produced, taken, released; /* batches of this epoch: ready / handed out / given back */
};

/* ---- the thread ---- */

/* `count` limited to 0 .. most. */
static int limited(int count, int most)
{
    return count < 0 ? 0 : count < most ? count : most;
}

static void fill_slot(struct agn_loader *loader, struct slot *slot, int step)
{
    const struct agn_dataset *dataset = loader->dataset;
    int batch = loader->config.batch, first = step * loader->common + loader->begin;
    int filled = limited(dataset->count - first, loader->room);
    size_t image = (size_t)dataset->height * (size_t)dataset->width * (size_t)dataset->channels;
    slot->count = limited(dataset->count - step * loader->common - loader->config.part * batch, batch);
    for (int i = 0; i < filled; i++) {
        int32_t index = loader->order[first + i];
        struct agn__augmentation augmentation;
        agn__augment_draw(&loader->config, loader->augment_key, index, &augmentation);
        agn__augment_apply(&loader->normaliser, &augmentation, dataset->height, dataset->width,
                           dataset->channels, dataset->pixels + (size_t)index * image,
                           slot->images + (size_t)i * image);
        slot->labels[i] = dataset->labels[index];
        slot->indices[i] = index;
    }
    for (int i = filled; i < loader->room; i++) {
        memset(slot->images + (size_t)i * image, 0, image * sizeof(float));
        slot->labels[i] = -1;
        slot->indices[i] = -1;
    }
}

static void *prefetch(void *user)
{
    struct agn_loader *loader = user;
    pthread_mutex_lock(&loader->mutex);
    while (!loader->stop) {
        bool room =
            loader->running && loader->produced < loader->steps && loader->produced - loader->released < RING;
        if (!room) {
            pthread_cond_wait(&loader->work, &loader->mutex);
            continue;
        }
        int step = loader->produced;
        loader->filling = true;
        pthread_mutex_unlock(&loader->mutex);
        fill_slot(loader, &loader->slots[step % RING], step);
        pthread_mutex_lock(&loader->mutex);
        loader->filling = false;
        loader->produced = step + 1; /* agn_loader_start waits for !filling before it resets this */
        pthread_cond_signal(&loader->news);
    }
    pthread_mutex_unlock(&loader->mutex);
    return NULL;
}

/* ---- creation ---- */

static int check_config(const struct agn_dataset *dataset, const struct agn_loader_config *config)
{
    if (config->batch < 1 || config->batch > 65536)
        return agn_fail(AGN_ERR_ARG, "a batch of %d images: expected 1 to 65536", config->batch);
    int parts = config->parts > 0 ? config->parts : 1;
    if (config->part < 0 || config->part >= parts || parts > 1 << 20 || config->batch > (1 << 24) / parts)
        return agn_fail(AGN_ERR_ARG, "part %d of %d of batches of %d images", config->part, parts,
                        config->batch);
    if (config->crop_pad < 0 || config->crop_pad > 1024)
        return agn_fail(AGN_ERR_ARG, "padding of %d pixels: expected 0 to 1024", config->crop_pad);
    if (dataset->count < 1)
        return agn_fail(AGN_ERR_ARG, "the data set has no images");
    if (config->drop_last && config->batch * parts > dataset->count)
        return agn_fail(AGN_ERR_ARG,
                        "a batch of %d images, but the data set has only %d; choose a smaller batch",
                        config->batch * parts, dataset->count);
    for (int c = 0; c < dataset->channels; c++) {
        float std = config->normalisation.std[c];
        if (!isfinite(std) || std <= 0.0f)
            return agn_fail(AGN_ERR_ARG, "standard deviation %g of channel %d: expected more than 0",
                            (double)std, c);
    }
    return AGN_OK;
}

static int alloc_buffers(struct agn_loader *loader)
{
    const struct agn_dataset *dataset = loader->dataset;
    size_t batch = (size_t)loader->room;
    size_t image = (size_t)dataset->height * (size_t)dataset->width * (size_t)dataset->channels;
    loader->order = agn_alloc((size_t)dataset->count, sizeof *loader->order);
    if (!loader->order)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < RING; i++) {
        struct slot *slot = &loader->slots[i];
        slot->images = agn_alloc(batch, image * sizeof(float));
        slot->labels = agn_alloc(batch, sizeof(int32_t));
        slot->indices = agn_alloc(batch, sizeof(int32_t));
        if (!slot->images || !slot->labels || !slot->indices)
            return AGN_ERR_MEMORY;
    }
    return AGN_OK;
}

static void free_buffers(struct agn_loader *loader)
{
    for (int i = 0; i < RING; i++) {
        agn_free(loader->slots[i].images);
        agn_free(loader->slots[i].labels);
        agn_free(loader->slots[i].indices);
    }
    agn_free(loader->order);
    agn_free(loader);
}

int agn_loader_create(const struct agn_dataset *dataset, const struct agn_loader_config *config,
                      struct agn_loader **loader)
{
    int status = check_config(dataset, config);
    if (status < 0)
        return status;
    struct agn_loader *made = agn_alloc(1, sizeof *made);
    if (!made)
        return AGN_ERR_MEMORY;
    made->dataset = dataset;
    made->config = *config;
    made->common = config->batch * (config->parts > 0 ? config->parts : 1);
    made->begin = config->whole ? 0 : config->part * config->batch;
    made->room = config->whole ? made->common : config->batch;
    made->steps = config->drop_last ? dataset->count / made->common
                                    : dataset->count / made->common + (dataset->count % made->common != 0);
    agn__normaliser_init(&made->normaliser, &config->normalisation);
    status = alloc_buffers(made);
    if (status < 0) {
        free_buffers(made);
        return status;
    }
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->work, NULL);
    pthread_cond_init(&made->news, NULL);
    int code = pthread_create(&made->thread, NULL, prefetch, made);
    if (code != 0) {
        free_buffers(made);
        return agn_fail(AGN_ERR_MEMORY, "cannot start the data loader's thread: %s", strerror(code));
    }
    *loader = made;
    return AGN_OK;
}

void agn_loader_free(struct agn_loader *loader)
{
    if (!loader)
        return;
    pthread_mutex_lock(&loader->mutex);
    loader->stop = true;
    pthread_cond_signal(&loader->work);
    pthread_mutex_unlock(&loader->mutex);
    pthread_join(loader->thread, NULL);
    pthread_cond_destroy(&loader->news);
    pthread_cond_destroy(&loader->work);
    pthread_mutex_destroy(&loader->mutex);
    free_buffers(loader);
}

/* ---- use ---- */

/* Fisher-Yates, from seed and epoch only. */
static void arrange_epoch(struct agn_loader *loader, int epoch)
{
    int count = loader->dataset->count;
    for (int i = 0; i < count; i++)
        loader->order[i] = i;
    loader->augment_key = agn__augment_key(loader->config.seed, epoch);
    if (!loader->config.shuffle)
        return;
    struct agn_rng rng;
    agn_rng_seed(&rng, ~loader->augment_key);
    for (int i = count - 1; i > 0; i--) {
        int j = (int)agn_rng_below(&rng, (uint32_t)i + 1u);
        int32_t swapped = loader->order[i];
        loader->order[i] = loader->order[j];
        loader->order[j] = swapped;
    }
}

int agn_loader_start(struct agn_loader *loader, int epoch)
{
    if (epoch < 0)
        return agn_fail(AGN_ERR_ARG, "epoch %d: expected 0 or more", epoch);
    pthread_mutex_lock(&loader->mutex);
    loader->running = false;
    while (loader->filling)
        pthread_cond_wait(&loader->news, &loader->mutex);
    arrange_epoch(loader, epoch);
    loader->produced = loader->taken = loader->released = 0;
    loader->started = loader->running = true;
    pthread_cond_signal(&loader->work);
    pthread_mutex_unlock(&loader->mutex);
    return AGN_OK;
}

static void hand_out(const struct agn_loader *loader, const struct slot *slot, struct agn_batch *batch)
{
    const struct agn_dataset *dataset = loader->dataset;
    size_t own = loader->config.whole ? (size_t)loader->config.part * (size_t)loader->config.batch : 0;
    size_t image = (size_t)dataset->height * (size_t)dataset->width * (size_t)dataset->channels;
    *batch = (struct agn_batch){.images = slot->images + own * image,
                                .labels = slot->labels + own,
                                .indices = slot->indices + own,
                                .count = slot->count,
                                .whole_images = loader->config.whole ? slot->images : NULL,
                                .whole_labels = loader->config.whole ? slot->labels : NULL};
}

int agn_loader_next(struct agn_loader *loader, struct agn_batch *batch)
{
    pthread_mutex_lock(&loader->mutex);
    if (!loader->started) {
        pthread_mutex_unlock(&loader->mutex);
        return agn_fail(AGN_ERR_STATE, "agn_loader_next called before agn_loader_start");
    }
    loader->released = loader->taken; /* the batch handed out last */
    pthread_cond_signal(&loader->work);
    int result = 0;
    if (loader->taken < loader->steps) {
        if (loader->produced == loader->taken) {
            double began = agn_now_s();
            while (loader->produced == loader->taken)
                pthread_cond_wait(&loader->news, &loader->mutex);
            loader->stall_s += agn_now_s() - began;
        }
        const struct slot *slot = &loader->slots[loader->taken % RING];
        hand_out(loader, slot, batch);
        loader->taken++;
        result = 1;
    }
    pthread_mutex_unlock(&loader->mutex);
    return result;
}

int agn_loader_steps(const struct agn_loader *loader)
{
    return loader->steps;
}

double agn_loader_stall_s(const struct agn_loader *loader)
{
    return loader->stall_s;
}
