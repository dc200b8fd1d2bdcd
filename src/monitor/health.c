/* Is the server alive, does it want frames; and names that may be shown. */
#define _XOPEN_SOURCE 700
#include <ctype.h>
#include <string.h>

#include "monitor/report.h"

/* The server's loop looks at its clock a few times a second, however idle it is. */
static const double STALL_S = 10.0;

const char *agn__view_health(const struct agn__view *view)
{
    if (view->stats.draining)
        return "draining";
    return agn__history_is_stalled(view->history, view->now_s, STALL_S) ? "stalled" : NULL;
}

const char *agn__view_readiness(const struct agn__view *view)
{
    const char *health = agn__view_health(view);
    if (health)
        return health;
    return view->stats.model_count < 1 ? "no model" : NULL;
}

/* Bytes of the well-formed UTF-8 sequence at `text`; 0: overlong, a surrogate, a control or none at all. */
static size_t sequence_bytes(const unsigned char *text)
{
    if (text[0] < 0x80)
        return isprint(text[0]) ? 1 : 0;
    size_t bytes = text[0] >= 0xc2 && text[0] < 0xe0   ? 2
                   : text[0] >= 0xe0 && text[0] < 0xf0 ? 3
                   : text[0] >= 0xf0 && text[0] < 0xf5 ? 4
                                                       : 0;
    for (size_t i = 1; i < bytes; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if ((text[0] == 0xc2 && text[1] < 0xa0) || (text[0] == 0xe0 && text[1] < 0xa0) ||
        (text[0] == 0xed && text[1] > 0x9f) || (text[0] == 0xf0 && text[1] < 0x90) ||
        (text[0] == 0xf4 && text[1] > 0x8f))
        return 0;
    return bytes;
}

void agn__plain_name(const char name[AGN_SERVER_NAME_BYTES], char plain[AGN_SERVER_NAME_BYTES])
{
    size_t length = strnlen(name, AGN_SERVER_NAME_BYTES - 1), begin = length;
    for (int slashes = 0; begin > 0; begin--)
        if (name[begin - 1] == '/' && ++slashes == 2)
            break;
    /* Zero bytes behind the name end a sequence that it cuts off. */
    unsigned char text[AGN_SERVER_NAME_BYTES + 4] = {0};
    memcpy(text, name + begin, length - begin);
    size_t at = 0;
    while (text[at] != 0) {
        size_t bytes = sequence_bytes(text + at);
        if (bytes > 0)
            memcpy(plain + at, text + at, bytes);
        else
            plain[at] = '?';
        at += bytes > 0 ? bytes : 1;
    }
    plain[at] = '\0';
}
