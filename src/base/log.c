/* Log lines, handed to whoever asked for them. Never prints by itself. */
#include <stdarg.h>
#include <stdio.h>

#include "agilenn/base.h"

enum { LINE_BYTES = 1024 };

static agn_log_fn *receiver;
static void *receiver_user;
static enum agn_log_level receiver_max_level;

void agn_log_to(agn_log_fn *fn, void *user, enum agn_log_level max_level)
{
    receiver = fn;
    receiver_user = user;
    receiver_max_level = max_level;
}

void agn_log(enum agn_log_level level, const char *format, ...)
{
    if (!receiver || level > receiver_max_level)
        return;
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (length >= 0)
        receiver(receiver_user, level, line);
}
