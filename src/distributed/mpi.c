/* Sums between processes by MPI; the only file that knows of it. group.c decides what is summed when.
 *
 * Sums in the background have a communicator of their own, so that they pass those that a step waits for. */
#include <limits.h>
#include <mpi.h>

#include "agilenn/distributed.h"
#include "distributed/transport.h"

static struct {
    MPI_Comm now, background;
    MPI_Request sums[AGN__MOST_SUMS];
} world;

static int check(int code, const char *what)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    if (code == MPI_SUCCESS)
        return AGN_OK;
    MPI_Error_string(code, text, &length);
    return agn_fail(AGN_ERR_IO, "%s over all processes: %s", what, text);
}

int agn__transport_open(int *rank, int *size, bool *any_thread)
{
    int level = 0;
    int status = check(MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &level), "starting MPI");
    if (status == AGN_OK)
        status = check(MPI_Comm_dup(MPI_COMM_WORLD, &world.now), "starting MPI");
    if (status == AGN_OK)
        status = check(MPI_Comm_dup(MPI_COMM_WORLD, &world.background), "starting MPI");
    if (status < 0)
        return status;
    MPI_Comm_set_errhandler(world.now, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(world.background, MPI_ERRORS_RETURN);
    MPI_Comm_rank(world.now, rank);
    MPI_Comm_size(world.now, size);
    *any_thread = level == MPI_THREAD_MULTIPLE;
    return AGN_OK;
}

void agn__transport_close(void)
{
    MPI_Comm_free(&world.now);
    MPI_Comm_free(&world.background);
    MPI_Finalize();
}

void agn__transport_abort(int exit_code)
{
    MPI_Abort(MPI_COMM_WORLD, exit_code);
}

int agn__transport_reduce(double *values, size_t count, enum agn__combine how)
{
    if (count > INT_MAX)
        return agn_fail(AGN_ERR_RANGE, "%zu values are too many for one sum", count);
    return check(MPI_Allreduce(MPI_IN_PLACE, values, (int)count, MPI_DOUBLE,
                               how == AGN__SUM ? MPI_SUM : MPI_MAX, world.now),
                 "summing");
}

int agn__transport_broadcast(void *data, size_t size_bytes, int from)
{
    enum { PIECE = 1 << 28 };
    int status = AGN_OK;
    for (size_t at = 0; at < size_bytes && status == AGN_OK; at += PIECE) {
        size_t left = size_bytes - at;
        status =
            check(MPI_Bcast((char *)data + at, left < PIECE ? (int)left : PIECE, MPI_BYTE, from, world.now),
                  "sending");
    }
    return status;
}

int agn__transport_lowest(int *status, int *rank)
{
    struct {
        int value, rank;
    } pair = {*status, *rank};
    int result = check(MPI_Allreduce(MPI_IN_PLACE, &pair, 1, MPI_2INT, MPI_MINLOC, world.now), "agreeing");
    *status = pair.value;
    *rank = pair.rank;
    return result;
}

int agn__transport_start(int number, float *values, size_t count)
{
    if (count > INT_MAX)
        return agn_fail(AGN_ERR_RANGE, "%zu values are too many for one sum", count);
    return check(MPI_Iallreduce(MPI_IN_PLACE, values, (int)count, MPI_FLOAT, MPI_SUM, world.background,
                                &world.sums[number]),
                 "summing");
}

int agn__transport_test(int count, bool *done)
{
    int flag = 0;
    int status = check(MPI_Testall(count, world.sums, &flag, MPI_STATUSES_IGNORE), "summing");
    *done = flag != 0;
    return status;
}

int agn__transport_wait(int count)
{
    /* NOLINTNEXTLINE(clang-analyzer-optin.mpi.MPI-Checker): sums are started in another call */
    return check(MPI_Waitall(count, world.sums, MPI_STATUSES_IGNORE), "summing");
}
