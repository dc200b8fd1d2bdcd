/* Processes that take their share of the cores. See beside.h. */
#define _GNU_SOURCE /* for prctl's parent's death */
#include "cli/beside.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "agilenn/base.h"

static void compute(pid_t parent)
{
    volatile double x = 1.0;
#ifdef __linux__
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    for (unsigned long i = 0; i % (1UL << 20) != 0 || getppid() == parent; i++)
        x = x * 0.999999 + 0.5;
    _exit(0);
}

int agn__beside_start(struct agn__beside *beside, int count)
{
    pid_t parent = getpid();
    for (int i = 0; i < count; i++) {
        pid_t child = fork();
        if (child < 0) {
            int reason = errno;
            agn__beside_stop(beside);
            return agn_fail(AGN_ERR_IO, "cannot start process %d of %d to compute beside: %s", i + 1, count,
                            strerror(reason));
        }
        if (child == 0)
            compute(parent);
        beside->processes[beside->count++] = child;
    }
    return AGN_OK;
}

void agn__beside_stop(struct agn__beside *beside)
{
    for (int i = 0; i < beside->count; i++)
        (void)kill(beside->processes[i], SIGKILL);
    for (int i = 0; i < beside->count; i++)
        (void)waitpid(beside->processes[i], NULL, 0);
    beside->count = 0;
}
