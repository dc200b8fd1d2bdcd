/* Paths as people write them in settings, where no shell has looked at them. */
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"

int agn_path_expand(const char *given, char *path, size_t cap)
{
    const char *home = getenv("HOME");
    size_t length = strlen(given);
    while (length >= 2 && (given[0] == '"' || given[0] == '\'') && given[length - 1] == given[0]) {
        given++;
        length -= 2;
    }
    bool from_home =
        length > 0 && given[0] == '~' && (length == 1 || given[1] == '/') && home != NULL && home[0] == '/';
    size_t head = from_home ? strlen(home) : 0;
    if (from_home) {
        given++;
        length--;
    }
    if (head + length >= cap)
        return agn_fail(AGN_ERR_RANGE, "'%.64s...': a path has at most %zu bytes", given, cap - 1);
    memmove(path + head, given, length);
    if (from_home)
        memcpy(path, home, head);
    path[head + length] = '\0';
    return AGN_OK;
}
