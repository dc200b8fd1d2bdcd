/* A UDP server on loopback, in a thread, that answers feature packets as no good server would: each frame's
 * last packet gets what `kind` says. Needs link_world for the number of classes; logits are all 0. Functions
 * assert by cmocka; one a program. */
#ifndef AGN_TEST_FAKE_SERVER_H
#define AGN_TEST_FAKE_SERVER_H

#include <stddef.h>
#include <stdint.h>

enum fake_kind {
    FAKE_OK,
    FAKE_SILENT,
    FAKE_TWICE,
    FAKE_BUSY,       /* 5.03 with a reply packet */
    FAKE_PLAIN_BUSY, /* 5.03 without */
    FAKE_FAILING,
    FAKE_NOISY,         /* damages answers, or makes them those to another frame */
    FAKE_MISMATCHING,   /* has not the model */
    FAKE_FOREIGN_MODEL, /* has not the model of another frame, and another one; then a good answer */
    FAKE_SLOW,          /* 5 ms a frame */
    FAKE_NEWER,         /* of another version of the protocol */
    FAKE_NO_RESOURCE,   /* 4.04 */
    FAKE_FOREIGN_BUSY,  /* 5.03 to a token of somebody else, then a good answer */
};

struct fake_conduct {
    enum fake_kind kind;
    int refusals;      /* FAKE_BUSY: so many frames, then good answers; 0: all frames */
    int answers;       /* FAKE_MISMATCHING: so many good answers before */
    uint32_t delay_ms; /* before an answer; one frame at a time */
    /* Max-Age as the option's bytes, at most 8; NULL: none. */
    const uint8_t *max_age;
    size_t max_age_bytes;
};

/* Returns the port. */
uint16_t fake_start(const struct fake_conduct *conduct);
/* Frames whose last packet has come so far. */
int fake_frames(void);
void fake_stop(void);

#endif
