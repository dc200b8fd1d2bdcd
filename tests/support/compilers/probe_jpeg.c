/* What the JPEG encoder makes of pictures, as text: for scripts/check-device-compilers.sh. A line a picture:
 * the bytes of its intervals and their checksum. Rows are made here, so that the program needs no input. */
#include "agn_jpeg.h"
#include "probe_text.h"

enum { MAX_WIDTH = 70, CAP = 300 }; /* some intervals are longer */

static struct agn_jpeg jpeg;
static uint32_t memory[AGN_JPEG_BYTES(MAX_WIDTH, 3) / 4 + 1], noise = 1;
static uint8_t row[MAX_WIDTH * 3], scan[CAP];

/* Waves with noise; of the last pictures nothing but the extremes. */
static void make_row(const struct agn_jpeg_format *format, unsigned picture, unsigned y)
{
    for (unsigned i = 0; i < (unsigned)format->width * format->channels; i++) {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        uint32_t wave = (i * (picture + 2u) + y * 5u) & 127u;
        row[i] = picture >= 8 ? (uint8_t)(noise >> 20 & 1 ? 255 : 0)
                              : (uint8_t)(wave + (noise >> 20 & ((8u << picture % 4) - 1)));
    }
}

int main(void)
{
    for (unsigned picture = 0; picture < 10; picture++) {
        const struct agn_jpeg_format format = {(uint16_t)(MAX_WIDTH - 7 * picture),
                                               (uint16_t)(5 + 6 * picture), (uint16_t)(1 + picture),
                                               picture & 1 ? 1 : 3, (uint8_t)(100 - 11 * picture)};
        uint32_t hash = 1, bytes = 0;
        int32_t length;
        put_hex((uint32_t)(int32_t)agn_jpeg_init(&jpeg, &format, memory, sizeof memory));
        for (unsigned y = 0; y < format.height; y++) {
            make_row(&format, picture, y);
            agn_jpeg_push_rows(&jpeg, row, 1);
            while ((length = agn_jpeg_next_interval(&jpeg, scan, sizeof scan)) != 0) {
                bytes += agn_jpeg_interval_bytes(&jpeg);
                for (int32_t i = 0; i < (length < 0 ? CAP : length); i++)
                    hash = (hash ^ scan[i]) * UINT32_C(16777619);
            }
        }
        put_hex(bytes);
        put_hex(hash);
        put_char('\n');
    }
    stop();
    return 0;
}
