/* Where MPI was not found at build time: says so to whoever starts several processes. */
#include "agilenn/distributed.h"
#include "distributed/transport.h"

int agn__transport_open(int *rank, int *size, bool *any_thread)
{
    (void)rank;
    (void)size;
    (void)any_thread;
    return agn_fail(AGN_ERR_UNSUPPORTED,
                    "mpirun started %d processes, but this agilenn was built without MPI: install the Debian "
                    "package libopenmpi-dev and build anew, or start one process without mpirun",
                    agn_launch_size());
}

/* Nobody gets here without an open group. */
static int nothing_open(void)
{
    return agn_fail(AGN_ERR_STATE, "this agilenn was built without MPI");
}

void agn__transport_close(void)
{
}

void agn__transport_abort(int exit_code)
{
    (void)exit_code;
}

int agn__transport_reduce(double *values, size_t count, enum agn__combine how)
{
    (void)values;
    (void)count;
    (void)how;
    return nothing_open();
}

int agn__transport_broadcast(void *data, size_t size_bytes, int from)
{
    (void)data;
    (void)size_bytes;
    (void)from;
    return nothing_open();
}

int agn__transport_lowest(int *status, int *rank)
{
    (void)status;
    (void)rank;
    return nothing_open();
}

int agn__transport_start(int number, float *values, size_t count)
{
    (void)number;
    (void)values;
    (void)count;
    return nothing_open();
}

int agn__transport_test(int count, bool *done)
{
    (void)count;
    (void)done;
    return nothing_open();
}

int agn__transport_wait(int count)
{
    (void)count;
    return nothing_open();
}
