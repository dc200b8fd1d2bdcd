/* Device and server in one process, for curves.c and progressive.c: the device's packets decoded to maps of
 * symbols, and what it makes of the answers to such maps. */
#ifndef AGN_MEASURE_BOTH_ENDS_H
#define AGN_MEASURE_BOTH_ENDS_H

#include "agilenn/edge.h"
#include "agilenn/hosted.h"
#include "agilenn/model.h"

enum { AGN__MAX_PACKETS = 256 };

/* A frame's packets and what each brings. */
struct agn__frame_packets {
    int count;
    size_t bytes; /* of all, what carries them included */
    struct {
        size_t start, count; /* its run of the map */
        size_t bytes;
    } runs[AGN__MAX_PACKETS];
    uint8_t *map; /* all of them together; map_bytes of the caller's */
};

/* What the device makes of the answer to one map. */
struct agn__outcome {
    int device_class, any_class; /* any_class: were the answer trusted in full */
    int missing;                 /* channels, see agn_map_received */
    bool leading;
    int margin; /* of the device's logits, Q8.8 */
    bool fused;
};

struct agn__ends {
    const struct agn_model *model;
    int extra_bytes; /* around a packet */
    struct agn_remote *remote;
    struct agn_hosted device;
    struct agn_map_shape shape;
    struct agn_context_model contexts;
    size_t map_bytes;
    int max_maps;             /* that the Remote NN sees together */
    float *features, *logits; /* of these */
    int16_t *fixed;
};

struct agn__ends_config {
    const struct agn_model *model;
    const uint8_t *device; /* its model.agn */
    size_t device_bytes;
    int protocol; /* 1, 2; 0: 1 */
    int extra_bytes, max_maps;
};

/* AGN_ERR_MISMATCH: the device's model is another one; AGN_ERR_RANGE: protocol or extra_bytes. Zeroed `ends`
 * are good to close, whatever came. */
int agn__ends_open(struct agn__ends *ends, const struct agn__ends_config *config);
void agn__ends_close(struct agn__ends *ends);

/* Makes and decodes the packets, of at most `cap` bytes, of the frame in the device. AGN_ERR_RANGE: a row
 * does not fit, or the packets are too many. */
int agn__ends_collect(struct agn__ends *ends, size_t cap, uint32_t budget,
                      struct agn__frame_packets *packets);

/* What comes of `count` maps of the frame in the device, one behind the other. The frame stays open. */
int agn__ends_answer(struct agn__ends *ends, const uint8_t *maps, int count, struct agn__outcome *outcomes);

#endif
