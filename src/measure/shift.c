/* A model under changed inputs, row by row; see shift.h. Files and pictures are shift_files.c's. */
#include "agilenn/shift.h"

#include <math.h>
#include <string.h>

#include "agilenn/hosted.h"
#include "agilenn/train.h"

static const int ratios[AGN_SHIFT_RATIOS] = {10, 50, 100};

struct bench {
    const struct agn_shift_config *config;
    struct agn_shift *result;
    struct agn_hosted device;
    bool has_device;
    struct agn_dataset changed; /* the images of a row; pixels and labels are its own */
    size_t image_bytes;
    /* Of the clean images, (images, channels) and images; of the row, sums over those compared. */
    float *clean;
    bool *clean_valid;
    float clean_mean[AGN_MAX_FEATURES];
    bool notes_clean, compares;
    double correlation_sum, kept_sum;
    int compared;
    int64_t done, total; /* images */
    double begin_s;
};

/* ---- names ------------------------------------------------------------------------------- */

const char *agn_shift_kind_name(int kind)
{
    static const char *const others[] = {"long-tail", "other", "clean"};
    return kind < AGN_CORRUPTION_COUNT ? agn_corruption_name((enum agn_corruption)kind)
                                       : others[kind - AGN_CORRUPTION_COUNT];
}

static const unsigned all_kinds = (1U << AGN_SHIFT_OTHER) - 1;

static int fail_kind(const char *name, size_t length)
{
    char list[256] = "";
    for (int kind = 0; kind < AGN_SHIFT_OTHER; kind++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", kind > 0 ? ", " : "", agn_shift_kind_name(kind));
    }
    return agn_fail(AGN_ERR_ARG, "there is no change '%.*s': expected all, or some of %s",
                    length > 40 ? 40 : (int)length, name, list);
}

int agn_shift_kinds_parse(const char *text, unsigned *kinds)
{
    unsigned parsed = 0;
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, ",");
        int kind = 0;
        while (kind < AGN_SHIFT_OTHER && (strlen(agn_shift_kind_name(kind)) != length ||
                                          strncmp(agn_shift_kind_name(kind), at, length) != 0))
            kind++;
        if (length == 3 && strncmp(at, "all", length) == 0)
            parsed |= all_kinds;
        else if (kind < AGN_SHIFT_OTHER)
            parsed |= 1U << kind;
        else
            return fail_kind(at, length);
        at += length;
        if (*at == '\0')
            break;
    }
    *kinds = parsed;
    return AGN_OK;
}

/* ---- orders -------------------------------------------------------------------------------- */

/* Less half of count + 1, twice: whole numbers around 0. */
static void rank(const float *values, int count, int *ranks)
{
    for (int i = 0; i < count; i++) {
        int less = 0, more = 0;
        for (int j = 0; j < count; j++) {
            less += values[j] < values[i];
            more += values[j] > values[i];
        }
        ranks[i] = less - more;
    }
}

double agn_rank_correlation(const float *a, const float *b, int count)
{
    double both = 0.0, of_a = 0.0, of_b = 0.0;
    int ranks_a[AGN_MAX_FEATURES], ranks_b[AGN_MAX_FEATURES];
    rank(a, count, ranks_a);
    rank(b, count, ranks_b);
    for (int i = 0; i < count; i++) {
        both += (double)ranks_a[i] * ranks_b[i];
        of_a += (double)ranks_a[i] * ranks_a[i];
        of_b += (double)ranks_b[i] * ranks_b[i];
    }
    return of_a > 0.0 && of_b > 0.0 ? both / sqrt(of_a * of_b) : (double)NAN;
}

static void mark_top(const float *values, int count, int k, bool *top)
{
    for (int i = 0; i < count; i++) {
        int before = 0;
        for (int j = 0; j < count; j++)
            before += values[j] > values[i] || (j < i && values[j] == values[i]);
        top[i] = before < k;
    }
}

double agn_top_kept(const float *a, const float *b, int count, int k)
{
    bool top_a[AGN_MAX_FEATURES], top_b[AGN_MAX_FEATURES];
    int kept = 0;
    mark_top(a, count, k, top_a);
    mark_top(b, count, k, top_b);
    for (int i = 0; i < count; i++)
        kept += top_a[i] && top_b[i];
    return (double)kept / k;
}

/* ---- a row ------------------------------------------------------------------------------------ */

static void hear(void *user, const struct agn_prediction *prediction)
{
    struct bench *b = user;
    int channels = b->result->channels, image = prediction->image;
    float *clean = b->clean + (size_t)image * (size_t)channels;
    if (prediction->importance == NULL)
        return;
    if (b->notes_clean) {
        memcpy(clean, prediction->importance, (size_t)channels * sizeof *clean);
        b->clean_valid[image] = prediction->reference_valid;
    }
    if (!b->compares || !b->clean_valid[image] || !prediction->reference_valid)
        return;
    double correlation = agn_rank_correlation(clean, prediction->importance, channels);
    if (isnan(correlation))
        return;
    b->compared++;
    b->correlation_sum += correlation;
    b->kept_sum += agn_top_kept(clean, prediction->importance, channels, b->result->local_channels);
}

static int send_frame(struct bench *b, const uint8_t *pixels, double *bytes, int *unsent)
{
    struct agn_dev *dev = &b->device.dev;
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    int length, status = agn_hosted_image(&b->device, pixels, 0, 0);
    if (status < 0)
        return agn_fail(status, "the device does not take an image: %s", agn_status_text(status));
    *unsent += agn_dev_is_sure(dev) > 0;
    if (!agn_dev_model_sends(&dev->model))
        return AGN_OK;
    while ((length = agn_dev_next_packet(dev, packet, sizeof packet)) > 0)
        *bytes += length;
    return length < 0 ? agn_fail(length, "the device makes no packets: %s", agn_status_text(length)) : AGN_OK;
}

/* Of the images as the camera gives them. */
static int send_frames(struct bench *b, struct agn_shift_row *row)
{
    const struct agn_dev_model *model = &b->device.dev.model;
    bool decides = model->sure_margin > 0 || model->sure_margins != NULL || b->config->model->system->exits;
    int wanted = b->config->byte_images, unsent = 0, status = AGN_OK;
    int64_t images = b->changed.count, some = wanted > 0 && wanted < images ? wanted : images;
    double bytes = 0.0;
    for (int64_t i = 0; i < some && status == AGN_OK; i++)
        status = agn_interrupt_requested()
                     ? agn_fail(AGN_ERR_INTERRUPTED, "interrupted")
                     : send_frame(b, b->changed.pixels + (size_t)(i * images / some) * b->image_bytes, &bytes,
                                  &unsent);
    row->bytes = bytes / (double)some;
    row->unsent_share = decides ? unsent / (double)some : (double)NAN;
    if (row->kind == AGN_SHIFT_CLEAN)
        b->result->byte_images = (int)some;
    return status;
}

static void note_order(struct bench *b, const struct agn_evaluation *e, struct agn_shift_row *row)
{
    int channels = b->result->channels;
    if (agn_part_is_empty(&b->config->model->parts[AGN_REFERENCE]))
        return;
    if (row->kind == AGN_SHIFT_CLEAN)
        memcpy(b->clean_mean, e->channel_importance, sizeof b->clean_mean);
    row->rank_correlation = agn_rank_correlation(b->clean_mean, e->channel_importance, channels);
    if (!isnan(row->rank_correlation))
        row->top_kept =
            agn_top_kept(b->clean_mean, e->channel_importance, channels, b->result->local_channels);
    row->compared = b->compared;
    if (b->compared > 0) {
        row->image_rank_correlation = b->correlation_sum / b->compared;
        row->image_top_kept = b->kept_sum / b->compared;
    }
}

static void show_progress(struct bench *b, const struct agn_shift_row *row)
{
    b->done += row->images;
    double rate = (double)b->done / fmax(agn_now_s() - b->begin_s, 1e-9);
    struct agn_progress progress = {
        .phase = "shift",
        .done = b->done,
        .total = b->total,
        .rate = rate,
        .eta_s = (double)(b->total - b->done) / rate,
        .item = "img",
        .figures = {{.key = "acc", .kind = AGN_FIGURE_SHARE, .value = row->fused_accuracy}},
        .epoch_end = b->done == b->total};
    if (b->config->progress != NULL)
        b->config->progress(b->config->progress_user, &progress);
}

/* What comes of the changed images, for which `row` says what they are. They are spent then: as the server
 * sees them. */
static int measure_row(struct bench *b, struct agn_shift_row row)
{
    struct agn_model *model = b->config->model;
    struct agn_evaluation *e = agn_alloc(1, sizeof *e); /* too large for a stack */
    int status = e == NULL ? AGN_ERR_MEMORY : AGN_OK;
    row.images = b->changed.count;
    row.rank_correlation = row.top_kept = row.image_rank_correlation = row.image_top_kept = (double)NAN;
    row.bytes = row.unsent_share = (double)NAN;
    b->notes_clean = row.kind == AGN_SHIFT_CLEAN;
    b->compares = row.kind < AGN_CORRUPTION_COUNT;
    b->correlation_sum = b->kept_sum = 0.0;
    b->compared = 0;
    if (status == AGN_OK && b->has_device)
        status = send_frames(b, &row);
    if (status == AGN_OK)
        status = agn_preset_as_sent(&model->preset, &b->changed);
    if (status == AGN_OK)
        status = agn_model_evaluate_images(model, &b->changed, e, hear, b);
    if (status == AGN_OK) {
        row.fused_accuracy = e->fused_accuracy;
        row.local_accuracy = e->local_accuracy;
        row.remote_accuracy = e->remote_accuracy;
        row.reference_valid = e->reference_valid;
        row.skewness = e->skewness;
        row.disorder_rate = e->disorder_rate;
        note_order(b, e, &row);
        b->result->rows[b->result->count++] = row;
        show_progress(b, &row);
    }
    agn_free(e);
    return status;
}

/* ---- the changes --------------------------------------------------------------------------------- */

static void take_images(struct bench *b, const struct agn_dataset *from, const int *images, int count)
{
    for (int i = 0; i < count; i++) {
        size_t image = (size_t)(images != NULL ? images[i] : i);
        memcpy(b->changed.pixels + (size_t)i * b->image_bytes, from->pixels + image * b->image_bytes,
               b->image_bytes);
        b->changed.labels[i] = from->labels[image];
    }
    b->changed.count = count;
    b->changed.classes = from->classes;
    b->changed.class_names = from->class_names;
}

static int measure_corruption(struct bench *b, enum agn_corruption kind)
{
    const struct agn_dataset *data = b->config->data;
    int status = AGN_OK;
    take_images(b, data, NULL, data->count); /* the labels */
    for (int strength = 1; strength <= AGN_CORRUPTION_STRENGTHS && status == AGN_OK; strength++) {
        const struct agn_corruption_config how = {kind, strength, b->config->seed};
        status = agn_corrupt(&how, data, b->changed.pixels);
        if (status == AGN_OK)
            status =
                measure_row(b, (struct agn_shift_row){.kind = (int)kind,
                                                      .strength = strength,
                                                      .parameter = agn_corruption_parameter(kind, strength)});
    }
    return status;
}

static void permute(struct agn_rng *rng, int *list, int count)
{
    for (int i = count - 1; i > 0; i--) {
        int j = (int)agn_rng_below(rng, (uint32_t)i + 1), kept = list[i];
        list[i] = list[j];
        list[j] = kept;
    }
}

/* Images of each class, and how many the class that has the fewest has. */
static int count_classes(const struct agn_dataset *data, int *counts)
{
    int fewest = data->count;
    for (int i = 0; i < data->count; i++)
        counts[data->labels[i]]++;
    for (int c = 0; c < data->classes; c++)
        fewest = counts[c] > 0 && counts[c] < fewest ? counts[c] : fewest;
    return fewest;
}

/* Which images of a long tail there are, in the data set's order. Returns their number. */
static int draw_tail(const struct agn_dataset *data, int ratio, uint64_t seed, int *images)
{
    int counts[AGN_MAX_CLASSES] = {0}, order[AGN_MAX_CLASSES], left[AGN_MAX_CLASSES] = {0};
    int fewest = count_classes(data, counts), chosen = 0;
    struct agn_rng rng;
    agn_rng_seed(&rng, seed);
    for (int c = 0; c < data->classes; c++)
        order[c] = c;
    permute(&rng, order, data->classes);
    for (int r = 0; r < data->classes; r++) {
        double share = data->classes > 1 ? pow(ratio, -(double)r / (data->classes - 1)) : 1.0;
        left[order[r]] = (int)fmax(1.0, round(fewest * share));
    }
    /* Selection sampling: each image with the chance that the places left give it. */
    for (int i = 0; i < data->count; i++) {
        int c = data->labels[i];
        if ((int)agn_rng_below(&rng, (uint32_t)counts[c]--) < left[c]) {
            left[c]--;
            images[chosen++] = i;
        }
    }
    return chosen;
}

static int measure_tails(struct bench *b)
{
    const struct agn_dataset *data = b->config->data;
    int *images = agn_alloc((size_t)data->count, sizeof *images), status = AGN_OK;
    if (images == NULL)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < AGN_SHIFT_RATIOS * AGN_SHIFT_DRAWS && status == AGN_OK; i++) {
        int ratio = ratios[i / AGN_SHIFT_DRAWS], draw = i % AGN_SHIFT_DRAWS + 1;
        take_images(b, data, images, draw_tail(data, ratio, b->config->seed + (uint64_t)draw, images));
        status = measure_row(b, (struct agn_shift_row){.kind = AGN_SHIFT_LONG_TAIL,
                                                       .strength = i / AGN_SHIFT_DRAWS + 1,
                                                       .draw = draw,
                                                       .parameter = ratio});
    }
    agn_free(images);
    return status;
}

static int measure_whole(struct bench *b, const struct agn_dataset *data, int kind)
{
    take_images(b, data, NULL, data->count);
    return measure_row(b, (struct agn_shift_row){.kind = kind, .parameter = (double)NAN});
}

/* ---- all of it ------------------------------------------------------------------------------------- */

static int check(const struct agn_shift_config *config)
{
    const struct agn_dataset *data = config->data, *other = config->other;
    int status = agn_model_check_data(config->model, data);
    if (status == AGN_OK && other != NULL)
        status = agn_model_check_data(config->model, other);
    if (status == AGN_OK && (data->count < 1 || (other != NULL && other->count < 1)))
        status = agn_fail(AGN_ERR_ARG, "a data set without images: there is nothing to measure");
    return status;
}

static int open_device(struct bench *b)
{
    const struct agn_shift_config *config = b->config;
    if (config->device == NULL)
        return AGN_OK;
    int status = agn_hosted_open(&b->device, config->device, config->device_bytes);
    if (status == AGN_OK && b->device.dev.model.model_id != agn_model_id(config->model))
        status = agn_fail(AGN_ERR_MISMATCH, "device model %08x, but the model is %08x: export it anew",
                          (unsigned)b->device.dev.model.model_id, (unsigned)agn_model_id(config->model));
    if (status == AGN_OK)
        status = agn_hosted_check_data(&b->device.dev.model, config->data);
    b->has_device = status == AGN_OK;
    return status;
}

static int open_bench(struct bench *b)
{
    const struct agn_dataset *data = b->config->data, *other = b->config->other;
    size_t images = (size_t)data->count,
           most = other != NULL && other->count > data->count ? (size_t)other->count : images;
    b->image_bytes = (size_t)data->height * (size_t)data->width * (size_t)data->channels;
    b->changed = *data;
    b->changed.files = NULL;
    b->changed.pixels = agn_alloc(most, b->image_bytes);
    b->changed.labels = agn_alloc(most, sizeof *b->changed.labels);
    b->clean = agn_alloc(images * (size_t)b->result->channels, sizeof *b->clean);
    b->clean_valid = agn_alloc(images, sizeof *b->clean_valid);
    bool made =
        b->changed.pixels != NULL && b->changed.labels != NULL && b->clean != NULL && b->clean_valid != NULL;
    return made ? open_device(b) : AGN_ERR_MEMORY;
}

static void close_bench(struct bench *b)
{
    agn_hosted_close(&b->device);
    agn_free(b->changed.pixels);
    agn_free(b->changed.labels);
    agn_free(b->clean);
    agn_free(b->clean_valid);
}

/* For the progress: images of long tails are guessed. */
static int64_t count_images(const struct agn_shift_config *config, unsigned kinds)
{
    int64_t images = config->data->count, total = images;
    for (int kind = 0; kind < AGN_CORRUPTION_COUNT; kind++)
        total += kinds & 1U << kind ? images * AGN_CORRUPTION_STRENGTHS : 0;
    return total + (config->other != NULL ? config->other->count : 0);
}

static int measure(struct bench *b)
{
    const struct agn_shift_config *config = b->config;
    unsigned kinds = config->kinds != 0 ? config->kinds : all_kinds;
    int status = open_bench(b);
    b->total = count_images(config, kinds);
    b->begin_s = agn_now_s();
    if (status == AGN_OK)
        status = measure_whole(b, config->data, AGN_SHIFT_CLEAN);
    for (int kind = 0; kind < AGN_CORRUPTION_COUNT && status == AGN_OK; kind++)
        if (kinds & 1U << kind)
            status = measure_corruption(b, (enum agn_corruption)kind);
    if (status == AGN_OK && kinds & 1U << AGN_SHIFT_LONG_TAIL)
        status = measure_tails(b);
    if (status == AGN_OK && config->other != NULL)
        status = measure_whole(b, config->other, AGN_SHIFT_OTHER);
    return status;
}

/* The lowest correlation of corruptions at one strength; NULL: there is none. */
static const struct agn_shift_row *lowest_at(const struct agn_shift *r, int strength)
{
    const struct agn_shift_row *lowest = NULL;
    for (int i = 0; i < r->count; i++) {
        const struct agn_shift_row *row = &r->rows[i];
        if (row->kind < AGN_CORRUPTION_COUNT && row->strength == strength && !isnan(row->rank_correlation) &&
            (lowest == NULL || row->rank_correlation < lowest->rank_correlation))
            lowest = row;
    }
    return lowest;
}

static void summarise(struct agn_shift *r)
{
    r->holds = -1;
    r->lowest = (double)NAN;
    for (int strength = 1; strength <= AGN_CORRUPTION_STRENGTHS; strength++) {
        const struct agn_shift_row *row = lowest_at(r, strength);
        if (row == NULL)
            return;
        bool holds = row->rank_correlation >= AGN_SHIFT_HOLDS;
        if (strength == 1 || (holds && row->rank_correlation < r->lowest)) {
            r->lowest = row->rank_correlation;
            r->lowest_kind = row->kind;
        }
        r->holds = holds ? strength : strength - 1;
        if (!holds)
            return;
    }
}

int agn_shift_measure(const struct agn_shift_config *config, struct agn_shift *result)
{
    struct agn_shift *made = agn_alloc(1, sizeof *made);
    struct bench *b = agn_alloc(1, sizeof *b);
    int status = made == NULL || b == NULL ? AGN_ERR_MEMORY : check(config);
    if (status == AGN_OK) {
        b->config = config;
        b->result = made;
        made->images = config->data->count;
        made->channels = config->model->map.channels;
        made->local_channels = agn_model_local_channels(config->model);
        status = measure(b);
        close_bench(b);
    }
    if (status == AGN_OK) {
        made->seconds = agn_now_s() - b->begin_s;
        made->images_per_s = (double)b->done / fmax(made->seconds, 1e-9);
        summarise(made);
        *result = *made;
    }
    agn_free(made);
    agn_free(b);
    return status;
}
