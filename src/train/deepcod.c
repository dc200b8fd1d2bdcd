/* DeepCOD's second phase: extractor, quantiser and decoder learn to give the images back, and (joint.teach)
 * to let the classifier behind them say what it says of the originals, or what is true:
 *
 *   reconstruction MSE(image, decoded) + MSE(logits, logits of the image), or CE(logits)
 *
 * averaged over the batch; images lie within +-1. The classifier was trained before and is frozen, its BN's
 * statistics, too. The gradient that comes through it has a norm of at most 1 over the whole batch, in grey
 * levels; that of the reconstruction is as long as it is. Quantisation is hard forward and soft backward. */
#include "train/deepcod.h"

#include <math.h>
#include <string.h>

#include "train/optimiser.h"
#include "train/quantiser_learning.h"

static const unsigned trained = 1U << AGN_EXTRACTOR | 1U << AGN_REMOTE;
static const double grey_levels = 128.0; /* in 1, as images are normalised */

enum { DECODER, CLASSIFIER };

void agn__freeze_classifier(struct agn_model *model, bool classifier)
{
    static const char prefix[] = "decoder.";
    struct agn_params *params = model->parts[AGN_REMOTE].params;
    for (int p = 0; p < params->count; p++) {
        bool decodes = strncmp(params->list[p].name, prefix, sizeof(prefix) - 1) == 0;
        params->list[p].frozen = decodes != classifier;
    }
    memset(params->grad, 0, params->total * sizeof(float)); /* what no net writes counts for nothing */
}

/* ---- forward ---------------------------------------------------------------------- */

static int forward(struct agn__coder *c, const struct agn_batch *batch)
{
    struct agn_model *model = c->model;
    size_t bytes = (size_t)c->batch * c->image * sizeof(float);
    agn__prepare_batch(&c->preparation, batch, AGN_PHASE_CODER, c->trainer->state.step, c->images);
    memcpy(agn_net_write(c->extractor, AGN_BORDER_INPUT), c->images, bytes);
    int status = agn_net_forward(c->extractor);
    if (status < 0)
        return status;
    agn_quantise(model->centroids, agn_net_read(c->extractor, AGN_BORDER_OUTPUT), c->values, c->symbols,
                 agn_net_write(c->decoder, AGN_BORDER_INPUT));
    status = agn_net_forward(c->decoder);
    if (status == AGN_OK)
        status = agn_net_copy(c->classifier, AGN_BORDER_INPUT, c->decoder, AGN_BORDER_OUTPUT);
    if (status == AGN_OK)
        status = agn_net_forward(c->classifier);
    if (status == AGN_OK && c->teacher != NULL) {
        memcpy(agn_net_write(c->teacher, AGN_BORDER_INPUT), c->images, bytes);
        status = agn_net_forward(c->teacher);
    }
    return status;
}

/* ---- losses ----------------------------------------------------------------------- */

/* The loss of the classifier's logits, 0 where there is none, and their gradient. */
static double teach(struct agn__coder *c, const struct agn_batch *batch)
{
    const float *logits = agn_net_read(c->classifier, AGN_BORDER_OUTPUT);
    float *diff = agn_net_write(c->classifier, AGN_BORDER_DIFF_OUTPUT), each = 1.0F / (float)c->whole;
    size_t classes = (size_t)c->model->classes;
    double sum = 0.0;
    if (c->model->preset.joint.teach == AGN_TEACH_LOGITS) {
        const float *wanted = agn_net_read(c->teacher, AGN_BORDER_OUTPUT);
        agn_mse_forward(logits, wanted, c->batch, classes, each, c->loss);
        agn_mse_backward(logits, wanted, c->batch, classes, each, diff);
        for (int i = 0; i < c->batch; i++)
            sum += (double)c->loss[i];
    } else if (c->model->preset.joint.teach == AGN_TEACH_LABELS) {
        const struct agn__soft_targets targets = agn__targets_of(&c->preparation, batch);
        agn__soft_ce_forward(logits, &targets, c->prob, c->loss);
        agn__soft_ce_backward(c->prob, &targets, each, diff);
        for (int i = 0; i < c->batch; i++)
            sum += (double)(each * c->loss[i]);
    }
    return sum;
}

static void measure(struct agn__coder *c, const struct agn_batch *batch, struct agn__tally *tally)
{
    float weight = (float)c->model->preset.joint.reconstruction / (float)c->whole;
    const float *decoded = agn_net_read(c->decoder, AGN_BORDER_OUTPUT);
    const float *logits = agn_net_read(c->classifier, AGN_BORDER_OUTPUT);
    int classes = c->model->classes;
    agn_mse_forward(decoded, c->images, c->batch, c->image, weight, c->image_loss);
    tally->steps = 1;
    tally->images = batch->count;
    for (int i = 0; i < batch->count; i++) {
        tally->loss += (double)c->image_loss[i];
        tally->correct += agn_argmax(logits + (size_t)i * (size_t)classes, classes) == batch->labels[i];
    }
}

/* ---- backward --------------------------------------------------------------------- */

/* diff += what comes through the classifier, shortened. */
static int add_taught(struct agn__coder *c, float *diff)
{
    size_t count = (size_t)c->batch * c->image;
    double square = 0.0;
    if (c->model->preset.joint.teach == AGN_TEACH_NOTHING)
        return AGN_OK;
    int status = agn_net_backward(c->classifier);
    const float *taught = agn_net_read(c->classifier, AGN_BORDER_DIFF_INPUT);
    for (size_t i = 0; status == AGN_OK && i < count; i++)
        square += (double)taught[i] * (double)taught[i];
    if (status == AGN_OK)
        status = agn_group_sum(c->group, &square, 1);
    double norm = sqrt(square) / grey_levels;
    float factor = norm > 1.0 ? (float)(1.0 / norm) : 1.0F;
    for (size_t i = 0; status == AGN_OK && i < count; i++)
        diff[i] += factor * taught[i];
    return status;
}

static int backward(struct agn__coder *c)
{
    struct agn_model *model = c->model;
    float weight = (float)model->preset.joint.reconstruction / (float)c->whole;
    float *diff = agn_net_write(c->decoder, AGN_BORDER_DIFF_OUTPUT);
    agn_mse_backward(agn_net_read(c->decoder, AGN_BORDER_OUTPUT), c->images, c->batch, c->image, weight,
                     diff);
    int status = add_taught(c, diff);
    if (status == AGN_OK)
        status = agn_net_backward(c->decoder);
    if (status == AGN_OK)
        status = agn__sum_rest(&c->decoder_sharing, model->parts[AGN_REMOTE].params);
    if (status < 0)
        return status;
    float *sampled = agn_net_write(c->extractor, AGN_BORDER_DIFF_OUTPUT);
    memcpy(sampled, agn_net_read(c->decoder, AGN_BORDER_DIFF_INPUT), c->values * sizeof(float));
    agn__soft_gradient(model, agn_net_read(c->extractor, AGN_BORDER_OUTPUT), agn__centres_tau(), sampled,
                       c->values);
    status = agn_net_backward(c->extractor);
    if (status == AGN_OK)
        status = agn__sum_rest(&c->extractor_sharing, model->parts[AGN_EXTRACTOR].params);
    return status == AGN_OK ? agn_group_await(c->group) : status;
}

/* ---- the step --------------------------------------------------------------------- */

static int update(struct agn__coder *c, double rate)
{
    struct agn_model *model = c->model;
    double sums[2 * AGN_LEVELS], *shares = sums + AGN_LEVELS;
    agn__centres_gradient(model, agn_net_read(c->extractor, AGN_BORDER_OUTPUT), c->symbols,
                          agn_net_read(c->decoder, AGN_BORDER_DIFF_INPUT), c->values, sums, shares);
    int status = agn_group_sum(c->group, sums, AGN_COUNT_OF(sums));
    if (status < 0)
        return status;
    for (int l = 0; l < AGN_LEVELS; l++)
        shares[l] /= agn_group_size(c->group);
    agn__optimiser_step(model, AGN_PHASE_CODER, trained, rate);
    agn__centres_step(model, &c->trainer->beside, sums, shares, rate);
    if (c->trainer->beside.average != NULL)
        agn__average_follow(&c->trainer->beside, model, c->trainer->state.step);
    return AGN_OK;
}

int agn__coder_step(void *phase, const struct agn_batch *batch, double rate, struct agn__tally *tally)
{
    struct agn__coder *c = phase;
    int status = forward(c, batch);
    if (status < 0)
        return status;
    measure(c, batch, tally);
    tally->loss += teach(c, batch);
    status = backward(c);
    return status == AGN_OK ? update(c, rate) : status;
}

/* ---- set-up ----------------------------------------------------------------------- */

static int make_graphs(struct agn__coder *c)
{
    const struct agn_graph *remote = &c->model->parts[AGN_REMOTE].graph;
    for (int g = 0; g < 2; g++) {
        c->graphs[g] = agn_alloc(1, sizeof(*c->graphs[g]));
        if (c->graphs[g] == NULL)
            return AGN_ERR_MEMORY;
    }
    *c->graphs[DECODER] = *remote;
    c->graphs[DECODER]->count = c->model->decoded + 1;
    return agn_graph_tail(remote, c->model->decoded, c->graphs[CLASSIFIER]);
}

static int make_nets(struct agn__coder *c)
{
    struct agn_model *model = c->model;
    const struct agn_preset *preset = &model->preset;
    struct agn_net_config config = {.graph = &model->parts[AGN_EXTRACTOR].graph,
                                    .params = model->parts[AGN_EXTRACTOR].params,
                                    .batch = c->batch,
                                    .mode = AGN_NET_TRAIN,
                                    .compute = (enum agn_compute)preset->train.compute,
                                    .passes = AGN_PASS_BACKWARD,
                                    .bn_momentum = (float)preset->train.bn_momentum,
                                    .peers = agn__share(&c->extractor_sharing, c->group)};
    int status = agn_net_create(&config, &c->extractor);
    config.graph = c->graphs[DECODER];
    config.params = model->parts[AGN_REMOTE].params;
    config.passes |= AGN_PASS_INPUT_GRADIENT;
    config.peers = agn__share(&c->decoder_sharing, c->group);
    if (status == AGN_OK)
        status = agn_net_create(&config, &c->decoder);
    config.graph = c->graphs[CLASSIFIER];
    config.mode = AGN_NET_FROZEN;
    config.peers = NULL;
    if (status == AGN_OK)
        status = agn_net_create(&config, &c->classifier);
    config.passes = 0;
    if (status == AGN_OK && preset->joint.teach == AGN_TEACH_LOGITS)
        status = agn_net_create(&config, &c->teacher);
    return status;
}

static int allocate(struct agn__coder *c)
{
    size_t n = (size_t)c->batch;
    c->images = agn_alloc(n * c->image, sizeof(float));
    c->symbols = agn_alloc(c->values, 1);
    c->prob = agn_alloc(n * (size_t)c->model->classes, sizeof(float));
    c->loss = agn_alloc(n, sizeof(float));
    c->image_loss = agn_alloc(n, sizeof(float));
    return c->images == NULL || c->symbols == NULL || c->prob == NULL || c->loss == NULL ||
                   c->image_loss == NULL
               ? AGN_ERR_MEMORY
               : AGN_OK;
}

int agn__coder_open(struct agn__trainer *trainer, struct agn__coder *c)
{
    struct agn_model *model = trainer->model;
    const struct agn_preset *preset = &model->preset;
    struct agn__beside *beside = &trainer->beside;
    *c = (struct agn__coder){.model = model,
                             .trainer = trainer,
                             .group = trainer->config->group,
                             .batch = preset->train.batch / agn_group_size(trainer->config->group),
                             .whole = preset->train.batch};
    c->image = (size_t)preset->data.height * (size_t)preset->data.width * (size_t)preset->data.channels;
    c->values =
        (size_t)c->batch * (size_t)model->map.height * (size_t)model->map.width * (size_t)model->map.channels;
    int status = make_graphs(c);
    if (status == AGN_OK && beside->centre_moments == NULL)
        status = agn__centre_moments_create(beside);
    if (status == AGN_OK && preset->train.ema > 0.0 && beside->average == NULL)
        status = agn__average_create(beside, model);
    if (status == AGN_OK)
        status = agn__optimiser_open(model, AGN_PHASE_CODER, trained);
    if (status == AGN_OK)
        status = make_nets(c);
    if (status == AGN_OK)
        status = allocate(c);
    if (status == AGN_OK)
        status = agn__preparation_create(model, trainer->config->train, c->group, &c->preparation);
    agn__freeze_classifier(model, true);
    return status;
}

void agn__coder_close(struct agn__coder *c)
{
    agn__preparation_release(&c->preparation);
    agn_net_free(c->extractor);
    agn_net_free(c->decoder);
    agn_net_free(c->classifier);
    agn_net_free(c->teacher);
    for (int g = 0; g < 2; g++)
        agn_free(c->graphs[g]);
    agn_free(c->images);
    agn_free(c->symbols);
    agn_free(c->prob);
    agn_free(c->loss);
    agn_free(c->image_loss);
}

int agn__train_coder(struct agn__trainer *trainer)
{
    struct agn_model *model = trainer->model;
    const struct agn_preset *preset = &model->preset;
    struct agn__coder c;
    if (trainer->state.step == 0) {
        agn_params_clear_moments(model->parts[AGN_REMOTE].params); /* the classifier's */
        agn__centres_initialise(model);
    }
    int status = agn__coder_open(trainer, &c);
    const struct agn__phase_plan plan = {.phase = AGN_PHASE_CODER,
                                         .name = "coder",
                                         .epochs = preset->joint.epochs,
                                         .rate = preset->joint.rate,
                                         .loader_epoch = 1000000,
                                         .step = agn__coder_step,
                                         .user = &c};
    if (status == AGN_OK)
        status = agn__run_phase(trainer, &plan);
    if (status == AGN_OK && trainer->beside.average != NULL)
        agn__average_apply(&trainer->beside, model);
    agn__coder_close(&c);
    return status;
}
