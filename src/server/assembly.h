/* Frames put together from packets: a bounded table, no input or output, no clock of its own. Which frame
 * stands where is frames.c's.
 *
 * A frame is known by its sender and its number. Packets may come in any order, twice, late or
 * never. The table's memory is taken once; whatever comes, it neither grows nor moves. When it
 * is full the oldest frame gives way, answered ones first; a sender holds at most its share
 * (agn__assembly_create), so that one noisy sender cannot push the others out.
 *
 * The two versions of the protocol number frames each in their own way, and a device may speak both: a frame
 * has a key (agn__frame_key). A frame of version 2 that asked for an answer at once stays open: what of it
 * comes after that has it answered anew.
 *
 * A packet that contradicts what the frame already holds (other symbols at the same place, a
 * second end) means that its sender began anew with the same number: the frame starts over. */
#ifndef AGN_SERVER_ASSEMBLY_H
#define AGN_SERVER_ASSEMBLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agilenn/features.h"
#include "agn_compact.h"
#include "server/frames.h"

enum { AGN__REPEAT_LIMIT = 3 }; /* how often the stored reply of a frame is sent again */

struct agn__assembly_limits {
    int frames;    /* slots, >= 1 */
    double wait_s; /* from the first packet to an answer with what came */
    double keep_s; /* how long the reply of an answered frame is kept for late packets; of version 2, no
                      longer than the deadline that its first packet states */
};

struct agn__assembly;

/* What decodes packets of AGN_CODEC_JPEG as agn_feature_decode does others. */
struct agn__image_decoder {
    int (*decode)(const void *user, const struct agn_feature_packet *packet, uint8_t *map);
    const void *user;
};

/* NULL with agn_fail when memory is short. `contexts`: the model's, which must stay; NULL: none. `images` is
 * copied; NULL, or one without a function: such packets are refused. `reply_bytes`: the longest reply that
 * will be stored. */
struct agn__assembly *agn__assembly_create(const struct agn__assembly_limits *limits,
                                           const struct agn_map_shape *shape,
                                           const struct agn_context_model *contexts,
                                           const struct agn__image_decoder *images, size_t reply_bytes);
void agn__assembly_free(struct agn__assembly *assembly);

enum agn__offer_kind {
    AGN__OFFER_STORED,    /* kept, the frame goes on */
    AGN__OFFER_DUPLICATE, /* known already, the frame goes on */
    AGN__OFFER_REPEAT,    /* the frame was answered: send its stored reply again */
    AGN__OFFER_SPENT,     /* the frame was answered and its reply repeated often enough: say nothing */
};

struct agn__offer {
    enum agn__offer_kind kind;
    int slot;
    uint8_t began;     /* first packet of a frame */
    uint8_t evicted;   /* another frame in `slot` was dropped unanswered to make room */
    uint8_t restarted; /* the frame that was in `slot` contradicted this packet */
    uint8_t duplicate; /* this very packet had come before */
};

/* Under which a packet's frame is known (frames.h). */
static inline uint32_t agn__frame_key(const struct agn_feature_packet *packet)
{
    return packet->version == AGN_COMPACT_VERSION ? AGN__FRAME_COMPACT | (packet->frame & 0xFFu)
                                                  : packet->frame;
}

/* Takes an unpacked packet, of version 2 a placed one (agn_compact_place), at the time `now_s` (which never
 * goes back). 0, or an error of
 * agn_feature_decode or of the decoder of images, with the table unchanged. */
int agn__assembly_offer(struct agn__assembly *assembly, const struct agn__peer *peer,
                        const struct agn_feature_packet *packet, double now_s, struct agn__offer *offer);

/* Whether this frame of the peer is in the table, an answered one that is still remembered too. */
int agn__assembly_knows(struct agn__assembly *assembly, const struct agn__peer *peer, uint32_t key,
                        double now_s);

/* A frame to be answered now: complete ones, in the order in which they became so, then the one that is due
 * first, if its wait is over; -1: none. */
int agn__assembly_next(const struct agn__assembly *assembly, double now_s);
/* Seconds until agn__assembly_next has something, if nothing comes; INFINITY: never. */
double agn__assembly_wait(const struct agn__assembly *assembly, double now_s);
/* Frames that have begun and are not answered yet. */
int agn__assembly_pending(const struct agn__assembly *assembly);
/* Frames all of whose packets are in, or that ask for an answer at once, and that were not handed out yet. */
int agn__assembly_complete(const struct agn__assembly *assembly);

int agn__assembly_is_complete(const struct agn__assembly *assembly, int slot);
uint16_t agn__assembly_frame(const struct agn__assembly *assembly, int slot);
int agn__assembly_is_compact(const struct agn__assembly *assembly, int slot);
/* When its first packet came; and when its device stops waiting (INFINITY: it did not say). */
double agn__assembly_began(const struct agn__assembly *assembly, int slot);
double agn__assembly_deadline(const struct agn__assembly *assembly, int slot);
/* channels x height x width symbols, planar, or AGN_SYMBOL_ABSENT. */
const uint8_t *agn__assembly_map(const struct agn__assembly *assembly, int slot);

/* Marks a frame as being worked on: agn__assembly_next passes it over. Its serial number. */
uint64_t agn__assembly_working(struct agn__assembly *assembly, int slot);
/* Whether the slot still holds the frame of that serial number, being worked on: it may have begun anew, or
 * given way. */
int agn__assembly_is_working(const struct agn__assembly *assembly, int slot, uint64_t serial);

/* Marks a frame as answered and stores its reply (copied; len <= reply_bytes). True where it goes on at once:
 * it stays open, and more of it came while this answer was made. */
bool agn__assembly_answered(struct agn__assembly *assembly, int slot, const uint8_t *reply, size_t len,
                            double now_s);
/* Marks a frame as done with; its late packets get no answer. */
void agn__assembly_dropped(struct agn__assembly *assembly, int slot, double now_s);
/* The stored reply of an answered frame. */
const uint8_t *agn__assembly_reply(const struct agn__assembly *assembly, int slot, size_t *len);

/* Memory that the table takes, in bytes. */
size_t agn__assembly_bytes(const struct agn__assembly *assembly);

#endif
