/* Headers of HEVC (ITU-T H.265, 7.3) and AV1 (AV1 Bitstream Specification, 5.5), as far as the size. */
#include "sets/heic_stream.h"

enum { NAL_SPS = 33, OBU_SEQUENCE_HEADER = 1, FIRST_HEVC_HEADER = 32 };

uint64_t agn__bytes_take(struct agn__bytes *bytes, size_t count)
{
    uint64_t value = 0;
    if (count > bytes->left) {
        bytes->ended = true;
        bytes->left = 0;
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        value = value << 8 | bytes->at[i];
    bytes->at += count;
    bytes->left -= count;
    return value;
}

struct bits {
    struct agn__bytes bytes;
    bool escaped; /* HEVC: a 3 behind two zeros is not data */
    unsigned byte, left, zeros;
};

static unsigned take_bit(struct bits *bits)
{
    if (bits->left == 0) {
        bits->byte = (unsigned)agn__bytes_take(&bits->bytes, 1);
        if (bits->escaped && bits->zeros >= 2 && bits->byte == 3) {
            bits->byte = (unsigned)agn__bytes_take(&bits->bytes, 1);
            bits->zeros = 0;
        }
        bits->zeros = bits->byte == 0 ? bits->zeros + 1 : 0;
        bits->left = 8;
    }
    return bits->byte >> --bits->left & 1;
}

static unsigned take_bits(struct bits *bits, int count)
{
    unsigned value = 0;
    for (int i = 0; i < count; i++)
        value = value << 1 | take_bit(bits);
    return value;
}

/* ue(v): n zeros, a one, n bits. */
static unsigned long take_unsigned(struct bits *bits)
{
    int zeros = 0;
    while (zeros < 32 && !bits->bytes.ended && take_bit(bits) == 0)
        zeros++;
    unsigned long value = 1;
    for (int i = 0; i < zeros; i++)
        value = value << 1 | take_bit(bits);
    return value - 1;
}

static int fail_header(const struct agn__image_file *file)
{
    return agn_fail(AGN_ERR_FORMAT, "%s: damaged HEIC or AVIF: a header of a picture's data is cut off",
                    file->name);
}

static int check_sps(const struct agn__image_file *file, struct agn__bytes nal)
{
    struct bits bits = {.bytes = nal, .escaped = true};
    (void)take_bits(&bits, 4);
    int layers = (int)take_bits(&bits, 3), profiles = 0, levels = 0;
    (void)take_bits(&bits, 1 + 88 + 8);
    for (int i = 0; layers > 0 && i < 8; i++) {
        unsigned flags = take_bits(&bits, 2);
        profiles += i < layers ? (int)(flags >> 1) : 0;
        levels += i < layers ? (int)(flags & 1) : 0;
    }
    (void)take_bits(&bits, 88 * profiles + 8 * levels);
    (void)take_unsigned(&bits);
    if (take_unsigned(&bits) == 3)
        (void)take_bit(&bits);
    unsigned long width = take_unsigned(&bits), height = take_unsigned(&bits);
    return bits.bytes.ended ? fail_header(file) : agn__image_check_size(file->name, height, width);
}

/* u1 zero, u6 type, u6 layer, u3; decoders pass over all layers but 0. `pictures` counts those that begin. */
static int check_nal(const struct agn__image_file *file, struct agn__bytes nal, int *pictures)
{
    unsigned header = (unsigned)agn__bytes_take(&nal, 2), type = header >> 9 & 63;
    if (nal.ended)
        return fail_header(file);
    if ((header >> 3 & 63) != 0)
        return AGN_OK;
    if (type < FIRST_HEVC_HEADER && nal.left > 0 && nal.at[0] >= 128)
        ++*pictures;
    return type == NAL_SPS ? check_sps(file, nal) : AGN_OK;
}

/* A NAL unit behind its length. */
static int check_next_nal(const struct agn__image_file *file, struct agn__bytes *rest, size_t length_bytes,
                          int *pictures)
{
    uint64_t length = agn__bytes_take(rest, length_bytes);
    if (rest->ended || length > rest->left)
        return fail_header(file);
    struct agn__bytes nal = {rest->at, (size_t)length, false};
    rest->at += length;
    rest->left -= (size_t)length;
    return check_nal(file, nal, pictures);
}

int agn__heic_check_hevc(const struct agn__image_file *file, struct agn__bytes data)
{
    int status = AGN_OK, pictures = 0;
    while (status == AGN_OK && data.left > 0)
        status = check_next_nal(file, &data, 4, &pictures);
    return status == AGN_OK && pictures != 1
               ? agn_fail(AGN_ERR_FORMAT, "%s: damaged HEIC: %d pictures where one must be", file->name,
                          pictures)
               : status;
}

int agn__heic_check_hvcc(const struct agn__image_file *file, struct agn__bytes box)
{
    int status = AGN_OK, pictures = 0;
    (void)agn__bytes_take(&box, 8), (void)agn__bytes_take(&box, 8), (void)agn__bytes_take(&box, 6);
    for (uint64_t arrays = agn__bytes_take(&box, 1); status == AGN_OK && arrays > 0; arrays--) {
        (void)agn__bytes_take(&box, 1);
        for (uint64_t units = agn__bytes_take(&box, 2); status == AGN_OK && units > 0; units--)
            status = check_next_nal(file, &box, 2, &pictures);
    }
    return status == AGN_OK && (box.ended || pictures > 0) ? fail_header(file) : status;
}

/* Up to the size: still pictures without all that is for films have little before it. Frames of others may
 * have any size that fits into its bits. */
static int check_sequence(const struct agn__image_file *file, struct agn__bytes obu)
{
    struct bits bits = {.bytes = obu};
    (void)take_bits(&bits, 3 + 1);
    bool still = take_bit(&bits) != 0;
    if (still) {
        (void)take_bits(&bits, 5);
    } else {
        bool timing = take_bit(&bits) != 0, delay = take_bit(&bits) != 0;
        for (int points = (int)take_bits(&bits, 5) + 1; !timing && points > 0; points--) {
            (void)take_bits(&bits, 12);
            if (take_bits(&bits, 5) > 7)
                (void)take_bit(&bits);
            if (delay && take_bit(&bits) != 0)
                (void)take_bits(&bits, 4);
        }
        if (timing)
            return agn_fail(AGN_ERR_FORMAT,
                            "%s: an AVIF of a film's kind, which is not read: convert it to JPEG",
                            file->name);
    }
    int width_bits = (int)take_bits(&bits, 4) + 1, height_bits = (int)take_bits(&bits, 4) + 1;
    unsigned long width = take_bits(&bits, width_bits) + 1UL, height = take_bits(&bits, height_bits) + 1UL;
    if (bits.bytes.ended)
        return fail_header(file);
    if (!still && 1ULL << (width_bits + height_bits) > 4ULL * AGN__IMAGE_MAX_PIXELS)
        return agn_fail(AGN_ERR_FORMAT, "%s: an AVIF of a film's kind, which is not read: convert it to JPEG",
                        file->name);
    return agn__image_check_size(file->name, height, width);
}

/* u1 zero, u4 type, u1 extension follows, u1 size follows, u1; the size in 7 bits a byte, lowest first. */
int agn__heic_check_av1(const struct agn__image_file *file, struct agn__bytes data)
{
    int status = data.left > 0 ? AGN_OK : fail_header(file);
    while (status == AGN_OK && data.left > 0) {
        unsigned header = (unsigned)agn__bytes_take(&data, 1);
        uint64_t size = 0, byte = 128;
        (void)agn__bytes_take(&data, header >> 2 & 1);
        for (unsigned i = 0; (header & 2) && byte >= 128 && i < 8; i++) {
            byte = agn__bytes_take(&data, 1);
            size |= (byte & 127) << (7 * i);
        }
        if (!(header & 2))
            size = data.left;
        if (data.ended || size > data.left)
            return fail_header(file);
        if ((header >> 3 & 15) == OBU_SEQUENCE_HEADER)
            status = check_sequence(file, (struct agn__bytes){data.at, (size_t)size, false});
        data.at += size;
        data.left -= (size_t)size;
    }
    return status;
}
