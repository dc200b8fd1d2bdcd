/* The safetensors format: u64 header length, a JSON header, the tensors' bytes.
 *
 *   {"__metadata__": {"key": "value"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
 * ...}
 *
 * Offsets count from the header's end. As the format demands, tensors neither overlap nor
 * leave holes. A reader gets copies at aligned addresses, because files of other writers
 * need not align anything, and all types of floats as F32. Written files hold wide types first, so that each
 * tensor is aligned to its type when the file is mapped. Little-endian hosts only. */
#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "agilenn/base.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensor files are read and written as they lie in memory");

enum { MAX_HEADER_BYTES = 100000000, TENSOR_ALIGNMENT = 64, LENGTH_BYTES = 8 };

static const char metadata_key[] = "__metadata__";

static const struct {
    const char *name;
    size_t size_bytes;
} dtypes[] = {
    [AGN_F32] = {"F32", 4}, [AGN_I8] = {"I8", 1},   [AGN_U8] = {"U8", 1},
    [AGN_I32] = {"I32", 4}, [AGN_U64] = {"U64", 8},
};

/* What files of other writers hold besides: floats, which become F32, and types that nobody here asks for. */
enum conversion { AS_IT_IS, FROM_F16, FROM_BF16, FROM_F64 };
static const struct {
    const char *name;
    size_t size_bytes;
    enum conversion conversion;
} foreign[] = {
    {"F16", 2, FROM_F16}, {"BF16", 2, FROM_BF16}, {"F64", 8, FROM_F64}, {"BOOL", 1, AS_IT_IS},
    {"I16", 2, AS_IT_IS}, {"U16", 2, AS_IT_IS},   {"U32", 4, AS_IT_IS}, {"I64", 8, AS_IT_IS},
};

/* dims' product times a value's size; false when it overflows or a dimension is negative. */
static bool shape_bytes(const struct agn_tensor_view *tensor, size_t value_bytes, size_t *size_bytes)
{
    size_t product = value_bytes;
    bool fits = true;
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->dims[i] < 0)
            return false;
        fits = !__builtin_mul_overflow(product, (size_t)tensor->dims[i], &product) && fits;
    }
    *size_bytes = product;
    return fits;
}

void agn_tensor_file_free(struct agn_tensor_file *file)
{
    if (!file)
        return;
    for (int i = 0; i < file->metadata_count; i++) {
        agn_free(file->metadata[i][0]);
        agn_free(file->metadata[i][1]);
    }
    agn_free(file->metadata);
    agn_free(file->tensors);
    agn_free(file->memory);
    *file = (struct agn_tensor_file){0};
}

const struct agn_tensor_view *agn_tensor_file_find(const struct agn_tensor_file *file, const char *name)
{
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

const char *agn_tensor_file_metadata(const struct agn_tensor_file *file, const char *key)
{
    for (int i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata[i][0], key) == 0)
            return file->metadata[i][1];
    return NULL;
}

/* ---- reading ---- */

/* A tensor of the header and where its bytes are. */
struct entry {
    struct agn_tensor_view view; /* size_bytes: of its copy */
    uint64_t begin, end;
    size_t value_bytes; /* in the file; 0: a type of which nothing is known, whose shape says no size */
    enum conversion conversion;
};

static char *copy_string(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = agn_alloc(size, 1);
    return copy ? memcpy(copy, text, size) : NULL;
}

static int parse_metadata(const json_t *object, struct agn_tensor_file *file)
{
    if (!json_is_object(object))
        return agn_fail(AGN_ERR_FORMAT, "%s is not an object of strings", metadata_key);
    file->metadata = agn_alloc(json_object_size(object), sizeof *file->metadata);
    if (!file->metadata)
        return AGN_ERR_MEMORY;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (!json_is_string(value))
            return agn_fail(AGN_ERR_FORMAT, "%s: the value of '%.64s' is not a string", metadata_key, key);
        char **pair = file->metadata[file->metadata_count++];
        pair[0] = copy_string(key);
        pair[1] = copy_string(json_string_value(value));
        if (!pair[0] || !pair[1])
            return AGN_ERR_MEMORY;
    }
    return AGN_OK;
}

static int parse_dtype(const json_t *value, struct entry *entry)
{
    const char *name = json_string_value(value);
    if (!name)
        return agn_fail(AGN_ERR_FORMAT, "tensor '%s': no dtype", entry->view.name);
    for (size_t i = 0; i < AGN_COUNT_OF(dtypes); i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            entry->view.dtype = (enum agn_dtype)i;
            entry->value_bytes = dtypes[i].size_bytes;
            return AGN_OK;
        }
    }
    entry->view.dtype = AGN_OTHER;
    for (size_t i = 0; i < AGN_COUNT_OF(foreign); i++) {
        if (strcmp(name, foreign[i].name) == 0) {
            entry->value_bytes = foreign[i].size_bytes;
            entry->conversion = foreign[i].conversion;
        }
    }
    if (entry->conversion != AS_IT_IS)
        entry->view.dtype = AGN_F32;
    return AGN_OK;
}

static int parse_shape(const json_t *shape, struct agn_tensor_view *tensor)
{
    if (!json_is_array(shape))
        return agn_fail(AGN_ERR_FORMAT, "tensor '%s': no shape", tensor->name);
    size_t rank = json_array_size(shape);
    if (rank > AGN_COUNT_OF(tensor->dims))
        return agn_fail(AGN_ERR_UNSUPPORTED, "tensor '%s': %zu dimensions; at most %zu are supported",
                        tensor->name, rank, AGN_COUNT_OF(tensor->dims));
    tensor->rank = (int)rank;
    for (size_t i = 0; i < rank; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return agn_fail(AGN_ERR_FORMAT, "tensor '%s': dimension %zu is not a whole number >= 0",
                            tensor->name, i);
        tensor->dims[i] = json_integer_value(dim);
    }
    return AGN_OK;
}

static int parse_offsets(const json_t *offsets, size_t data_bytes, struct entry *entry)
{
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    const char *name = entry->view.name;
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return agn_fail(AGN_ERR_FORMAT, "tensor '%s': data_offsets are not two whole numbers", name);
    json_int_t from = json_integer_value(begin), to = json_integer_value(end);
    if (from < 0 || to < from || (uint64_t)to > data_bytes)
        return agn_fail(AGN_ERR_FORMAT,
                        "tensor '%s': data_offsets [%" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
                        "] do not lie within the %zu bytes of data",
                        name, from, to, data_bytes);
    size_t expected, size_bytes = (size_t)(to - from);
    if (entry->value_bytes > 0 &&
        (!shape_bytes(&entry->view, entry->value_bytes, &expected) || expected != size_bytes))
        return agn_fail(AGN_ERR_FORMAT,
                        "tensor '%s': data_offsets span %" JSON_INTEGER_FORMAT
                        " bytes, which is not its shape times the %zu bytes of its type",
                        name, to - from, entry->value_bytes);
    entry->begin = (uint64_t)from;
    entry->end = (uint64_t)to;
    bool converted = entry->conversion != AS_IT_IS && entry->value_bytes > 0;
    entry->view.size_bytes = converted ? size_bytes / entry->value_bytes * sizeof(float) : size_bytes;
    return AGN_OK;
}

static int parse_entry(const char *name, const json_t *object, size_t data_bytes, struct entry *entry)
{
    size_t length = strlen(name);
    if (length == 0 || length >= sizeof entry->view.name)
        return agn_fail(AGN_ERR_FORMAT, "tensor '%.32s%s': a name has 1 to %zu bytes, not %zu", name,
                        length > 32 ? "..." : "", sizeof entry->view.name - 1, length);
    memcpy(entry->view.name, name, length + 1);
    if (!json_is_object(object))
        return agn_fail(AGN_ERR_FORMAT, "tensor '%s': not described by an object", name);
    int status = parse_dtype(json_object_get(object, "dtype"), entry);
    if (status == AGN_OK)
        status = parse_shape(json_object_get(object, "shape"), &entry->view);
    if (status == AGN_OK)
        status = parse_offsets(json_object_get(object, "data_offsets"), data_bytes, entry);
    return status;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) /* empty tensors before the one that starts at the same place */
        return x->end < y->end ? -1 : 1;
    return strcmp(x->view.name, y->view.name);
}

/* Sorted entries must cover the data from its first byte to its last. */
static int check_cover(const struct entry *entries, int count, size_t data_bytes)
{
    uint64_t at = 0;
    for (int i = 0; i < count; i++) {
        if (entries[i].begin != at)
            return agn_fail(AGN_ERR_FORMAT, "tensor '%s': its data starts at byte %" PRIu64 ", %s",
                            entries[i].view.name, entries[i].begin,
                            entries[i].begin < at ? "inside another tensor" : "after a hole");
        at = entries[i].end;
    }
    if (at != data_bytes)
        return agn_fail(AGN_ERR_FORMAT, "%zu bytes follow the last tensor", data_bytes - (size_t)at);
    return AGN_OK;
}

/* Exact: every half is a float. */
static float float_of_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000U) << 16, exponent = half >> 10 & 0x1FU, fraction = half & 0x3FFU;
    uint32_t bits;
    float value;
    if (exponent == 0) {
        value = ldexpf((float)fraction, -24);
        return sign ? -value : value;
    }
    bits = sign | (exponent == 31 ? 0xFFU : exponent + 112) << 23 | fraction << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* `data` need not be aligned. A double beyond a float's range becomes infinite. */
static void convert(float *dst, const uint8_t *data, size_t count, enum conversion conversion)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        uint32_t bits;
        double wide;
        if (conversion == FROM_F64) {
            memcpy(&wide, data + i * sizeof wide, sizeof wide);
            dst[i] =
                fabs(wide) > (double)FLT_MAX ? copysignf(INFINITY, (float)copysign(1.0, wide)) : (float)wide;
            continue;
        }
        memcpy(&half, data + i * sizeof half, sizeof half);
        if (conversion == FROM_F16) {
            dst[i] = float_of_half(half);
            continue;
        }
        bits = (uint32_t)half << 16;
        memcpy(&dst[i], &bits, sizeof bits);
    }
}

/* Copies the tensors to aligned addresses in one block. */
static int copy_tensors(const struct entry *entries, int count, const uint8_t *data,
                        struct agn_tensor_file *file)
{
    size_t total = 0;
    for (int i = 0; i < count; i++) /* no overlaps: at most twice the file's size and the gaps */
        total += (entries[i].view.size_bytes + TENSOR_ALIGNMENT - 1) / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT;
    file->memory = agn_alloc(total, 1);
    file->tensors = agn_alloc((size_t)count, sizeof *file->tensors);
    if (!file->memory || !file->tensors)
        return AGN_ERR_MEMORY;
    uint8_t *at = file->memory;
    for (int i = 0; i < count; i++) {
        size_t size = entries[i].view.size_bytes;
        file->tensors[i] = entries[i].view;
        file->tensors[i].data = at;
        if (entries[i].conversion != AS_IT_IS)
            convert((float *)(void *)at, data + entries[i].begin, size / sizeof(float),
                    entries[i].conversion);
        else if (size > 0)
            memcpy(at, data + entries[i].begin, size);
        at += (size + TENSOR_ALIGNMENT - 1) / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT;
    }
    file->count = count;
    return AGN_OK;
}

static int parse_header(const json_t *header, const uint8_t *data, size_t data_bytes,
                        struct agn_tensor_file *file)
{
    if (json_object_size(header) > 1000000)
        return agn_fail(AGN_ERR_FORMAT, "more than a million tensors");
    struct entry *entries = agn_alloc(json_object_size(header), sizeof *entries);
    if (!entries)
        return AGN_ERR_MEMORY;
    int count = 0, status = AGN_OK;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)header, name, value)
    {
        if (strcmp(name, metadata_key) == 0)
            status = parse_metadata(value, file);
        else
            status = parse_entry(name, value, data_bytes, &entries[count++]);
        if (status < 0)
            goto out;
    }
    if (count > 1)
        qsort(entries, (size_t)count, sizeof *entries, compare_entries);
    status = check_cover(entries, count, data_bytes);
    if (status == AGN_OK)
        status = copy_tensors(entries, count, data, file);
out:
    agn_free(entries);
    return status;
}

int agn_tensor_file_parse(const uint8_t *data, size_t size_bytes, struct agn_tensor_file *file)
{
    uint64_t header_bytes;
    if (size_bytes < LENGTH_BYTES)
        return agn_fail(AGN_ERR_FORMAT,
                        "not a safetensors file: %zu bytes, but the header's length alone has 8", size_bytes);
    memcpy(&header_bytes, data, LENGTH_BYTES);
    if (header_bytes > size_bytes - LENGTH_BYTES || header_bytes > MAX_HEADER_BYTES)
        return agn_fail(AGN_ERR_FORMAT,
                        "not a safetensors file, or truncated: a header of %" PRIu64
                        " bytes in a file of %zu",
                        header_bytes, size_bytes);
    json_error_t error;
    json_t *header =
        json_loadb((const char *)data + LENGTH_BYTES, (size_t)header_bytes, JSON_REJECT_DUPLICATES, &error);
    if (!header)
        return agn_fail(AGN_ERR_FORMAT, "the JSON header is malformed at byte %d: %s", error.position,
                        error.text);
    struct agn_tensor_file made = {0};
    int status = json_is_object(header)
                     ? parse_header(header, data + LENGTH_BYTES + header_bytes,
                                    size_bytes - LENGTH_BYTES - (size_t)header_bytes, &made)
                     : agn_fail(AGN_ERR_FORMAT, "the JSON header is not an object");
    json_decref(header);
    if (status < 0)
        agn_tensor_file_free(&made);
    else
        *file = made;
    return status;
}

int agn_tensor_file_read(const char *path, struct agn_tensor_file *file)
{
    uint8_t *data;
    size_t size_bytes;
    int status = agn_file_read(path, SIZE_MAX / 4, &data, &size_bytes);
    if (status < 0)
        return status;
    status = agn_tensor_file_parse(data, size_bytes, file);
    agn_free(data);
    return status < 0 ? agn_fail(status, "%s: %s", path, agn_error_message()) : status;
}

/* ---- writing ---- */

static int check_tensor(const struct agn_tensor_view *tensor)
{
    size_t expected;
    if (!memchr(tensor->name, '\0', sizeof tensor->name) || !tensor->name[0] ||
        strcmp(tensor->name, metadata_key) == 0)
        return agn_fail(AGN_ERR_ARG, "tensor '%.32s': not a name for a tensor", tensor->name);
    if (tensor->rank < 0 || (size_t)tensor->rank > AGN_COUNT_OF(tensor->dims) ||
        (size_t)tensor->dtype >= AGN_COUNT_OF(dtypes))
        return agn_fail(AGN_ERR_ARG, "tensor '%s': rank %d or dtype %d out of range", tensor->name,
                        tensor->rank, (int)tensor->dtype);
    if (!shape_bytes(tensor, dtypes[tensor->dtype].size_bytes, &expected) || expected != tensor->size_bytes ||
        (expected > 0 && !tensor->data))
        return agn_fail(AGN_ERR_ARG, "tensor '%s': %zu bytes do not fit its shape", tensor->name,
                        tensor->size_bytes);
    return AGN_OK;
}

static json_t *describe_metadata(const struct agn_tensor_file *file)
{
    json_t *object = json_object();
    for (int i = 0; object && i < file->metadata_count; i++) {
        if (json_object_set_new(object, file->metadata[i][0], json_string(file->metadata[i][1])) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *describe_tensor(const struct agn_tensor_view *tensor, size_t offset)
{
    json_t *shape = json_array();
    for (int i = 0; shape && i < tensor->rank; i++) {
        if (json_array_append_new(shape, json_integer(tensor->dims[i])) != 0) {
            json_decref(shape);
            return NULL;
        }
    }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[tensor->dtype].name, "shape", shape,
                     "data_offsets", (json_int_t)offset, (json_int_t)offset + (json_int_t)tensor->size_bytes);
}

/* The header's text, freed by the caller with free(), and in `order` the tensors as their
 * bytes follow each other: wide types first, else as given. */
static int make_header(const struct agn_tensor_file *file, int *order, char **text)
{
    json_t *header = json_object();
    int status = AGN_OK, placed = 0;
    size_t offset = 0;
    if (!header ||
        (file->metadata_count > 0 && json_object_set_new(header, metadata_key, describe_metadata(file))))
        status = agn_fail(AGN_ERR_ARG, "metadata are not valid UTF-8, or memory ran out");
    for (size_t width = 8; status == AGN_OK && width >= 1; width /= 2) {
        for (int i = 0; status == AGN_OK && i < file->count; i++) {
            const struct agn_tensor_view *tensor = &file->tensors[i];
            if (dtypes[tensor->dtype].size_bytes != width)
                continue;
            if (json_object_get(header, tensor->name))
                status = agn_fail(AGN_ERR_ARG, "tensor '%s' is there twice", tensor->name);
            else if (json_object_set_new(header, tensor->name, describe_tensor(tensor, offset)) != 0)
                status = agn_fail(AGN_ERR_ARG, "tensor '%s': its name is not valid UTF-8, or memory ran out",
                                  tensor->name);
            offset += tensor->size_bytes;
            order[placed++] = i;
        }
    }
    if (status == AGN_OK && !(*text = json_dumps(header, JSON_COMPACT)))
        status = agn_fail(AGN_ERR_MEMORY, "cannot make the header: out of memory");
    json_decref(header);
    return status;
}

static bool write_content(FILE *stream, const struct agn_tensor_file *file, const int *order,
                          const char *header)
{
    static const char spaces[9] = "        ";
    size_t length = strlen(header);
    size_t padding = (8 - length % 8) % 8;
    uint64_t header_bytes = length + padding;
    bool good = fwrite(&header_bytes, LENGTH_BYTES, 1, stream) == 1 &&
                fwrite(header, 1, length, stream) == length && fwrite(spaces, 1, padding, stream) == padding;
    for (int i = 0; good && i < file->count; i++) {
        const struct agn_tensor_view *tensor = &file->tensors[order[i]];
        good = tensor->size_bytes == 0 ||
               fwrite(tensor->data, 1, tensor->size_bytes, stream) == tensor->size_bytes;
    }
    return good;
}

int agn_tensor_file_write(const char *path, const struct agn_tensor_file *file)
{
    int status = AGN_OK;
    char *header = NULL;
    for (int i = 0; status == AGN_OK && i < file->count; i++)
        status = check_tensor(&file->tensors[i]);
    if (status < 0)
        return agn_fail(status, "cannot write %s: %s", path, agn_error_message());
    int *order = agn_alloc((size_t)file->count, sizeof *order);
    if (!order)
        return AGN_ERR_MEMORY;
    status = make_header(file, order, &header);
    if (status < 0) {
        status = agn_fail(status, "cannot write %s: %s", path, agn_error_message());
        goto out;
    }
    struct agn_file_out out;
    status = agn_file_out_open(&out, path);
    if (status < 0)
        goto out;
    errno = 0;
    if (write_content(out.stream, file, order, header)) {
        status = agn_file_out_commit(&out);
    } else {
        int code = errno ? errno : EIO;
        agn_file_out_abort(&out);
        status = agn_fail(AGN_ERR_IO, "cannot write %s: %s; free some space, or choose another path", path,
                          strerror(code));
    }
out:
    free(header);
    agn_free(order);
    return status;
}

/* ---- making one ---------------------------------------------------------------------------- */

struct agn_tensor_view agn_tensor_view_f32(const char *name, const float *values, size_t count)
{
    struct agn_tensor_view view = {.dtype = AGN_F32,
                                   .rank = 1,
                                   .dims = {(int64_t)count},
                                   .data = values,
                                   .size_bytes = count * sizeof(float)};
    snprintf(view.name, sizeof(view.name), "%s", name);
    return view;
}

int agn_tensor_file_append(struct agn_tensor_file *file, const struct agn_tensor_view *views, int count)
{
    struct agn_tensor_view *tensors = agn_alloc((size_t)(file->count + count), sizeof(*tensors));
    if (tensors == NULL)
        return AGN_ERR_MEMORY;
    if (file->count > 0)
        memcpy(tensors, file->tensors, (size_t)file->count * sizeof(*tensors));
    if (count > 0)
        memcpy(tensors + file->count, views, (size_t)count * sizeof(*tensors));
    agn_free(file->tensors);
    file->tensors = tensors;
    file->count += count;
    return AGN_OK;
}
