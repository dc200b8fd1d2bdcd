/* Accuracy of the Remote NN in 8 bits beside that in floats, on the same quantised features. */
#include "agilenn/edge.h"
#include "agilenn/measure.h"

enum { BATCH = 64 };
enum { FLOATS, EIGHT_BITS, COMPUTES };

struct comparison {
    const struct agn_model *model;
    struct agn_runner runner; /* extractor and Local NN */
    struct agn_remote *remote[COMPUTES];
    struct agn_loader *loader;
    float *logits[COMPUTES];
};

static int open_comparison(struct comparison *c, const struct agn_dataset *data)
{
    const struct agn_model *model = c->model;
    const struct agn_loader_config load = {.batch = BATCH, .normalisation = model->normalisation};
    int status = agn_model_need(model, AGN_REMOTE);
    if (status == AGN_OK)
        status = agn_runner_open(&c->runner, model, BATCH, 1U << AGN_LOCAL);
    for (int i = 0; i < COMPUTES && status == AGN_OK; i++) {
        const struct agn_remote_config config = {.max_batch = BATCH, .int8 = i == EIGHT_BITS};
        status = agn_remote_create_as(model, &config, &c->remote[i]);
        c->logits[i] = agn_alloc((size_t)BATCH * (size_t)model->classes, sizeof(float));
        if (c->logits[i] == NULL)
            status = AGN_ERR_MEMORY;
    }
    if (status == AGN_OK)
        status = agn_loader_create(data, &load, &c->loader);
    return status == AGN_OK ? agn_loader_start(c->loader, 0) : status;
}

static void close_comparison(struct comparison *c)
{
    agn_loader_free(c->loader);
    agn_runner_close(&c->runner);
    for (int i = 0; i < COMPUTES; i++) {
        agn_remote_free(c->remote[i]);
        agn_free(c->logits[i]);
    }
}

static void count(const struct comparison *c, const struct agn_batch *batch,
                  struct agn_int8_accuracy *accuracy)
{
    int classes = c->model->classes;
    float fused[AGN_MAX_CLASSES];
    for (int i = 0; i < batch->count; i++) {
        const float *local = agn_runner_output(&c->runner, AGN_LOCAL, i);
        int answers[COMPUTES];
        for (int r = 0; r < COMPUTES; r++) {
            const float *remote = c->logits[r] + (size_t)i * (size_t)classes;
            agn_model_answer(c->model, local, remote, fused);
            answers[r] = agn_argmax(remote, classes);
            accuracy->fused[r] += agn_argmax(fused, classes) == batch->labels[i];
            accuracy->remote[r] += answers[r] == batch->labels[i];
        }
        accuracy->same += answers[FLOATS] == answers[EIGHT_BITS];
        accuracy->images++;
    }
}

static int run_batch(struct comparison *c, const struct agn_batch *batch, struct agn_int8_accuracy *accuracy)
{
    int status = agn_interrupt_requested() ? agn_fail(AGN_ERR_INTERRUPTED, "evaluation was interrupted")
                                           : agn_runner_extract(&c->runner, batch->images);
    if (status == AGN_OK)
        status = agn_runner_run(&c->runner, AGN_LOCAL, c->runner.first);
    for (int i = 0; i < COMPUTES && status == AGN_OK; i++)
        status = agn_remote_infer(c->remote[i], c->runner.values, BATCH, c->logits[i]);
    if (status == AGN_OK)
        count(c, batch, accuracy);
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
    while (status == AGN_OK && (more = agn_loader_next(c.loader, &batch)) > 0)
        status = run_batch(&c, &batch, &accuracy);
    close_comparison(&c);
    status = status == AGN_OK && more < 0 ? more : status;
    if (status == AGN_OK)
        *out = accuracy;
    return status;
}

void agn_int8_figures(const struct agn_int8_accuracy *e, struct agn_figures *f)
{
    double images = e->images;
    agn_figures_add_share(f, "int8.fused_accuracy_f32", e->fused[0] / images, "Remote NN in floats");
    agn_figures_add_share(f, "int8.fused_accuracy", e->fused[1] / images, "Remote NN in 8 bits");
    agn_figures_add_share(f, "int8.remote_accuracy_f32", e->remote[0] / images, "alone, in floats");
    agn_figures_add_share(f, "int8.remote_accuracy", e->remote[1] / images, "alone, in 8 bits");
    agn_figures_add_share(f, "int8.same_answer", e->same / images, "the same answer in both");
}
