/* One run: data, training, int8 device, then every image through the device library, a socket and the real
 * server. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "agilenn/cost.h"
#include "agilenn/curves.h"
#include "agilenn/edge.h"
#include "agilenn/hosted.h"
#include "agilenn/run.h"
#include "agilenn/send_decision.h"
#include "agilenn/sets.h"
#include "agilenn/targets.h"
#include "sweep/sweep_internal.h"

enum {
    DECISION_IMAGES = 10000, /* as many as `agilenn export` takes */
    UDP_IP_BYTES = 28,
    /* Waited for, in ms: a busy machine must not look like a worse design. */
    DEADLINE_MS = 20000,
    FRAME_WAIT_MS = 9000,
    REPEATS = 2,
    UNUSED_PORT = 9,
};

struct trial {
    const struct agn__trial *wish;
    struct agn__outcome *outcome;
    struct agn_preset preset;
    struct agn_dataset *train, *watched, *measured, *validation; /* measured: as devices take images */
    struct agn_model *model;
    struct agn_train_report training;
    uint8_t *device;
    size_t device_bytes;
    struct agn_dev_model dev;
    struct agn_run_report run;
};

static int path_of(const struct trial *t, const char *name, char path[1024])
{
    int length = snprintf(path, 1024, "%s/%s", t->wish->folder, name);
    return length > 0 && length < 1024 ? AGN_OK : agn_fail(AGN_ERR_RANGE, "a path of more than 1023 bytes");
}

/* ---- data ------------------------------------------------------------------------------------ */

static int open_split(const struct agn_preset *preset, const char *split, int limit, bool as_sent,
                      struct agn_dataset **data)
{
    const struct agn_dataset_source source = agn_preset_source(preset, split, limit);
    int status = agn_dataset_open(&source, data);
    return status == AGN_OK && as_sent ? agn_preset_as_sent(preset, *data) : status;
}

/* The preset's schedule, as long as makes it see so many images. */
static int set_schedule(struct agn_preset *preset, double images, int train_images)
{
    const struct agn_system *system;
    double epochs = 0.0;
    int status = agn_system_find(preset->model.system, &system);
    if (status < 0 || images == 0.0)
        return status;
    for (int i = 0; system->phases[i] != AGN_PHASE_DONE; i++)
        epochs += agn_phase_prepares(system->phases[i]) ? preset->reference.epochs : preset->joint.epochs;
    if (!(epochs > 0.0))
        return agn_fail(AGN_ERR_RANGE, "images = %g: the preset trains for no epochs that could be scaled",
                        images);
    double scale = images / (double)train_images / epochs;
    preset->reference.epochs *= scale;
    preset->joint.epochs *= scale;
    preset->train.warmup_epochs *= scale;
    return AGN_OK;
}

/* Where tuning must not see test images, held-out ones take their place in training, too. */
static int open_data(struct trial *t)
{
    const struct agn_sweep_plan *plan = t->wish->plan;
    struct agn_preset *p = &t->preset;
    int status = open_split(p, plan->split, plan->measure_images, true, &t->watched);
    if (status == AGN_OK)
        status = open_split(p, plan->split, plan->measure_images, false, &t->measured);
    if (status == AGN_OK && p->train.choose == AGN_CHOOSE_BEST)
        status = open_split(p, "validation", -1, true, &t->validation);
    if (status == AGN_OK)
        status = open_split(p, "train", -1, true, &t->train);
    if (status == AGN_OK)
        status = agn_train_fit_preset(p, t->train, t->watched, NULL);
    return status < 0 ? status : set_schedule(p, plan->images, t->train->count);
}

/* ---- training and export ---------------------------------------------------------------------- */

static int train(struct trial *t)
{
    char checkpoint[1024], metrics[1024], model[1024];
    struct agn_train_state state;
    int status = path_of(t, "checkpoint.safetensors", checkpoint);
    if (status == AGN_OK)
        status = path_of(t, "metrics.jsonl", metrics);
    if (status == AGN_OK)
        status = path_of(t, "model.safetensors", model);
    if (status < 0)
        return status;
    struct agn_train_config config = {.preset = t->preset,
                                      .train = t->train,
                                      .test = t->watched,
                                      .validation = t->validation,
                                      .checkpoint = checkpoint,
                                      .metrics = metrics,
                                      .progress = t->wish->progress,
                                      .progress_user = t->wish->progress_user};
    config.resume = agn_file_exists(checkpoint) && agn_checkpoint_state(checkpoint, &state) >= 0;
    if (config.resume && agn_train_check(&config) < 0)
        config.resume = false; /* of a preset that was another one then */
    status = agn_train_run(&config, &t->model, &t->training);
    return status < 0 ? status : agn_model_save(t->model, model);
}

/* As `agilenn demo` does: a device that has no answer of its own, or an exit, sends as it is. */
static int decide(struct trial *t)
{
    const struct agn_sweep_plan *plan = t->wish->plan;
    struct agn_send_decision *made = agn_alloc(1, sizeof *made);
    struct agn_dataset *data = NULL;
    bool applies = (plan->sent > 0.0 || plan->may_lose > 0.0) && !t->model->system->exits &&
                   !agn_part_is_empty(&t->model->parts[AGN_LOCAL]) &&
                   !agn_part_is_empty(&t->model->parts[AGN_REMOTE]);
    int status = made == NULL ? AGN_ERR_MEMORY : AGN_OK;
    if (status == AGN_OK && applies)
        status = open_split(&t->preset, "validation", DECISION_IMAGES, true, &data);
    if (status == AGN_OK && applies) {
        const struct agn_send_learning learning = {
            .model = t->model, .data = data, .target = {.sent = plan->sent, .may_lose = plan->may_lose}};
        status = agn_send_decision_deploy(&learning, &t->device, &t->device_bytes, made);
        if (status == AGN_ERR_NUMERIC) /* its margins tell nothing: every frame is sent */
            status = AGN_OK;
    }
    agn_dataset_free(data);
    agn_free(made);
    return status;
}

static int deploy(struct trial *t)
{
    char path[1024];
    int status = path_of(t, "model.agn", path);
    if (status == AGN_OK)
        status = agn_deploy_device(t->model, t->train, 0, &t->device, &t->device_bytes, NULL);
    if (status == AGN_OK)
        status = decide(t);
    if (status == AGN_OK)
        status = agn_hosted_check(path, t->device, t->device_bytes, &t->dev);
    return status < 0 ? status : agn_file_write(path, t->device, t->device_bytes);
}

/* ---- end to end ---------------------------------------------------------------------------------- */

static void *serve(void *edge)
{
    (void)agn_edge_run(edge);
    return NULL;
}

/* A frame that nothing came back for says something about this machine, not about the design. */
static int check_answers(const struct agn_run_report *run)
{
    for (int i = 0; i < AGN_CLIENT_REASON_COUNT; i++) {
        bool meant = i == AGN_CLIENT_FUSED || i == AGN_CLIENT_SURE || i == AGN_CLIENT_ALONE;
        if (!meant && run->reasons[i] > 0)
            return agn_fail(AGN_ERR_TIMEOUT, "%d of %d frames were not measured: %s", run->reasons[i],
                            run->images, agn_client_reason_text((enum agn_client_reason)i));
    }
    return AGN_OK;
}

static int run_images(struct trial *t, int port)
{
    const struct agn_run_config config = {.client = {.port = (uint16_t)port,
                                                     .deadline_ms = DEADLINE_MS,
                                                     .model = t->device,
                                                     .model_bytes = t->device_bytes,
                                                     .dead_after = -1,
                                                     .repeats = REPEATS,
                                                     .protocol = t->wish->plan->protocol},
                                          .data = t->measured,
                                          .require_server = true,
                                          .progress = t->wish->progress,
                                          .progress_user = t->wish->progress_user};
    int status = agn_run_images(&config, &t->run);
    return status < 0 ? status : check_answers(&t->run);
}

static int run_with_server(struct trial *t)
{
    char path[1024];
    struct agn_edge *edge = NULL;
    pthread_t thread;
    int status = path_of(t, "model.safetensors", path);
    const char *const paths[] = {path};
    const struct agn_edge_config config = {
        .paths = paths,
        .count = 1,
        .threads = 1,
        .server = {.frame_wait_ms = FRAME_WAIT_MS, .peer_messages_per_s = -1.0, .peer_bytes_per_s = -1.0}};
    if (status == AGN_OK)
        status = agn_edge_open(&config, &edge);
    if (status < 0)
        return status;
    if (pthread_create(&thread, NULL, serve, edge) == 0) {
        status = run_images(t, agn_server_port(agn_edge_server(edge)));
        agn_server_stop(agn_edge_server(edge));
        pthread_join(thread, NULL);
    } else {
        status = agn_fail(AGN_ERR_MEMORY, "cannot start the server's thread");
    }
    agn_edge_close(edge);
    return status;
}

/* ---- what came of it -------------------------------------------------------------------------------- */

static int fill_work(const struct trial *t, struct agn_sweep_row *row)
{
    const struct agn_run_report *run = &t->run;
    const struct agn_work_measured measured = {.packets = run->packets_mean,
                                               .payload_bytes = run->payload_bytes_mean,
                                               .datagram_bytes = run->datagram_bytes_mean,
                                               .reply_bytes = run->reply_bytes_mean,
                                               .protocol = run->protocol};
    struct agn_work work;
    struct agn_target_needs needs;
    int status = agn_work_of_model(&t->dev, &work);
    if (status == AGN_OK)
        status = agn_work_set_measured(&t->dev, &measured, &work);
    if (status < 0)
        return status;
    agn_target_needs(agn_target_find("cortex-m7"), AGN_OPTIMISE_SPEED, &t->dev, &needs);
    double sent = (double)run->sent / run->images,
           carried = run->datagram_bytes_mean + UDP_IP_BYTES * run->packets_mean;
    row->sent_share = sent;
    row->bytes_mean = run->sent > 0 ? sent * carried : 0.0;
    row->packets = work.packets;
    row->packet_bytes = work.packet_bytes;
    row->reply_bytes = work.reply_bytes;
    row->extract_instructions = work.extract_instructions;
    row->local_instructions = work.local_instructions;
    row->encode_instructions = work.encode_instructions;
    row->ram_bytes = needs.ram_bytes;
    row->flash_bytes = needs.flash_bytes;
    return AGN_OK;
}

static int fill_row(const struct trial *t, struct agn_sweep_row *row)
{
    const struct agn_evaluation *e = &t->training.evaluation;
    const struct agn_run_report *run = &t->run;
    row->images = run->images;
    row->images_seen = round(t->training.images_per_s * t->training.seconds);
    row->accuracy = (double)run->correct / run->images;
    row->silent_accuracy = run->no_local ? (double)NAN : (double)run->local_correct / run->images;
    row->float_accuracy = e->fused_accuracy;
    row->skewness = e->skewness;
    row->disorder_rate = e->disorder_rate;
    row->reference_valid = e->reference_valid;
    row->alpha = agn_part_is_empty(&t->model->parts[AGN_REFERENCE]) ? (double)NAN : e->alpha;
    row->train_seconds = t->training.seconds;
    return fill_work(t, row);
}

static int measure_curves(const struct trial *t)
{
    const struct agn_sweep_plan *plan = t->wish->plan;
    struct agn__curve_input input = {.model = t->model,
                                     .device = t->device,
                                     .device_bytes = t->device_bytes,
                                     .data = t->watched,
                                     .images = t->measured,
                                     .protocol = plan->protocol,
                                     .outcome = t->outcome};
    int status = agn__curve_add_before(&input);
    for (int i = 0; i < plan->curves.count && status == AGN_OK; i++)
        status = agn__curve_measure(plan->curves.items[i], &input);
    agn_free(input.curves);
    return status;
}

static int do_all(struct trial *t)
{
    int status = open_data(t);
    if (status == AGN_OK)
        status = agn_preset_format(&t->preset, t->outcome->row.preset_text, AGN_SWEEP_PRESET);
    if (status >= 0)
        status = train(t);
    if (status == AGN_OK)
        status = deploy(t);
    if (status == AGN_OK)
        status =
            agn_part_is_empty(&t->model->parts[AGN_REMOTE]) ? run_images(t, UNUSED_PORT) : run_with_server(t);
    if (status == AGN_OK)
        status = fill_row(t, &t->outcome->row);
    return status < 0 ? status : measure_curves(t);
}

void agn__trial_run(const struct agn__trial *wish, struct agn__outcome *outcome)
{
    struct agn_sweep_row *row = &outcome->row;
    struct trial *t = agn_alloc(1, sizeof *t);
    double begun_s = agn_now_s();
    int status = t == NULL ? AGN_ERR_MEMORY : AGN_OK;
    if (t != NULL) {
        t->wish = wish;
        t->outcome = outcome;
        t->preset = wish->task->preset;
        status = do_all(t);
        agn_free(t->device);
        agn_model_free(t->model);
        agn_dataset_free(t->train);
        agn_dataset_free(t->watched);
        agn_dataset_free(t->measured);
        agn_dataset_free(t->validation);
        agn_free(t);
    }
    row->seconds = agn_now_s() - begun_s;
    outcome->status = status;
    if (status < 0) {
        const char *message = agn_error_message();
        snprintf(row->reason, sizeof row->reason, "%s",
                 message[0] != '\0' ? message : agn_status_text(status));
    }
    outcome->whole = true;
}
