/* Whether this processor and compiler compute what they should: a frame, its local logits and its packets,
 * beside those that were made at export. agn_self_test() fits into any firmware; the program around it is
 * compiled with AGN_EXAMPLE_SELF_TEST only. */
#if defined(AGN_EXAMPLE_SELF_TEST)

#include "agilenn.h"
#include "agn_model_test.h"

static struct agn_dev dev;
static uint32_t arena[AGN_MODEL_ARENA_BYTES / 4];
static uint8_t packet[AGN_WIRE_MAX_PACKET];

/* The frame's bytes, a row at a time: an even pseudo-random sequence (Numerical Recipes). */
static int push_frame(void)
{
    static uint8_t row[AGN_MODEL_INPUT_W * AGN_MODEL_INPUT_C];
    uint32_t state = AGN_MODEL_TEST_SEED;
    int status = 0;
    for (unsigned y = 0; y < AGN_MODEL_INPUT_H && status >= 0; y++) {
        for (size_t i = 0; i < sizeof row; i++) {
            state = state * UINT32_C(1664525) + UINT32_C(1013904223);
            row[i] = (uint8_t)(state >> 24);
        }
        status = agn_dev_push_rows(&dev, row, 1);
    }
    return status;
}

/* 0: as it should be. Else a sentence's number: 1 the model cannot be opened, 2 rows are refused, 3 other
 * local logits, 4 other packets. */
int agn_self_test(void)
{
    size_t at = 0;
    int len;
    if (agn_dev_init(&dev, agn_model_data.bytes, AGN_MODEL_BYTES, arena, sizeof arena) < 0)
        return 1;
    if (agn_dev_frame_begin(&dev, 1, 200) < 0 || push_frame() < 0)
        return 2;
    for (unsigned c = 0; c < AGN_MODEL_CLASSES; c++)
        if (agn_dev_local(&dev)[c] != agn_model_test_logits[c])
            return 3;
    while ((len = agn_dev_next_packet(&dev, packet, sizeof packet)) > 0)
        for (int i = 0; i < len; i++, at++)
            if (at >= AGN_MODEL_TEST_BYTES || packet[i] != agn_model_test_packets[at])
                return 4;
    return len == 0 && at == AGN_MODEL_TEST_BYTES ? 0 : 4;
}

#if defined(__STDC_HOSTED__) && __STDC_HOSTED__
#include <stdio.h>

int main(void)
{
    static const char *const texts[] = {"all as it should be", "the model cannot be opened",
                                        "rows of pixels are refused", "other local logits than at export",
                                        "other packets than at export"};
    int result = agn_self_test();
    printf("%s\n", texts[result]);
    return result;
}
#endif

#endif
