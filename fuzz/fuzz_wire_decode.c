/* Symbol decoders: byte 0 chooses the codec, bytes 1 and 2 the number of symbols, the rest is the
 * stream. What decodes must be symbols, and encode again to something that decodes to the same. */
#include <stdlib.h>
#include <string.h>

#include "agn_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(int codec, const struct agn_tile *tile, const uint8_t *symbols, size_t count)
{
    static uint16_t memory[AGN_LZW_STATE_BYTES / 2];
    size_t room = 2 * count + 2;
    struct agn_encoder encoder;
    uint8_t *bytes = malloc(room), *back = malloc(count + 1);
    if (!bytes || !back || agn_encoder_begin(&encoder, codec, tile, memory, sizeof memory, bytes, room) < 0)
        abort();
    for (size_t i = 0; i < count; i++)
        agn_encoder_put(&encoder, symbols[i]);
    int length = agn_encoder_finish(&encoder);
    if (length < 0 || agn_decode(codec, tile, bytes, (size_t)length, back, count) != 0 ||
        memcmp(back, symbols, count) != 0)
        abort();
    free(bytes);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct agn_tile tile = {0, 1, 0, 1, 1};
    if (size < 3)
        return 0;
    int codec = data[0] % AGN_CODEC_COUNT;
    size_t count = (size_t)(data[1] | data[2] << 8);
    uint8_t *symbols = malloc(count + 1);
    if (!symbols)
        abort();
    if (agn_decode(codec, &tile, data + 3, size - 3, symbols, count) == 0) {
        for (size_t i = 0; i < count; i++)
            if (symbols[i] >= AGN_WIRE_LEVELS)
                abort();
        round_trip(codec, &tile, symbols, count);
    }
    free(symbols);
    return 0;
}
