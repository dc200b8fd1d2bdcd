/* The swarm by DTLS: sessions, a server that forgets them, keys that the server does not know. */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agilenn/keys.h"
#include "agilenn/swarm.h"
#include "fake_server.h"
#include "link_world.h"
#include "swarm/ports.h"
#include "temp_folder.h"

enum { IMAGES = 8, DEVICES = 12, KEYS = 5 }; /* fewer keys than devices: some share one */
static struct agn_dataset data;
static uint16_t labels[IMAGES];
static char good_keys[600], other_keys[600];

static int set_up(void **state)
{
    if (temp_folder_setup(state) != 0 || link_set_up(state) != 0)
        return -1;
    const struct agn_dev_model *model = &link_world.device.dev.model;
    size_t image_bytes = (size_t)model->input_h * model->input_w * model->input_c;
    data = (struct agn_dataset){.count = IMAGES,
                                .height = model->input_h,
                                .width = model->input_w,
                                .channels = model->input_c,
                                .classes = model->classes,
                                .labels = labels};
    data.pixels = agn_alloc(IMAGES, image_bytes);
    for (size_t i = 0; i < IMAGES * image_bytes; i++)
        data.pixels[i] = (uint8_t)agn_rng_u64(&link_world.rng);
    snprintf(good_keys, sizeof good_keys, "%s", temp_path("good.psk"));
    snprintf(other_keys, sizeof other_keys, "%s", temp_path("other.psk"));
    if (agn_keys_generate(good_keys, "camera", KEYS) < 0 || agn_keys_generate(other_keys, "stranger", 1) < 0)
        return -1;
    return 0;
}

static int tear_down(void **state)
{
    agn_free(data.pixels);
    (void)link_tear_down(state);
    return temp_folder_teardown(state);
}

static void *serve(void *argument)
{
    struct link_server *running = argument;
    running->status = agn_server_run(running->server);
    return NULL;
}

static uint16_t start(struct link_server *running, uint16_t port)
{
    struct agn_server_model model = link_served_model();
    const struct agn_server_config config = {
        .frame_wait_ms = 500, .psk_file = good_keys, .dtls_port = port, .plain_off = true};
    if (agn_server_create(&running->server, &config, &model, 1) < 0)
        fail_msg("%s", agn_error_message());
    assert_int_equal(pthread_create(&running->thread, NULL, serve, running), 0);
    return agn_server_dtls_port(running->server);
}

static struct agn_swarm *new_swarm(uint16_t port, const char *psk_file, uint32_t deadline_ms)
{
    const struct agn_swarm_config config = {.port = port,
                                            .model = link_world.bytes,
                                            .model_bytes = link_world.size,
                                            .data = &data,
                                            .devices = DEVICES,
                                            .deadline_ms = deadline_ms,
                                            .psk_file = psk_file};
    struct agn_swarm *swarm = NULL;
    if (agn_swarm_create(&swarm, &config) < 0)
        fail_msg("%s", agn_error_message());
    return swarm;
}

static struct agn_swarm_report run(struct agn_swarm *swarm, double seconds)
{
    const struct agn_swarm_load load = {.rate_fps = 20.0 * DEVICES, .seconds = seconds, .fixed = true};
    struct agn_swarm_report report;
    if (agn_swarm_run(swarm, &load, &report) < 0)
        fail_msg("%s", agn_error_message());
    assert_int_equal(report.lost_predictions, 0);
    assert_int_equal(report.answered + report.fallbacks, report.offered);
    return report;
}

static void frames_are_answered_in_sessions(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_swarm *swarm = new_swarm(start(&running, 0), good_keys, 2000);
    struct agn_swarm_report report = run(swarm, 0.3);
    assert_int_equal(report.handshakes, DEVICES);
    assert_true(report.handshake_s > 0);
    assert_int_equal(report.fallbacks, 0);
    report = run(swarm, 0.2);
    assert_int_equal(report.handshakes, 0); /* they are still there */
    assert_int_equal(report.fallbacks, 0);
    agn_swarm_free(swarm);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.dtls_handshakes, DEVICES);
    assert_int_equal(stats.bad_malformed + stats.bad_checksum, 0);
}

/* A server in a process of its own, that can be killed. */
static pid_t fork_server(uint16_t *port)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct link_server running;
        uint16_t bound = start(&running, *port);
        if (write(ends[1], &bound, sizeof bound) == sizeof bound)
            (void)pthread_join(running.thread, NULL);
        _exit(0);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], port, sizeof *port);
    close(ends[0]);
    assert_int_equal(got, sizeof *port);
    return child;
}

/* A killed server's successor knows no session and cannot say so: devices find out by silence. */
static void devices_recover_from_a_restart(void **state)
{
    (void)state;
    uint16_t port = 0;
    pid_t server = fork_server(&port);
    struct agn_swarm *swarm = new_swarm(port, good_keys, 300);
    struct agn_swarm_report report = run(swarm, 0.2);
    for (int i = 0; i < 10 && report.answered == 0; i++) /* a busy machine may take a while */
        report = run(swarm, 0.2);
    assert_true(report.answered > 0);
    link_kill_server(server);
    assert_int_equal(run(swarm, 0.1).answered, 0);
    server = fork_server(&port);
    for (int i = 0; i < 10; i++) {
        report = run(swarm, 0.5);
        if (report.fallbacks == 0)
            break;
    }
    assert_true(report.answered > report.offered / 2);
    agn_swarm_free(swarm);
    link_kill_server(server);
}

static void strangers_are_told_so(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_swarm *swarm = new_swarm(start(&running, 0), other_keys, 100);
    const struct agn_swarm_load load = {.rate_fps = 10, .seconds = 0.1};
    struct agn_swarm_report report;
    int status = agn_swarm_run(swarm, &load, &report);
    assert_true(status == AGN_ERR_UNSUPPORTED || status == AGN_ERR_TIMEOUT);
    assert_non_null(strstr(agn_error_message(), "DTLS"));
    agn_swarm_free(swarm);
    struct agn_swarm_config config = {.port = 9,
                                      .model = link_world.bytes,
                                      .model_bytes = link_world.size,
                                      .data = &data,
                                      .devices = 1,
                                      .deadline_ms = 100,
                                      .psk_file = temp_path("none.psk")};
    assert_int_equal(agn_swarm_create(&swarm, &config), AGN_ERR_NOT_FOUND);
    link_stop_server(&running, NULL);
}

static void nobody_there_is_said_with_advice(void **state)
{
    (void)state;
    struct agn_keys *keys;
    struct agn__ports *ports;
    uint16_t silent = fake_start(&(struct fake_conduct){.kind = FAKE_SILENT});
    assert_int_equal(agn_keys_load(&keys, good_keys), 0);
    assert_int_equal(agn__ports_open(&ports, "127.0.0.1", silent, 2, keys), 0);
    assert_int_equal(agn__ports_connect(ports, 0.1), AGN_ERR_TIMEOUT);
    assert_non_null(strstr(agn_error_message(), "only 0 of 2 DTLS sessions"));
    assert_non_null(strstr(agn_error_message(), "does the server listen for DTLS at this port?"));
    agn__ports_free(ports);
    agn_keys_free(keys);
    fake_stop();
}

/* As a fork does: further descriptors of all sockets that are connected to a port. */
static void hold_sockets(uint16_t port)
{
    for (int fd = 3; fd < 64; fd++) {
        struct sockaddr_in peer;
        socklen_t bytes = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &bytes) == 0 && peer.sin_family == AF_INET &&
            ntohs(peer.sin_port) == port)
            assert_true(dup2(fd, fd + 100) >= 0);
    }
}

/* What still comes to a port that was left must not look like something to read. */
static void left_ports_are_forgotten(void **state)
{
    (void)state;
    struct agn_keys *keys;
    struct agn__ports *ports;
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, left, next;
    socklen_t bytes = sizeof where, next_bytes = sizeof next;
    uint8_t hello[2048];
    int server = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&where, bytes), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&where, &bytes), 0);
    assert_int_equal(agn_keys_load(&keys, good_keys), 0);
    assert_int_equal(agn__ports_open(&ports, "127.0.0.1", ntohs(where.sin_port), 1, keys), 0);
    assert_int_equal(agn__ports_connect(ports, 0.05), AGN_ERR_TIMEOUT);
    assert_true(recvfrom(server, hello, sizeof hello, 0, (struct sockaddr *)&left, &bytes) > 0);
    hold_sockets(ntohs(where.sin_port));
    assert_int_equal(agn__ports_connect(ports, 1.8), AGN_ERR_TIMEOUT); /* silence for 1.5 s: another port */
    do
        assert_true(recvfrom(server, hello, sizeof hello, 0, (struct sockaddr *)&next, &next_bytes) > 0);
    while (next.sin_port == left.sin_port);
    assert_int_equal(sendto(server, "?", 1, 0, (struct sockaddr *)&left, sizeof left), 1);
    assert_int_equal(agn__ports_wait(ports, 0.05), 0);
    agn__ports_free(ports);
    agn_keys_free(keys);
    for (int fd = 103; fd < 164; fd++)
        close(fd);
    close(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_recover_from_a_restart), /* first: it forks, and no server was made before */
        cmocka_unit_test(frames_are_answered_in_sessions),  cmocka_unit_test(strangers_are_told_so),
        cmocka_unit_test(nobody_there_is_said_with_advice), cmocka_unit_test(left_ports_are_forgotten),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
