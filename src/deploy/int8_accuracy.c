/* Accuracy of the Remote NN in 8 bits beside that in floats, on the same quantised features. */
#include <string.h>

#include "agilenn/deploy.h"
#include "agilenn/inference.h"

enum { BATCH = 64 };
enum { FLOATS, EIGHT_BITS, COMPUTES };

struct comparison {
    const struct agn_model *model;
    struct agn_inference *extractor, *local;
    struct agn_remote *remote[COMPUTES];
    struct agn_loader *loader;
    float *features, *first, *rest; /* the map; its local channels; the sent ones, quantised */
    float *local_logits, *logits[COMPUTES];
};

static int make_inference(const struct agn_graph *graph, struct agn_params *params,
                          struct agn_inference **inference)
{
    struct agn_inference_config config = {.graph = graph, .params = params, .max_batch = BATCH};
    return agn_inference_create(&config, inference);
}

static int open_comparison(struct comparison *c, const struct agn_dataset *data)
{
    const struct agn_model *model = c->model;
    struct agn_loader_config load = {.batch = BATCH, .normalisation = model->normalisation};
    size_t positions = (size_t)BATCH * (size_t)model->map.height * (size_t)model->map.width;
    size_t channels = (size_t)model->map.channels, sent = (size_t)model->sent_channels;
    size_t logits = (size_t)BATCH * (size_t)model->classes;
    c->features = agn_alloc(positions * channels, sizeof(float));
    c->first = agn_alloc(positions * (channels - sent), sizeof(float));
    c->rest = agn_alloc(positions * sent, sizeof(float));
    c->local_logits = agn_alloc(logits, sizeof(float));
    c->logits[FLOATS] = agn_alloc(logits, sizeof(float));
    c->logits[EIGHT_BITS] = agn_alloc(logits, sizeof(float));
    if (c->features == NULL || c->first == NULL || c->rest == NULL || c->local_logits == NULL ||
        c->logits[FLOATS] == NULL || c->logits[EIGHT_BITS] == NULL) {
        return AGN_ERR_MEMORY;
    }
    int status = AGN_OK;
    for (int i = 0; i < COMPUTES && status == AGN_OK; i++) {
        struct agn_remote_config config = {.max_batch = BATCH, .int8 = i == EIGHT_BITS};
        status = agn_remote_create_as(model, &config, &c->remote[i]);
    }
    if (status == AGN_OK)
        status = make_inference(&model->extractor, model->extractor_params, &c->extractor);
    if (status == AGN_OK)
        status = make_inference(&model->local, model->local_params, &c->local);
    if (status == AGN_OK)
        status = agn_loader_create(data, &load, &c->loader);
    return status == AGN_OK ? agn_loader_start(c->loader, 0) : status;
}

static void close_comparison(struct comparison *c)
{
    agn_loader_free(c->loader);
    agn_inference_free(c->extractor);
    agn_inference_free(c->local);
    agn_free(c->features);
    agn_free(c->first);
    agn_free(c->rest);
    agn_free(c->local_logits);
    for (int i = 0; i < COMPUTES; i++) {
        agn_remote_free(c->remote[i]);
        agn_free(c->logits[i]);
    }
}

/* The map's first channels, and the others quantised. */
static void split(const struct comparison *c)
{
    const struct agn_model *model = c->model;
    size_t positions = (size_t)BATCH * (size_t)model->map.height * (size_t)model->map.width;
    size_t channels = (size_t)model->map.channels, sent = (size_t)model->sent_channels, own = channels - sent;
    for (size_t p = 0; p < positions; p++) {
        const float *row = c->features + p * channels;
        memcpy(c->first + p * own, row, own * sizeof(float));
        memcpy(c->rest + p * sent, row + own, sent * sizeof(float));
    }
    agn_quantise(model->centroids, c->rest, positions * sent, NULL, c->rest);
}

static int best(const float *values, int count)
{
    int index = 0;
    for (int i = 1; i < count; i++) {
        index = values[i] > values[index] ? i : index;
    }
    return index;
}

static void count(const struct comparison *c, const struct agn_batch *batch,
                  struct agn_int8_accuracy *accuracy)
{
    int classes = c->model->classes;
    float alpha = (float)agn_model_alpha(c->model), fused[1000];
    for (int i = 0; i < batch->count; i++) {
        const float *local = c->local_logits + (size_t)i * (size_t)classes;
        int answers[COMPUTES];
        for (int r = 0; r < COMPUTES; r++) {
            const float *remote = c->logits[r] + (size_t)i * (size_t)classes;
            for (int k = 0; k < classes; k++) {
                fused[k] = alpha * local[k] + (1.0F - alpha) * remote[k];
            }
            answers[r] = best(remote, classes);
            accuracy->fused[r] += best(fused, classes) == batch->labels[i];
            accuracy->remote[r] += answers[r] == batch->labels[i];
        }
        accuracy->same += answers[FLOATS] == answers[EIGHT_BITS];
        accuracy->images++;
    }
}

static int run_batch(struct comparison *c, const struct agn_batch *batch, struct agn_int8_accuracy *accuracy)
{
    int status = agn_interrupt_requested()
                     ? agn_fail(AGN_ERR_INTERRUPTED, "evaluation was interrupted")
                     : agn_inference_run(c->extractor, batch->images, BATCH, c->features);
    if (status == AGN_OK) {
        split(c);
        status = agn_inference_run(c->local, c->first, BATCH, c->local_logits);
    }
    for (int i = 0; i < COMPUTES && status == AGN_OK; i++) {
        status = agn_remote_infer(c->remote[i], c->rest, BATCH, c->logits[i]);
    }
    if (status == AGN_OK) {
        count(c, batch, accuracy);
    }
    return status;
}

int agn_int8_accuracy(const struct agn_model *model, const struct agn_dataset *data,
                      struct agn_int8_accuracy *out)
{
    struct comparison c = {.model = model};
    struct agn_int8_accuracy accuracy = {0};
    struct agn_batch batch;
    int more = 0, status = agn_model_check_data(model, data);
    if (status == AGN_OK)
        status = open_comparison(&c, data);
    while (status == AGN_OK && (more = agn_loader_next(c.loader, &batch)) > 0) {
        status = run_batch(&c, &batch, &accuracy);
    }
    close_comparison(&c);
    status = status == AGN_OK && more < 0 ? more : status;
    if (status == AGN_OK) {
        *out = accuracy;
    }
    return status;
}
