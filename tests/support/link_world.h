/* A server and device on loopback for tests: a random model whose frames take several packets, a
 * stand-in for the Remote NN whose every answer a test can work out, servers in threads and processes.
 *
 * Functions assert by cmocka; one world a program. */
#ifndef AGN_TEST_LINK_WORLD_H
#define AGN_TEST_LINK_WORLD_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "agilenn/base.h"
#include "agilenn/client.h"
#include "agilenn/hosted.h"
#include "agilenn/model_agn.h"
#include "agilenn/server.h"
#include "random_model.h"

struct link_world {
    struct random_model random;
    uint8_t *bytes;
    size_t size;
    struct agn_hosted device; /* the test's own device, to know what the client's should send */
    struct agn_map_shape shape;
    float *fill, *features;
    float trust[256];
    struct agn_rng rng;
};
extern struct link_world link_world;

/* Group setup and teardown. */
int link_set_up(void **state);
int link_tear_down(void **state);

/* Symbols of the sent part of the map. */
size_t link_map_symbols(void);
/* Puts an image through the test's own device, packets too; returns their number. */
int link_count_packets(const uint8_t *image);

/* What the server should serve: the world's model, link_world.fill and trust, the stand-in, which also copies
 * the features it sees to link_world.features. */
struct agn_server_model link_served_model(void);

/* A server in a thread. */
struct link_server {
    struct agn_server *server;
    pthread_t thread;
    int status;
};
void link_start_server(struct link_server *running, const struct agn_server_model *model, uint32_t wait_ms);
void link_start_server_as(struct link_server *running, const struct agn_server_model *model,
                          const struct agn_server_config *config);
/* Waits for its end, takes the last counts (stats may be NULL), frees it. */
void link_join_server(struct link_server *running, struct agn_server_stats *stats);
void link_stop_server(struct link_server *running, struct agn_server_stats *stats);

/* Forks a server at *port (0: any); *port becomes its port. Kill it with link_kill_server. */
pid_t link_fork_server(uint16_t *port);
void link_kill_server(pid_t child);

/* A client of the world's model; deadline 2 s unless stated. */
struct agn_client *link_new_client(struct agn_client_config config);
/* Runs one random image, also through the test's own device, and checks the local answer. */
struct agn_client_result link_run_frame(struct agn_client *client);
/* The features that the server should see for the frame in the test's own device (agn_free). */
float *link_expected_features(void);
/* Checks fused logits and class, worked out from these features apart from client and server. */
void link_assert_fusion(const struct agn_client_result *result, const float *features);

#endif
