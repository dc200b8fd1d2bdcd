/* Frozen nets compute in parts: equal parts of the batch, each a net of its own that one thread takes through
 * a whole pass. Nothing in a frozen net looks from one image at another, so threads meet at the end of a pass
 * instead of after each operator, a part's tensors stay near the processor that made them, and where there
 * are more parts than threads one without a processor holds up less: another takes its next part. Copies of
 * the parameters are those of the first part. */
#include <omp.h>
#include <stdio.h>

#include "nn/net_internal.h"

/* Two parts a thread let a busy machine's threads share them out; below so many images a part, matrix
 * products get worse (measured: by 4 % at 8). */
enum { LEAST_IMAGES = 16 };

int agn__net_parts(const struct agn_net *net)
{
    bool possible =
        net->backend->parts && net->mode == AGN_NET_FROZEN && net->fusion == NULL && net->whole == NULL;
    if (!possible || net->threads == 1 || net->batch % net->threads != 0)
        return 1;
    int twice = 2 * net->threads;
    return net->batch % twice == 0 && net->batch / twice >= LEAST_IMAGES ? twice : net->threads;
}

int agn__net_make_parts(struct agn_net *net, const struct agn_net_config *config)
{
    struct agn_net_config part = *config;
    part.batch = net->batch / net->part_count;
    net->parts = agn_alloc((size_t)net->part_count, sizeof(struct agn_net *));
    int status = net->parts == NULL ? AGN_ERR_MEMORY : AGN_OK;
    for (int p = 0; p < net->part_count && status == AGN_OK; p++)
        status = agn__net_create_part(&part, net, p, &net->parts[p]);
    return status;
}

int agn__net_load_parts(struct agn_net *net)
{
    int status = AGN_OK;
    for (int p = 0; p < net->part_count && status == AGN_OK; p++)
        status = agn__net_load(net->parts[p]);
    return status;
}

static int team_of(const struct agn_net *net)
{
    int workers = agn_nn_workers();
    return workers < net->threads ? workers : net->threads;
}

int agn__net_run_parts(struct agn_net *net, enum agn__pass pass)
{
    int status = pass == AGN__FORWARD ? agn__net_load_parts(net) : AGN_OK, failed = AGN_OK;
    if (status < 0)
        return status;
    char why[512] = "";
#pragma omp parallel for schedule(dynamic, 1) num_threads(team_of(net))
    for (int p = 0; p < net->part_count; p++) {
        int done = agn__net_run(net->parts[p], pass);
        if (done < 0) {
#pragma omp critical(agn_net_parts)
            {
                failed = done;
                snprintf(why, sizeof(why), "%s", agn_error_message());
            }
        }
    }
    return failed < 0 ? agn_fail(failed, "%s", why) : AGN_OK;
}
