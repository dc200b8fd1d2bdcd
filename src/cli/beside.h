/* Other work on the machine while something is measured: processes that compute and do nothing else. */
#ifndef AGN_CLI_BESIDE_H
#define AGN_CLI_BESIDE_H

#include <sys/types.h>

enum { AGN__BESIDE_MAX = 64 };

struct agn__beside {
    pid_t processes[AGN__BESIDE_MAX];
    int count;
};

#define AGN_CLI_BESIDE(number)                                                                               \
    {                                                                                                        \
        .name = "beside", .metavar = "N", .type = AGN_CLI_INT, .integer = (number), .min = 0,                \
        .max = AGN__BESIDE_MAX, .help = "processes that compute beside it, for a busy machine's figures"     \
    }

/* Starts `count` of them; they end with this process, too. Status. */
int agn__beside_start(struct agn__beside *beside, int count);
void agn__beside_stop(struct agn__beside *beside);

#endif
