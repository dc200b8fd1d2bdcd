/* What frames cost and what went wrong with them, as "name,number" lines at the end. */
#ifndef AGN_FIRMWARE_EDGE_STATS_H
#define AGN_FIRMWARE_EDGE_STATS_H

#include "agn_device.h"
#include "edge_link.h"

#ifdef __cplusplus
extern "C" {
#endif

enum edge_stage {
    EDGE_ROWS,    /* extractor, split, Local NN */
    EDGE_PACKETS, /* making packets, repeated ones as well */
    EDGE_RADIO,   /* modem, radio and server: sending and waiting, without the above */
    EDGE_FUSE,    /* the prediction */
    EDGE_STAGE_COUNT
};

/* Of one quantity over the frames. */
struct edge_spread {
    uint32_t count, min, max;
    uint64_t sum;
};

struct edge_stats {
    struct edge_spread stages[EDGE_STAGE_COUNT]; /* in units of board_count */
    struct edge_spread frame_ms;                 /* first row to prediction */
    uint32_t fused, local;                       /* predictions */
    uint32_t partial;                            /* of the fused ones: the server lacked channels */
    uint32_t sure;                               /* of the local ones: not sent, agn_dev_is_sure */
};

void edge_spread_add(struct edge_spread *spread, uint32_t value);

/* arena_bytes: as set aside, used or not. */
void edge_stats_print(const struct edge_stats *stats, const struct edge_link *link, uint32_t arena_bytes);

#ifdef __cplusplus
}
#endif

#endif
