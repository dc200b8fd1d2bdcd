/* Which frame stands in which slot: found by sender and number, in order of age, by the time it is due.
 *
 * A bounded table. All memory is taken once; every operation takes constant time, but for one with a sender
 * beyond its share (as many steps as its share) and the order of due times (logarithmic). What a frame holds
 * is left to assembly.c. */
#ifndef AGN_SERVER_FRAMES_H
#define AGN_SERVER_FRAMES_H

#include <stddef.h>
#include <stdint.h>

/* Address and port of a sender, in any fixed form; compared as bytes. */
struct agn__peer {
    uint8_t bytes[24];
};

enum agn__frame_state {
    AGN__FRAME_NONE,     /* the slot is free */
    AGN__FRAME_WAITING,  /* for packets, until it is due */
    AGN__FRAME_COMPLETE, /* all packets are in */
    AGN__FRAME_WORKING,  /* handed to a worker */
    AGN__FRAME_ANSWERED,
    AGN__FRAME_STATES
};

/* Hash of a peer; and a seed for it that strangers do not know, so that they cannot choose addresses that
 * meet in one place of a table. */
uint64_t agn__peer_hash(const struct agn__peer *peer, uint64_t seed);
uint64_t agn__hash_seed(void);

struct agn__frames;

/* NULL with agn_fail when memory is short. A sender holds at most `share` slots. `seed`: agn__hash_seed(). */
struct agn__frames *agn__frames_create(int slots, int share, uint64_t seed);
void agn__frames_free(struct agn__frames *frames);
size_t agn__frames_bytes(int slots);

/* A frame's number as the table has it: that of a packet of version 1, or of version 2, which has 8 bits. */
enum { AGN__FRAME_COMPACT = 0x10000 };
static inline int agn__frame_is_compact(uint32_t frame)
{
    return (frame & AGN__FRAME_COMPACT) != 0;
}

/* A slot, or -1. */
int agn__frames_find(const struct agn__frames *frames, const struct agn__peer *peer, uint32_t frame);

/* Before a frame of version 2 begins: forgets the sender's oldest ones, as long as they are of this version,
 * answered, and so many frames ago that their numbers may soon be meant for others. Of a packet that was
 * overtaken on its way by up to AGN__FRAMES_AHEAD frames the others are not old. */
enum { AGN__FRAMES_NEAR = 128, AGN__FRAMES_AHEAD = 8 };
void agn__frames_forget_far(struct agn__frames *frames, const struct agn__peer *peer, uint32_t frame);

/* A slot for a new frame, which waits until due_s: a free one, or that of the oldest frame of this sender
 * when it has its share, or of the oldest of all; answered ones give way first, those at a worker last.
 * *displaced: the state of the frame that gave way. */
int agn__frames_take(struct agn__frames *frames, const struct agn__peer *peer, uint32_t frame, double due_s,
                     enum agn__frame_state *displaced);

enum agn__frame_state agn__frames_state(const struct agn__frames *frames, int slot);
uint32_t agn__frames_number(const struct agn__frames *frames, int slot);
/* Moves a frame on; AGN__FRAME_NONE gives the slot back. Not to WAITING. */
void agn__frames_move(struct agn__frames *frames, int slot, enum agn__frame_state state);
/* Back to WAITING, as if it were new. */
void agn__frames_restart(struct agn__frames *frames, int slot, double due_s);

/* The frame that has been in this state for longest, or -1; how many there are. */
int agn__frames_first(const struct agn__frames *frames, enum agn__frame_state state);
int agn__frames_count(const struct agn__frames *frames, enum agn__frame_state state);
/* The waiting frame that is due first, or -1; and when. */
int agn__frames_due(const struct agn__frames *frames, double *due_s);

#endif
