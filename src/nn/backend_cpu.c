/* The CPU: oneDNN, XNNPACK and loops of our own, on the host's memory. And the list of backends. */
#include <omp.h>

#include "nn/net_internal.h"

static const struct agn__op_class no_work; /* the input is there already */

static const struct agn__op_class *const ops[AGN_OP_TYPES] = {
    [AGN_OP_INPUT] = &no_work,
    [AGN_OP_CONV] = &agn__op_conv,
    [AGN_OP_BATCHNORM] = &agn__op_batchnorm,
    [AGN_OP_RELU6] = &agn__op_relu6,
    [AGN_OP_ADD] = &agn__op_add,
    [AGN_OP_POOL] = &agn__op_pool,
    [AGN_OP_DENSE] = &agn__op_dense,
    [AGN_OP_SILU] = &agn__op_smooth,
    [AGN_OP_SIGMOID] = &agn__op_smooth,
    [AGN_OP_TANH] = &agn__op_smooth,
    [AGN_OP_SCALE] = &agn__op_scale,
    [AGN_OP_UP] = &agn__op_up,
    [AGN_OP_SHUFFLE] = &agn__op_shuffle,
    [AGN_OP_ATTENTION] = &agn__op_attention,
};

static void *allocate(size_t size_bytes)
{
    return agn_alloc(size_bytes + AGN__XNN_BEYOND, 1);
}

/* Lanes may wait for a worker; a primitive made for all threads together may not. */
static int team_of(const struct agn_net *net)
{
    int workers = agn_nn_workers();
    return net->lanes == net->threads && workers < net->threads ? workers : net->threads;
}

/* OpenMP keeps the number of threads for each thread that calls, so each pass sets its own. Primitives are
 * planned for all threads. */
static void enter(const struct agn_net *net, bool plans, struct agn__caller *caller)
{
    caller->threads = omp_get_max_threads();
    omp_set_num_threads(plans ? net->threads : team_of(net));
    caller->mode = plans ? agn__denormals_mode() : agn__denormals_flush();
}

static int leave(const struct agn_net *net, const struct agn__caller *caller)
{
    (void)net;
    agn__denormals_restore(caller->mode);
    omp_set_num_threads(caller->threads);
    return AGN_OK;
}

const struct agn__backend agn__backend_cpu = {.name = "cpu",
                                              .ops = ops,
                                              .parts = true,
                                              .check_compute = agn__compute_check,
                                              .allocate = allocate,
                                              .release = agn_free,
                                              .enter = enter,
                                              .leave = leave};

/* ---- all of them ------------------------------------------------------------------- */

const struct agn__backend *const agn__backends[] = {&agn__backend_cpu, NULL};

static const struct agn__backend *in_use = &agn__backend_cpu;

void agn__backend_use(const struct agn__backend *backend)
{
    in_use = backend;
}

const struct agn__backend *agn__backend_in_use(void)
{
    return in_use;
}
