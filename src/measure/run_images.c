/* Classifies a data set on an emulated device and adds up what happened. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/hosted.h"
#include "agilenn/run.h"
#include "measure/firmware_count.h"

static const double report_every_s = 0.25;

/* Grows as frames come: a run may end, or be ended, long before the last image that was asked for. */
struct series {
    double *values;
    size_t count, room;
};

struct tally {
    const struct agn_run_config *config;
    struct agn_run_report *report;
    struct series device_ms, network_ms; /* of fused frames */
    struct series late_ms;               /* of answers after the deadline */
    double packets, payload, datagram, coded, reply, latency_ms;
    double begin_s, last_report_s;
};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int append(struct series *series, double value)
{
    if (series->count == series->room) {
        size_t room = series->room > 0 ? 2 * series->room : 1024;
        double *larger = agn_alloc(room, sizeof(*larger));
        if (larger == NULL)
            return AGN_ERR_MEMORY;
        if (series->count > 0)
            memcpy(larger, series->values, series->count * sizeof(*larger));
        agn_free(series->values);
        series->values = larger;
        series->room = room;
    }
    series->values[series->count++] = value;
    return AGN_OK;
}

static struct agn_run_spread spread(struct series *series)
{
    double *values = series->values;
    size_t count = series->count;
    if (count == 0)
        return (struct agn_run_spread){NAN, NAN, NAN, NAN};
    qsort(values, count, sizeof(double), ascending);
    return (struct agn_run_spread){values[0], values[count / 2], values[(size_t)(0.99 * (double)(count - 1))],
                                   values[count - 1]};
}

static void add_class(struct agn_run_report *r, int label, const struct agn_client_result *frame)
{
    if (label < AGN_MAX_CLASSES) {
        struct agn_class_count *count = &r->by_class[label];
        count->images++;
        count->right += frame->class_index == label;
        count->local_right += frame->local_class == label;
    }
    if (frame->class_index >= 0 && frame->class_index < AGN_MAX_CLASSES)
        r->by_class[frame->class_index].predicted++;
}

static int add_frame(struct tally *t, int index, int label, const struct agn_client_result *frame)
{
    struct agn_run_report *r = t->report;
    int status = AGN_OK;
    bool right = frame->class_index == label, after = t->config->event_at > 0 && index >= t->config->event_at;
    r->no_local = r->no_local || frame->local_class < 0;
    r->predictions += frame->class_index >= 0;
    r->correct += right;
    r->local_correct += frame->local_class == label;
    r->reasons[frame->reason]++;
    add_class(r, label, frame);
    if (frame->late_s > 0.0) {
        status = append(&t->late_ms, 1e3 * frame->late_s);
        r->late++;
    }
    r->before_event += !after;
    r->before_event_correct += right && !after;
    r->after_event_correct += right && after;
    r->raw_bytes = (double)frame->raw_bytes;
    r->by_cut[frame->cut]++;
    t->latency_ms += 1e3 * (frame->device_s * fmax(t->config->client.slower, 1.0) + frame->network_s);
    if (frame->packets > 0) {
        r->sent++;
        r->protocol = frame->protocol;
        r->rate_kbps = frame->rate_kbps > 0 ? frame->rate_kbps : NAN;
        t->packets += frame->packets;
        t->payload += (double)frame->payload_bytes;
        t->datagram += (double)frame->datagram_bytes;
        t->coded += (double)frame->coded_bytes;
    }
    if (frame->fused) {
        if (status == AGN_OK)
            status = append(&t->device_ms, 1e3 * frame->device_s);
        if (status == AGN_OK)
            status = append(&t->network_ms, 1e3 * frame->network_s);
        t->reply += (double)frame->reply_bytes;
        r->fused++;
        r->fused_correct += right;
    }
    return status;
}

static void show_progress(struct tally *t, int done, int images)
{
    double now = agn_now_s();
    bool last = done == images;
    if (t->config->progress == NULL || (!last && now - t->last_report_s < report_every_s))
        return;
    t->last_report_s = now;
    double rate = (double)done / fmax(now - t->begin_s, 1e-9);
    double accuracy = (double)t->report->correct / (double)done;
    struct agn_progress progress = {.phase = "run",
                                    .done = done,
                                    .total = images,
                                    .rate = rate,
                                    .eta_s = (double)(images - done) / rate,
                                    .item = "img",
                                    .figures = {{.key = "acc", .kind = AGN_FIGURE_SHARE, .value = accuracy}},
                                    .epoch_end = last};
    t->config->progress(t->config->progress_user, &progress);
}

static void finish(struct tally *t)
{
    struct agn_run_report *r = t->report;
    double sent = r->sent > 0 ? (double)r->sent : NAN;
    r->packets_mean = t->packets / sent;
    r->payload_bytes_mean = t->payload / sent;
    r->datagram_bytes_mean = t->datagram / sent;
    r->coded_bytes_mean = t->coded / sent;
    r->reply_bytes_mean = r->fused > 0 ? t->reply / (double)r->fused : NAN;
    r->device_ms = spread(&t->device_ms);
    r->network_ms = spread(&t->network_ms);
    r->latency_ms = t->latency_ms / r->images;
    r->late_ms = spread(&t->late_ms).median;
    r->seconds = agn_now_s() - t->begin_s;
}

/* A server that can never answer ends the run, where it is asked for one. */
static int check_server(const struct agn_run_config *config, const struct agn_client *client,
                        const struct agn_client_result *frame)
{
    const char *host = config->client.host == NULL ? "127.0.0.1" : config->client.host;
    int port = config->client.port;
    if (frame->reason == AGN_CLIENT_MISMATCH)
        return agn_fail(AGN_ERR_MISMATCH,
                        "the server at %s:%d holds another model than this device model "
                        "(id %08x); export and serve the same model",
                        host, port, (unsigned)agn_client_model(client)->model_id);
    if (frame->reason != AGN_CLIENT_VERSION)
        return AGN_OK;
    if (frame->server_version > 0)
        return agn_fail(AGN_ERR_VERSION,
                        "the server at %s:%d speaks version %d of the protocol, this program version %d; "
                        "use programs of the same version on both sides",
                        host, port, frame->server_version, frame->protocol);
    return agn_fail(AGN_ERR_VERSION,
                    "the server at %s:%d has no resource /%s: it does not speak version %d of the "
                    "protocol, as this program does, or is no AgileNN server",
                    host, port, frame->protocol == AGN_WIRE_VERSION ? "v1/infer" : "i", frame->protocol);
}

static int classify_all(struct tally *t, struct agn_client *client)
{
    const struct agn_run_config *config = t->config;
    const struct agn_dataset *d = config->data;
    size_t image = (size_t)d->height * (size_t)d->width * (size_t)d->channels;
    for (int i = 0; i < t->report->images; i++) {
        struct agn_client_result frame;
        int at = i % d->count;
        if (agn_interrupt_requested())
            return agn_fail(AGN_ERR_INTERRUPTED, "the run was interrupted after %d images", i);
        if (config->event != NULL && config->event_at > 0 && i == config->event_at)
            config->event(config->event_user);
        int status = agn_client_frame(client, d->pixels + (size_t)at * image, &frame);
        if (status < 0)
            return status;
        if (config->require_server) {
            status = check_server(config, client, &frame);
            if (status < 0)
                return status;
        }
        status = add_frame(t, i, d->labels[at], &frame);
        if (status < 0)
            return status;
        if (config->frame != NULL)
            config->frame(config->frame_user, i, d->labels[at], &frame);
        show_progress(t, i + 1, t->report->images);
    }
    return AGN_OK;
}

static int count_instructions(const struct agn_run_config *config, struct agn_run_report *r)
{
    const struct agn__firmware_images images = agn__firmware_images_of(config->data, 0);
    struct agn__firmware_count count;
    r->row_instructions = r->packet_instructions = NAN;
    if (config->firmware == NULL)
        return AGN_OK;
    r->firmware_note = agn__firmware_missing(config->firmware);
    if (r->firmware_note != NULL)
        return AGN_OK;
    int status = agn__firmware_count_frames(config->firmware, config->client.model,
                                            config->client.model_bytes, &images, &count);
    if (status == AGN_OK) {
        r->row_instructions = count.rows;
        r->packet_instructions = count.packets;
    }
    return status;
}

static void describe(struct agn_run_report *r, const struct agn_dev_model *model)
{
    r->no_local = !agn_dev_model_answers(model);
    r->cuts = (int)agn_dev_cuts(model);
}

int agn_run_images(const struct agn_run_config *config, struct agn_run_report *result)
{
    struct agn_run_report report = {.images = config->images > 0 ? config->images : config->data->count,
                                    .rate_kbps = NAN};
    struct tally t = {.config = config, .report = &report};
    struct agn_client *client = NULL;
    int status = agn_client_create(&client, &config->client);
    if (status == AGN_OK)
        status = agn_hosted_check_data(agn_client_model(client), config->data);
    if (status == AGN_OK)
        describe(&report, agn_client_model(client));
    t.begin_s = agn_now_s();
    if (status == AGN_OK)
        status = classify_all(&t, client);
    if (status == AGN_OK)
        finish(&t);
    if (status == AGN_OK)
        status = count_instructions(config, &report);
    if (status == AGN_OK)
        *result = report;
    agn_free(t.device_ms.values);
    agn_free(t.network_ms.values);
    agn_free(t.late_ms.values);
    agn_client_free(client);
    return status;
}
