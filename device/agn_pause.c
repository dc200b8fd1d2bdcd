/* Pauses that a server asks for; see agn_pause.h. What is a refusal, and whether to believe it, is the
 * caller's matter. */
#include "agn_pause.h"

enum { MS_PER_S = 1000, MAX_DOUBLINGS = 6 }; /* 1 s becomes the longest pause */

int agn_pause_is_on(struct agn_pause *pause, uint32_t now_ms)
{
    if (now_ms - pause->begin_ms >= pause->length_ms)
        pause->length_ms = 0; /* or it would come back when now_ms has wrapped */
    return pause->length_ms > 0;
}

/* Spreads what differs in any bit over all bits (the last steps of MurmurHash3). */
static uint32_t spread(uint32_t noise)
{
    noise = (noise ^ noise >> 16) * 0x85EBCA6BU;
    noise = (noise ^ noise >> 13) * 0xC2B2AE35U;
    return noise ^ noise >> 16;
}

static uint32_t wait_ms(uint32_t max_age_s, unsigned doublings)
{
    uint32_t seconds = max_age_s < AGN_PAUSE_MAX_S ? max_age_s : AGN_PAUSE_MAX_S;
    seconds <<= doublings;
    return (seconds < AGN_PAUSE_MAX_S ? seconds : AGN_PAUSE_MAX_S) * MS_PER_S;
}

void agn_pause_refused(struct agn_pause *pause, uint32_t max_age_s, uint32_t now_ms, uint32_t noise)
{
    int is_on = agn_pause_is_on(pause, now_ms);
    uint32_t asked_ms = wait_ms(max_age_s, is_on ? 0 : pause->refusals);
    if (asked_ms <= pause->length_ms)
        return;
    if (!is_on && pause->refusals < MAX_DOUBLINGS)
        pause->refusals++;
    pause->begin_ms = now_ms;
    pause->length_ms = asked_ms + (asked_ms / 2 * (spread(noise ^ now_ms) >> 16) >> 16);
}

void agn_pause_answered(struct agn_pause *pause)
{
    pause->refusals = 0;
}
