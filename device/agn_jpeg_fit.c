/* As many rows of MCUs as fit, as one interval; see agn_jpeg.h. */
#include "agn_jpeg_internal.h"

/* Where the scan stood behind a row of MCUs: an interval may end there, or go on. */
struct mark {
    uint32_t bits, free_bits, length;
};

static struct mark mark_of(const struct agn_jpeg *jpeg)
{
    struct mark mark = {jpeg->bits, jpeg->free_bits, jpeg->length};
    return mark;
}

/* Ends the scan at a mark; bytes behind its length may be of what was tried since. Its length. */
static uint32_t end_at(struct agn_jpeg *jpeg, const struct mark *mark)
{
    jpeg->bits = mark->bits;
    jpeg->free_bits = mark->free_bits;
    jpeg->length = mark->length;
    agn__jpeg_flush(jpeg);
    return jpeg->length;
}

/* Codes the next row of MCUs. Returns the scan's length if it ended behind it. */
static uint32_t code_next(struct agn_jpeg *jpeg, const struct agn_jpeg_source *source, uint8_t *dst,
                          size_t cap, struct mark *mark)
{
    do
        (void)agn_jpeg_push_rows(jpeg, source->row(source->user, jpeg->rows_in), 1);
    while (!jpeg->is_full);
    if (agn_jpeg_next_interval(jpeg, dst, cap) != 0) /* the last one: there is no mark behind it */
        return agn_jpeg_interval_bytes(jpeg);
    *mark = mark_of(jpeg);
    uint32_t length = end_at(jpeg, mark);
    jpeg->bits = mark->bits;
    jpeg->free_bits = mark->free_bits;
    jpeg->length = mark->length;
    return length;
}

int32_t agn_jpeg_fit(const struct agn_jpeg_source *source, uint8_t *dst, size_t cap, unsigned *rows)
{
    struct agn_jpeg jpeg;
    struct agn_jpeg_format format = source->format;
    uint32_t row_bytes = (uint32_t)format.width * format.channels, length = 0;
    format.interval = 1;
    int status = agn_jpeg_format_check(&format);
    format.interval = status < 0 ? 0 : agn_jpeg_mcus(&format);
    status = agn_jpeg_init(&jpeg, &format, source->memory, source->memory_bytes);
    if (status < 0)
        return status;
    *rows = 0;
    struct mark good = mark_of(&jpeg);
    while (jpeg.rows_in < format.height) {
        unsigned before = jpeg.rows_in;
        struct mark mark = good;
        uint32_t now = code_next(&jpeg, source, dst, cap, &mark);
        if (now > cap || now - length >= (jpeg.rows_in - before) * row_bytes)
            return *rows == 0 ? 0 : (int32_t)end_at(&jpeg, &good);
        good = mark;
        length = now;
        *rows = jpeg.rows_in;
    }
    return (int32_t)length;
}
