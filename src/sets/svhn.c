/* SVHN, cropped digits: train_32x32.mat and test_32x32.mat, MATLAB files read through matio.
 *
 *   X  32 x 32 x 3 x N: row, column, colour, image; MATLAB's first index runs fastest
 *   y  N labels from 1 to 10, where 10 means digit 0
 *
 * As published both are uint8, but any type of numbers does whose values are such integers.
 * Sizes that a variable claims are held against the file's size before matio sees it (mat_guard.h). */
#define _POSIX_C_SOURCE 200809L
#include <matio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sets/image_files.h"
#include "sets/mat_guard.h"
#include "sets/parts.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, PIXELS = 3 * PLANE, CLASSES = 10 };

struct mat_file {
    char path[AGN__PATH_BYTES];
    size_t size_bytes;
    mat_t *mat;
    matvar_t *x, *y;
    int count;
};

static int mat_open(struct mat_file *file, const struct agn_dataset_source *source)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%s_32x32.mat", source->split);
    int status = agn__path_join(file->path, source->path, name);
    if (status < 0)
        return status;
    struct stat info;
    if (stat(file->path, &info) != 0 || !S_ISREG(info.st_mode))
        return agn_fail(
            AGN_ERR_NOT_FOUND,
            "no SVHN in %s: %s is missing; get it with `agilenn data fetch svhn --out DIR`, or pass "
            "the folder that holds it with --data DIR",
            source->path, name);
    file->size_bytes = (size_t)info.st_size;
    status = agn__mat_guard(file->path);
    if (status < 0)
        return status;
    file->mat = Mat_Open(file->path, MAT_ACC_RDONLY);
    if (!file->mat)
        return agn_fail(AGN_ERR_FORMAT, "%s: not a MATLAB file (%zu bytes); fetch it again", file->path,
                        file->size_bytes);
    return AGN_OK;
}

static void mat_close(struct mat_file *file)
{
    Mat_VarFree(file->x);
    Mat_VarFree(file->y);
    if (file->mat)
        (void)Mat_Close(file->mat);
}

/* The header of a variable: type and shape, no data yet. */
static int read_header(struct mat_file *file, const char *name, matvar_t **variable)
{
    (void)Mat_Rewind(file->mat);
    *variable = Mat_VarReadInfo(file->mat, name);
    if (!*variable)
        return agn_fail(AGN_ERR_FORMAT,
                        "%s: variable %s is missing or damaged, expected X and y; fetch it again", file->path,
                        name);
    return AGN_OK;
}

/* The number at a place of a variable that has been read. */
static double value_at(const matvar_t *variable, size_t at)
{
    switch (variable->class_type) {
    case MAT_C_DOUBLE:
        return ((const double *)variable->data)[at];
    case MAT_C_SINGLE:
        return (double)((const float *)variable->data)[at];
    case MAT_C_INT8:
        return ((const int8_t *)variable->data)[at];
    case MAT_C_UINT8:
        return ((const uint8_t *)variable->data)[at];
    case MAT_C_INT16:
        return ((const int16_t *)variable->data)[at];
    case MAT_C_UINT16:
        return ((const uint16_t *)variable->data)[at];
    case MAT_C_INT32:
        return ((const int32_t *)variable->data)[at];
    case MAT_C_UINT32:
        return ((const uint32_t *)variable->data)[at];
    case MAT_C_INT64:
        return (double)((const int64_t *)variable->data)[at];
    default: /* is_numeric: MAT_C_UINT64 */
        return (double)((const uint64_t *)variable->data)[at];
    }
}

static bool is_numeric(const matvar_t *variable)
{
    return variable->class_type >= MAT_C_DOUBLE && variable->class_type <= MAT_C_UINT64;
}

static int check_images(struct mat_file *file)
{
    const matvar_t *x = file->x;
    if (!is_numeric(x) || x->isComplex || x->rank != 4 || x->dims[0] != SIDE || x->dims[1] != SIDE ||
        x->dims[2] != 3)
        return agn_fail(
            AGN_ERR_FORMAT,
            "%s: variable X has rank %d and class %d, expected numbers of 32x32x3xN; fetch it again",
            file->path, x->rank, (int)x->class_type);
    if (x->dims[3] < 1 || x->dims[3] > AGN__MAX_IMAGES)
        return agn_fail(AGN_ERR_FORMAT, "%s: variable X has %zu images, expected 1 to %d; fetch it again",
                        file->path, x->dims[3], AGN__MAX_IMAGES);
    file->count = (int)x->dims[3];
    return AGN_OK;
}

static int check_labels(struct mat_file *file)
{
    const matvar_t *y = file->y;
    if (!is_numeric(y) || y->isComplex || y->rank != 2 || y->dims[0] > AGN__MAX_IMAGES ||
        y->dims[1] > AGN__MAX_IMAGES || y->dims[0] * y->dims[1] != (size_t)file->count ||
        (y->dims[0] != 1 && y->dims[1] != 1))
        return agn_fail(
            AGN_ERR_FORMAT,
            "%s: variable y is %zux%zu of class %d, expected %d numbers, one for each image of X; "
            "fetch it again",
            file->path, y->rank > 0 ? y->dims[0] : 0, y->rank > 1 ? y->dims[1] : 0, (int)y->class_type,
            file->count);
    return AGN_OK;
}

static int read_data(const struct mat_file *file, matvar_t *variable, size_t expected_bytes)
{
    if (Mat_VarReadDataAll(file->mat, variable) != 0 || !variable->data || variable->nbytes != expected_bytes)
        return agn_fail(AGN_ERR_FORMAT,
                        "%s: the data of variable %s is cut off or damaged, expected %zu bytes; "
                        "fetch it again",
                        file->path, variable->name, expected_bytes);
    return AGN_OK;
}

/* 1 to 10, or 0 for anything else. */
static int label_of(const matvar_t *y, int number)
{
    double value = value_at(y, (size_t)number);
    for (int label = 1; label <= CLASSES; label++)
        if (value == label)
            return label;
    return 0;
}

/* Of all records, for parts that are drawn by class. */
static int list_labels(const struct mat_file *file, uint16_t **labels)
{
    *labels = agn_alloc((size_t)file->count, sizeof **labels);
    for (int i = 0; *labels && i < file->count; i++)
        (*labels)[i] = (uint16_t)(label_of(file->y, i) % CLASSES);
    return *labels ? AGN_OK : AGN_ERR_MEMORY;
}

struct loading {
    struct agn__sink *sink;
    const struct mat_file *file;
};

/* False: a value of X is no integer from 0 to 255. */
static bool copy_pixels(const matvar_t *x, int number, uint8_t pixels[PIXELS])
{
    bool good = true;
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++)
            for (int c = 0; c < 3; c++) {
                size_t at = (size_t)number * PIXELS + (size_t)(c * PLANE + column * SIDE + row);
                double value = value_at(x, at);
                bool fits = value >= 0.0 && value <= 255.0 && value == (double)(int)value;
                good = good && fits;
                pixels[3 * (row * SIDE + column) + c] = fits ? (uint8_t)value : 0;
            }
    return good;
}

static int load_record(void *user, int kept)
{
    const struct loading *loading = user;
    int number = agn__sink_pick(loading->sink, kept);
    int label = label_of(loading->file->y, number);
    if (label == 0)
        return agn__sink_bad(loading->sink,
                             agn_fail(AGN_ERR_FORMAT, "%s: record %d has a label other than 1 to 10 in y",
                                      loading->file->path, number));
    uint8_t pixels[PIXELS];
    if (!copy_pixels(loading->file->x, number, pixels))
        return agn__sink_bad(loading->sink,
                             agn_fail(AGN_ERR_FORMAT,
                                      "%s: record %d has a pixel in X that is no integer from 0 to 255",
                                      loading->file->path, number));
    const struct agn__image image = {SIDE, SIDE, 3, pixels};
    return agn__sink_put(loading->sink, kept, label % CLASSES, &image);
}

int agn__svhn_read(struct agn__sink *sink)
{
    struct mat_file file = {.mat = NULL};
    int status = mat_open(&file, sink->source);
    if (status == AGN_OK)
        status = read_header(&file, "X", &file.x);
    if (status == AGN_OK)
        status = check_images(&file);
    if (status == AGN_OK)
        status = read_header(&file, "y", &file.y);
    if (status == AGN_OK)
        status = check_labels(&file);
    size_t count = (size_t)file.count;
    if (status == AGN_OK)
        status = read_data(&file, file.y, count * (size_t)Mat_SizeOfClass((int)file.y->class_type));
    if (status == AGN_OK)
        status = read_data(&file, file.x, count * PIXELS * (size_t)Mat_SizeOfClass((int)file.x->class_type));
    uint16_t *labels = NULL;
    if (status == AGN_OK && agn__parts_need_labels(sink))
        status = list_labels(&file, &labels);
    sink->labels = labels;
    if (status == AGN_OK)
        status = agn__sink_begin(sink, file.count, CLASSES, NULL, 0);
    struct loading loading = {sink, &file};
    if (status == AGN_OK)
        status = agn__load_parallel(0, sink->kept, load_record, &loading, file.path);
    mat_close(&file);
    agn_free(labels);
    return status;
}
