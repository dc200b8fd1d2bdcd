/* The demo: data, training, export, server, device, and the server's death. What it found is written
 * by demo_report.c. */
#include <string.h>

#include "agilenn/hosted.h"
#include "agilenn/measure.h"
#include "agilenn/sets.h"
#include "cli/child.h"
#include "cli/demo.h"

static void heading(const struct agn__demo *d, const char *text)
{
    fprintf(d->config->text, "\n== %s ==\n", text);
    fflush(d->config->text);
}

void agn__demo_path(const struct agn__demo *d, const char *name, char path[AGN__PATH_BYTES])
{
    snprintf(path, AGN__PATH_BYTES, "%s/%s", d->config->folder, name);
}

static int open_split(const struct agn_preset *p, const char *split, struct agn_dataset **data)
{
    const struct agn_dataset_source source = agn_preset_source(p, split, -1);
    return agn_dataset_open(&source, data);
}

/* Says at once what would otherwise come out after the data are read; makes the folder last, so that a
 * mistake leaves nothing behind. */
static int open_data(struct agn__demo *d)
{
    struct agn_preset *p = &d->preset, some;
    struct agn_model *networks = NULL;
    *p = some = d->config->preset;
    some.data.classes = some.data.classes == 0 ? 2 : some.data.classes;
    int status = agn_model_create(&some, NULL, &networks);
    if (status == AGN_OK) /* a demo serves */
        status = agn_model_need(networks, AGN_REMOTE);
    agn_model_free(networks);
    if (status == AGN_OK && p->data.path[0] == '\0')
        status = agn_fail(AGN_ERR_ARG, "the preset names no data set; set data.path");
    if (status == AGN_OK)
        status = open_split(p, "train", &d->train);
    if (status == AGN_OK)
        status = open_split(p, "test", &d->test);
    if (status == AGN_OK && p->data.validation[0] != '\0')
        status = open_split(p, "validation", &d->validation);
    if (status == AGN_OK)
        status = agn_train_fit_preset(p, d->train, d->test, NULL);
    if (status == AGN_OK)
        status = agn_make_dirs(d->config->folder);
    if (status == AGN_OK)
        fprintf(d->config->text, "%d training and %d test images of %dx%dx%d, %d classes\n", d->train->count,
                d->test->count, p->data.height, p->data.width, p->data.channels, d->train->classes);
    return status;
}

static int train(struct agn__demo *d)
{
    char metrics[AGN__PATH_BYTES], checkpoint[AGN__PATH_BYTES], model[AGN__PATH_BYTES];
    agn__demo_path(d, "metrics.jsonl", metrics);
    agn__demo_path(d, "checkpoint.safetensors", checkpoint);
    agn__demo_path(d, "model.safetensors", model);
    struct agn_train_config config = {.preset = d->preset,
                                      .train = d->train,
                                      .test = d->test,
                                      .validation = d->validation,
                                      .checkpoint = checkpoint,
                                      .metrics = metrics,
                                      .progress = agn_progress_print,
                                      .progress_user = d->config->text};
    int status = agn_train_run(&config, &d->model, &d->training);
    if (status == AGN_OK)
        status = agn_model_save(d->model, model);
    if (status == AGN_OK) {
        const struct agn_evaluation *e = &d->training.evaluation;
        fprintf(
            d->config->text,
            "test: fused %.2f %%, local %.2f %%, reference valid %.2f %%, skewness %.3f, disorder %.2f %%\n",
            100.0 * e->fused_accuracy, 100.0 * e->local_accuracy, 100.0 * e->reference_valid, e->skewness,
            100.0 * e->disorder_rate);
    }
    return status;
}

/* Which frames stay unsent, where images are held out to learn it from: as few are sent as lose 0.2 points.
 */
static int decide(struct agn__demo *d)
{
    const struct agn__export_wish wish = {.target = {.may_lose = 0.002}};
    const struct agn_send_decision *made = &d->decision.by_class;
    if (d->validation == NULL || d->model->system->exits || agn_part_is_empty(&d->model->parts[AGN_LOCAL]))
        return AGN_OK;
    int status = agn__export_decide(d->model, &wish, &d->device_model, &d->device_model_bytes, &d->decision);
    if (status == AGN_ERR_NUMERIC) {
        fprintf(d->config->text, "every frame is sent: %s\n", agn_error_message());
        return AGN_OK;
    }
    if (status == AGN_OK)
        fprintf(
            d->config->text,
            "the device sends what it is not sure of: on %d held-out images %.1f %% of the frames, accuracy "
            "%.2f %% (%.2f %% with all sent, %.2f %% with none)\n",
            made->images, 100.0 * made->sent_share, 100.0 * made->accuracy, 100.0 * made->fused_accuracy,
            100.0 * made->local_accuracy);
    return status;
}

static int export_device(struct agn__demo *d)
{
    char path[AGN__PATH_BYTES];
    struct agn_dev_model opened;
    agn__demo_path(d, "model.agn", path);
    int status = agn_deploy_device(d->model, d->train, 0, &d->device_model, &d->device_model_bytes, NULL);
    if (status == AGN_OK)
        status = decide(d);
    if (status == AGN_OK)
        status = agn_hosted_check(path, d->device_model, d->device_model_bytes, &opened);
    if (status == AGN_OK)
        status = agn_file_write(path, d->device_model, d->device_model_bytes);
    if (status == AGN_OK) {
        agn_dev_memory(&opened, &d->memory);
        fprintf(d->config->text,
                "model.agn: %u bytes of flash, %u bytes of RAM, %u bytes of raw symbols a frame\n",
                (unsigned)d->memory.flash_bytes, (unsigned)d->memory.ram_bytes,
                (unsigned)d->memory.raw_bytes);
    }
    return status;
}

static int compare_codecs(struct agn__demo *d)
{
    const struct agn_bench_codec_config config = {
        .model = d->model, .calibration = d->train, .images = d->test};
    return agn_bench_codec(&config, &d->codecs);
}

static void kill_server(void *user)
{
    struct agn__demo *d = user;
    agn__child_kill(&d->server);
}

static int run_device(struct agn__demo *d, int images, bool kill_half_way, struct agn_run_report *report)
{
    struct agn_run_config config = {.client = {.port = d->server.port,
                                               .deadline_ms = d->config->deadline_ms,
                                               .model = d->device_model,
                                               .model_bytes = d->device_model_bytes},
                                    .data = d->test,
                                    .images = images,
                                    .require_server = true,
                                    .progress = agn_progress_print,
                                    .progress_user = d->config->text};
    if (kill_half_way) {
        config.event_at = images / 2;
        config.event = kill_server;
        config.event_user = d;
    }
    return agn_run_images(&config, report);
}

static int serve_and_run(struct agn__demo *d)
{
    char model[AGN__PATH_BYTES], log[AGN__PATH_BYTES];
    agn__demo_path(d, "model.safetensors", model);
    agn__demo_path(d, "serve.log", log);
    heading(d, "4/5 device, socket, server");
    int status = agn__child_start(&d->server, d->config->program, model, log);
    if (status == AGN_OK)
        status = run_device(d, d->config->images, false, &d->run);
    if (status == AGN_OK) {
        heading(d, "5/5 the same with the server killed half-way");
        status = run_device(d, d->config->kill_images, true, &d->killed);
    }
    agn__child_kill(&d->server);
    return status;
}

static int explain_some(struct agn__demo *d)
{
    enum { SHOWN = 4 };
    char path[AGN__PATH_BYTES];
    struct agn_explanation explanations[SHOWN];
    struct agn_explain_config config = {.model = d->model, .data = d->test, .path = path};
    config.count = d->test->count < SHOWN ? d->test->count : SHOWN;
    agn__demo_path(d, "explain.png", path);
    return agn_explain(&config, explanations);
}

static int draw(struct agn__demo *d)
{
    char importance[AGN__PATH_BYTES], training[AGN__PATH_BYTES], metrics[AGN__PATH_BYTES];
    const struct agn_model *m = d->model;
    agn__demo_path(d, "importance.png", importance);
    agn__demo_path(d, "training.png", training);
    agn__demo_path(d, "metrics.jsonl", metrics);
    const struct agn_plot_channels shares = {.channels = m->map.channels,
                                             .k = m->preset.model.local_channels,
                                             .before = m->importance_before,
                                             .after = m->importance_after,
                                             .valid_before = d->training.reference_accuracy,
                                             .valid_after = d->training.evaluation.reference_valid};
    int status = agn_plot_importance(importance, &shares);
    if (status == AGN_OK)
        status = agn_plot_training(training, metrics);
    return status < 0 ? status : explain_some(d);
}

int agn__demo_run(const struct agn__demo_config *config)
{
    struct agn__demo d = {.config = config, .begin_s = agn_now_s()};
    heading(&d, "1/5 data");
    int status = open_data(&d);
    if (status == AGN_OK) {
        heading(&d, "2/5 training: reference network, channel selection, joint training");
        status = train(&d);
    }
    if (status == AGN_OK) {
        heading(&d, "3/5 int8 device model");
        status = export_device(&d);
    }
    if (status == AGN_OK)
        status = compare_codecs(&d);
    if (status == AGN_OK)
        status = serve_and_run(&d);
    if (status == AGN_OK)
        status = draw(&d);
    d.wall_seconds = agn_now_s() - d.begin_s;
    if (status == AGN_OK)
        status = agn__demo_write(&d);
    agn_free(d.device_model);
    agn_model_free(d.model);
    agn_dataset_free(d.train);
    agn_dataset_free(d.test);
    agn_dataset_free(d.validation);
    return status;
}
