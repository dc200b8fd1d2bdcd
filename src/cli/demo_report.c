/* What the demo found: one list of figures, written as a table, as report.md and as summary.json. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/demo.h"

enum figure_kind { WHOLE, SHARE, REAL, TEXT };

/* One figure: its key in summary.json, its value, and words for people. */
struct figure {
    const char *key, *words;
    enum figure_kind kind;
    double value;
    const char *text;
};

enum { MAX_FIGURES = 48 };

struct figures {
    struct figure list[MAX_FIGURES];
    int count;
};

static void add(struct figures *f, const char *key, enum figure_kind kind, double value, const char *words)
{
    f->list[f->count++] = (struct figure){.key = key, .words = words, .kind = kind, .value = value};
}

static void collect(const struct agn__demo *d, struct figures *f)
{
    const struct agn_evaluation *e = &d->training.evaluation;
    const struct agn_run_report *run = &d->run, *killed = &d->killed;
    double lost = (double)(run->images - run->predictions + killed->images - killed->predictions);
    f->count = 0;
    f->list[f->count++] =
        (struct figure){.key = "dataset", .words = "preset", .kind = TEXT, .text = d->config->preset.name};
    add(f, "train_images", WHOLE, d->train->count, "training images");
    add(f, "test_images", WHOLE, run->images, "test images through device, socket and server");
    add(f, "float_accuracy", SHARE, e->fused_accuracy, "accuracy in float, in one process");
    add(f, "device_accuracy", SHARE, (double)run->correct / run->images,
        "accuracy of int8 device + wire + server");
    add(f, "local_only_accuracy", SHARE, (double)run->local_correct / run->images,
        "accuracy of the device's own answer");
    add(f, "server_killed_accuracy", SHARE, (double)killed->correct / killed->images,
        "accuracy of the run in which the server is killed half-way");
    add(f, "server_killed_images", WHOLE, killed->images, "images of that run");
    add(f, "predictions_lost", WHOLE, lost, "frames without a prediction, both runs");
    add(f, "fused_share", SHARE, (double)run->fused / run->images, "frames answered by the server in time");
    add(f, "alpha", REAL, e->alpha, "weight of the local prediction");
    add(f, "rho", REAL, d->config->preset.joint.rho, "skewness asked for");
    add(f, "skewness_before", REAL, d->model->skewness_before,
        "skewness after channel selection, before training");
    add(f, "skewness_mean", REAL, e->skewness, "skewness reached: importance in the first k channels");
    add(f, "disorder_rate", SHARE, e->disorder_rate,
        "images in which a later channel outweighs one of the first k");
    add(f, "reference_accuracy", SHARE, d->training.reference_accuracy,
        "accuracy of the reference before joint training");
    add(f, "reference_valid", SHARE, e->reference_valid,
        "images that the reference still gets right from the features");
    add(f, "centroids_used", WHOLE, e->levels_used,
        "quantiser levels, of 8, with at least 0.1 % of the symbols");
    add(f, "bytes_raw", WHOLE, run->raw_bytes, "bytes of a frame's symbols at 3 bits each");
    add(f, "bytes_lzw_mean", REAL, d->codecs.rows[AGN_CODEC_LZW].bytes_mean, "the same as LZW codes them");
    add(f, "bytes_coded_mean", REAL, run->coded_bytes_mean, "the same as sent, by the preset's codec");
    add(f, "bytes_payload_mean", REAL, run->payload_bytes_mean, "the same with packet headers and checksums");
    add(f, "packets_mean", REAL, run->packets_mean, "packets a frame");
    add(f, "device_ram_bytes", WHOLE, d->memory.ram_bytes,
        "device RAM (64-bit host build; packet buffer not counted)");
    add(f, "device_flash_bytes", WHOLE, d->memory.flash_bytes, "device flash for the model");
    add(f, "network_ms_median", REAL, run->network_ms.median,
        "first packet to answer on loopback, median ms");
    add(f, "network_ms_p99", REAL, run->network_ms.p99, "the same, 99th percentile");
    add(f, "train_images_per_s", REAL, d->training.images_per_s, "training speed, both phases, images/s");
    add(f, "joint_images_per_s", REAL, d->training.joint_images_per_s, "joint training alone, images/s");
    add(f, "train_seconds", REAL, d->training.seconds, "training time, s");
    add(f, "wall_seconds", REAL, d->wall_seconds, "everything, s");
}

static void format_value(const struct figure *figure, char text[64])
{
    switch (figure->kind) {
    case WHOLE:
        snprintf(text, 64, "%.0f", figure->value);
        break;
    case SHARE:
        snprintf(text, 64, "%.2f %%", 100.0 * figure->value);
        break;
    case REAL:
        snprintf(text, 64, fabs(figure->value) < 10.0 ? "%.3f" : "%.1f", figure->value);
        break;
    default:
        snprintf(text, 64, "%s", figure->text);
        break;
    }
}

static void print_table(FILE *stream, const struct figures *f)
{
    char value[64];
    fprintf(stream, "\n");
    for (int i = 0; i < f->count; i++) {
        format_value(&f->list[i], value);
        fprintf(stream, "  %-22s %12s  %s\n", f->list[i].key, value, f->list[i].words);
    }
}

static int write_summary(const struct agn__demo *d, const struct figures *f)
{
    char path[AGN__PATH_BYTES];
    json_t *object = json_object();
    for (int i = 0; i < f->count; i++) {
        const struct figure *figure = &f->list[i];
        json_t *value = figure->kind == TEXT       ? json_string(figure->text)
                        : !isfinite(figure->value) ? json_null()
                        : figure->kind == WHOLE    ? json_integer((json_int_t)figure->value)
                                                   : json_real(figure->value);
        json_object_set_new(object, figure->key, value);
    }
    char *text = json_dumps(object, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
    json_decref(object);
    agn__demo_path(d, "summary.json", path);
    int status = text == NULL ? AGN_ERR_MEMORY : agn_file_write(path, text, strlen(text));
    free(text);
    return status;
}

static void print_report(FILE *stream, const struct agn__demo *d, const struct figures *f)
{
    char value[64];
    const struct agn_run_report *killed = &d->killed;
    const struct agn_model *m = d->model;
    fprintf(stream,
            "# AgileNN demo: %s\n\nMade by `agilenn demo`. Times are this machine's, not a "
            "microcontroller's.\n\n",
            d->config->preset.name);
    fprintf(stream, "| figure | value | meaning |\n|---|---|---|\n");
    for (int i = 0; i < f->count; i++) {
        format_value(&f->list[i], value);
        fprintf(stream, "| %s | %s | %s |\n", f->list[i].key, value, f->list[i].words);
    }
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

static int write_report(const struct agn__demo *d, const struct figures *f)
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
    struct figures figures;
    collect(d, &figures);
    int status = write_report(d, &figures);
    if (status == AGN_OK)
        status = write_summary(d, &figures);
    if (status == AGN_OK) {
        print_table(d->config->text, &figures);
        fprintf(
            d->config->text,
            "\nwritten: %s/{summary.json, report.md, importance.png, training.png, explain.png, model.agn, "
            "model.safetensors}\n",
            d->config->folder);
    }
    return status;
}
