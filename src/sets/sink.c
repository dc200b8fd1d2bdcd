/* Images on their way from a reader into a data set or a report; see sink.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sets/parts.h"

int agn__sink_begin(struct agn__sink *sink, int total, int classes, const char *const *names, int names_count)
{
    sink->total = total;
    sink->kept = agn__limit_count(sink->source, total);
    int status = agn__parts_need_labels(sink) ? agn__parts_choose(sink, total, classes) : AGN_OK;
    if (status < 0)
        return status;
    if (!sink->report) {
        sink->dataset = agn__dataset_alloc(sink->source, sink->kept, classes);
        sink->present = agn_alloc((size_t)sink->kept, sizeof *sink->present);
        if (!sink->present)
            return AGN_ERR_MEMORY;
        return sink->dataset ? agn__dataset_name_classes(sink->dataset, names, names_count) : AGN_ERR_MEMORY;
    }
    struct agn_dataset_report *report = sink->report;
    report->class_names = agn_alloc((size_t)classes, sizeof *report->class_names);
    report->class_counts = agn_alloc((size_t)classes, sizeof *report->class_counts);
    report->channels = sink->channels;
    report->classes = classes;
    if (!report->class_names || !report->class_counts)
        return AGN_ERR_MEMORY;
    return agn__copy_class_names(report->class_names, classes, names, names_count);
}

int agn__sink_pick(const struct agn__sink *sink, int kept)
{
    return sink->picks ? sink->picks[kept] : agn__limit_pick(kept, sink->kept, sink->total);
}

int agn__sink_keep_files(struct agn__sink *sink, const char *folder, char *const *paths)
{
    struct agn_dataset *dataset = sink->dataset;
    if (!dataset)
        return AGN_OK;
    dataset->files = agn_alloc((size_t)dataset->count, sizeof *dataset->files);
    if (!dataset->files)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < dataset->count; i++) {
        const char *path = paths[agn__sink_pick(sink, i)];
        size_t size = strlen(folder) + strlen(path) + 2;
        dataset->files[i] = agn_alloc(size, 1);
        if (!dataset->files[i])
            return AGN_ERR_MEMORY;
        (void)snprintf(dataset->files[i], size, "%s/%s", folder, path);
    }
    return AGN_OK;
}

int agn__sink_first(const struct agn__sink *sink, int record)
{
    int low = 0, high = sink->kept;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (agn__sink_pick(sink, middle) < record)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- opening ---- */

static int to_grey(const struct agn__image *image, struct agn__image *grey)
{
    size_t pixels = (size_t)image->height * (size_t)image->width;
    *grey = (struct agn__image){image->height, image->width, 1, agn_alloc(pixels, 1)};
    if (!grey->pixels)
        return AGN_ERR_MEMORY;
    for (size_t i = 0; i < pixels; i++)
        grey->pixels[i] = agn__luminance(image->pixels + 3 * i);
    return AGN_OK;
}

static int keep(struct agn_dataset *dataset, int kept, int label, const struct agn__image *image)
{
    size_t image_bytes = (size_t)dataset->height * (size_t)dataset->width * (size_t)dataset->channels;
    uint8_t *dst = dataset->pixels + (size_t)kept * image_bytes;
    dataset->labels[kept] = (uint16_t)label;
    if (image->channels == dataset->channels)
        return agn__image_resize(image, dataset->height, dataset->width, dst);
    struct agn__image grey;
    int status = to_grey(image, &grey);
    if (status == AGN_OK)
        status = agn__image_resize(&grey, dataset->height, dataset->width, dst);
    agn_free(grey.pixels);
    return status;
}

/* ---- inspecting ---- */

static void count_size(struct agn_dataset_report *report, int height, int width)
{
    for (int i = 0; i < report->size_count; i++) {
        struct agn_dataset_size *size = &report->sizes[i];
        if (size->height == height && size->width == width) {
            size->count++;
            return;
        }
    }
    if (report->size_count < AGN_REPORT_SIZES)
        report->sizes[report->size_count++] = (struct agn_dataset_size){height, width, 1};
    else
        report->other_sizes++;
}

static void account(struct agn__sink *sink, int label, const struct agn__image *image)
{
    uint64_t sum[AGN_MAX_CHANNELS] = {0}, squares[AGN_MAX_CHANNELS] = {0};
    size_t pixels = (size_t)image->height * (size_t)image->width;
    int channels = image->channels;
    const uint8_t *pixel = image->pixels;
    for (size_t i = 0; i < pixels; i++, pixel += channels)
        for (int c = 0; c < channels; c++) {
            sum[c] += pixel[c];
            squares[c] += (uint64_t)pixel[c] * pixel[c];
        }
#pragma omp critical(agn_sink_account)
    {
        for (int c = 0; c < channels; c++) {
            sink->sum[c] += sum[c];
            sink->squares[c] += squares[c];
        }
        sink->pixels += pixels;
        sink->report->count++;
        sink->report->class_counts[label]++;
        count_size(sink->report, image->height, image->width);
    }
}

int agn__sink_put(struct agn__sink *sink, int kept, int label, const struct agn__image *image)
{
    if (!sink->report) {
        int status = keep(sink->dataset, kept, label, image);
        sink->present[kept] = status == AGN_OK;
        return status;
    }
    account(sink, label, image);
    return AGN_OK;
}

enum { COMMAND_BYTES = 1400 };

/* The command that looks at all files of this set, as it is divided here. */
static const char *check_command(const struct agn_dataset_source *source, char text[COMMAND_BYTES])
{
    bool test = source->test && source->test[0], validation = source->validation && source->validation[0];
    (void)snprintf(text, COMMAND_BYTES, "agilenn data check %.1024s%s%.64s%s%.64s", source->path,
                   test ? " --test " : "", test ? source->test : "", validation ? " --validation " : "",
                   validation ? source->validation : "");
    return text;
}

static int note(struct agn_dataset_findings *bad)
{
    int result;
#pragma omp critical(agn_sink_bad)
    result = agn__findings_add(bad, AGN_REPORT_BAD, agn_error_message());
    return result;
}

int agn__sink_bad(struct agn__sink *sink, int status)
{
    if (status == AGN_ERR_MEMORY || status == AGN_ERR_INTERRUPTED)
        return status;
    if (sink->report || sink->skip)
        return note(sink->report ? &sink->report->bad : &sink->skipped);
    char why[640], command[COMMAND_BYTES];
    (void)snprintf(why, sizeof why, "%s", agn_error_message());
    return agn_fail(status, "%s; '%s' names every bad file, --set data.bad_files=skip goes on without them",
                    why, check_command(sink->source, command));
}

int agn__sink_fault(struct agn__sink *sink, int status)
{
    bool written = sink->report && status != AGN_ERR_MEMORY && status != AGN_ERR_INTERRUPTED;
    return written ? note(&sink->report->bad) : status;
}

int agn__sink_warn(struct agn__sink *sink, const char *sentence)
{
    int result;
#pragma omp critical(agn_sink_warn)
    result = agn__findings_add(&sink->warnings, AGN_REPORT_WARNINGS, sentence);
    return result;
}

/* ---- the end ---- */

enum { SHOWN = 8 }; /* sentences in the log; a check has more of them */

static void log_warnings(const struct agn_dataset_findings *warnings)
{
    for (int i = 0; i < warnings->kept && i < SHOWN; i++)
        agn_log(AGN_LOG_WARN, "%s", warnings->texts[i]);
    if (warnings->count > SHOWN)
        agn_log(AGN_LOG_WARN, "... and %d more images with something odd; agilenn data check lists them",
                warnings->count - SHOWN);
}

/* Closes the gaps that bad files have left. */
static void close_gaps(struct agn_dataset *dataset, const bool *present)
{
    size_t image_bytes = (size_t)dataset->height * (size_t)dataset->width * (size_t)dataset->channels;
    int count = 0;
    for (int i = 0; i < dataset->count; i++) {
        if (!present[i]) {
            if (dataset->files)
                agn_free(dataset->files[i]);
            continue;
        }
        if (count < i) {
            memcpy(dataset->pixels + (size_t)count * image_bytes, dataset->pixels + (size_t)i * image_bytes,
                   image_bytes);
            dataset->labels[count] = dataset->labels[i];
            if (dataset->files)
                dataset->files[count] = dataset->files[i];
        }
        count++;
    }
    dataset->count = count;
}

/* Of a class that has lost all its images nothing can be learned. */
static int check_classes(const struct agn__sink *sink)
{
    const struct agn_dataset *dataset = sink->dataset;
    if (sink->part != AGN__PART_TRAIN || !dataset->files || (sink->kept < sink->total && !sink->shared))
        return AGN_OK;
    bool *used = agn_alloc((size_t)dataset->classes, sizeof *used);
    if (!used)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < dataset->count; i++)
        used[dataset->labels[i]] = true;
    char command[COMMAND_BYTES];
    int label = 0;
    while (label < dataset->classes && used[label])
        label++;
    agn_free(used);
    return label == dataset->classes
               ? AGN_OK
               : agn_fail(AGN_ERR_FORMAT,
                          "%s: no image of class '%s' can be read: mend its files ('%s' says what is "
                          "wrong), or remove the class",
                          sink->source->path, dataset->class_names[label],
                          check_command(sink->source, command));
}

/* What data.bad_files = skip has left out, and what is left. */
static int end_skipping(struct agn__sink *sink)
{
    const struct agn_dataset_source *source = sink->source;
    const struct agn_dataset_findings *skipped = &sink->skipped;
    char command[COMMAND_BYTES];
    if (skipped->count == 0)
        return AGN_OK;
    agn_log(AGN_LOG_WARN, "%s, split %s: bad files or records that are left out (data.bad_files = skip): %d",
            source->path, source->split, skipped->count);
    for (int i = 0; i < skipped->kept && i < SHOWN; i++)
        agn_log(AGN_LOG_WARN, "  %s", skipped->texts[i]);
    if (skipped->count > SHOWN)
        agn_log(AGN_LOG_WARN, "  ... and %d more; '%s' names all", skipped->count - SHOWN,
                check_command(source, command));
    close_gaps(sink->dataset, sink->present);
    if (sink->dataset->count == 0)
        return agn_fail(AGN_ERR_FORMAT, "%s, split %s: no image can be read; '%s' says what is wrong",
                        source->path, source->split, check_command(source, command));
    return check_classes(sink);
}

int agn__sink_read(struct agn__sink *sink)
{
    int status = agn__dataset_read(sink);
    agn_free(sink->picks);
    sink->picks = NULL;
    if (sink->shared && sink->part != AGN__PART_TRAIN)
        agn__unread_free(&sink->unread); /* it lies among the training images, which mention it */
    agn__unread_sort(&sink->unread);
    if (sink->report) {
        struct agn_dataset_report *report = sink->report;
        report->warnings = sink->warnings;
        memcpy(report->unread, sink->unread.kinds, sizeof report->unread);
        report->unread_kinds = sink->unread.kind_count;
        report->unread_count = sink->unread.count;
        return status;
    }
    agn__unread_log(&sink->unread, sink->source);
    log_warnings(&sink->warnings);
    if (status == AGN_OK)
        status = end_skipping(sink);
    agn__unread_free(&sink->unread);
    agn__findings_free(&sink->warnings);
    agn__findings_free(&sink->skipped);
    agn_free(sink->present);
    return status;
}

/* ---- several threads ---- */

/* The first failure in order, whichever thread meets it first. Sentences are per thread, so this
 * one has to be carried over. */
struct first_failure {
    int index, status;
    char message[1024];
};

int agn__load_parallel(int first, int end, int (*load)(void *user, int index), void *user, const char *what)
{
    struct first_failure failure = {.index = end};
#pragma omp parallel for schedule(dynamic, 16)
    for (int i = first; i < end; i++) {
        int failed_at;
#pragma omp atomic read
        failed_at = failure.index;
        if (i > failed_at)
            continue;
        int status = agn_interrupt_requested()
                         ? agn_fail(AGN_ERR_INTERRUPTED, "interrupted while reading %s", what)
                         : load(user, i);
        if (status < 0) {
#pragma omp critical(agn_load_failure)
            if (i < failure.index) {
#pragma omp atomic write
                failure.index = i;
                failure.status = status;
                (void)snprintf(failure.message, sizeof failure.message, "%s", agn_error_message());
            }
        }
    }
    return failure.index < end ? agn_fail(failure.status, "%s", failure.message) : AGN_OK;
}

/* ---- reports ---- */

static int compare_sizes(const void *a, const void *b)
{
    const struct agn_dataset_size *left = a, *right = b;
    if (left->count != right->count)
        return left->count < right->count ? 1 : -1;
    if (left->height != right->height)
        return left->height < right->height ? -1 : 1;
    return (left->width > right->width) - (left->width < right->width);
}

static void finish_report(const struct agn__sink *sink)
{
    struct agn_dataset_report *report = sink->report;
    for (int c = 0; c < report->channels && sink->pixels > 0; c++) {
        double pixels = (double)sink->pixels;
        report->mean[c] = (double)sink->sum[c] / pixels;
        double variance = (double)sink->squares[c] / pixels - report->mean[c] * report->mean[c];
        report->std[c] = variance > 0.0 ? sqrt(variance) : 0.0;
    }
    qsort(report->sizes, (size_t)report->size_count, sizeof *report->sizes, compare_sizes);
}

int agn_dataset_inspect(const struct agn_dataset_source *source, struct agn_dataset_report *report)
{
    struct agn_dataset_report fresh = {0};
    struct agn_dataset_source whole = *source;
    int height, width, channels;
    whole.channels = strcmp(source->format ? source->format : "", "idx") == 0 ? 1 : 3;
    if (source->format && agn_dataset_format_size(source->format, &height, &width, &channels))
        whole.channels = channels;
    whole.height = whole.width = 1; /* of no meaning here, but within bounds */
    struct agn__sink sink = {.source = &whole, .report = &fresh, .channels = whole.channels};
    int status = agn__sink_read(&sink);
    if (status == AGN_ERR_FORMAT || status == AGN_ERR_IO || status == AGN_ERR_RANGE ||
        status == AGN_ERR_MISMATCH || status == AGN_ERR_UNSUPPORTED)
        status = agn__sink_fault(&sink, status); /* the end of reading, but not of the report */
    if (status < 0) {
        agn_dataset_report_free(&fresh);
        return status;
    }
    finish_report(&sink);
    *report = fresh;
    return AGN_OK;
}

void agn_dataset_report_free(struct agn_dataset_report *report)
{
    for (int i = 0; report->class_names && i < report->classes; i++)
        agn_free(report->class_names[i]);
    for (int i = 0; i < report->unread_kinds; i++)
        agn__findings_free(&report->unread[i].found);
    agn_free(report->class_names);
    agn_free(report->class_counts);
    agn__findings_free(&report->bad);
    agn__findings_free(&report->warnings);
    *report = (struct agn_dataset_report){0};
}
