/* The sentence for the user that goes with a status code, one per thread. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agilenn/base.h"

#undef agn_fail /* the analyser's view of it */

enum { MESSAGE_BYTES = 1024 };

static _Thread_local char last_message[MESSAGE_BYTES];

int agn_fail(int status, const char *format, ...)
{
    /* Formatted aside, because an argument may be agn_error_message() itself. */
    char message[MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (length < 0)
        (void)snprintf(message, sizeof message, "%s", agn_status_text(status));
    memcpy(last_message, message, sizeof message);
    return status;
}

const char *agn_error_message(void)
{
    return last_message;
}
