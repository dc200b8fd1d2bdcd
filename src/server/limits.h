/* What one peer may cost: a token bucket of messages and one of bytes, and a balance of bytes for answers to
 * addresses that may be forged. A table of fixed size; the peer that was silent longest gives way. */
#ifndef AGN_SERVER_LIMITS_H
#define AGN_SERVER_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

#include "server/frames.h"

struct agn__limits_config {
    int peers;               /* remembered at most */
    double messages_per_s;   /* <= 0: no limit; in both, two seconds' worth may come at once */
    double bytes_per_s;      /* the same */
    double answer_ratio;     /* bytes of answers for one byte of requests */
    double answer_max_bytes; /* what an unverified peer can save up */
};

struct agn__limits;

/* NULL with agn_fail when memory is short. */
struct agn__limits *agn__limits_create(const struct agn__limits_config *config);
void agn__limits_free(struct agn__limits *limits);

/* A message of `bytes` came: whether it may be looked at. */
bool agn__limits_take(struct agn__limits *limits, const struct agn__peer *peer, size_t bytes, double now_s);

/* An answer of `bytes` is to go to a peer whose address nobody has verified: whether it asked for enough. The
 * balance is charged then. */
bool agn__limits_spend(struct agn__limits *limits, const struct agn__peer *peer, size_t bytes);

#endif
