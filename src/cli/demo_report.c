/* What the demo found: one list of figures, written as a table, as report.md and as summary.json. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/demo.h"

static void collect(const struct agn__demo *d, struct agn_figures *f)
{
    static const char *const of_training[] = {"float_accuracy",     "alpha",          "rho",
                                              "skewness_before",    "skewness_mean",  "disorder_rate",
                                              "reference_valid",    "centroids_used", "train_images_per_s",
                                              "joint_images_per_s", "train_seconds"};
    const struct agn_run_report *run = &d->run, *killed = &d->killed;
    double images = run->images, lost = run->images - run->predictions + killed->images - killed->predictions;
    struct agn_figures training = {.count = 0};
    agn_train_figures(d->model, &d->training, &training);
    agn_figures_add_text(f, "dataset", d->config->preset.name, "preset");
    agn_figures_add_whole(f, "train_images", d->train->count, "training images");
    agn_figures_add_whole(f, "test_images", images, "test images through device, socket and server");
    agn_figures_add_share(f, "device_accuracy", run->correct / images,
                          "accuracy of int8 device + wire + server");
    agn_figures_add_share(f, "local_only_accuracy", run->local_correct / images,
                          "accuracy of the device alone");
    double sure = run->reasons[AGN_CLIENT_SURE];
    agn_figures_add_share(f, "sent_share", 1.0 - sure / images, "frames of which the device was not sure");
    agn_figures_add_share(f, "fused_share", run->fused / images, "frames answered by the server in time");
    agn_figures_add_whole(f, "server_killed_images", killed->images,
                          "images of the run with the server killed half-way");
    agn_figures_add_share(f, "server_killed_accuracy", (double)killed->correct / killed->images,
                          "accuracy of that run");
    agn_figures_add_whole(f, "predictions_lost", lost, "frames without a prediction, both runs");
    agn_figures_add_from(f, &training, of_training, AGN_COUNT_OF(of_training));
    agn_figures_add_share(f, "reference_accuracy", d->training.reference_accuracy,
                          "the reference, before joint training");
    agn_figures_add_whole(f, "bytes_raw", run->raw_bytes, "bytes of a frame's symbols at 3 bits each");
    agn_figures_add_real(f, "bytes_lzw_mean", d->codecs.rows[AGN_CODEC_LZW].bytes_mean, "",
                         "the same as LZW codes them");
    agn_figures_add_real(f, "bytes_coded_mean", run->coded_bytes_mean, "",
                         "the same as sent, by the preset's codec");
    agn_figures_add_real(f, "bytes_payload_mean", run->payload_bytes_mean, "",
                         "the same with headers and checksums");
    agn_figures_add_real(f, "bytes_frame_mean",
                         sure < images ? run->payload_bytes_mean * (1.0 - sure / images) : 0.0, "",
                         "likewise, over all frames, also those that are not sent");
    agn_figures_add_real(f, "packets_mean", run->packets_mean, "", "packets a frame");
    agn_figures_add_whole(f, "device_ram_bytes", d->memory.ram_bytes,
                          "device RAM (64-bit host build, no packet buffer)");
    agn_figures_add_whole(f, "device_flash_bytes", d->memory.flash_bytes, "device flash for the model");
    agn_figures_add_real(f, "network_ms_median", run->network_ms.median, "ms",
                         "first packet to answer on loopback, median");
    agn_figures_add_real(f, "network_ms_p99", run->network_ms.p99, "ms", "the same, 99th percentile");
    agn_figures_add_real(f, "wall_seconds", d->wall_seconds, "s", "everything");
}

static int write_summary(const struct agn__demo *d, const struct agn_figures *f)
{
    char path[AGN__PATH_BYTES];
    json_t *object = agn_figures_json(f);
    char *text = json_dumps(object, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
    json_decref(object);
    agn__demo_path(d, "summary.json", path);
    int status = text == NULL ? AGN_ERR_MEMORY : agn_file_write(path, text, strlen(text));
    free(text);
    return status;
}

static void print_report(FILE *stream, const struct agn__demo *d, const struct agn_figures *f)
{
    const struct agn_run_report *killed = &d->killed;
    const struct agn_model *m = d->model;
    fprintf(stream,
            "# AgileNN demo: %s\n\nMade by `agilenn demo`. Times are this machine's, not a "
            "microcontroller's.\n\n",
            d->config->preset.name);
    agn_figures_print_markdown(f, stream);
    fprintf(stream,
            "\n## The server's death\n\n%d images; the server got SIGKILL before image %d. "
            "Accuracy before: %.2f %%, after: %.2f %%. How each frame came to its prediction:\n\n"
            "| frames | reason |\n|---|---|\n",
            killed->images, killed->before_event + 1,
            100.0 * killed->before_event_correct / (killed->before_event > 0 ? killed->before_event : 1),
            100.0 * killed->after_event_correct / (killed->images - killed->before_event));
    for (int i = 0; i < AGN_CLIENT_REASON_COUNT; i++) {
        if (killed->reasons[i] > 0) {
            fprintf(stream, "| %d | %s |\n", killed->reasons[i],
                    agn_client_reason_text((enum agn_client_reason)i));
        }
    }
    fprintf(stream, "\n## Quantiser\n\n| level | centroid | share of symbols |\n|---|---|---|\n");
    for (int level = 0; level < AGN_LEVELS; level++) {
        fprintf(stream, "| %d | %.4f | %.2f %% |\n", level, (double)m->centroids[level],
                100.0 * d->training.evaluation.level_share[level]);
    }
    fprintf(stream,
            "\n## Plots\n\n![Importance per channel before and after joint training](importance.png)\n\n"
            "![Accuracy and skewness over training](training.png)\n\n"
            "![Where importance lies in some images](explain.png)\n");
}

static int write_report(const struct agn__demo *d, const struct agn_figures *f)
{
    char path[AGN__PATH_BYTES];
    struct agn_file_out out;
    agn__demo_path(d, "report.md", path);
    int status = agn_file_out_open(&out, path);
    if (status < 0)
        return status;
    print_report(out.stream, d, f);
    return agn_file_out_commit(&out);
}

int agn__demo_write(const struct agn__demo *d)
{
    struct agn_figures figures = {.count = 0};
    collect(d, &figures);
    int status = write_report(d, &figures);
    if (status == AGN_OK)
        status = write_summary(d, &figures);
    if (status == AGN_OK) {
        fputc('\n', d->config->text);
        agn_figures_print(&figures, d->config->text);
        fprintf(
            d->config->text,
            "\nwritten: %s/{summary.json, report.md, importance.png, training.png, explain.png, model.agn, "
            "model.safetensors}\n",
            d->config->folder);
    }
    return status;
}
