/* What a launcher says in the environment, and the group of one. Several processes: check_mpi.sh. */
#define _GNU_SOURCE
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agilenn/distributed.h"

static int forget_launchers(void **state)
{
    (void)state;
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE",
                                        "OMPI_COMM_WORLD_RANK",
                                        "OMPI_COMM_WORLD_LOCAL_SIZE",
                                        "OMPI_MCA_hwloc_base_binding_policy",
                                        "OMPI_MCA_orte_bound_at_launch",
                                        "SLURM_NTASKS",
                                        "SLURM_PROCID",
                                        "PMI_SIZE",
                                        "PMI_RANK",
                                        "PMIX_RANK",
                                        "OMP_NUM_THREADS"};
    for (size_t i = 0; i < AGN_COUNT_OF(names); i++)
        unsetenv(names[i]);
    return 0;
}

static void alone_without_a_launcher(void **state)
{
    (void)state;
    double values[] = {3.0, 4.0};
    float floats[] = {5.0F};
    bool any = true;
    struct agn_group *group = (struct agn_group *)values;
    struct agn_group_times times;
    assert_int_equal(agn_launch_size(), 1);
    assert_int_equal(agn_launch_rank(), 0);
    assert_int_equal(agn_launch_threads(), 0);
    assert_int_equal(agn_group_open(&group), AGN_OK);
    assert_null(group);
    assert_int_equal(agn_group_size(NULL), 1);
    assert_int_equal(agn_group_rank(NULL), 0);
    assert_int_equal(agn_group_sum(NULL, values, 2), AGN_OK);
    assert_int_equal(agn_group_largest(NULL, values, 2), AGN_OK);
    assert_int_equal(agn_group_broadcast(NULL, values, sizeof(values)), AGN_OK);
    assert_int_equal(agn_group_sum_floats(NULL, floats, 1), AGN_OK);
    assert_int_equal(agn_group_start_sum(NULL, floats, 1), AGN_OK);
    assert_int_equal(agn_group_await(NULL), AGN_OK);
    assert_true(values[0] == 3.0 && values[1] == 4.0 && floats[0] == 5.0F);
    assert_int_equal(agn_group_any(NULL, &any), AGN_OK);
    assert_true(any);
    assert_int_equal(agn_group_agree(NULL, AGN_OK), AGN_OK);
    assert_int_equal(agn_group_agree(NULL, agn_fail(AGN_ERR_IO, "kept")), AGN_ERR_IO);
    assert_string_equal(agn_error_message(), "kept");
    assert_true(agn_group_failed(NULL)); /* all of one know */
    agn_group_times(NULL, &times);
    assert_int_equal(times.sums + times.others, 0);
    agn_group_close(NULL, AGN_OK, 0);
}

static void launchers_are_understood(void **state)
{
    (void)state;
    setenv("OMPI_COMM_WORLD_SIZE", "4", 1);
    setenv("OMPI_COMM_WORLD_RANK", "3", 1);
    assert_int_equal(agn_launch_size(), 4);
    assert_int_equal(agn_launch_rank(), 3);
    static const char *const odd[] = {"", "x", "-2", "4x", "99999999999999999999", "0"};
    for (size_t i = 0; i < AGN_COUNT_OF(odd); i++) {
        setenv("OMPI_COMM_WORLD_SIZE", odd[i], 1);
        assert_int_equal(agn_launch_size(), 1);
        assert_int_equal(agn_launch_rank(), 0);
    }
    unsetenv("OMPI_COMM_WORLD_SIZE");
    unsetenv("OMPI_COMM_WORLD_RANK");
    setenv("PMI_SIZE", "2", 1); /* another MPI's mpirun: agn_group_open refuses it */
    setenv("PMI_RANK", "1", 1);
    assert_int_equal(agn_launch_size(), 2);
    assert_int_equal(agn_launch_rank(), 1);
    unsetenv("PMI_SIZE");
    setenv("SLURM_NTASKS", "8", 1); /* set in any batch script: no sign of several processes by itself */
    setenv("SLURM_PROCID", "5", 1);
    assert_int_equal(agn_launch_size(), 1);
    setenv("PMIX_RANK", "5", 1);
    assert_int_equal(agn_launch_size(), 8);
    assert_int_equal(agn_launch_rank(), 5);
}

static void neighbours_share_the_cores(void **state)
{
    (void)state;
    cpu_set_t cores;
    assert_int_equal(sched_getaffinity(0, sizeof(cores), &cores), 0);
    int all = CPU_COUNT(&cores);
    setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "2", 1);
    assert_int_equal(agn_launch_threads(), all / 2 > 1 ? all / 2 : 1);
    setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "100000", 1);
    assert_int_equal(agn_launch_threads(), 1);
    setenv("OMP_NUM_THREADS", "3", 1); /* the user's word */
    assert_int_equal(agn_launch_threads(), 0);
    unsetenv("OMP_NUM_THREADS");
    setenv("OMPI_MCA_hwloc_base_binding_policy", "core", 1); /* asked for: OpenMP counts what it leaves */
    assert_int_equal(agn_launch_threads(), 0);
    setenv("OMPI_MCA_hwloc_base_binding_policy", "none", 1);
    assert_int_equal(agn_launch_threads(), 1);
}

static void default_binding_is_lifted(void **state)
{
    (void)state;
    cpu_set_t before, one, after;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    CPU_ZERO(&one);
    for (size_t c = 0; c < CPU_SETSIZE; c++) {
        if (CPU_ISSET(c, &before)) {
            CPU_SET(c, &one);
            break;
        }
    }
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    setenv("OMPI_MCA_orte_bound_at_launch", "1", 1);
    setenv("OMPI_MCA_hwloc_base_binding_policy", "core", 1);
    agn_launch_unbind();
    assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
    assert_int_equal(CPU_COUNT(&after), 1); /* asked for: stays */
    unsetenv("OMPI_MCA_hwloc_base_binding_policy");
    agn_launch_unbind();
    assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
    assert_true(CPU_COUNT(&after) >= CPU_COUNT(&before));
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(alone_without_a_launcher, forget_launchers),
                                       cmocka_unit_test_setup(launchers_are_understood, forget_launchers),
                                       cmocka_unit_test_setup(neighbours_share_the_cores, forget_launchers),
                                       cmocka_unit_test_setup(default_binding_is_lifted, forget_launchers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
