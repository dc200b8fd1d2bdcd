/* What the library makes of the frames linked in, to be compared with a host's: local logits and packets. */
#include "frame.h"

static void print_packet(const uint8_t *bytes, size_t len)
{
    print_hex("packet", bytes, len);
}

int app_main(void)
{
    struct frame_counts counts;
    int status = frame_open();
    for (unsigned i = 0; status >= 0 && (status = frame_run(i, &counts, print_packet)) > 0; i++)
        print_hex("logits", (const uint8_t *)agn_dev_local(&frame_dev), 2u * frame_dev.model.classes);
    if (status < 0)
        print_number("error", (uint32_t)-status);
    return status < 0;
}
