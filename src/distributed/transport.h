/* What carries sums between processes: mpi.c where MPI was found at build time, else no_mpi.c. */
#ifndef AGN_DISTRIBUTED_TRANSPORT_H
#define AGN_DISTRIBUTED_TRANSPORT_H

#include "agilenn/base.h"

enum { AGN__MOST_SUMS = 128 }; /* under way at once */

/* Joins the launched processes. `any_thread`: functions may be called by two threads at a time. */
int agn__transport_open(int *rank, int *size, bool *any_thread);
void agn__transport_close(void);
/* Ends all processes. */
void agn__transport_abort(int exit_code);

enum agn__combine { AGN__SUM, AGN__LARGEST };
int agn__transport_reduce(double *values, size_t count, enum agn__combine how);
int agn__transport_broadcast(void *data, size_t size_bytes, int from);
/* The lowest status and the lowest rank that has it. */
int agn__transport_lowest(int *status, int *rank);

/* Sums in the background, numbered from 0 until all are done. At most AGN__MOST_SUMS. */
int agn__transport_start(int number, float *values, size_t count);
/* Moves sums 0 to count - 1 on; `done` when all of them have ended. */
int agn__transport_test(int count, bool *done);
int agn__transport_wait(int count);

#endif
