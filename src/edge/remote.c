/* The Remote NN as the server runs it, behind what stages of the extractor are the server's. */
#include <math.h>
#include <stdlib.h>

#include "agilenn/inference.h"
#include "edge/remote.h"

enum { DEFAULT_BATCH = 32, MOST_CALLS = 64, FEWEST_CALLS = 3 };

static const double measured_s = 0.02;

struct agn_remote {
    struct agn_inference *parts[AGN_MAX_STAGES + 1]; /* one after the other */
    float *maps[AGN_MAX_STAGES + 1];                 /* what each reads, of a batch; [0]: the caller's */
    int count, max_batch;
    size_t floats, classes; /* of a frame */
};

static size_t floats_of(struct agn_shape shape)
{
    return (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
}

/* The part that comes next; `limit`: the largest magnitude of what it reads. */
static int add_part(struct agn_remote *remote, const struct agn_part *part,
                    const struct agn_remote_config *config, float limit, bool is_signed)
{
    int at = remote->count++;
    const struct agn_inference_config planned = {
        .graph = &part->graph,
        .params = part->params,
        .max_batch = remote->max_batch,
        .threads = config->threads,
        .int8 = config->int8,
        .weights_of = config->weights_of ? config->weights_of->parts[at] : NULL,
        .source_limit = limit,
        .source_signed = is_signed};
    size_t floats = floats_of(agn_graph_input_shape(&part->graph));
    if (at == 0)
        remote->floats = floats;
    else
        remote->maps[at] = agn_alloc((size_t)remote->max_batch * floats, sizeof(float));
    remote->classes = (size_t)agn_graph_output_shape(&part->graph).channels;
    return at > 0 && remote->maps[at] == NULL ? AGN_ERR_MEMORY
                                              : agn_inference_create(&planned, &remote->parts[at]);
}

static int add_parts(struct agn_remote *remote, const struct agn_model *model,
                     const struct agn_remote_config *config)
{
    float limit = fmaxf(fabsf(model->centroids[0]), fabsf(model->centroids[AGN_LEVELS - 1]));
    int first = agn_model_cuts(model) - 1 - config->earlier, status = AGN_OK;
    bool is_signed = model->system->expand != NULL;
    for (int level = 0; level < AGN_LEVELS; level++)
        is_signed = is_signed || model->centroids[level] < 0.0F;
    struct agn_cut cut, before;
    if (model->system->cut == NULL && config->earlier == 0)
        return add_part(remote, &model->parts[AGN_REMOTE], config,
                        model->system->expand ? model->system->feature_limit(model) : limit, is_signed);
    status = agn_model_cut(model, first, &cut);
    for (int i = 0; status == AGN_OK && i < cut.role_count; i++) {
        status = agn_model_cut(model, first + i, &before);
        if (status == AGN_OK)
            status = add_part(remote, &model->parts[cut.roles[i]], config, before.feature_limit, is_signed);
    }
    return status;
}

int agn_remote_create_as(const struct agn_model *model, const struct agn_remote_config *config,
                         struct agn_remote **result)
{
    static const struct agn_remote_config defaults;
    config = config == NULL ? &defaults : config;
    struct agn_remote *remote = agn_alloc(1, sizeof(*remote));
    if (remote == NULL)
        return AGN_ERR_MEMORY;
    remote->max_batch = config->max_batch == 0 ? DEFAULT_BATCH : config->max_batch;
    int status = add_parts(remote, model, config);
    if (status < 0) {
        agn_remote_free(remote);
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
    if (remote == NULL)
        return;
    for (int i = 0; i < remote->count; i++) {
        agn_inference_free(remote->parts[i]);
        agn_free(remote->maps[i]);
    }
    agn_free(remote);
}

/* At most a batch. */
static int infer_batch(const struct agn_remote *remote, const float *features, int count, float *logits)
{
    int status = AGN_OK;
    for (int i = 0; i < remote->count && status == AGN_OK; i++)
        status = agn_inference_run(remote->parts[i], i == 0 ? features : remote->maps[i], count,
                                   i + 1 < remote->count ? remote->maps[i + 1] : logits);
    return status;
}

int agn_remote_infer(void *user, const float *features, int count, float *logits)
{
    struct agn_remote *remote = user;
    int status = AGN_OK;
    for (int done = 0; done < count && status == AGN_OK; done += remote->max_batch) {
        int now = count - done < remote->max_batch ? count - done : remote->max_batch;
        status = infer_batch(remote, features + (size_t)done * remote->floats, now,
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
    for (int p = 0; p < remote->count; p++)
        for (int i = 0; agn_inference_layer(remote->parts[p], i, &layer); i++)
            count += layer.reference ? 1 : 0;
    return count;
}
