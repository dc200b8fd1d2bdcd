/* Memory of a served model; see served.h. */
#include "server/served.h"

#include <stdio.h>
#include <string.h>

#include "agilenn/base.h"

int agn__served_check(const struct agn_server_model *model)
{
    const struct agn_map_shape *shape = &model->shape;
    if (shape->channels == 0 || shape->height == 0 || shape->width == 0)
        return agn_fail(AGN_ERR_ARG, "served model: a map of %u x %u x %u has no symbols",
                        (unsigned)shape->channels, (unsigned)shape->height, (unsigned)shape->width);
    if (model->classes < 1 || model->classes > AGN_WIRE_MAX_CLASSES)
        return agn_fail(AGN_ERR_ARG, "served model: %d classes, expected 1 to %d", model->classes,
                        (int)AGN_WIRE_MAX_CLASSES);
    if (!model->infer || (model->expand && model->floats == 0))
        return agn_fail(AGN_ERR_ARG, "served model: no inference, or nothing that it reads");
    return 0;
}

static size_t map_bytes(const struct agn__served *served)
{
    const struct agn_map_shape *shape = &served->model.shape;
    return (size_t)shape->channels * shape->height * shape->width;
}

static bool make_scratch(struct agn__served *served)
{
    size_t batch = (size_t)served->limits.max_batch, classes = (size_t)served->model.classes;
    served->scratch = agn_alloc((size_t)served->limits.workers, sizeof *served->scratch);
    for (int i = 0; served->scratch && i < served->limits.workers; i++) {
        struct agn__scratch *scratch = &served->scratch[i];
        scratch->features = agn_alloc(batch * served->model.floats, sizeof(float));
        scratch->logits = agn_alloc(batch * classes, sizeof(float));
        scratch->fixed = agn_alloc(classes, sizeof(int16_t));
        if (!scratch->features || !scratch->logits || !scratch->fixed)
            return false;
    }
    return served->scratch != NULL;
}

static bool make_jobs(struct agn__served *served, size_t reply_bytes)
{
    size_t count = (size_t)served->limits.jobs, each = map_bytes(served) + reply_bytes;
    served->jobs = agn_alloc(count, sizeof *served->jobs);
    served->job_memory = agn_alloc(count, each);
    if (!served->jobs || !served->job_memory)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct agn__job *job = &served->jobs[i];
        job->model = served;
        job->map = served->job_memory + i * each;
        job->reply = job->map + map_bytes(served);
        job->next = served->free_jobs;
        served->free_jobs = job;
    }
    return true;
}

static bool fill_in(struct agn__served *served)
{
    const struct agn_server_model *model = &served->model;
    size_t reply_bytes = AGN_REPLY_BYTES((size_t)model->classes);
    const struct agn__image_decoder images = {model->decode, model->expand_user};
    served->fill = agn_alloc(model->shape.channels, sizeof *served->fill);
    served->assembly =
        agn__assembly_create(&served->limits.assembly, &model->shape, model->contexts, &images, reply_bytes);
    served->exchanges = agn_alloc((size_t)served->limits.assembly.frames, sizeof *served->exchanges);
    served->trust = agn_alloc((size_t)model->shape.channels + 1, sizeof *served->trust);
    served->leading_trust = agn_alloc((size_t)model->shape.channels + 1, sizeof *served->leading_trust);
    if (!served->fill || !served->trust || !served->leading_trust || !served->assembly || !served->exchanges)
        return false;
    if (model->fill)
        memcpy(served->fill, model->fill, model->shape.channels * sizeof *served->fill);
    for (size_t came = 0; came <= model->shape.channels; came++) {
        served->trust[came] = model->trust ? model->trust[came] : 1.0f;
        served->leading_trust[came] = model->leading_trust ? model->leading_trust[came] : served->trust[came];
    }
    return make_scratch(served) && make_jobs(served, reply_bytes);
}

struct agn__served *agn__served_create(const struct agn_server_model *model,
                                       const struct agn__served_limits *limits)
{
    struct agn__served *served = agn_alloc(1, sizeof *served);
    if (!served)
        return NULL;
    pthread_mutex_init(&served->infer_lock, NULL);
    served->model = *model;
    served->limits = *limits;
    if (!model->expand)
        served->model.floats = map_bytes(served);
    if (model->name)
        snprintf(served->name, sizeof served->name, "%s", model->name);
    else
        snprintf(served->name, sizeof served->name, "%08x", (unsigned)model->model_id);
    served->model.name = served->name;
    served->stats.model_id = model->model_id;
    memcpy(served->stats.name, served->name, sizeof served->stats.name);
    if (!fill_in(served)) {
        agn__served_free(served, false);
        return NULL;
    }
    served->model.fill = served->fill;
    served->model.trust = served->trust;
    served->model.leading_trust = served->leading_trust;
    return served;
}

static bool are_equal(const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

bool agn__served_is_same(const struct agn__served *a, const struct agn__served *b)
{
    const struct agn_server_model *one = &a->model, *other = &b->model;
    size_t channels = one->shape.channels;
    return memcmp(&one->shape, &other->shape, sizeof one->shape) == 0 && one->classes == other->classes &&
           are_equal(one->centroids, other->centroids, AGN_WIRE_LEVELS) &&
           are_equal(a->fill, b->fill, channels) && are_equal(a->trust, b->trust, channels + 1) &&
           are_equal(a->leading_trust, b->leading_trust, channels + 1);
}

void agn__served_free(struct agn__served *served, bool release)
{
    if (!served)
        return;
    for (int i = 0; served->exchanges && i < served->limits.assembly.frames; i++)
        agn__coap_forget(&served->exchanges[i]);
    for (int i = 0; served->scratch && i < served->limits.workers; i++) {
        agn_free(served->scratch[i].features);
        agn_free(served->scratch[i].logits);
        agn_free(served->scratch[i].fixed);
    }
    if (release && served->model.release)
        served->model.release(served->model.owner);
    pthread_mutex_destroy(&served->infer_lock);
    agn__assembly_free(served->assembly);
    agn_free(served->exchanges);
    agn_free(served->scratch);
    agn_free(served->jobs);
    agn_free(served->job_memory);
    agn_free(served->fill);
    agn_free(served->trust);
    agn_free(served->leading_trust);
    agn_free(served);
}

struct agn__job *agn__served_job(struct agn__served *served, int slot, double now_s)
{
    struct agn__job *job = served->free_jobs;
    if (!job)
        return NULL;
    served->free_jobs = job->next;
    served->jobs_in_hand++;
    job->slot = slot;
    job->frame = agn__assembly_frame(served->assembly, slot);
    job->is_compact = (uint8_t)agn__assembly_is_compact(served->assembly, slot);
    job->began_s = agn__assembly_began(served->assembly, slot);
    job->deadline_s = agn__assembly_deadline(served->assembly, slot);
    job->ready_s = now_s;
    job->batch = 0;
    job->reply_bytes = 0;
    memcpy(job->map, agn__assembly_map(served->assembly, slot), map_bytes(served));
    return job;
}

void agn__served_job_done(struct agn__job *job)
{
    struct agn__served *served = job->model;
    job->next = served->free_jobs;
    served->free_jobs = job;
    served->jobs_in_hand--;
}
