/* The watch over the files of an edge server: what it takes for a change, and what it counts. */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agilenn/client.h"
#include "agilenn/deploy.h"
#include "agilenn/edge.h"
#include "temp_folder.h"
#include "tiny_model.h"

static const struct tiny_config config = {"conv:c8:s2 conv:c12", 16, 16, 1, 4, 3, 4, false};

static const char two_keys[] =
    "cam-1:00112233445566778899aabbccddeeff\ncam-2:ffeeddccbbaa99887766554433221100\n";
static const char one_key[] = "cam-1:00112233445566778899aabbccddeeff\n";

static struct {
    char model[512], aside[512], keys[512];
    struct agn_edge *edge;
    pthread_t thread;
    int status;
} world;

static int set_up(void **state)
{
    if (temp_folder_setup(state) != 0)
        return -1;
    snprintf(world.model, sizeof world.model, "%s", temp_path("model.safetensors"));
    snprintf(world.aside, sizeof world.aside, "%s", temp_path("aside.safetensors"));
    snprintf(world.keys, sizeof world.keys, "%s", temp_file("devices.psk", two_keys, strlen(two_keys)));
    struct agn_dataset *data = tiny_dataset(&config, 40, 1);
    struct agn_model *model = tiny_trained_model(&config, data, data, 1);
    assert_int_equal(agn_model_save(model, world.model), AGN_OK);
    assert_int_equal(agn_model_save(model, world.aside), AGN_OK);
    agn_model_free(model);
    agn_dataset_free(data);
    return chmod(world.keys, 0600);
}

static void *run(void *argument)
{
    (void)argument;
    world.status = agn_edge_run(world.edge);
    return NULL;
}

struct counts {
    uint64_t reloads, failures, key_reloads, key_failures;
};

/* Waits for these counts; more than they say fail. */
static void await_counts(struct counts wanted)
{
    struct agn_server_stats now;
    for (int i = 0; i < 400; i++) {
        agn_server_stats(agn_edge_server(world.edge), &now);
        if (now.reloads == wanted.reloads && now.reload_failures == wanted.failures &&
            now.key_reloads == wanted.key_reloads && now.key_reload_failures == wanted.key_failures)
            return;
        usleep(20000);
    }
    fail_msg("%d/%d reloads of models failed, %d/%d of keys; expected %d/%d and %d/%d",
             (int)now.reload_failures, (int)now.reloads, (int)now.key_reload_failures, (int)now.key_reloads,
             (int)wanted.failures, (int)wanted.reloads, (int)wanted.key_failures, (int)wanted.key_reloads);
}

static void write_keys(const char *text)
{
    FILE *file = fopen(world.keys, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* A device is revoked, but others may read the file: it is refused until chmod, which is a change, too. */
static void whatever_happens_to_a_file_is_noticed_once(void **state)
{
    (void)state;
    const char *paths[] = {world.model};
    struct agn_edge_config files = {
        .paths = paths, .count = 1, .server = {.psk_file = world.keys, .workers = 1}};
    assert_int_equal(agn_edge_open(&files, &world.edge), AGN_OK);
    assert_int_equal(pthread_create(&world.thread, NULL, run, NULL), 0);

    assert_int_equal(truncate(world.model, 0), 0);
    assert_int_equal(chmod(world.keys, 0644), 0);
    write_keys(one_key);
    await_counts((struct counts){.failures = 1, .key_failures = 1});

    assert_int_equal(unlink(world.model), 0);
    assert_int_equal(chmod(world.keys, 0600), 0);
    await_counts((struct counts){.failures = 2, .key_failures = 1, .key_reloads = 1});

    assert_int_equal(rename(world.aside, world.model), 0);
    assert_int_equal(unlink(world.keys), 0);
    await_counts((struct counts){.failures = 2, .reloads = 1, .key_failures = 2, .key_reloads = 1});

    struct agn_server_stats stats;
    agn_server_stop(agn_edge_server(world.edge));
    assert_int_equal(pthread_join(world.thread, NULL), 0);
    assert_int_equal(world.status, 0);
    agn_server_stats(agn_edge_server(world.edge), &stats);
    assert_int_equal(stats.keys, 1); /* those before stay */
    assert_int_equal(stats.model_count, 1);
    agn_edge_close(world.edge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_to_a_file_is_noticed_once),
    };
    return cmocka_run_group_tests_name("files of an edge server", tests, set_up, temp_folder_teardown);
}
