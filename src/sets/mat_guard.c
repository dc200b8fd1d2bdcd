/* Checks the claims of a MATLAB 5 file before matio sees it: walks its elements and, of each variable, the
 * header (the first bytes of the deflate stream if it is compressed). What the numbers mean is for the reader
 * to judge.
 *
 *   file       128 bytes ending with version and byte order, then elements
 *   element    tag (type, bytes), then as many bytes; or, up to 4 bytes, type and length in 16 bits each
 *   variable   miMATRIX of flags, dimensions, name, data, each an element padded to 8 bytes;
 *              or miCOMPRESSED: a zlib stream of that miMATRIX */
#define _POSIX_C_SOURCE 200809L
#include "sets/mat_guard.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "agilenn/base.h"

enum { INT8 = 1, UINT32 = 6, INT32 = 5, MATRIX = 14, COMPRESSED = 15 };
enum { FILE_HEADER = 128, TAG = 8, FLAGS = 16, MAX_VARIABLES = 64, MAX_RANK = 8, MAX_NAME = 63 };
/* Enough for the longest header: tag, flags, dimensions, name and the tag of the data. */
enum { HEADER_BYTES = 256, COMPRESSED_BYTES = 4096 };
enum { MAX_INFLATION = 1032, COMPLEX_FLAG = 0x0800 };

/* Of the format's own: nothing in it is longer. */
#define MAX_BYTES ((uint64_t)INT32_MAX)

struct mat_header {
    const char *path;
    bool is_swapped; /* big-endian */
    uint64_t file_bytes;
    uint64_t offset; /* of the variable's element in the file */
    uint64_t room;   /* bytes that the miMATRIX can have, its tag included */
    uint64_t end;    /* what it claims to have, its tag included */
    uint8_t bytes[HEADER_BYTES];
    size_t have;     /* bytes of it here */
    size_t at;       /* where reading is */
    uint64_t values; /* product of the dimensions */
    char name[MAX_NAME + 1];
};

struct mat_tag {
    uint32_t type;
    uint32_t size;
    bool is_small; /* the data is in the tag itself */
};

static uint32_t get_u32(const struct mat_header *header, const uint8_t *bytes)
{
    if (header->is_swapped)
        return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    return (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
}

static int refuse(const struct mat_header *header, const char *what)
{
    return agn_fail(AGN_ERR_FORMAT, "%s: the variable at byte %llu %s; fetch the file again", header->path,
                    (unsigned long long)header->offset, what);
}

static struct mat_tag tag_of(const struct mat_header *header, const uint8_t *bytes)
{
    uint32_t first = get_u32(header, bytes);
    if (first >> 16)
        return (struct mat_tag){first & 0xffff, first >> 16, true};
    return (struct mat_tag){first, get_u32(header, bytes + 4), false};
}

static bool has_bytes(const struct mat_header *header, size_t count)
{
    return count <= header->have - header->at && header->at + count <= header->end;
}

/* An array of real numbers, of a class that matio knows. */
static int check_flags(struct mat_header *header)
{
    if (!has_bytes(header, FLAGS))
        return refuse(header, "is cut off in its array flags, expected 16 bytes");
    const uint8_t *bytes = header->bytes + header->at;
    struct mat_tag tag = tag_of(header, bytes);
    if (tag.type != UINT32 || tag.is_small || tag.size != 8)
        return refuse(header, "does not begin with array flags, expected 8 bytes of miUINT32");
    uint32_t flags = get_u32(header, bytes + TAG), class_type = flags & 0xff;
    if (class_type < 6 || class_type > 15)
        return agn_fail(
            AGN_ERR_FORMAT,
            "%s: the variable at byte %llu has class %u, expected an array of numbers (6 to 15); fetch the "
            "file again",
            header->path, (unsigned long long)header->offset, class_type);
    if (flags & COMPLEX_FLAG)
        return refuse(header, "is complex, expected real numbers");
    header->at += FLAGS;
    return AGN_OK;
}

/* Stops at a product that no variable can have, also where a 0 would follow. */
static int check_dimensions(struct mat_header *header)
{
    if (!has_bytes(header, TAG))
        return refuse(header, "is cut off before its dimensions");
    struct mat_tag tag = tag_of(header, header->bytes + header->at);
    if (tag.type != INT32 || tag.is_small || tag.size % 4 != 0 || tag.size < 8 || tag.size > 4 * MAX_RANK)
        return refuse(header, "has no proper dimensions, expected 2 to 8 of miINT32");
    size_t padded = (tag.size + 7U) / 8U * 8U;
    header->at += TAG;
    if (!has_bytes(header, padded))
        return refuse(header, "is cut off in its dimensions");
    header->values = 1;
    for (size_t i = 0; i < tag.size / 4; i++) {
        uint32_t dimension = get_u32(header, header->bytes + header->at + 4 * i);
        if (dimension > MAX_BYTES || header->values * dimension > MAX_BYTES)
            return agn_fail(
                AGN_ERR_FORMAT,
                "%s: the variable at byte %llu claims more than %llu values, impossible in %llu bytes; "
                "fetch the file again",
                header->path, (unsigned long long)header->offset, (unsigned long long)MAX_BYTES,
                (unsigned long long)header->file_bytes);
        header->values *= dimension;
    }
    header->at += padded;
    return AGN_OK;
}

static bool is_name(const char *name)
{
    for (const char *c = name; *c; c++) {
        bool is_letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
        bool is_other = (*c >= '0' && *c <= '9') || *c == '_';
        if (!is_letter && (c == name || !is_other))
            return false;
    }
    return *name != '\0';
}

static int check_name(struct mat_header *header)
{
    if (!has_bytes(header, TAG))
        return refuse(header, "is cut off before its name");
    const uint8_t *bytes = header->bytes + header->at;
    struct mat_tag tag = tag_of(header, bytes);
    if (tag.type != INT8 || tag.size < 1 || tag.size > (tag.is_small ? 4U : (uint32_t)MAX_NAME))
        return refuse(header, "has no proper name, expected 1 to 63 characters of miINT8 (4 in a short tag)");
    size_t whole = tag.is_small ? TAG : TAG + (tag.size + 7U) / 8U * 8U;
    if (!has_bytes(header, whole))
        return refuse(header, "is cut off in its name");
    memcpy(header->name, bytes + (tag.is_small ? 4 : TAG), tag.size);
    header->name[tag.size] = '\0';
    if (strlen(header->name) != tag.size || !is_name(header->name))
        return refuse(header, "has a name of other characters than letters, digits and _");
    header->at += whole;
    return AGN_OK;
}

/* Of a number stored as that type; 0 if it is none. */
static unsigned type_bytes(uint32_t type)
{
    static const uint8_t sizes[] = {0, 1, 1, 2, 2, 4, 4, 4, 0, 8, 0, 0, 8, 8};
    return type < AGN_COUNT_OF(sizes) ? sizes[type] : 0;
}

static int check_data(struct mat_header *header)
{
    if (!has_bytes(header, TAG))
        return refuse(header, "is cut off before its data");
    struct mat_tag tag = tag_of(header, header->bytes + header->at);
    unsigned each = type_bytes(tag.type);
    if (each == 0 || (tag.is_small && tag.size > 4))
        return agn_fail(AGN_ERR_FORMAT,
                        "%s: variable %s (at byte %llu) has data of type %u in %u bytes, expected a type of "
                        "numbers; fetch the file again",
                        header->path, header->name, (unsigned long long)header->offset, tag.type, tag.size);
    uint64_t left = tag.is_small ? 4 : header->end - header->at - TAG;
    if (header->values > left / each)
        return agn_fail(AGN_ERR_FORMAT,
                        "%s: variable %s (at byte %llu) claims %llu values, impossible in %llu bytes; fetch "
                        "the file again",
                        header->path, header->name, (unsigned long long)header->offset,
                        (unsigned long long)header->values, (unsigned long long)left);
    if (header->values * each != tag.size)
        return agn_fail(AGN_ERR_FORMAT,
                        "%s: variable %s (at byte %llu) has %u bytes of data, expected %llu values of %u; "
                        "fetch the file again",
                        header->path, header->name, (unsigned long long)header->offset, tag.size,
                        (unsigned long long)header->values, each);
    return AGN_OK;
}

static int check_matrix(struct mat_header *header)
{
    if (header->have < TAG)
        return refuse(header, "is cut off in its first tag");
    struct mat_tag tag = tag_of(header, header->bytes);
    header->end = TAG + (uint64_t)tag.size;
    header->at = TAG;
    if (tag.type != MATRIX || tag.is_small)
        return refuse(header, "is no array, expected miMATRIX");
    if (tag.size > MAX_BYTES || header->end > header->room)
        return agn_fail(
            AGN_ERR_FORMAT,
            "%s: the variable at byte %llu claims %u bytes, impossible in the file's %llu; fetch it "
            "again",
            header->path, (unsigned long long)header->offset, tag.size,
            (unsigned long long)header->file_bytes);
    int status = check_flags(header);
    if (status == AGN_OK)
        status = check_dimensions(header);
    if (status == AGN_OK)
        status = check_name(header);
    return status == AGN_OK ? check_data(header) : status;
}

/* The first bytes of a zlib stream. An encoder that spends 4096 bytes on fewer than 256 means no good. */
static int inflate_header(struct mat_header *header, uint8_t *bytes, size_t count)
{
    z_stream stream = {.next_in = bytes, .avail_in = (uInt)count};
    stream.next_out = header->bytes;
    stream.avail_out = sizeof header->bytes;
    if (inflateInit(&stream) != Z_OK)
        return agn_fail(AGN_ERR_MEMORY, "%s: no memory to inflate its variables", header->path);
    int result = inflate(&stream, Z_SYNC_FLUSH);
    header->have = sizeof header->bytes - stream.avail_out;
    (void)inflateEnd(&stream);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        return refuse(header, "cannot be inflated, its first bytes are damaged");
    return AGN_OK;
}

/* The element whose tag has just been read; its bytes are in the file. */
static int check_element(struct mat_header *header, FILE *stream, const uint8_t tag_bytes[TAG],
                         const struct mat_tag *tag)
{
    uint8_t compressed[COMPRESSED_BYTES];
    bool is_compressed = tag->type == COMPRESSED;
    size_t wanted = is_compressed ? sizeof compressed : sizeof header->bytes - TAG;
    if (wanted > tag->size)
        wanted = tag->size;
    uint8_t *into = is_compressed ? compressed : header->bytes + TAG;
    if (fread(into, 1, wanted, stream) != wanted)
        return agn_fail(AGN_ERR_IO, "cannot read %s at byte %llu: %s", header->path,
                        (unsigned long long)header->offset, strerror(errno));
    if (is_compressed) {
        header->room = (uint64_t)tag->size * MAX_INFLATION;
        int status = inflate_header(header, compressed, wanted);
        return status == AGN_OK ? check_matrix(header) : status;
    }
    memcpy(header->bytes, tag_bytes, TAG);
    header->room = TAG + (uint64_t)tag->size;
    header->have = TAG + wanted;
    return check_matrix(header);
}

static int check_next(struct mat_header *header, FILE *stream)
{
    uint8_t bytes[TAG];
    if (fseeko(stream, (off_t)header->offset, SEEK_SET) != 0 || fread(bytes, 1, TAG, stream) != TAG)
        return refuse(header, "is cut off in its tag, expected 8 bytes");
    struct mat_tag tag = tag_of(header, bytes);
    if (tag.is_small || (tag.type != MATRIX && tag.type != COMPRESSED))
        return agn_fail(AGN_ERR_FORMAT,
                        "%s: the element at byte %llu has type %u, expected a variable (14, or 15 if "
                        "compressed); fetch the file again",
                        header->path, (unsigned long long)header->offset, tag.type);
    uint64_t left = header->file_bytes - header->offset - TAG;
    if (tag.size > left || tag.size > MAX_BYTES)
        return agn_fail(
            AGN_ERR_FORMAT,
            "%s: the variable at byte %llu claims %u bytes, the file ends after %llu; fetch it again",
            header->path, (unsigned long long)header->offset, tag.size, (unsigned long long)left);
    int status = check_element(header, stream, bytes, &tag);
    header->offset += TAG + (uint64_t)tag.size;
    return status;
}

/* The header of MATLAB's version 5 ends with its version and "IM", or the reverse. Others never get to matio:
 * version 7.3 is HDF5, a format of its own, and version 4 has no header. SVHN is neither. */
static int check_file_header(struct mat_header *header, FILE *stream)
{
    uint8_t bytes[FILE_HEADER] = {0};
    size_t got = fread(bytes, 1, sizeof bytes, stream);
    const uint8_t *end = bytes + FILE_HEADER - 4;
    header->is_swapped = memcmp(end, "\x01\x00MI", 4) == 0;
    if (got == sizeof bytes && (header->is_swapped || memcmp(end, "\x00\x01IM", 4) == 0))
        return AGN_OK;
    bool is_hdf5 = got == sizeof bytes && memcmp(end, "\x00\x02IM", 4) == 0;
    return agn_fail(AGN_ERR_FORMAT,
                    "%s: not a MATLAB 5 file (%s); fetch it again, or save it with -v7 in MATLAB",
                    header->path,
                    is_hdf5 ? "it is of version 7.3, which is HDF5"
                            : "its 128-byte header is missing or of another kind, as version 4 has none");
}

int agn__mat_guard(const char *path)
{
    struct mat_header header = {.path = path, .offset = FILE_HEADER};
    FILE *stream = fopen(path, "rb");
    if (!stream)
        return agn_fail(AGN_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    off_t end = fseeko(stream, 0, SEEK_END) == 0 ? ftello(stream) : -1;
    int status = AGN_OK;
    if (end < 0 || fseeko(stream, 0, SEEK_SET) != 0)
        status = agn_fail(AGN_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    header.file_bytes = end < 0 ? 0 : (uint64_t)end;
    if (status == AGN_OK)
        status = check_file_header(&header, stream);
    int count = 0;
    while (status == AGN_OK && header.offset < header.file_bytes)
        if (++count > MAX_VARIABLES)
            status = agn_fail(AGN_ERR_FORMAT, "%s: more than %d variables, expected X and y; fetch it again",
                              path, MAX_VARIABLES);
        else
            status = check_next(&header, stream);
    (void)fclose(stream);
    return status;
}
