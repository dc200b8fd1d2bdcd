/* What a frame costs on this board, in board_count's unit, with the stack's high-water mark. The mean over
 * the frames linked in. */
#include "frame.h"

int app_main(void)
{
    struct frame_counts counts, sum = {0, 0, 0};
    int status = frame_open();
    uint32_t frames = 0;
    for (; status >= 0 && (status = frame_run(frames, &counts, NULL)) > 0; frames++) {
        sum.rows += counts.rows;
        sum.packets += counts.packets;
        sum.bytes += counts.bytes;
    }
    if (status < 0 || frames == 0) {
        print_number("error", (uint32_t)-status);
        return 1;
    }
    print_number("frames", frames);
    print_number("rows", sum.rows / frames);
    print_number("packets", sum.packets / frames);
    print_number("bytes", sum.bytes / frames);
    print_number("stack", board_stack_used());
    return 0;
}
