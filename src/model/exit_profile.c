/* What a scheduler wants to know of exits and cuts before it chooses: how many frames leave where, and how
 * good the answers are. In float, by one pass over the images. */
#include <math.h>
#include <string.h>

#include "agilenn/model.h"

enum { BATCH = 250 };

struct profiler {
    const struct agn_model *model;
    struct agn_exit_profile *profile;
    struct agn_runner runner;
    struct agn_loader *loader;
    float *sent;             /* the map at a cut as the server sees it */
    float *remote[AGN_CUTS]; /* (n, classes) at each cut */
};

static size_t values_of(struct agn_shape map)
{
    return (size_t)BATCH * (size_t)map.height * (size_t)map.width * (size_t)map.channels;
}

static int open_profiler(struct profiler *p, const struct agn_dataset *data)
{
    const struct agn_model *model = p->model;
    const struct agn_loader_config load = {.batch = BATCH, .normalisation = model->normalisation};
    size_t most = 0;
    int status = AGN_OK;
    for (int stage = 1; stage <= p->profile->stages; stage++) {
        size_t values = values_of(agn_model_stage_map(model, stage));
        most = values > most ? values : most;
    }
    p->sent = agn_alloc(most, sizeof(float));
    status = p->sent == NULL ? AGN_ERR_MEMORY : AGN_OK;
    for (int cut = 0; cut <= p->profile->stages && status == AGN_OK; cut++) {
        p->remote[cut] = agn_alloc((size_t)BATCH * (size_t)model->classes, sizeof(float));
        status = p->remote[cut] == NULL ? AGN_ERR_MEMORY : AGN_OK;
    }
    if (status == AGN_OK)
        status = agn_runner_open(&p->runner, model, BATCH, 1U << AGN_LOCAL | 1U << AGN_REMOTE);
    return status == AGN_OK ? agn_loader_create(data, &load, &p->loader) : status;
}

static void close_profiler(struct profiler *p)
{
    agn_loader_free(p->loader);
    agn_runner_close(&p->runner);
    agn_free(p->sent);
    for (int cut = 0; cut < AGN_CUTS; cut++)
        agn_free(p->remote[cut]);
}

/* The server's logits at a cut, from what it is sent. Overwrites what the stages behind the cut made. */
static int run_server(struct profiler *p, int cut, const float *images)
{
    struct agn_runner *r = &p->runner;
    const float *input = images; /* whose bytes are sent as they are */
    int status = AGN_OK;
    if (cut > 0) {
        p->model->system->quantise(p->model, agn_runner_output(r, agn_stage_role(cut), 0),
                                   values_of(agn_model_stage_map(p->model, cut)), p->sent);
        input = p->sent;
    }
    for (int stage = cut + 1; stage <= p->profile->stages && status == AGN_OK; stage++) {
        status = agn_runner_run(r, agn_stage_role(stage), input);
        input = agn_runner_output(r, agn_stage_role(stage), 0);
    }
    if (status == AGN_OK)
        status = agn_runner_run(r, AGN_REMOTE, input);
    if (status == AGN_OK)
        memcpy(p->remote[cut], agn_runner_output(r, AGN_REMOTE, 0),
               (size_t)BATCH * (size_t)p->model->classes * sizeof(float));
    return status;
}

/* Behind the last stage first: the stages before a cut are still needed then. */
static int run_batch(struct profiler *p, const float *images)
{
    struct agn_runner *r = &p->runner;
    int status = agn_runner_extract(r, images);
    if (status == AGN_OK)
        status = agn_runner_run(r, AGN_LOCAL, r->first);
    for (int cut = p->profile->stages; cut >= 0 && status == AGN_OK; cut--)
        status = run_server(p, cut, images);
    return status;
}

/* Adds image i of the batch to all rules' counts. */
static void count(struct profiler *p, int i, int label)
{
    struct agn_exit_profile *profile = p->profile;
    int classes = p->model->classes, stages = profile->stages;
    bool right[AGN_MAX_STAGES + 1];
    double sure[AGN_MAX_STAGES + 1];
    for (int stage = 1; stage <= stages; stage++) {
        const float *logits = agn_runner_exit(&p->runner, stage, i);
        sure[stage] = agn_surest(logits, classes);
        right[stage] = agn_argmax(logits, classes) == label;
        profile->exit_right[stage] += right[stage];
    }
    for (int cut = 0; cut <= stages; cut++) {
        bool served = agn_argmax(p->remote[cut] + (size_t)i * (size_t)classes, classes) == label;
        for (int t = 0; t < profile->count; t++) {
            struct agn_exit_rule *rule = &profile->rules[t][cut];
            int stage = 1;
            while (stage <= cut && sure[stage] < profile->thresholds[t])
                stage++;
            rule->left[stage <= cut ? stage : 0]++;
            rule->right += stage <= cut ? right[stage] : served;
        }
    }
    profile->images++;
}

static int check(const struct agn_model *model, const struct agn_dataset *data)
{
    if (!model->system->exits)
        return agn_fail(AGN_ERR_UNSUPPORTED,
                        "this needs a model with exits, and one of the system %s has none",
                        model->system->name);
    return agn_model_check_data(model, data);
}

int agn_exit_profile(const struct agn_model *model, const struct agn_dataset *data, const double *thresholds,
                     int count_of, struct agn_exit_profile *profile)
{
    struct profiler p = {.model = model, .profile = profile};
    struct agn_batch batch;
    int more = 0, status = check(model, data);
    *profile = (struct agn_exit_profile){.stages = agn_model_stages(model), .count = count_of};
    memcpy(profile->thresholds, thresholds, (size_t)count_of * sizeof(*thresholds));
    if (status == AGN_OK)
        status = open_profiler(&p, data);
    if (status == AGN_OK)
        status = agn_loader_start(p.loader, 0);
    while (status == AGN_OK && (more = agn_loader_next(p.loader, &batch)) > 0) {
        status = agn_interrupt_requested() ? agn_fail(AGN_ERR_INTERRUPTED, "evaluation was interrupted")
                                           : run_batch(&p, batch.images);
        for (int i = 0; i < batch.count && status == AGN_OK; i++)
            count(&p, i, batch.labels[i]);
    }
    close_profiler(&p);
    return status == AGN_OK && more < 0 ? more : status;
}
