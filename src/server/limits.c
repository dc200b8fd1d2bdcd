/* Limits of peers; see limits.h. Peers stand in hash chains to be found, and in one list by their last sign
 * of life. */
#include "server/limits.h"

#include <string.h>

#include "agilenn/base.h"

#define BURST_S 2.0

struct account {
    struct agn__peer peer;
    int chain_next;   /* in its bucket; -1: the end */
    int older, newer; /* in the list; -1: the end */
    double filled_s;  /* when the two below were brought up to date */
    double messages, bytes;
    double answers; /* bytes that may go back */
};

struct agn__limits {
    struct agn__limits_config config;
    uint64_t seed; /* of the buckets */
    struct account *accounts;
    int *buckets; /* first account; -1: none */
    int bucket_count, used;
    int oldest, newest;
};

struct agn__limits *agn__limits_create(const struct agn__limits_config *config)
{
    struct agn__limits *limits = agn_alloc(1, sizeof *limits);
    if (!limits)
        return NULL;
    limits->config = *config;
    limits->seed = agn__hash_seed();
    limits->bucket_count = 2 * config->peers + 1;
    limits->oldest = limits->newest = -1;
    limits->accounts = agn_alloc((size_t)config->peers, sizeof *limits->accounts);
    limits->buckets = agn_alloc((size_t)limits->bucket_count, sizeof *limits->buckets);
    if (!limits->accounts || !limits->buckets) {
        agn__limits_free(limits);
        return NULL;
    }
    for (int i = 0; i < limits->bucket_count; i++)
        limits->buckets[i] = -1;
    return limits;
}

void agn__limits_free(struct agn__limits *limits)
{
    if (!limits)
        return;
    agn_free(limits->accounts);
    agn_free(limits->buckets);
    agn_free(limits);
}

/* ---- the table -------------------------------------------------------------------------- */

static int *bucket_of(struct agn__limits *limits, const struct agn__peer *peer)
{
    return &limits->buckets[agn__peer_hash(peer, limits->seed) % (uint64_t)limits->bucket_count];
}

static int find(struct agn__limits *limits, const struct agn__peer *peer)
{
    int at = *bucket_of(limits, peer);
    while (at >= 0 && memcmp(&limits->accounts[at].peer, peer, sizeof *peer) != 0)
        at = limits->accounts[at].chain_next;
    return at;
}

static void unlist(struct agn__limits *limits, int at)
{
    struct account *account = &limits->accounts[at];
    *(account->older >= 0 ? &limits->accounts[account->older].newer : &limits->oldest) = account->newer;
    *(account->newer >= 0 ? &limits->accounts[account->newer].older : &limits->newest) = account->older;
}

static void list_newest(struct agn__limits *limits, int at)
{
    struct account *account = &limits->accounts[at];
    account->older = limits->newest;
    account->newer = -1;
    *(limits->newest >= 0 ? &limits->accounts[limits->newest].newer : &limits->oldest) = at;
    limits->newest = at;
}

static void forget(struct agn__limits *limits, int at)
{
    int *link = bucket_of(limits, &limits->accounts[at].peer);
    while (*link != at)
        link = &limits->accounts[*link].chain_next;
    *link = limits->accounts[at].chain_next;
    unlist(limits, at);
}

static int add(struct agn__limits *limits, const struct agn__peer *peer, double now_s)
{
    int at = limits->used;
    if (limits->used < limits->config.peers)
        limits->used++;
    else
        forget(limits, at = limits->oldest);
    int *bucket = bucket_of(limits, peer);
    limits->accounts[at] = (struct account){.peer = *peer,
                                            .chain_next = *bucket,
                                            .filled_s = now_s,
                                            .messages = BURST_S * limits->config.messages_per_s,
                                            .bytes = BURST_S * limits->config.bytes_per_s};
    *bucket = at;
    list_newest(limits, at);
    return at;
}

/* ---- buckets ------------------------------------------------------------------------------ */

static double filled(double level, double rate, double seconds)
{
    double full = BURST_S * rate;
    level += rate * seconds;
    return level < full ? level : full;
}

bool agn__limits_take(struct agn__limits *limits, const struct agn__peer *peer, size_t bytes, double now_s)
{
    const struct agn__limits_config *config = &limits->config;
    int at = find(limits, peer);
    if (at < 0) {
        at = add(limits, peer, now_s);
    } else {
        unlist(limits, at);
        list_newest(limits, at);
    }
    struct account *account = &limits->accounts[at];
    double seconds = now_s > account->filled_s ? now_s - account->filled_s : 0.0, size = (double)bytes;
    account->filled_s = now_s;
    account->messages = filled(account->messages, config->messages_per_s, seconds);
    account->bytes = filled(account->bytes, config->bytes_per_s, seconds);
    if ((config->messages_per_s > 0 && account->messages < 1.0) ||
        (config->bytes_per_s > 0 && account->bytes < size))
        return false;
    account->messages -= 1.0;
    account->bytes -= size;
    account->answers += config->answer_ratio * size;
    if (account->answers > config->answer_max_bytes)
        account->answers = config->answer_max_bytes;
    return true;
}

bool agn__limits_spend(struct agn__limits *limits, const struct agn__peer *peer, size_t bytes)
{
    int at = find(limits, peer);
    if (at < 0 || limits->accounts[at].answers < (double)bytes)
        return false;
    limits->accounts[at].answers -= (double)bytes;
    return true;
}
