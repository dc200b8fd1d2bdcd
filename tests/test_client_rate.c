/* A client that measures its link, over a radio that gets slow and quick again, in real time: datagrams
 * between client and server take the way that src/modem/radio.h models. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "link_world.h"
#include "modem/radio.h"

enum { DEADLINE_MS = 120 };

/* ---- the radio ------------------------------------------------------------------------------ */

static struct {
    int device_fd, server_fd; /* where the device, and the server, think that the other is */
    struct sockaddr_in device;
    struct agn__radio up, down;
    atomic_int bits_per_s;
    atomic_bool stop;
    pthread_t thread;
} air;

static int open_socket(struct sockaddr_in *name)
{
    socklen_t length = sizeof *name;
    *name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)name, length) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)name, &length), 0);
    return fd;
}

static void put_all(struct agn__radio *radio, int fd, struct sockaddr_in *sender)
{
    uint8_t bytes[AGN__RADIO_BYTES];
    socklen_t length = sizeof *sender;
    ssize_t got;
    while ((got = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)sender, &length)) > 0)
        agn__radio_put(radio, bytes, (size_t)got, agn_now_s());
}

static void *carry(void *user)
{
    (void)user;
    while (!atomic_load(&air.stop)) {
        struct sockaddr_in server;
        struct pollfd waiting[] = {{.fd = air.device_fd, .events = POLLIN},
                                   {.fd = air.server_fd, .events = POLLIN}};
        const uint8_t *bytes;
        size_t length;
        (void)poll(waiting, 2, 1);
        air.up.bandwidth_bps = air.down.bandwidth_bps = atomic_load(&air.bits_per_s);
        put_all(&air.up, air.device_fd, &air.device);
        put_all(&air.down, air.server_fd, &server);
        while ((length = agn__radio_take(&air.up, agn_now_s(), &bytes)) > 0)
            (void)!send(air.server_fd, bytes, length, 0);
        while ((length = agn__radio_take(&air.down, agn_now_s(), &bytes)) > 0)
            (void)!sendto(air.device_fd, bytes, length, 0, (struct sockaddr *)&air.device, sizeof air.device);
    }
    return NULL;
}

/* Returns the port that stands for the server. */
static uint16_t start_air(uint16_t server_port)
{
    const struct agn_modem_model model = {.delay_s = 0.002};
    struct sockaddr_in name, server = {.sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                       .sin_port = htons(server_port)};
    agn__radio_init(&air.up, &model, 1);
    agn__radio_init(&air.down, &model, 2);
    atomic_store(&air.stop, false);
    air.server_fd = open_socket(&name);
    assert_int_equal(connect(air.server_fd, (struct sockaddr *)&server, sizeof server), 0);
    air.device_fd = open_socket(&name);
    assert_int_equal(pthread_create(&air.thread, NULL, carry, NULL), 0);
    return ntohs(name.sin_port);
}

static void stop_air(void)
{
    atomic_store(&air.stop, true);
    pthread_join(air.thread, NULL);
    close(air.device_fd);
    close(air.server_fd);
}

/* ---- tests ---------------------------------------------------------------------------------- */

/* Frames with an answer in time, of `count`; `last` is the last one. */
static int run(struct agn_client *client, int bits_per_s, int count, struct agn_client_result *last)
{
    int fused = 0;
    atomic_store(&air.bits_per_s, bits_per_s);
    for (int i = 0; i < count; i++) {
        *last = link_run_frame(client);
        fused += last->fused;
    }
    return fused;
}

static void what_fits_a_link_that_gets_slow_is_measured(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 1000);
    uint16_t port = agn_server_port(running.server);
    struct agn_client_result result;
    struct agn_client *client = link_new_client((struct agn_client_config){.port = port});
    result = link_run_frame(client);
    agn_client_free(client);
    assert_true(result.fused && result.rate_kbps == 0);
    int frame_bits = 8 * (int)(result.datagram_bytes + 28 * (size_t)result.packets);
    int quick = frame_bits * 1000 * 12 / DEADLINE_MS, slow = frame_bits * 1000 / (DEADLINE_MS * 3 / 2);
    for (int measured = 0; measured < 2; measured++) {
        client = link_new_client((struct agn_client_config){.port = start_air(port),
                                                            .deadline_ms = DEADLINE_MS,
                                                            .dead_after = -1,
                                                            .bandwidth_kbps = (uint32_t)quick / 1000,
                                                            .measure_bandwidth = measured});
        int before = run(client, quick, 15, &result);
        assert_int_equal(result.channels_missing, 0);
        int during = run(client, slow, 30, &result), after = 0;
        print_message(
            "%s: %d of 15 answered in time at %d kbit/s, then %d of 30 at %d kbit/s (%.0f measured)\n",
            measured ? "measured" : "told", before, quick / 1000, during, slow / 1000, result.rate_kbps);
        assert_true(before >= 12);
        assert_true(measured ? during >= 18 : during <= 8);
        assert_true(measured ? result.rate_kbps > 0 : result.rate_kbps == 0);
        for (int i = 0; measured && i < 60 && after < 3; i++) /* whole frames again */
            after = run(client, quick, 1, &result) && result.channels_missing == 0 ? after + 1 : 0;
        assert_true(!measured || after == 3);
        agn_client_free(client);
        stop_air();
    }
    link_stop_server(&running, NULL);
}

/* The smaller limit holds, and a link on which nothing fits is tried now and then. */
static void a_budget_holds_beside_the_measured_one(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 1000);
    struct agn_client_result result;
    struct agn_client *client =
        link_new_client((struct agn_client_config){.port = start_air(agn_server_port(running.server)),
                                                   .deadline_ms = 60,
                                                   .dead_after = -1,
                                                   .budget_bytes = 400,
                                                   .measure_bandwidth = true});
    assert_true(run(client, 0, 8, &result) >= 6); /* no limit of the radio's */
    assert_true(result.datagram_bytes + 28 * (size_t)result.packets <= 400);
    int unsent = 0, sent = 0;
    for (int i = 0; i < 40; i++) {
        assert_int_equal(run(client, 100, 1, &result), 0); /* bit/s */
        unsent += result.reason == AGN_CLIENT_UNSENT;
        sent += result.packets > 0;
    }
    print_message("100 bit/s: %d frames unsent, %d sent\n", unsent, sent);
    assert_true(unsent >= 20 && sent >= 4 && unsent + sent == 40);
    agn_client_free(client);
    stop_air();
    link_stop_server(&running, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_a_link_that_gets_slow_is_measured),
        cmocka_unit_test(a_budget_holds_beside_the_measured_one),
    };
    return cmocka_run_group_tests(tests, link_set_up, link_tear_down);
}
