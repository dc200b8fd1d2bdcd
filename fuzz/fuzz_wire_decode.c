/* Symbol decoders: byte 0 chooses the codec and the context model, byte 1 channels and rows of the tile, byte
 * 2 its width, the rest is the stream. What decodes must be symbols, and encode again to something that
 * decodes to the same. */
#include <stdlib.h>
#include <string.h>

#include "agn_wire.h"
#include "fuzz_contexts.h"

enum { CODECS = AGN_CODEC_COUNT + 1 }; /* one of them is unknown */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *take(size_t size)
{
    uint8_t *memory = malloc(size + 1);
    if (!memory)
        abort();
    return memory;
}

static void round_trip(int codec, const struct agn_tile *tile, const uint8_t *symbols, size_t count)
{
    static uint16_t memory[AGN_LZW_STATE_BYTES / 2];
    size_t room = 2 * count + 8, rows = (size_t)tile->channel_count * tile->row_count;
    size_t row_bytes = AGN_ROW_BYTES(tile->width);
    struct agn_encoder encoder;
    uint8_t *bytes = take(room), *back = take(count), *packed = take(rows * row_bytes);
    if (agn_encoder_begin(&encoder, codec, tile, memory, sizeof memory, bytes, room) < 0)
        abort();
    for (size_t row = 0; row < rows; row++)
        agn_row_pack(symbols + row * tile->width, tile->width, packed + row * row_bytes);
    agn_encoder_put_rows(&encoder, packed, (unsigned)rows);
    int length = agn_encoder_finish(&encoder);
    if (length < 0 || agn_decode(codec, tile, bytes, (size_t)length, back, count) != 0 ||
        memcmp(back, symbols, count) != 0)
        abort();
    free(bytes);
    free(back);
    free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_contexts contexts;
    if (size < 3 || data[2] == 0)
        return 0;
    int codec = data[0] % CODECS;
    fuzz_contexts_make(&contexts, data[0] / CODECS);
    const struct agn_tile tile = {.channel_first = data[0] >> 7,
                                  .channel_count = (uint8_t)(1 + data[1] % 5),
                                  .row_count = (uint8_t)(1 + data[1] / 5),
                                  .width = data[2],
                                  .contexts = &contexts.model};
    size_t count = (size_t)tile.channel_count * tile.row_count * tile.width;
    uint8_t *symbols = take(count);
    if (agn_decode(codec, &tile, data + 3, size - 3, symbols, count) == 0) {
        for (size_t i = 0; i < count; i++)
            if (symbols[i] >= AGN_WIRE_LEVELS)
                abort();
        round_trip(codec, &tile, symbols, count);
    }
    free(symbols);
    return 0;
}
