/* Entropy coding of the JPEG encoder: T.81, F.1.2 with the tables K.3 to K.6. */
#include "agn_jpeg_internal.h"

/* An entry: the code, with as many zeros behind it as the value has bits, times 32, plus the bits of both. */
enum { LENGTH_BITS = 5, LENGTH_MASK = 31 };

/* By the bits of a difference. */
static const uint32_t dc_codes[2][12] = {
    {0x00000002, 0x00000084, 0x00000185, 0x00000406, 0x00000A07, 0x00001808, 0x0000700A, 0x0001E00C,
     0x0007C00E, 0x001F8010, 0x007F0012, 0x01FE0014},
    {0x00000002, 0x00000043, 0x00000104, 0x00000606, 0x00001C08, 0x0000780A, 0x0001F00C, 0x0007E00E,
     0x001FC010, 0x007F8012, 0x01FF0014, 0x07FE0016},
};

/* [0]: end of block; [10 run + bits]: zeros before it and bits of a coefficient; [161]: 16 zeros. */
enum { END = 0, RUN = 10, LONG_RUN = 161, LONGEST = 16 };
static const uint32_t ac_codes[2][162] = {
    {0x00000144, 0x00000003, 0x00000084, 0x00000406, 0x00001608, 0x0000680A, 0x0003C00D, 0x000F800F,
     0x007EC012, 0x3FE08019, 0x7FC1801A, 0x00000305, 0x00000D87, 0x0000790A, 0x0003EC0D, 0x001FD810,
     0x07FC2016, 0x0FF85017, 0x1FF0C018, 0x3FE1C019, 0x7FC4001A, 0x00000706, 0x00007C8A, 0x0003F70D,
     0x001FE810, 0x03FE2415, 0x07FC5016, 0x0FF8B017, 0x1FF18018, 0x3FE34019, 0x7FC7001A, 0x00000E87,
     0x0000FB8B, 0x000FF50F, 0x01FF1E14, 0x03FE4015, 0x07FC8816, 0x0FF92017, 0x1FF26018, 0x3FE50019,
     0x7FCA801A, 0x00000EC7, 0x0001FC0C, 0x00FF9613, 0x01FF2E14, 0x03FE6015, 0x07FCC816, 0x0FF9A017,
     0x1FF36018, 0x3FE70019, 0x7FCE801A, 0x00001E88, 0x0003FB8D, 0x00FF9E13, 0x01FF3E14, 0x03FE8015,
     0x07FD0816, 0x0FFA2017, 0x1FF46018, 0x3FE90019, 0x7FD2801A, 0x00001EC8, 0x0007FB0E, 0x00FFA613,
     0x01FF4E14, 0x03FEA015, 0x07FD4816, 0x0FFAA017, 0x1FF56018, 0x3FEB0019, 0x7FD6801A, 0x00003E89,
     0x0007FB8E, 0x00FFAE13, 0x01FF5E14, 0x03FEC015, 0x07FD8816, 0x0FFB2017, 0x1FF66018, 0x3FED0019,
     0x7FDA801A, 0x00007E0A, 0x003FE011, 0x00FFB613, 0x01FF6E14, 0x03FEE015, 0x07FDC816, 0x0FFBA017,
     0x1FF76018, 0x3FEF0019, 0x7FDE801A, 0x00007E4A, 0x007FDF12, 0x00FFBF13, 0x01FF8014, 0x03FF0415,
     0x07FE1016, 0x0FFC3017, 0x1FF88018, 0x3FF14019, 0x7FE3001A, 0x00007E8A, 0x007FE392, 0x00FFC813,
     0x01FF9214, 0x03FF2815, 0x07FE5816, 0x0FFCC017, 0x1FF9A018, 0x3FF38019, 0x7FE7801A, 0x0000FE4B,
     0x007FE812, 0x00FFD113, 0x01FFA414, 0x03FF4C15, 0x07FEA016, 0x0FFD5017, 0x1FFAC018, 0x3FF5C019,
     0x7FEC001A, 0x0000FE8B, 0x007FEC92, 0x00FFDA13, 0x01FFB614, 0x03FF7015, 0x07FEE816, 0x0FFDE017,
     0x1FFBE018, 0x3FF80019, 0x7FF0801A, 0x0001FE0C, 0x007FF112, 0x00FFE313, 0x01FFC814, 0x03FF9415,
     0x07FF3016, 0x0FFE7017, 0x1FFD0018, 0x3FFA4019, 0x7FF5001A, 0x003FFAD1, 0x007FF612, 0x00FFED13,
     0x01FFDC14, 0x03FFBC15, 0x07FF8016, 0x0FFF1017, 0x1FFE4018, 0x3FFCC019, 0x7FFA001A, 0x003FFD51,
     0x007FFB12, 0x00FFF713, 0x01FFF014, 0x03FFE415, 0x07FFD016, 0x0FFFB017, 0x1FFF8018, 0x3FFF4019,
     0x7FFF001A, 0x0000FF2B},
    {0x00000002, 0x00000043, 0x00000205, 0x00000A07, 0x00003009, 0x0000640A, 0x0001C00C, 0x0007800E,
     0x003E8011, 0x00FD8013, 0x07FA0016, 0x000002C5, 0x00001C88, 0x0000F60B, 0x0003EA0D, 0x001FD810,
     0x007FA812, 0x0FF88017, 0x1FF12018, 0x3FE28019, 0x7FC5801A, 0x00000686, 0x00007B8A, 0x0003F70D,
     0x001FEC10, 0x01FF0814, 0x07FC6016, 0x0FF8D017, 0x1FF1C018, 0x3FE3C019, 0x7FC8001A, 0x000006C6,
     0x00007C0A, 0x0003F80D, 0x001FEE10, 0x03FE4415, 0x07FC9016, 0x0FF93017, 0x1FF28018, 0x3FE54019,
     0x7FCB001A, 0x00000E87, 0x0000FB0B, 0x00FF9713, 0x01FF3014, 0x03FE6415, 0x07FCD016, 0x0FF9B017,
     0x1FF38018, 0x3FE74019, 0x7FCF001A, 0x00000EC7, 0x0001FC8C, 0x00FF9F13, 0x01FF4014, 0x03FE8415,
     0x07FD1016, 0x0FFA3017, 0x1FF48018, 0x3FE94019, 0x7FD3001A, 0x00001E48, 0x0003FB8D, 0x00FFA713,
     0x01FF5014, 0x03FEA415, 0x07FD5016, 0x0FFAB017, 0x1FF58018, 0x3FEB4019, 0x7FD7001A, 0x00001E88,
     0x0003FC0D, 0x00FFAF13, 0x01FF6014, 0x03FEC415, 0x07FD9016, 0x0FFB3017, 0x1FF68018, 0x3FED4019,
     0x7FDB001A, 0x00003E49, 0x007FDB92, 0x00FFB813, 0x01FF7214, 0x03FEE815, 0x07FDD816, 0x0FFBC017,
     0x1FF7A018, 0x3FEF8019, 0x7FDF801A, 0x00007DCA, 0x007FE012, 0x00FFC113, 0x01FF8414, 0x03FF0C15,
     0x07FE2016, 0x0FFC5017, 0x1FF8C018, 0x3FF1C019, 0x7FE4001A, 0x00007E0A, 0x007FE492, 0x00FFCA13,
     0x01FF9614, 0x03FF3015, 0x07FE6816, 0x0FFCE017, 0x1FF9E018, 0x3FF40019, 0x7FE8801A, 0x00007E4A,
     0x007FE912, 0x00FFD313, 0x01FFA814, 0x03FF5415, 0x07FEB016, 0x0FFD7017, 0x1FFB0018, 0x3FF64019,
     0x7FED001A, 0x00007E8A, 0x007FED92, 0x00FFDC13, 0x01FFBA14, 0x03FF7815, 0x07FEF816, 0x0FFE0017,
     0x1FFC2018, 0x3FF88019, 0x7FF1801A, 0x0001FE4C, 0x007FF212, 0x00FFE513, 0x01FFCC14, 0x03FF9C15,
     0x07FF4016, 0x0FFE9017, 0x1FFD4018, 0x3FFAC019, 0x7FF6001A, 0x000FF80F, 0x007FF692, 0x00FFEE13,
     0x01FFDE14, 0x03FFC015, 0x07FF8816, 0x0FFF2017, 0x1FFE6018, 0x3FFD0019, 0x7FFA801A, 0x001FF0D0,
     0x007FFB12, 0x00FFF713, 0x01FFF014, 0x03FFE415, 0x07FFD016, 0x0FFFB017, 0x1FFF8018, 0x3FFF4019,
     0x7FFF001A, 0x00007F4A},
};

/* Bits on their way, as in struct agn_jpeg, where compilers keep them in registers. */
struct coder {
    struct agn_jpeg *jpeg;
    uint32_t bits, free_bits;
};

static void put_byte(struct agn_jpeg *jpeg, uint32_t byte)
{
    if (jpeg->length < jpeg->cap)
        jpeg->dst[jpeg->length] = (uint8_t)byte;
    jpeg->length++;
}

/* Four bytes, with a zero after each 0xFF. */
static void put_word(struct agn_jpeg *jpeg, uint32_t word)
{
    uint32_t others = ~word;
    int has_ff = ((others - UINT32_C(0x01010101)) & word & UINT32_C(0x80808080)) != 0;
    if (!has_ff && jpeg->length + 4 <= jpeg->cap) {
        uint8_t *dst = jpeg->dst + jpeg->length;
        dst[0] = (uint8_t)(word >> 24);
        dst[1] = (uint8_t)(word >> 16);
        dst[2] = (uint8_t)(word >> 8);
        dst[3] = (uint8_t)word;
        jpeg->length += 4;
        return;
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
        uint32_t byte = word >> shift & 0xFF;
        put_byte(jpeg, byte);
        if (byte == 0xFF)
            put_byte(jpeg, 0);
    }
}

/* At most 26 bits. */
static inline void put_bits(struct coder *c, uint32_t bits, uint32_t count)
{
    if (count <= c->free_bits) {
        c->free_bits -= count;
        c->bits |= bits << c->free_bits;
        return;
    }
    uint32_t over = count - c->free_bits;
    put_word(c->jpeg, c->bits | bits >> over);
    c->free_bits = 32 - over;
    c->bits = bits << c->free_bits;
}

/* Zero bits above the first one of a word that is not 0. */
static inline unsigned leading_zeros(uint32_t word)
{
#if defined(__GNUC__)
    return (unsigned)__builtin_clzl(word) - (unsigned)(8 * (sizeof(unsigned long) - sizeof word));
#else
    unsigned zeros = 0;
    for (; word < UINT32_C(0x80000000); word <<= 1)
        zeros++;
    return zeros;
#endif
}

/* A value behind the code of its number of bits; negative ones as their ones' complement. */
static inline void put_value(struct coder *c, const uint32_t *codes, int32_t value)
{
    uint32_t size = (uint32_t)(value < 0 ? -value : value);
    unsigned count = 32 - leading_zeros(size);
    uint32_t entry = codes[count], shown = value < 0 ? size ^ ((UINT32_C(1) << count) - 1) : size;
    put_bits(c, entry >> LENGTH_BITS | shown, entry & LENGTH_MASK);
}

static inline void put_code(struct coder *c, uint32_t entry)
{
    put_bits(c, entry >> LENGTH_BITS, entry & LENGTH_MASK);
}

void agn__jpeg_code(struct agn_jpeg *jpeg, const struct agn__jpeg_block *block, unsigned table, int16_t *dc)
{
    const uint32_t *codes = ac_codes[table];
    struct coder c = {jpeg, jpeg->bits, jpeg->free_bits};
    int32_t difference = (int32_t)block->values[0] - *dc;
    *dc = block->values[0];
    if (difference == 0)
        put_code(&c, dc_codes[table][0]);
    else
        put_value(&c, dc_codes[table], difference);

    unsigned next = 1; /* coefficient */
    uint32_t word = block->nonzero[0] & UINT32_C(0x7FFFFFFF);
    for (unsigned first = 0; first < 64; first += 32, word = block->nonzero[1])
        while (word != 0) {
            unsigned zeros = leading_zeros(word), place = first + zeros, run = place - next;
            word ^= UINT32_C(0x80000000) >> zeros;
            next = place + 1;
            for (; run >= LONGEST; run -= LONGEST)
                put_code(&c, codes[LONG_RUN]);
            put_value(&c, codes + (size_t)run * RUN, block->values[place]);
        }
    if (next < 64)
        put_code(&c, codes[END]);
    jpeg->bits = c.bits;
    jpeg->free_bits = c.free_bits;
}

void agn__jpeg_code_repeat(struct agn_jpeg *jpeg)
{
    struct coder c = {jpeg, jpeg->bits, jpeg->free_bits};
    put_code(&c, dc_codes[0][0]);
    put_code(&c, ac_codes[0][END]);
    jpeg->bits = c.bits;
    jpeg->free_bits = c.free_bits;
}

void agn__jpeg_flush(struct agn_jpeg *jpeg)
{
    uint32_t spare = jpeg->free_bits & 7;
    uint32_t word = jpeg->bits | ((UINT32_C(1) << spare) - 1) << (jpeg->free_bits - spare);
    for (uint32_t used = (32 - jpeg->free_bits + 7) / 8; used > 0; used--, word <<= 8) {
        uint32_t byte = word >> 24;
        put_byte(jpeg, byte);
        if (byte == 0xFF)
            put_byte(jpeg, 0);
    }
    jpeg->bits = 0;
    jpeg->free_bits = 32;
}
