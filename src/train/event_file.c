/* TensorBoard event files, scalars only, written by hand.
 *
 * A record (TFRecord): u64 length, masked CRC-32C of these 8 bytes, data, masked CRC-32C of the data; all
 * little-endian. The data is a protobuf Event: wall_time (field 1, double), step (2, varint), file_version
 * (3, string, first record only) or summary (5), which holds values (1) of tag (1, string) and simple_value
 * (2, float). */
#define _DEFAULT_SOURCE
#include "train/event_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_EVENT = 256, WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct agn__event_file {
    FILE *stream;
    char path[1200];
};

/* ---- records --------------------------------------------------------------------- */

static uint32_t crc32c(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xFFFFFFFFU;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0U);
    }
    return ~crc;
}

/* A CRC over data that holds CRCs says little, so they are stored turned and shifted. */
static uint32_t masked(uint32_t crc)
{
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

struct bytes {
    uint8_t data[MOST_EVENT];
    size_t size;
};

static void put_bytes(struct bytes *to, const void *data, size_t size)
{
    if (size <= sizeof(to->data) - to->size) {
        memcpy(to->data + to->size, data, size);
        to->size += size;
    }
}

static void put_varint(struct bytes *to, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)((value & 0x7FU) | (value > 0x7FU ? 0x80U : 0U));
        put_bytes(to, &byte, 1);
        value >>= 7;
    } while (value != 0);
}

static void put_key(struct bytes *to, unsigned field, unsigned wire_type)
{
    put_varint(to, field << 3 | wire_type);
}

static void put_field(struct bytes *to, unsigned field, const void *data, size_t size)
{
    put_key(to, field, WIRE_BYTES);
    put_varint(to, size);
    put_bytes(to, data, size);
}

static void write_record(const struct agn__event_file *file, const struct bytes *event)
{
    uint64_t length = event->size; /* hosts are little-endian, as everywhere in files */
    uint32_t length_crc = masked(crc32c((const uint8_t *)&length, sizeof(length)));
    uint32_t crc = masked(crc32c(event->data, event->size));
    fwrite(&length, sizeof(length), 1, file->stream);
    fwrite(&length_crc, sizeof(length_crc), 1, file->stream);
    fwrite(event->data, 1, event->size, file->stream);
    fwrite(&crc, sizeof(crc), 1, file->stream);
}

/* ---- events ----------------------------------------------------------------------- */

static void start_event(struct bytes *event)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    double wall_time = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    event->size = 0;
    put_key(event, 1, WIRE_64);
    put_bytes(event, &wall_time, sizeof(wall_time));
}

static void write_version(const struct agn__event_file *file)
{
    static const char version[] = "brain.Event:2";
    struct bytes event;
    start_event(&event);
    put_field(&event, 3, version, sizeof(version) - 1);
    write_record(file, &event);
}

void agn__event_file_scalar(struct agn__event_file *file, const char *tag, int64_t step, double value)
{
    struct bytes event, summary = {.size = 0}, scalar = {.size = 0};
    float simple_value = (float)value;
    put_field(&scalar, 1, tag, strnlen(tag, MOST_EVENT / 2));
    put_key(&scalar, 2, WIRE_32);
    put_bytes(&scalar, &simple_value, sizeof(simple_value));
    put_field(&summary, 1, scalar.data, scalar.size);
    start_event(&event);
    put_key(&event, 2, WIRE_VARINT);
    put_varint(&event, (uint64_t)step);
    put_field(&event, 5, summary.data, summary.size);
    write_record(file, &event);
}

/* ---- files ------------------------------------------------------------------------- */

/* A name that is not taken: TensorBoard reads all files of a folder as one run. */
static int open_fresh(struct agn__event_file *file, const char *folder)
{
    char host[64] = "host";
    (void)gethostname(host, sizeof(host) - 1);
    for (int attempt = 0; attempt < 1000; attempt++) {
        int length = snprintf(file->path, sizeof(file->path), "%s/events.out.tfevents.%010lld.%s.%d", folder,
                              (long long)time(NULL), host, attempt);
        if (length < 0 || (size_t)length >= sizeof(file->path))
            return agn_fail(AGN_ERR_ARG, "the path of the TensorBoard folder '%.64s...' is too long", folder);
        file->stream = fopen(file->path, "wxe");
        if (file->stream != NULL)
            return AGN_OK;
        if (errno != EEXIST)
            break;
    }
    return agn_fail(AGN_ERR_IO, "cannot write %s: %s; choose another folder for TensorBoard", file->path,
                    strerror(errno));
}

int agn__event_file_open(const char *folder, struct agn__event_file **result)
{
    int status = agn_make_dirs(folder);
    struct agn__event_file *file = status < 0 ? NULL : agn_alloc(1, sizeof(*file));
    if (file == NULL)
        return status < 0 ? status : AGN_ERR_MEMORY;
    status = open_fresh(file, folder);
    if (status < 0) {
        agn_free(file);
        return status;
    }
    write_version(file);
    *result = file;
    return AGN_OK;
}

void agn__event_file_flush(struct agn__event_file *file)
{
    (void)fflush(file->stream);
}

bool agn__event_file_close(struct agn__event_file *file)
{
    if (file == NULL)
        return true;
    bool whole = ferror(file->stream) == 0;
    whole = fclose(file->stream) == 0 && whole;
    if (!whole)
        agn_log(AGN_LOG_WARN, "%s is not whole: a write failed; is the disk full?", file->path);
    agn_free(file);
    return whole;
}
