/* An edge server from model files: glue between server, Remote NN and model, and a watch over the files. */
#define _GNU_SOURCE /* struct stat's nanoseconds */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agilenn/inference.h"
#include "edge/remote.h"

enum { WATCH_MS = 1000, PATH_BYTES = 1024 };

enum { MAX_CUTS = AGN_MAX_STAGES + 1 };

/* A loaded model at one of its cuts: to devices and the server each is a model of its own. */
struct edge_cut {
    const struct agn_model *model;
    int number;
    struct agn_cut cut;
    void **remotes; /* struct agn_remote, one a worker */
    char name[AGN_SERVER_NAME_BYTES];
};

/* A loaded model. The edge holds one reference, and the server one for each cut and time that it was handed
 * over. */
struct edge_model {
    atomic_int references;
    struct agn_model *model;
    struct agn_context_model contexts;
    struct edge_cut cuts[MAX_CUTS]; /* the usual one first */
    int cut_count, workers;
};

/* What is handed to the server. */
struct handed {
    struct agn_server_model list[AGN_SERVER_MAX_MODELS];
    int count;
};

/* How a file looked: what differs when it was written, or when others may read it now. All zero: there is
 * none. */
struct look {
    struct timespec modified, changed;
    int64_t size;
    uint64_t device, inode;
    uint32_t mode, user;
};

struct edge_file {
    char path[PATH_BYTES];
    struct edge_model *model;
    struct look loaded, last; /* when it was loaded or refused; a second ago */
};

struct agn_edge {
    struct agn_server *server;
    int workers, file_count;
    struct agn_remote_config remote;
    struct edge_file files[AGN_SERVER_MAX_MODELS];
    struct edge_file keys; /* no path: DTLS is not offered */
    int wake_fd;
    atomic_bool reload, end;
    pthread_mutex_t lock; /* of the files' models */
};

/* ---- models --------------------------------------------------------------------------- */

static void model_release(void *owner)
{
    struct edge_model *model = owner;
    if (model == NULL || atomic_fetch_sub(&model->references, 1) > 1)
        return;
    for (int c = 0; c < model->cut_count; c++) {
        for (int i = 0; model->cuts[c].remotes != NULL && i < model->workers; i++)
            agn_remote_free(model->cuts[c].remotes[i]);
        agn_free(model->cuts[c].remotes);
    }
    agn_model_free(model->model);
    agn_free(model);
}

/* The end of a long path says more than its beginning. */
static void name_cut(struct edge_cut *cut, const char *path, bool is_usual)
{
    char which[] = " cut 0";
    which[sizeof(which) - 2] = (char)('0' + cut->number);
    if (is_usual)
        which[0] = '\0';
    size_t length = strlen(path), room = sizeof(cut->name) - 1 - strlen(which);
    snprintf(cut->name, sizeof(cut->name), "%s", length > room ? path + length - room : path);
    memcpy(cut->name + (length > room ? room : length), which, strlen(which) + 1);
}

/* The cut that is so many before the usual one. */
static int cut_load(struct edge_model *made, int earlier, const struct agn_remote_config *config)
{
    struct edge_cut *cut = &made->cuts[made->cut_count];
    cut->model = made->model;
    cut->number = agn_model_cuts(made->model) - 1 - earlier;
    int status = agn_model_cut(made->model, cut->number, &cut->cut);
    if (status < 0)
        return status;
    made->cut_count++;
    cut->remotes = agn_alloc((size_t)made->workers, sizeof(void *));
    if (cut->remotes == NULL)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < made->workers; i++) {
        struct agn_remote *remote = NULL;
        struct agn_remote_config planned = *config;
        planned.earlier = earlier;
        planned.weights_of = i > 0 ? cut->remotes[0] : NULL;
        status = agn_remote_create_as(made->model, &planned, &remote);
        if (status < 0)
            return status;
        cut->remotes[i] = remote;
    }
    return AGN_OK;
}

/* Devices may choose any cut; an image too large to be sent as it is has none before the first stage. */
static int load_cuts(struct edge_model *made, const char *path, const struct agn_remote_config *config)
{
    int status = AGN_OK, count = agn_model_cuts(made->model);
    for (int earlier = 0; earlier < count && status == AGN_OK; earlier++) {
        status = cut_load(made, earlier, config);
        if (status == AGN_ERR_RANGE && earlier > 0 && earlier == count - 1)
            return AGN_OK;
        if (status == AGN_OK)
            name_cut(&made->cuts[earlier], path, earlier == 0);
    }
    return status;
}

static int model_load(const char *path, int workers, const struct agn_remote_config *config,
                      struct edge_model **result)
{
    struct edge_model *made = agn_alloc(1, sizeof(*made));
    if (made == NULL)
        return AGN_ERR_MEMORY;
    atomic_init(&made->references, 1);
    int status = agn_model_load(path, &made->model);
    if (status == AGN_OK) /* without one there is nothing to serve */
        status = agn_model_need(made->model, AGN_REMOTE);
    made->workers = workers;
    if (status == AGN_OK)
        status = load_cuts(made, path, config);
    if (status < 0) {
        model_release(made);
        return status;
    }
    agn_model_contexts(made->model, &made->contexts);
    *result = made;
    return AGN_OK;
}

static int expand_cut(const void *user, const uint8_t *symbols, float *features)
{
    const struct edge_cut *cut = user;
    return agn_model_cut_expand(cut->model, cut->number, symbols, features);
}

static int decode_cut(const void *user, const struct agn_feature_packet *packet, uint8_t *map)
{
    const struct agn_model *model = ((const struct edge_cut *)user)->model;
    return model->system->decode(model, packet, map);
}

static struct agn_server_model served_at(struct edge_model *loaded, const struct edge_cut *cut)
{
    const struct agn_model *model = loaded->model;
    struct agn_shape in = agn_graph_input_shape(&model->parts[cut->cut.roles[0]].graph);
    struct agn_server_model served = {
        .model_id = cut->cut.model_id,
        .name = cut->name,
        .shape = cut->cut.sent,
        .contexts = &loaded->contexts,
        .classes = model->classes,
        .fill = model->system->expand ? NULL : model->fill, /* not by channels of its map */
        .trust = model->system->expand ? NULL : model->trust,
        .leading_trust = model->system->expand ? NULL : model->leading_trust,
        .expand = model->system->expand ? expand_cut : NULL,
        .expand_user = cut,
        .decode = model->system->decode ? decode_cut : NULL,
        .floats = (size_t)in.height * (size_t)in.width * (size_t)in.channels,
        .infer = agn_remote_infer,
        .users = cut->remotes,
        .release = model_release,
        .owner = loaded};
    memcpy(served.centroids, model->centroids, sizeof(served.centroids));
    return served;
}

/* All cuts of a model, for the server, which holds a reference for each then. */
static int hand_over(struct edge_model *loaded, struct handed *to)
{
    if (to->count + loaded->cut_count > AGN_SERVER_MAX_MODELS)
        return agn_fail(AGN_ERR_ARG, "more than %d models to serve, each place where one may be cut counted",
                        (int)AGN_SERVER_MAX_MODELS);
    for (int c = 0; c < loaded->cut_count; c++) {
        to->list[to->count++] = served_at(loaded, &loaded->cuts[c]);
        atomic_fetch_add(&loaded->references, 1);
    }
    return AGN_OK;
}

static void take_back(struct handed *from)
{
    while (from->count > 0)
        model_release(from->list[--from->count].owner);
}

/* ---- files ----------------------------------------------------------------------------- */

static struct look look_at(const char *path)
{
    struct stat found;
    if (stat(path, &found) != 0)
        return (struct look){0};
    return (struct look){.modified = found.st_mtim,
                         .changed = found.st_ctim,
                         .size = found.st_size,
                         .device = found.st_dev,
                         .inode = found.st_ino,
                         .mode = found.st_mode,
                         .user = found.st_uid};
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_look(const struct look *a, const struct look *b)
{
    return same_time(&a->modified, &b->modified) && same_time(&a->changed, &b->changed) &&
           a->size == b->size && a->device == b->device && a->inode == b->inode && a->mode == b->mode &&
           a->user == b->user;
}

/* Loads what `wanted` names; files[i] gets a new model or stays NULL. True when one did. */
static bool load_wanted(struct agn_edge *edge, const bool *wanted, struct edge_model **fresh)
{
    bool any = false;
    for (int i = 0; i < edge->file_count; i++) {
        struct edge_file *file = &edge->files[i];
        if (!wanted[i])
            continue;
        file->loaded = file->last = look_at(file->path); /* of before: a later change is seen as one */
        if (model_load(file->path, edge->workers, &edge->remote, &fresh[i]) < 0) {
            agn_log(AGN_LOG_ERROR, "reload: %s; the old model stays in use", agn_error_message());
            agn_server_count_reload_failure(edge->server);
        } else {
            any = true;
        }
    }
    return any;
}

static void reload(struct agn_edge *edge, const bool *wanted)
{
    struct edge_model *fresh[AGN_SERVER_MAX_MODELS] = {NULL};
    struct handed handed = {.count = 0};
    if (!load_wanted(edge, wanted, fresh))
        return;
    int status = AGN_OK;
    for (int i = 0; i < edge->file_count && status == AGN_OK; i++)
        status = hand_over(fresh[i] != NULL ? fresh[i] : edge->files[i].model, &handed);
    if (status == AGN_OK)
        status = agn_server_replace_models(edge->server, handed.list, handed.count);
    if (status < 0) {
        agn_log(AGN_LOG_ERROR, "reload: %s; the old models stay in use", agn_error_message());
        take_back(&handed);
    }
    for (int i = 0; i < edge->file_count; i++) {
        if (fresh[i] == NULL)
            continue;
        pthread_mutex_lock(&edge->lock);
        struct edge_model *old = status < 0 ? fresh[i] : edge->files[i].model;
        if (status == 0)
            edge->files[i].model = fresh[i];
        pthread_mutex_unlock(&edge->lock);
        model_release(old);
    }
}

static void reload_keys(struct agn_edge *edge)
{
    edge->keys.loaded = edge->keys.last = look_at(edge->keys.path);
    if (agn_server_reload_keys(edge->server) < 0)
        agn_log(AGN_LOG_ERROR, "reload: %s; the old keys stay valid", agn_error_message());
}

/* A file that is being written changes from look to look; it is taken when it has come to rest. One that is
 * gone, or empty, counts as changed, too: loading it fails once, and says so. */
static bool has_changed(struct edge_file *file)
{
    struct look now = look_at(file->path);
    bool changed = same_look(&now, &file->last) && !same_look(&now, &file->loaded);
    file->last = now;
    return changed;
}

static void look_for_changes(struct agn_edge *edge)
{
    bool wanted[AGN_SERVER_MAX_MODELS] = {false}, any = false;
    for (int i = 0; i < edge->file_count; i++) {
        wanted[i] = has_changed(&edge->files[i]);
        any = any || wanted[i];
    }
    if (any)
        reload(edge, wanted);
    if (edge->keys.path[0] != 0 && has_changed(&edge->keys))
        reload_keys(edge);
}

static void *watch(void *argument)
{
    struct agn_edge *edge = argument;
    bool all[AGN_SERVER_MAX_MODELS];
    memset(all, 1, sizeof(all));
    while (!atomic_load(&edge->end)) {
        struct pollfd waiting = {.fd = edge->wake_fd, .events = POLLIN};
        uint64_t count;
        if (poll(&waiting, 1, WATCH_MS) > 0)
            (void)!read(edge->wake_fd, &count, sizeof(count));
        if (atomic_exchange(&edge->reload, false)) {
            reload(edge, all);
            if (edge->keys.path[0] != 0)
                reload_keys(edge);
        } else if (!atomic_load(&edge->end)) {
            look_for_changes(edge);
        }
    }
    return NULL;
}

static void wake(struct agn_edge *edge)
{
    int saved = errno;
    uint64_t one = 1;
    (void)!write(edge->wake_fd, &one, sizeof(one));
    errno = saved;
}

void agn_edge_reload(struct agn_edge *edge)
{
    atomic_store(&edge->reload, true);
    wake(edge);
}

int agn_edge_run(struct agn_edge *edge)
{
    pthread_t watcher;
    atomic_store(&edge->end, false);
    int error = pthread_create(&watcher, NULL, watch, edge);
    if (error != 0)
        return agn_fail(AGN_ERR_MEMORY, "cannot start the thread that watches the models: %s",
                        strerror(error));
    int status = agn_server_run(edge->server);
    atomic_store(&edge->end, true);
    wake(edge);
    pthread_join(watcher, NULL);
    return status;
}

/* ---- open and close ------------------------------------------------------------------------ */

/* What the machine makes of a model, as it starts: workers share nothing, so their rates add up. */
static int tell_speed(const struct agn_edge *edge, const struct edge_file *file, int rate)
{
    struct agn_remote *remote = file->model->cuts[0].remotes[0];
    double one_s = 0.0, batch_s = 0.0;
    int batch = edge->remote.max_batch > 0 ? edge->remote.max_batch : 1,
        slow = agn__remote_reference_layers(remote);
    int status = agn__remote_measure(remote, 1, &one_s);
    if (status == AGN_OK)
        status = agn__remote_measure(remote, batch, &batch_s);
    if (status < 0)
        return status;
    double per_s = (double)edge->workers * batch / batch_s;
    agn_log(AGN_LOG_INFO,
            "speed: %s: a frame alone takes %.2f ms; %d workers with batches of %d make about %.0f frames/s",
            file->model->cuts[0].name, 1e3 * one_s, edge->workers, batch, per_s);
    if (slow > 0)
        agn_log(AGN_LOG_WARN,
                "speed: %s: %d layers run in reference code, since the libraries have no fast code for this "
                "processor",
                file->model->cuts[0].name, slow);
    if (per_s < rate)
        agn_log(AGN_LOG_WARN,
                "speed: %s: this machine computes about %.0f frames/s, but %d are expected: frames "
                "beyond that will be refused as busy",
                file->model->cuts[0].name, per_s, rate);
    return AGN_OK;
}

static int open_files(struct agn_edge *edge, const char *const *paths, int count, int rate)
{
    for (int i = 0; i < count; i++) {
        struct edge_file *file = &edge->files[i];
        if (strlen(paths[i]) >= sizeof(file->path))
            return agn_fail(AGN_ERR_ARG, "a path of %zu bytes, expected fewer than %d", strlen(paths[i]),
                            (int)PATH_BYTES);
        snprintf(file->path, sizeof(file->path), "%s", paths[i]);
        file->loaded = file->last = look_at(file->path);
        int status = model_load(file->path, edge->workers, &edge->remote, &file->model);
        if (status < 0)
            return status;
        edge->file_count++;
        status = tell_speed(edge, file, rate);
        if (status < 0)
            return status;
    }
    return AGN_OK;
}

static int remember_keys(struct agn_edge *edge, const char *path)
{
    if (path == NULL)
        return AGN_OK;
    if (strlen(path) >= sizeof(edge->keys.path))
        return agn_fail(AGN_ERR_ARG, "a path of %zu bytes, expected fewer than %d", strlen(path),
                        (int)PATH_BYTES);
    snprintf(edge->keys.path, sizeof(edge->keys.path), "%s", path);
    edge->keys.loaded = edge->keys.last = look_at(path);
    return AGN_OK;
}

static int open_server(struct agn_edge *edge, const struct agn_server_config *config)
{
    struct handed handed = {.count = 0};
    edge->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (edge->wake_fd < 0)
        return agn_fail(AGN_ERR_IO, "cannot make the signal to reload: %s", strerror(errno));
    int status = AGN_OK;
    for (int i = 0; i < edge->file_count && status == AGN_OK; i++)
        status = hand_over(edge->files[i].model, &handed);
    if (status == AGN_OK)
        status = agn_server_create(&edge->server, config, handed.list, handed.count);
    if (status < 0)
        take_back(&handed);
    return status;
}

int agn_edge_open(const struct agn_edge_config *config, struct agn_edge **result)
{
    if (config->count < 1 || config->count > AGN_SERVER_MAX_MODELS)
        return agn_fail(AGN_ERR_ARG, "%d models to serve, expected 1 to %d", config->count,
                        (int)AGN_SERVER_MAX_MODELS);
    struct agn_edge *edge = agn_alloc(1, sizeof(*edge));
    if (edge == NULL)
        return AGN_ERR_MEMORY;
    edge->wake_fd = -1;
    edge->workers = config->server.workers > 0 ? config->server.workers : 1;
    bool int8 = config->int8 && agn_inference_check_int8() == AGN_OK;
    if (config->int8 && !int8)
        agn_log(AGN_LOG_WARN, "serving in floats: %s", agn_error_message());
    edge->remote = (struct agn_remote_config){
        .threads = config->threads, .max_batch = config->server.max_batch, .int8 = int8};
    atomic_init(&edge->reload, false);
    atomic_init(&edge->end, false);
    pthread_mutex_init(&edge->lock, NULL);
    int status = open_files(edge, config->paths, config->count, config->rate);
    if (status == AGN_OK)
        status = remember_keys(edge, config->server.psk_file);
    if (status == AGN_OK)
        status = open_server(edge, &config->server);
    if (status < 0) {
        agn_edge_close(edge);
        return status;
    }
    *result = edge;
    return AGN_OK;
}

struct agn_server *agn_edge_server(const struct agn_edge *edge)
{
    return edge->server;
}

uint32_t agn_edge_model_id(const struct agn_edge *edge, int file)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&edge->lock; /* no part of what the caller may not change */
    pthread_mutex_lock(lock);
    uint32_t id = edge->files[file].model->cuts[0].cut.model_id;
    pthread_mutex_unlock(lock);
    return id;
}

void agn_edge_close(struct agn_edge *edge)
{
    if (edge == NULL)
        return;
    agn_server_free(edge->server);
    for (int i = 0; i < edge->file_count; i++)
        model_release(edge->files[i].model);
    if (edge->wake_fd >= 0)
        close(edge->wake_fd);
    pthread_mutex_destroy(&edge->lock);
    agn_free(edge);
}
