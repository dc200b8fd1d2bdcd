/* idx files (LeCun's MNIST format), plain or gzipped: big-endian header, then values.
 *
 *   images  u32 0x0000TT03, u32 count, u32 height, u32 width, count x height x width values
 *   labels  u32 0x0000TT01, u32 count, count values
 *
 * TT is the values' type: 08 unsigned bytes, as the published sets have it, 09 signed bytes, 0B and 0C signed
 * integers of 16 and 32 bits, big-endian; 0D and 0E, floats and doubles, are refused.
 *
 * Labels are read first: their number, proven by the file's length, is what the images
 * must match, so that no header alone decides how much memory is taken. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "sets/image_files.h"
#include "sets/sink.h"

enum { IMAGES_MAGIC = 0x803, LABELS_MAGIC = 0x801, PATH_BYTES = 1024 };
enum {
    UNSIGNED_8 = 0x08,
    SIGNED_8 = 0x09,
    SIGNED_16 = 0x0B,
    SIGNED_32 = 0x0C,
    FLOAT_32 = 0x0D,
    FLOAT_64 = 0x0E
};

static const char *const fashion_names[] = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                            "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};

struct idx_file {
    gzFile stream;
    char path[PATH_BYTES];
    unsigned type; /* of the values, after idx_read_header */
};

static bool is_fashion(const char *folder)
{
    return strstr(folder, "fashion-mnist") != NULL;
}

static int fail_missing(const struct agn_dataset_source *source, const char *name)
{
    if (is_fashion(source->path))
        return agn_fail(AGN_ERR_NOT_FOUND,
                        "no Fashion-MNIST in %s: %s.gz is missing; install Debian's dataset-fashion-mnist "
                        "(apt-get install dataset-fashion-mnist) or pass --data DIR",
                        source->path, name);
    return agn_fail(
        AGN_ERR_NOT_FOUND,
        "no data set in %s: neither %s.gz nor %s is there; pass the folder that holds it with --data DIR",
        source->path, name, name);
}

static int idx_open(struct idx_file *file, const struct agn_dataset_source *source, const char *what)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s-%s-ubyte", strcmp(source->split, "train") == 0 ? "train" : "t10k",
                   what);
    static const char *const suffixes[] = {".gz", ""};
    for (size_t i = 0; i < AGN_COUNT_OF(suffixes); i++) {
        int length = snprintf(file->path, sizeof file->path, "%s/%s%s", source->path, name, suffixes[i]);
        if (length < 0 || (size_t)length >= sizeof file->path)
            return agn_fail(AGN_ERR_ARG, "cannot open %.64s...: the path is too long", source->path);
        if (!agn_file_exists(file->path))
            continue;
        errno = 0;
        file->stream = gzopen(file->path, "rb"); /* reads plain files too */
        if (!file->stream)
            return agn_fail(AGN_ERR_IO, "cannot open %s: %s", file->path, strerror(errno ? errno : ENOMEM));
        (void)gzbuffer(file->stream, 1u << 17);
        return AGN_OK;
    }
    return fail_missing(source, name);
}

static void idx_close(struct idx_file *file)
{
    if (file->stream)
        (void)gzclose(file->stream);
    file->stream = NULL;
}

/* Number of bytes read, less than `size` at the end of the file only; or an error. */
static int idx_read(struct idx_file *file, void *data, unsigned size)
{
    errno = 0;
    int got = gzread(file->stream, data, size);
    if (got >= 0)
        return got;
    int code;
    const char *text = gzerror(file->stream, &code);
    if (code == Z_ERRNO)
        return agn_fail(AGN_ERR_IO, "cannot read %s: %s", file->path, strerror(errno));
    return agn_fail(AGN_ERR_FORMAT, "%s: damaged gzip data (%s); fetch the file again", file->path, text);
}

/* 0: no type of integers. */
static unsigned value_bytes(uint32_t type)
{
    return type == UNSIGNED_8 || type == SIGNED_8 ? 1 : type == SIGNED_16 ? 2 : type == SIGNED_32 ? 4 : 0;
}

static int32_t value_at(const uint8_t *data, unsigned type, size_t at)
{
    const uint8_t *b = data + at * value_bytes(type);
    switch (type) {
    case SIGNED_8:
        return (int8_t)b[0];
    case SIGNED_16:
        return (int16_t)((unsigned)b[0] << 8 | b[1]);
    case SIGNED_32:
        return (int32_t)((uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]);
    default:
        return b[0];
    }
}

/* Reads the magic number and `rank` dimensions. */
static int idx_read_header(struct idx_file *file, uint32_t magic, int rank, uint32_t *dims)
{
    uint8_t bytes[16];
    unsigned size = 4u + 4u * (unsigned)rank;
    int got = idx_read(file, bytes, size);
    if (got < 0)
        return got;
    if ((unsigned)got < size)
        return agn_fail(AGN_ERR_FORMAT, "%s: %d bytes, but the header alone has %u; fetch the file again",
                        file->path, got, size);
    uint32_t words[4] = {0};
    for (int i = 0; i <= rank; i++) {
        const uint8_t *b = bytes + 4 * i;
        words[i] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    }
    uint32_t type = words[0] >> 8;
    if ((words[0] & 0xff) == (magic & 0xff) && (type == FLOAT_32 || type == FLOAT_64))
        return agn_fail(AGN_ERR_UNSUPPORTED,
                        "%s: holds %s (0x%08x), but labels and pixels are integers: write it with unsigned "
                        "bytes (0x%08x)",
                        file->path, type == FLOAT_32 ? "floats" : "doubles", (unsigned)words[0],
                        (unsigned)magic);
    if ((words[0] & 0xff) != (magic & 0xff) || value_bytes(type) == 0)
        return agn_fail(AGN_ERR_FORMAT, "%s: starts with 0x%08x, but such an idx file starts with 0x%08x",
                        file->path, (unsigned)words[0], (unsigned)magic);
    file->type = type;
    memcpy(dims, words + 1, sizeof dims[0] * (size_t)rank);
    return AGN_OK;
}

/* Nothing may follow the last record; reading on also makes zlib check the sum of a gzipped file. */
static int idx_check_end(struct idx_file *file, uint32_t count)
{
    uint8_t extra;
    int got = idx_read(file, &extra, 1);
    if (got < 0)
        return got;
    if (got > 0)
        return agn_fail(AGN_ERR_FORMAT, "%s: more bytes follow the %u records that the header announces",
                        file->path, (unsigned)count);
    int code;
    (void)gzerror(file->stream, &code);
    if (code != Z_OK && code != Z_STREAM_END)
        return agn_fail(AGN_ERR_FORMAT, "%s: the gzip data ends early; fetch the file again", file->path);
    return AGN_OK;
}

/* All values of the label file, freed by the caller with agn_free. */
static int read_label_values(struct idx_file *file, uint32_t total, uint8_t **values)
{
    unsigned each = value_bytes(file->type);
    if (total < 1 || total > AGN__MAX_IMAGES)
        return agn_fail(AGN_ERR_FORMAT, "%s: the header announces %u labels; expected 1 to %d", file->path,
                        (unsigned)total, AGN__MAX_IMAGES);
    *values = agn_alloc(total, each);
    if (!*values)
        return AGN_ERR_MEMORY;
    int got = idx_read(file, *values, total * each);
    if (got < 0)
        return got;
    if ((uint32_t)got < total * each)
        return agn_fail(AGN_ERR_FORMAT, "%s: ends at record %d of %u; fetch the file again", file->path,
                        got / (int)each, (unsigned)total);
    return idx_check_end(file, total);
}

static int take_labels(const struct idx_file *file, const uint8_t *values, int total, uint16_t *labels,
                       int *classes, bool fashion)
{
    int most = fashion ? (int)AGN_COUNT_OF(fashion_names) - 1 : AGN__MAX_CLASSES - 1, highest = 0;
    for (int i = 0; i < total; i++) {
        int32_t label = value_at(values, file->type, (size_t)i);
        if (label < 0 || label > most)
            return agn_fail(AGN_ERR_FORMAT,
                            fashion ? "%s: record %d has label %d, but Fashion-MNIST's are 0 to %d"
                                    : "%s: record %d has label %d, expected 0 to %d",
                            file->path, i, (int)label, most);
        labels[i] = (uint16_t)label;
        highest = label > highest ? label : highest;
    }
    *classes = highest + 1;
    return AGN_OK;
}

/* All labels of the split, freed by the caller with agn_free. */
static int read_labels(const struct agn_dataset_source *source, uint16_t **labels, int *count, int *classes)
{
    struct idx_file file = {0};
    uint8_t *values = NULL;
    uint16_t *memory = NULL;
    uint32_t total = 0;
    int status = idx_open(&file, source, "labels-idx1");
    if (status == AGN_OK)
        status = idx_read_header(&file, LABELS_MAGIC, 1, &total);
    if (status == AGN_OK)
        status = read_label_values(&file, total, &values);
    if (status == AGN_OK) {
        memory = agn_alloc(total, sizeof *memory);
        status = memory ? take_labels(&file, values, (int)total, memory, classes, is_fashion(source->path))
                        : AGN_ERR_MEMORY;
    }
    agn_free(values);
    idx_close(&file);
    if (status < 0) {
        agn_free(memory);
        return status;
    }
    *count = (int)total;
    *labels = memory;
    return AGN_OK;
}

static int check_image_header(const struct idx_file *file, const struct agn__sink *sink,
                              const uint32_t dims[3], int label_count)
{
    const struct agn_dataset_source *source = sink->source;
    if (dims[0] != (uint32_t)label_count)
        return agn_fail(AGN_ERR_FORMAT,
                        "%s: %u images, but its label file has %d labels; the two do not belong together",
                        file->path, (unsigned)dims[0], label_count);
    if (sink->report)
        return agn__image_check_size(file->path, dims[1], dims[2]);
    if (dims[1] != (uint32_t)source->height || dims[2] != (uint32_t)source->width || source->channels != 1)
        return agn_fail(
            AGN_ERR_MISMATCH,
            "%s: images are %ux%u with 1 channel, but %dx%d with %d channel%s expected; choose a preset for "
            "this data set",
            file->path, (unsigned)dims[1], (unsigned)dims[2], source->height, source->width, source->channels,
            source->channels == 1 ? " was" : "s were");
    return AGN_OK;
}

/* One image's values to pixels; they may be the same memory. */
static int take_pixels(const struct idx_file *file, int record, const uint8_t *values,
                       struct agn__image *image)
{
    size_t count = (size_t)image->height * (size_t)image->width;
    for (size_t i = 0; file->type != UNSIGNED_8 && i < count; i++) {
        int32_t value = value_at(values, file->type, i);
        if (value < 0 || value > 255)
            return agn_fail(AGN_ERR_FORMAT, "%s: record %d has a pixel of %d, expected 0 to 255", file->path,
                            record, (int)value);
        image->pixels[i] = (uint8_t)value;
    }
    return AGN_OK;
}

/* Reads all images in turn and hands over those that the limit picks. */
static int read_images(struct idx_file *file, struct agn__sink *sink, const uint32_t dims[3],
                       const uint16_t *labels)
{
    struct agn__image image = {(int)dims[1], (int)dims[2], 1, NULL};
    size_t image_bytes = (size_t)dims[1] * dims[2] * value_bytes(file->type);
    image.pixels = agn_alloc(image_bytes, 1);
    if (!image.pixels)
        return AGN_ERR_MEMORY;
    int kept = 0, status = AGN_OK;
    for (int record = 0; record < sink->total && status == AGN_OK; record++) {
        int got = idx_read(file, image.pixels, (unsigned)image_bytes);
        if (got < 0) {
            status = got;
        } else if ((size_t)got < image_bytes) {
            status = agn_fail(AGN_ERR_FORMAT, "%s: ends within record %d of %d; fetch the file again",
                              file->path, record, sink->total);
        } else if (kept < sink->kept && record == agn__sink_pick(sink, kept)) {
            int good = take_pixels(file, record, image.pixels, &image);
            status = good < 0 ? agn__sink_bad(sink, good) : agn__sink_put(sink, kept, labels[record], &image);
            kept++;
        }
    }
    agn_free(image.pixels);
    return status < 0 ? status : idx_check_end(file, (uint32_t)sink->total);
}

int agn__idx_read(struct agn__sink *sink)
{
    const struct agn_dataset_source *source = sink->source;
    struct idx_file file = {0};
    uint16_t *labels = NULL;
    uint32_t dims[3] = {0};
    int total = 0, classes = 0;
    bool fashion = is_fashion(source->path);
    int status = idx_open(&file, source, "images-idx3");
    if (status == AGN_OK)
        status = read_labels(source, &labels, &total, &classes);
    if (status == AGN_OK)
        status = idx_read_header(&file, IMAGES_MAGIC, 3, dims);
    if (status == AGN_OK)
        status = check_image_header(&file, sink, dims, total);
    if (status == AGN_OK)
        sink->labels = labels;
    if (status == AGN_OK)
        status = agn__sink_begin(sink, total, classes, fashion ? fashion_names : NULL, fashion ? 10 : 0);
    if (status == AGN_OK)
        status = read_images(&file, sink, dims, labels);
    agn_free(labels);
    idx_close(&file);
    return status;
}
