/* See folder.h. */
#include "sweep/folder.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agilenn/base.h"

int agn__folder_of(const char *out, const char *id, char folder[1024])
{
    int length = snprintf(folder, 1024, "%s.d/%s", out, id);
    return length > 0 && length < 1024 - 32 ? AGN_OK
                                            : agn_fail(AGN_ERR_RANGE, "--out: a path of more than 950 bytes");
}

void agn__folder_remove(const char *folder)
{
    static const char *const files[] = {"checkpoint.safetensors", "metrics.jsonl", "model.safetensors",
                                        "model.agn", "log"};
    char path[1024 + 32], *slash;
    for (size_t i = 0; i < AGN_COUNT_OF(files); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        (void)unlink(path);
    }
    if (rmdir(folder) != 0)
        return;
    snprintf(path, sizeof path, "%s", folder);
    slash = strrchr(path, '/');
    if (slash != NULL) {
        *slash = '\0';
        (void)rmdir(path); /* the last one leaves */
    }
}
