/* Processes that train together, on one machine or several.
 *
 * mpirun starts N processes; each sees its part of every batch, and what they learn is summed. A group of one
 * needs no MPI: every function below takes NULL as such a group and then has nothing to do. All processes of
 * a group call the same functions in the same order; only one thread of each calls them. */
#ifndef AGILENN_DISTRIBUTED_H
#define AGILENN_DISTRIBUTED_H

#include "agilenn/base.h"

struct agn_group;

/* ---- the launch ---------------------------------------------------------------- */

/* How many processes the launcher (mpirun, srun with PMIx) says it started, and which of them this is. 1 and
 * 0 without a launcher. Known from the environment, before any MPI. */
int agn_launch_size(void);
int agn_launch_rank(void);
/* Threads for this process so that those on one machine share its cores; 0: alone on it, no advice. */
int agn_launch_threads(void);
/* mpirun by itself binds each of two processes to a single core, where several threads would crowd: lifts
 * that, unless a binding was asked for (--bind-to). To be called before OpenMP starts. */
void agn_launch_unbind(void);

/* ---- the group ------------------------------------------------------------------- */

/* Joins the launched processes; NULL and AGN_OK when this one is alone. AGN_ERR_UNSUPPORTED: several were
 * launched, but this program was built without MPI, or by another MPI's mpirun. Once a process. */
int agn_group_open(struct agn_group **group);
/* Waits for the others to come here, too. After an error that they do not know of (see agn_group_failed),
 * ends them all instead, and this process with `exit_code`. */
void agn_group_close(struct agn_group *group, int status, int exit_code);

int agn_group_rank(const struct agn_group *group); /* 0 to size - 1; 0 writes and speaks for all */
int agn_group_size(const struct agn_group *group);

/* In place, over all processes, which get the same bits. */
int agn_group_sum(struct agn_group *group, double *values, size_t count);
int agn_group_sum_floats(struct agn_group *group, float *values, size_t count);
int agn_group_largest(struct agn_group *group, double *values, size_t count);
/* Everyone gets rank 0's bytes. */
int agn_group_broadcast(struct agn_group *group, void *data, size_t size_bytes);
/* True everywhere when it is true anywhere. */
int agn_group_any(struct agn_group *group, bool *value);
/* If `status` is an error on any rank, returns that rank's error everywhere, with its sentence. */
int agn_group_agree(struct agn_group *group, int status);
/* Whether all know of the failure, by agn_group_agree: then rank 0 speaks of it. */
bool agn_group_failed(const struct agn_group *group);

/* ---- sums while computing -------------------------------------------------------- */

/* Starts to sum floats in place; they must not be touched until agn_group_await. */
int agn_group_start_sum(struct agn_group *group, float *values, size_t count);
/* Returns when all started sums are done. */
int agn_group_await(struct agn_group *group);

struct agn_group_times {
    double sums_seconds;   /* started sums were under way */
    double hidden_seconds; /* of these, the program computed on */
    double other_seconds;  /* in all other functions, waiting for slower processes included */
    double megabytes;      /* 10^6 bytes of started sums */
    int64_t sums, others;  /* calls */
};
void agn_group_times(const struct agn_group *group, struct agn_group_times *times);

#endif
