/* What the launcher tells a process by its environment, and the cores that it should use. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/distributed.h"

/* A whole number >= 0 from the environment; -1: none. */
static int number_from(const char *name)
{
    const char *text = getenv(name);
    char *end = NULL;
    if (text == NULL || text[0] == '\0')
        return -1;
    errno = 0;
    long value = strtol(text, &end, 10);
    return *end == '\0' && errno == 0 && value >= 0 && value <= INT_MAX ? (int)value : -1;
}

/* The first of `names` that holds a number; srun without PMIx starts processes that know nothing of each
 * other, as sbatch does, so that Slurm's own variables count only with PMIx. */
static int first_number(const char *const names[3], int otherwise)
{
    for (int i = 0; i < 3; i++) {
        bool slurm = strncmp(names[i], "SLURM", 5) == 0;
        int value = slurm && getenv("PMIX_RANK") == NULL ? -1 : number_from(names[i]);
        if (value >= 0)
            return value;
    }
    return otherwise;
}

int agn_launch_size(void)
{
    static const char *const names[3] = {"OMPI_COMM_WORLD_SIZE", "SLURM_NTASKS", "PMI_SIZE"};
    int size = first_number(names, 1);
    return size > 1 ? size : 1;
}

int agn_launch_rank(void)
{
    static const char *const names[3] = {"OMPI_COMM_WORLD_RANK", "SLURM_PROCID", "PMI_RANK"};
    return agn_launch_size() > 1 ? first_number(names, 0) : 0;
}

int agn_launch_threads(void)
{
    int neighbours = number_from("OMPI_COMM_WORLD_LOCAL_SIZE");
    const char *policy = getenv("OMPI_MCA_hwloc_base_binding_policy");
    bool bound = policy != NULL && strncmp(policy, "none", 4) != 0; /* to what this process shall have */
    cpu_set_t cores;
    if (neighbours <= 1 || bound || getenv("OMP_NUM_THREADS") != NULL ||
        sched_getaffinity(0, sizeof(cores), &cores) != 0)
        return 0;
    int share = CPU_COUNT(&cores) / neighbours;
    return share > 1 ? share : 1;
}

void agn_launch_unbind(void)
{
    cpu_set_t all;
    if (getenv("OMPI_MCA_orte_bound_at_launch") == NULL ||
        getenv("OMPI_MCA_hwloc_base_binding_policy") != NULL)
        return;
    memset(&all, 0xFF, sizeof(all)); /* the system takes away what a container may not have */
    (void)sched_setaffinity(0, sizeof(all), &all);
}
