/* What this machine is called in reports. */
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "nn/net_internal.h"

/* Linux's "model name : ..." of the first CPU; else the name stays as it is. */
static void read_name(char *name, size_t cap)
{
    char line[256];
    FILE *info = fopen("/proc/cpuinfo", "re");
    while (info != NULL && fgets(line, sizeof(line), info) != NULL) {
        const char *value = strchr(line, ':');
        if (strncmp(line, "model name", strlen("model name")) == 0 && value != NULL) {
            snprintf(name, cap, "%.*s", (int)strcspn(value + 2, "\n"), value + 2);
            break;
        }
    }
    if (info != NULL)
        fclose(info);
}

const char *agn_nn_machine(void)
{
    static _Thread_local char text[256];
    char name[128] = "unknown CPU";
    read_name(name, sizeof(name));
    snprintf(text, sizeof(text), "%s, %d CPUs, %s", name, omp_get_num_procs(), agn__onednn_isa());
    return text;
}
