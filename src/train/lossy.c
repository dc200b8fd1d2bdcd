/* Runs a model in float on images whose frames arrive in parts: fill stands in for what is lost, as on the
 * server. What is lost, and what comes of it, is the caller's. */
#include "train/lossy.h"

#include <string.h>

enum { BATCH = 250 };

struct nets {
    struct agn_net *extractor, *local, *remote;
    struct agn_loader *loader;
    float *rest, *values;
    size_t positions, sent; /* of a batch */
};

static int make_net(const struct agn_graph *graph, struct agn_params *params, struct agn_net **net)
{
    struct agn_net_config config = {.graph = graph, .params = params, .batch = BATCH, .mode = AGN_NET_FROZEN};
    return agn_net_create(&config, net);
}

static int open_nets(struct nets *n, const struct agn__lossy *lossy, const struct agn_dataset *data)
{
    const struct agn_model *model = lossy->model;
    struct agn_loader_config load = {.batch = BATCH,
                                     .shuffle = lossy->shuffle,
                                     .seed = (uint64_t)model->preset.train.seed,
                                     .normalisation = model->normalisation};
    n->positions = (size_t)BATCH * (size_t)model->map.height * (size_t)model->map.width;
    n->sent = n->positions * (size_t)model->sent_channels;
    n->rest = agn_alloc(n->sent, sizeof(float));
    n->values = agn_alloc(n->sent, sizeof(float));
    if (n->rest == NULL || n->values == NULL) {
        return AGN_ERR_MEMORY;
    }
    int status = make_net(&model->extractor, model->extractor_params, &n->extractor);
    if (status == AGN_OK)
        status = make_net(&model->local, model->local_params, &n->local);
    if (status == AGN_OK)
        status = make_net(&model->remote, model->remote_params, &n->remote);
    return status == AGN_OK ? agn_loader_create(data, &load, &n->loader) : status;
}

static void close_nets(struct nets *n)
{
    agn_loader_free(n->loader);
    agn_net_free(n->extractor);
    agn_net_free(n->local);
    agn_net_free(n->remote);
    agn_free(n->rest);
    agn_free(n->values);
}

static int run_device(struct nets *n, const struct agn_model *model, const struct agn_batch *batch)
{
    struct agn_shape in = agn_net_input_shape(n->extractor);
    size_t image = (size_t)in.height * (size_t)in.width * (size_t)in.channels;
    memcpy(agn_net_input(n->extractor), batch->images, BATCH * image * sizeof(float));
    int status = agn_net_forward(n->extractor);
    if (status < 0) {
        return status;
    }
    agn__split_channels(agn_net_output(n->extractor), n->positions, model->map.channels,
                        model->preset.model.local_channels, agn_net_input(n->local), n->rest);
    agn_quantise(model->centroids, n->rest, n->sent, NULL, n->values);
    return agn_net_forward(n->local);
}

/* Copies an image's features to the Remote NN's input but for what is lost; returns how many channels came.
 */
static int receive(struct nets *n, const struct agn__lossy *lossy, int number, int draw, size_t place)
{
    const struct agn_model *model = lossy->model;
    size_t channels = (size_t)model->sent_channels, positions = n->positions / BATCH;
    uint8_t lost[AGN_MAX_FEATURES] = {0};
    int came = 0;
    lossy->draw(lossy->user, number, draw, lost);
    const float *from = n->values + place * positions * channels;
    float *to = agn_net_input(n->remote) + place * positions * channels;
    for (size_t at = 0; at < positions; at++) {
        for (size_t c = 0; c < channels; c++) {
            to[at * channels + c] = lost[c] ? model->fill[c] : from[at * channels + c];
        }
    }
    for (size_t c = 0; c < channels; c++) {
        came += !lost[c];
    }
    return came;
}

static int run_batch(struct nets *n, const struct agn__lossy *lossy, const struct agn_batch *batch, int first)
{
    size_t classes = (size_t)lossy->model->classes;
    int status = agn_interrupt_requested() ? agn_fail(AGN_ERR_INTERRUPTED, "evaluation was interrupted")
                                           : run_device(n, lossy->model, batch);
    for (int draw = 0; draw < lossy->draws && status == AGN_OK; draw++) {
        int came[BATCH] = {0};
        for (int i = 0; i < batch->count; i++) {
            came[i] = receive(n, lossy, first + i, draw, (size_t)i);
        }
        status = agn_net_forward(n->remote);
        for (int i = 0; i < batch->count && status == AGN_OK; i++) {
            const struct agn__lossy_image image = {.number = first + i,
                                                   .draw = draw,
                                                   .came = came[i],
                                                   .local = agn_net_output(n->local) + (size_t)i * classes,
                                                   .remote = agn_net_output(n->remote) + (size_t)i * classes,
                                                   .label = batch->labels[i]};
            lossy->see(lossy->user, &image);
        }
    }
    return status;
}

int agn__run_lossy(const struct agn__lossy *lossy, const struct agn_dataset *data)
{
    struct nets nets = {0};
    struct agn_batch batch;
    int more = 0, done = 0, status = agn_model_check_data(lossy->model, data);
    if (status == AGN_OK)
        status = open_nets(&nets, lossy, data);
    if (status == AGN_OK)
        status = agn_loader_start(nets.loader, 0);
    while (status == AGN_OK && (lossy->images == 0 || done < lossy->images) &&
           (more = agn_loader_next(nets.loader, &batch)) > 0) {
        status = run_batch(&nets, lossy, &batch, done);
        done += batch.count;
    }
    close_nets(&nets);
    return status == AGN_OK && more < 0 ? more : status;
}
