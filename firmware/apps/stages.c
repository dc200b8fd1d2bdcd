/* Which part of a frame costs what: the functions of the stages are wrapped by the linker (--wrap), which
 * leaves the library itself as it is. The wrapping costs a few instructions a call; count.c has totals. */
#include "frame.h"

#include "agn_device_internal.h"

static uint32_t local, packing, cost;

void __real_agn__local_row(struct agn_dev *dev, unsigned y);
void __wrap_agn__local_row(struct agn_dev *dev, unsigned y);
void __wrap_agn__local_row(struct agn_dev *dev, unsigned y)
{
    uint32_t begin = board_count();
    __real_agn__local_row(dev, y);
    local += board_count() - begin - cost;
}

void __real_agn__local_end(struct agn_dev *dev);
void __wrap_agn__local_end(struct agn_dev *dev);
void __wrap_agn__local_end(struct agn_dev *dev)
{
    uint32_t begin = board_count();
    __real_agn__local_end(dev);
    local += board_count() - begin - cost;
}

int __real_agn_feature_pack(const struct agn_feature_packet *header, uint8_t *dst, size_t cap);
int __wrap_agn_feature_pack(const struct agn_feature_packet *header, uint8_t *dst, size_t cap);
int __wrap_agn_feature_pack(const struct agn_feature_packet *header, uint8_t *dst, size_t cap)
{
    uint32_t begin = board_count();
    int status = __real_agn_feature_pack(header, dst, cap);
    packing += board_count() - begin - cost;
    return status;
}

int app_main(void)
{
    struct frame_counts counts;
    int status = frame_open();
    uint32_t frames = 0, begin = board_count();
    cost = board_count() - begin;
    while (status >= 0 && (status = frame_run(frames, &counts, NULL)) > 0)
        frames++;
    if (status < 0 || frames == 0) {
        print_number("error", (uint32_t)-status);
        return 1;
    }
    print_number("local", local / frames);
    print_number("packet", packing / frames);
    return 0;
}
