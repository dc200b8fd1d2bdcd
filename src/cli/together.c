/* Several processes of one command: who speaks, and how many threads each has. */
#include "cli/together.h"

#include "agilenn/nn.h"
#include "cli/cli.h"

void agn__cli_set_threads(int threads)
{
    agn_nn_set_threads(threads > 0 ? threads : agn_launch_threads());
}

int agn__cli_leave_group(const char *command, struct agn_group *group, int status)
{
    int code = status == AGN_ERR_INTERRUPTED ? AGN_CLI_INTERRUPTED : AGN_CLI_FAILURE;
    bool all_know = agn_group_failed(group);
    if (status < 0 && !all_know && agn_group_rank(group) > 0)
        agn_fail(status, "process %d: %.900s", agn_group_rank(group), agn_error_message());
    if (status < 0 && (!all_know || agn_group_rank(group) == 0))
        agn__cli_fail(command, status);
    agn_group_close(group, status, code);
    return status < 0 ? code : AGN_CLI_SUCCESS;
}
