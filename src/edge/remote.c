/* The Remote NN as the server runs it. */
#include <math.h>
#include <stdlib.h>

#include "agilenn/inference.h"
#include "edge/remote.h"

enum { DEFAULT_BATCH = 32, MOST_CALLS = 64, FEWEST_CALLS = 3 };

static const double measured_s = 0.02;

struct agn_remote {
    struct agn_inference *inference;
    int max_batch;
    size_t floats, classes; /* of a frame */
};

int agn_remote_create_as(const struct agn_model *model, const struct agn_remote_config *config,
                         struct agn_remote **result)
{
    static const struct agn_remote_config defaults;
    config = config == NULL ? &defaults : config;
    struct agn_shape in = agn_graph_input_shape(&model->parts[AGN_REMOTE].graph);
    struct agn_remote *remote = agn_alloc(1, sizeof(*remote));
    if (remote == NULL)
        return AGN_ERR_MEMORY;
    remote->max_batch = config->max_batch == 0 ? DEFAULT_BATCH : config->max_batch;
    remote->floats = (size_t)in.height * (size_t)in.width * (size_t)in.channels;
    remote->classes = (size_t)agn_graph_output_shape(&model->parts[AGN_REMOTE].graph).channels;
    float limit = fmaxf(fabsf(model->centroids[0]), fabsf(model->centroids[AGN_LEVELS - 1]));
    struct agn_inference_config planned = {
        .graph = &model->parts[AGN_REMOTE].graph,
        .params = model->parts[AGN_REMOTE].params,
        .max_batch = remote->max_batch,
        .threads = config->threads,
        .int8 = config->int8,
        .weights_of = config->weights_of ? config->weights_of->inference : NULL,
        .source_limit = model->system->expand ? model->system->feature_limit(model) : limit,
        .source_signed = model->system->expand || model->centroids[0] < 0.0F};
    int status = agn_inference_create(&planned, &remote->inference);
    if (status < 0) {
        agn_free(remote);
        return status;
    }
    *result = remote;
    return AGN_OK;
}

int agn_remote_create(const struct agn_model *model, struct agn_remote **remote)
{
    return agn_remote_create_as(model, NULL, remote);
}

void agn_remote_free(struct agn_remote *remote)
{
    if (remote != NULL) {
        agn_inference_free(remote->inference);
        agn_free(remote);
    }
}

int agn_remote_infer(void *user, const float *features, int count, float *logits)
{
    struct agn_remote *remote = user;
    int status = AGN_OK;
    for (int done = 0; done < count && status == AGN_OK; done += remote->max_batch) {
        int now = count - done < remote->max_batch ? count - done : remote->max_batch;
        status = agn_inference_run(remote->inference, features + (size_t)done * remote->floats, now,
                                   logits + (size_t)done * remote->classes);
    }
    return status;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int agn__remote_measure(struct agn_remote *remote, int count, double *seconds)
{
    double took[MOST_CALLS], begin = agn_now_s();
    float *features = agn_alloc((size_t)count * remote->floats, sizeof(float));
    float *logits = agn_alloc((size_t)count * remote->classes, sizeof(float));
    int status = features == NULL || logits == NULL ? AGN_ERR_MEMORY : AGN_OK, calls = 0;
    if (status == AGN_OK)
        status = agn_remote_infer(remote, features, count, logits); /* pages and caches */
    while (status == AGN_OK && calls < MOST_CALLS &&
           (calls < FEWEST_CALLS || agn_now_s() - begin < measured_s)) {
        double call = agn_now_s();
        status = agn_remote_infer(remote, features, count, logits);
        took[calls++] = agn_now_s() - call;
    }
    agn_free(features);
    agn_free(logits);
    if (status == AGN_OK) {
        qsort(took, (size_t)calls, sizeof(double), ascending);
        *seconds = took[calls / 2];
    }
    return status;
}

int agn__remote_reference_layers(const struct agn_remote *remote)
{
    struct agn_inference_layer layer;
    int count = 0;
    for (int i = 0; agn_inference_layer(remote->inference, i, &layer); i++)
        count += layer.reference ? 1 : 0;
    return count;
}
