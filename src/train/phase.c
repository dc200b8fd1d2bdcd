/* The loop of a training phase: batches, learning rate, progress, metrics, checkpoints, interruption. */
#include <math.h>
#include <string.h>

#include "train/evaluate.h"
#include "train/metrics.h"
#include "train/ranks.h"
#include "train/trainer.h"

static const double report_every_s = 0.25, checkpoint_every_s = 60.0;
static const double CHOICE_WINDOW_S =
    0.5; /* many of the time slices that cores are shared by, and several steps */
enum { METRICS_EVERY_STEPS = 25 };

static void add_tally(struct agn__tally *sum, const struct agn__tally *t)
{
    sum->steps += t->steps;
    for (int i = 0; i < AGN__TALLY_SUMS; i++)
        sum->sums[i] += t->sums[i];
}

struct loop {
    struct agn__trainer *trainer;
    const struct agn__phase_plan *plan;
    int64_t steps, steps_per_epoch, warmup;
    struct agn__tally epoch, recent; /* since the epoch's begin; since the last metrics line */
    bool stop, save;                 /* wanted by any process */
    double validation;               /* accuracy, measured last; NAN: not yet */
};

static struct agn__moment moment_of(const struct loop *loop, const struct agn__tally *tally, double rate)
{
    return (struct agn__moment){.trainer = loop->trainer,
                                .plan = loop->plan,
                                .tally = tally,
                                .steps = loop->steps,
                                .rate = rate,
                                .validation = loop->validation};
}

static void report(struct loop *loop, bool epoch_end)
{
    struct agn__trainer *t = loop->trainer;
    const struct agn_train_config *config = t->config;
    double now = agn_now_s();
    if (config->progress == NULL || agn_group_rank(config->group) > 0 ||
        (!epoch_end && now - t->last_report_s < report_every_s))
        return;
    t->last_report_s = now;
    int64_t done = t->state.step, batch = config->preset.train.batch;
    double rate = (double)(done - t->phase_start_step) / fmax(now - t->phase_start_s, 1e-9);
    struct agn_progress progress = {
        .phase = loop->plan->name,
        .epoch = (int)((done > 0 ? done - 1 : 0) / loop->steps_per_epoch) + 1,
        .epochs = (int)((loop->steps + loop->steps_per_epoch - 1) / loop->steps_per_epoch),
        .done = done * batch,
        .total = loop->steps * batch,
        .rate = rate * (double)batch,
        .eta_s = rate > 0.0 ? (double)(loop->steps - done) / rate : NAN,
        .item = "img",
        .epoch_end = epoch_end};
    struct agn__moment moment = moment_of(loop, &loop->epoch, NAN);
    agn__metrics_show(&moment, progress.figures);
    config->progress(config->progress_user, &progress);
}

static void write_metrics(struct loop *loop, double rate)
{
    struct agn__moment moment = moment_of(loop, &loop->recent, rate);
    if (loop->recent.steps > 0)
        agn__metrics_write(&moment, AGN__METRICS_STEPS);
    memset(&loop->recent, 0, sizeof(loop->recent));
}

/* ---- validation ------------------------------------------------------------------------ */

/* The model as it would be if the phase ended now. */
static int measure_validation(struct loop *loop)
{
    struct agn__trainer *t = loop->trainer;
    struct agn_model *model = t->model;
    enum agn_phase phase = loop->plan->phase;
    double epochs = (double)t->state.step / (double)loop->steps_per_epoch;
    bool averaged = t->beside.average != NULL;
    int status = agn__keep_together(t);
    if (status < 0)
        return status;
    if (averaged)
        agn__average_swap(&t->beside, model);
    status = agn__validate(model, t->config->group, t->config->validation, phase, &loop->validation);
    if (status == AGN_OK && t->config->preset.train.choose == AGN_CHOOSE_BEST)
        status = agn_group_agree(t->config->group,
                                 agn__best_note(&t->beside, model, phase, loop->validation, epochs));
    if (averaged)
        agn__average_swap(&t->beside, model);
    return status;
}

/* At an epoch's end. Time for it is no training time. */
static int validate(struct loop *loop)
{
    struct agn__trainer *t = loop->trainer;
    int64_t every = loop->steps_per_epoch * t->config->preset.train.validate_every;
    double begin = agn_now_s();
    if (t->config->validation == NULL || (t->state.step % every != 0 && t->state.step != loop->steps))
        return AGN_OK;
    int status = measure_validation(loop);
    if (status == AGN_OK) {
        struct agn__moment moment = moment_of(loop, &loop->recent, NAN);
        agn__metrics_write(&moment, AGN__METRICS_VALIDATION);
    }
    t->phase_start_s += agn_now_s() - begin;
    return status;
}

/* train.choose = best: the phase ends with the parameters of its best epoch. */
static void take_best(const struct loop *loop)
{
    struct agn__trainer *t = loop->trainer;
    if (t->beside.best == NULL)
        return;
    agn__average_free(t->beside.average); /* the best ones are averaged already */
    t->beside.average = NULL;
    t->chosen_epochs = agn__best_apply(&t->beside, t->model);
    if (agn_group_rank(t->config->group) == 0) {
        agn_log(AGN_LOG_INFO,
                "%s training ends with the parameters after epoch %.4g, the best on the "
                "validation images",
                loop->plan->name, t->chosen_epochs);
    }
}

static int diverged(const struct loop *loop, const char *how)
{
    return agn_fail(AGN_ERR_NUMERIC,
                    "%s training diverged by step %lld: %s; try a lower learning rate (now %.3g)",
                    loop->plan->name, (long long)loop->trainer->state.step, how, loop->plan->rate);
}

/* A network that has diverged may have a finite loss: ReLU6 turns what is not a number into 0. */
static int check_finite(const struct loop *loop)
{
    char how[256];
    if (agn_model_check_finite(loop->trainer->model) == AGN_OK)
        return AGN_OK;
    snprintf(how, sizeof(how), "%s", agn_error_message());
    return diverged(loop, how);
}

static int write_checkpoint(const struct agn__trainer *t)
{
    const char *path = t->config->checkpoint;
    char how[768];
    if (path == NULL || agn_group_rank(t->config->group) > 0)
        return AGN_OK;
    int status = agn__checkpoint_save(path, t->model, &t->beside, &t->state);
    if (status != AGN_ERR_IO || !agn_file_exists(path))
        return status;
    snprintf(how, sizeof(how), "%s", agn_error_message());
    return agn_fail(status, "%s; the checkpoint before is still whole: --resume continues from it", how);
}

static int save_checkpoint(struct loop *loop)
{
    struct agn__trainer *t = loop->trainer;
    struct agn_group *group = t->config->group;
    t->last_checkpoint_s = agn_now_s();
    int status = agn_group_agree(group, check_finite(loop));
    if (status == AGN_OK)
        status = agn__keep_together(t);
    return status < 0 ? status : agn_group_agree(group, write_checkpoint(t));
}

/* Starts the loader at the phase's current step. */
static int start_loader(struct loop *loop)
{
    struct agn__trainer *t = loop->trainer;
    struct agn_batch skipped;
    int64_t epoch = t->state.step / loop->steps_per_epoch, skip = t->state.step % loop->steps_per_epoch;
    int status = agn_loader_start(t->loader, loop->plan->loader_epoch + (int)epoch);
    for (int64_t i = 0; i < skip && status >= 0; i++)
        status = agn_loader_next(t->loader, &skipped);
    return status < 0 ? status : AGN_OK;
}

static int interrupted(struct loop *loop)
{
    const struct agn__trainer *t = loop->trainer;
    int status = save_checkpoint(loop);
    if (status < 0)
        return status;
    status = agn_fail(AGN_ERR_INTERRUPTED, "training was interrupted%s%s",
                      t->config->checkpoint == NULL ? "" : "; --resume continues from ",
                      t->config->checkpoint == NULL ? "" : t->config->checkpoint);
    return agn_group_agree(t->config->group, status);
}

/* In a group all wait for the slowest, so that a process cannot measure what its own choice does. */
int agn__run_step(struct agn__trainer *t, agn__step_fn *step, void *phase, const struct agn_batch *batch,
                  double rate, struct agn__tally *tally)
{
    int threads = agn_nn_threads();
    if (threads == 1 || agn_group_size(t->config->group) > 1)
        return step(phase, batch, rate, tally);
    double begin = agn_now_s();
    agn_nn_set_workers(t->workers.way == 0 ? 0 : (threads + 1) / 2);
    int status = step(phase, batch, rate, tally);
    agn_nn_set_workers(0);
    agn_choice_report(&t->workers, batch->count, agn_now_s() - begin);
    return status;
}

static int one_step(struct loop *loop)
{
    struct agn__trainer *t = loop->trainer;
    struct agn_batch batch;
    struct agn__tally tally = {0};
    double begin = agn_now_s();
    int status = agn_loader_next(t->loader, &batch);
    if (status <= 0)
        return status < 0 ? status : agn_fail(AGN_ERR_STATE, "the loader ran out of batches in mid-epoch");
    double factor =
        agn__rate_factor(t->state.step, loop->steps, loop->warmup, t->config->preset.train.final_rate);
    double rate = loop->plan->rate * factor;
    status = agn__run_step(t, loop->plan->step, loop->plan->user, &batch, rate, &tally);
    if (status < 0)
        return status;
    status = agn_group_sum(t->config->group, tally.sums, AGN__TALLY_SUMS);
    if (status < 0)
        return status;
    if (!isfinite(tally.loss))
        return agn_group_agree(t->config->group, diverged(loop, "the loss is not finite"));
    t->state.step++;
    t->state.images += llround(tally.images);
    t->state.seconds += agn_now_s() - begin;
    add_tally(&loop->epoch, &tally);
    add_tally(&loop->recent, &tally);
    if (t->state.step % METRICS_EVERY_STEPS == 0 || t->state.step == loop->steps)
        write_metrics(loop, rate);
    return AGN_OK;
}

static int end_epoch(struct loop *loop)
{
    int status = validate(loop);
    report(loop, true);
    memset(&loop->epoch, 0, sizeof(loop->epoch));
    if (status == AGN_OK)
        status = save_checkpoint(loop);
    if (status == AGN_OK && loop->trainer->state.step < loop->steps)
        status = start_loader(loop);
    return status;
}

/* A process that stops stops all, and the first one's clock says when to save. */
static int ask_all(struct loop *loop)
{
    struct agn__trainer *t = loop->trainer;
    bool due =
        agn_group_rank(t->config->group) == 0 && agn_now_s() - t->last_checkpoint_s > checkpoint_every_s;
    double wishes[2] = {agn_interrupt_requested() ? 1.0 : 0.0, due ? 1.0 : 0.0};
    int status = agn_group_largest(t->config->group, wishes, AGN_COUNT_OF(wishes));
    loop->stop = wishes[0] > 0.0;
    loop->save = wishes[1] > 0.0;
    return status;
}

/* Before the first step. */
static int begin_phase(struct loop *loop)
{
    struct agn__trainer *t = loop->trainer;
    int status = t->state.step < loop->steps ? start_loader(loop) : AGN_OK;
    /* A process that dies ends all before they can save, so there is something to go on from at once. */
    if (status == AGN_OK && agn_group_size(t->config->group) > 1)
        status = save_checkpoint(loop);
    return status == AGN_OK ? ask_all(loop) : status;
}

int agn__run_phase(struct agn__trainer *t, const struct agn__phase_plan *plan)
{
    int64_t per_epoch = agn_loader_steps(t->loader);
    struct loop loop = {.trainer = t, .plan = plan, .steps_per_epoch = per_epoch, .validation = NAN};
    t->chosen_epochs = NAN;
    if (per_epoch < 1) {
        return agn_fail(AGN_ERR_ARG, "the training set has fewer images than one batch of %d",
                        t->config->preset.train.batch);
    }
    loop.steps = llround(plan->epochs * (double)per_epoch);
    loop.warmup = llround(t->config->preset.train.warmup_epochs * (double)per_epoch);
    t->phase_start_s = t->last_checkpoint_s = agn_now_s();
    t->phase_start_step = t->state.step;
    t->workers = (struct agn_choice){.window_s = CHOICE_WINDOW_S};
    t->phase_start_stall_s = agn_loader_stall_s(t->loader);
    int status = begin_phase(&loop);
    while (status == AGN_OK && t->state.step < loop.steps) {
        if (loop.stop)
            return interrupted(&loop);
        status = one_step(&loop);
        if (status == AGN_OK)
            status = ask_all(&loop);
        if (status == AGN_OK && (t->state.step % per_epoch == 0 || t->state.step == loop.steps))
            status = end_epoch(&loop);
        else if (status == AGN_OK && loop.save)
            status = save_checkpoint(&loop);
        report(&loop, false);
    }
    if (status == AGN_OK)
        take_best(&loop);
    return status;
}
