/* Subcommands that mpirun may start several times: training as one, speaking with one voice. */
#ifndef AGN_CLI_TOGETHER_H
#define AGN_CLI_TOGETHER_H

#include "agilenn/distributed.h"

/* agn_nn_set_threads; 0: this process's share of the machine's cores. */
void agn__cli_set_threads(int threads);

/* Leaves the group. For a status < 0 prints it as agn__cli_fail does: once if all know of it, else here, and
 * ends the others. Returns the exit code so far. */
int agn__cli_leave_group(const char *command, struct agn_group *group, int status);

#endif
