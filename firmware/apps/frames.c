/* What the library makes of the frames linked in, to be compared with a host's: local logits and packets. */
#include "frame.h"

static void print_packet(const uint8_t *bytes, size_t len)
{
    print_hex("packet", bytes, len);
}

static int run_all(void)
{
    struct frame_counts counts;
    int status = 0;
    for (unsigned i = 0; (status = frame_run(i, &counts, print_packet)) > 0; i++)
        print_hex("logits", (const uint8_t *)agn_dev_local(&frame_dev), 2u * frame_dev.model.classes);
    return status;
}

/* Of a model with several cuts, all frames at each. */
int app_main(void)
{
    int status = frame_open();
    unsigned cuts = status < 0 ? 0 : agn_dev_cuts(&frame_dev.model);
    for (unsigned cut = 1; cut < cuts && status >= 0; cut++) {
        status = agn_dev_select_cut(&frame_dev, cut - 1u);
        if (status >= 0)
            status = run_all();
    }
    if (status >= 0 && cuts > 1)
        status = agn_dev_select_cut(&frame_dev, cuts - 1u);
    if (status >= 0)
        status = run_all();
    if (status < 0)
        print_number("error", (uint32_t)-status);
    return status < 0;
}
