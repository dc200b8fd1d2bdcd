/* Inside src/sets: how large the pictures of HEVC and AV1 streams are that lie in HEIC and AVIF files. */
#ifndef AGN_SETS_HEIC_STREAM_H
#define AGN_SETS_HEIC_STREAM_H

#include "sets/image.h"

/* Bytes that are read from the front. */
struct agn__bytes {
    const uint8_t *at;
    size_t left;
    bool ended; /* more was taken than there was: zeros */
};

/* A big-endian number of `count` bytes (0 to 8). */
uint64_t agn__bytes_take(struct agn__bytes *bytes, size_t count);

/* Each holds what the stream's headers say against agn__image_check_size; AGN_OK, or an error that names the
 * file. The data of an item `hvc1` (HEVC: NAL units behind u32 lengths; one picture), of a box hvcC (headers
 * of HEVC), of an item `av01` (AV1: OBUs). */
int agn__heic_check_hevc(const struct agn__image_file *file, struct agn__bytes data);
int agn__heic_check_hvcc(const struct agn__image_file *file, struct agn__bytes box);
int agn__heic_check_av1(const struct agn__image_file *file, struct agn__bytes data);

#endif
