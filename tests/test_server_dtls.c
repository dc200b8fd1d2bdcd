/* DTLS over real UDP on loopback: service, strangers, rotation and revocation of keys, a server that dies,
 * secrets that must not show. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agilenn/keys.h"
#include "link_world.h"
#include "stranger.h"

#define KEY_A "000102030405060708090a0b0c0d0e0f"
#define KEY_B "f0e1d2c3b4a5968778695a4b3c2d1e0f"
#define KEY_C "5555555555555555aaaaaaaaaaaaaaaa"

static char folder[512], server_keys[600], device_keys[600];

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void *run_server(void *argument)
{
    struct link_server *running = argument;
    running->status = agn_server_run(running->server);
    return NULL;
}

static void start(struct link_server *running, struct agn_server_config config)
{
    struct agn_server_model model = link_served_model();
    config.frame_wait_ms = 2000;
    config.psk_file = server_keys;
    assert_int_equal(agn_server_create(&running->server, &config, &model, 1), 0);
    assert_int_equal(pthread_create(&running->thread, NULL, run_server, running), 0);
}

static struct agn_client *new_device(const struct link_server *running, const char *identity)
{
    return link_new_client((struct agn_client_config){
        .port = agn_server_dtls_port(running->server), .psk_file = device_keys, .psk_identity = identity});
}

static void expect_fused(struct agn_client *client, int frames)
{
    for (int i = 0; i < frames; i++) {
        struct agn_client_result result = link_run_frame(client);
        assert_int_equal(result.reason, AGN_CLIENT_FUSED);
        float *features = link_expected_features();
        link_assert_fusion(&result, features);
        agn_free(features);
    }
}

/* Waits for the server's loop to have taken new keys. */
static void reload(struct link_server *running, const char *text)
{
    struct agn_server_stats before, now;
    agn_server_stats(running->server, &before);
    write_file(server_keys, text);
    assert_int_equal(agn_server_reload_keys(running->server), 0);
    for (int i = 0; i < 300; i++) {
        agn_server_stats(running->server, &now);
        if (now.key_reloads > before.key_reloads)
            return;
        usleep(10000);
    }
    fail_msg("the new keys never took effect");
}

/* ---- service ------------------------------------------------------------------------------ */

static void frames_are_fused_on_both_ports(void **state)
{
    (void)state;
    struct link_server running;
    start(&running, (struct agn_server_config){0});
    uint16_t plain_port = agn_server_port(running.server);
    assert_true(plain_port != 0 && agn_server_dtls_port(running.server) != 0);
    struct agn_client *a = new_device(&running, "camera-a"), *b = new_device(&running, "camera-b");
    struct agn_client *plain = link_new_client((struct agn_client_config){.port = plain_port});
    for (int i = 0; i < 10; i++) {
        expect_fused(a, 1);
        expect_fused(plain, 1);
        expect_fused(b, 1);
    }
    agn_client_free(a);
    agn_client_free(b);
    agn_client_free(plain);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.replies, 30);
    assert_int_equal(stats.dtls_handshakes, 2);
    assert_int_equal(stats.dtls_unknown + stats.dtls_revoked + stats.limited + stats.withheld, 0);
    assert_int_equal(stats.keys, 2);
}

/* As LwM2M and people name devices; the longest, too. */
static void any_identity_is_served(void **state)
{
    (void)state;
    static const char *const identities[] = {
        "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "cam 7",
        "kamera-\xc3\xa4",
        "hex:0aff",
        "\" : \"",
        "0123456789012345678901234567890123456789012345678901234567890123"
        "0123456789012345678901234567890123456789012345678901234567890123"};
    char text[1200] = "";
    for (size_t i = 0; i < AGN_COUNT_OF(identities); i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s:%s\n", identities[i], KEY_A);
    }
    write_file(server_keys, text);
    write_file(device_keys, text);
    struct link_server running;
    start(&running, (struct agn_server_config){0});
    for (size_t i = 0; i < AGN_COUNT_OF(identities); i++) {
        struct agn_client *client = new_device(&running, identities[i]);
        expect_fused(client, 1);
        agn_client_free(client);
    }
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.dtls_handshakes, AGN_COUNT_OF(identities));
    assert_int_equal(stats.dtls_unknown, 0);
}

static void plain_can_be_off(void **state)
{
    (void)state;
    struct link_server running;
    start(&running, (struct agn_server_config){.plain_off = true});
    assert_int_equal(agn_server_port(running.server), 0);
    struct agn_client *client = new_device(&running, "camera-a");
    expect_fused(client, 3);
    agn_client_free(client);
    /* Plain CoAP at the port of DTLS is no service either. */
    client = link_new_client((struct agn_client_config){
        .port = agn_server_dtls_port(running.server), .deadline_ms = 150, .dead_after = -1});
    assert_int_equal(link_run_frame(client).reason, AGN_CLIENT_TIMEOUT);
    agn_client_free(client);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.replies, 3);

    struct agn_server *server;
    struct agn_server_model model = link_served_model();
    struct agn_server_config neither = {.plain_off = true};
    assert_int_equal(agn_server_create(&server, &neither, &model, 1), AGN_ERR_ARG);
}

/* ---- strangers ------------------------------------------------------------------------------ */

static void a_wrong_key_gets_no_session(void **state)
{
    (void)state;
    struct link_server running;
    start(&running, (struct agn_server_config){0});
    write_file(device_keys, "camera-a:" KEY_C "\n"
                            "nobody:" KEY_A "\n");
    static const char *const identities[] = {"camera-a", "nobody"};
    for (int i = 0; i < 2; i++) {
        struct agn_client *client =
            link_new_client((struct agn_client_config){.port = agn_server_dtls_port(running.server),
                                                       .psk_file = device_keys,
                                                       .psk_identity = identities[i],
                                                       .dead_after = -1,
                                                       .deadline_ms = 300});
        for (int frame = 0; frame < 2; frame++) { /* each has its local prediction all the same */
            enum agn_client_reason reason = link_run_frame(client).reason;
            assert_true(reason == AGN_CLIENT_UNTRUSTED || reason == AGN_CLIENT_TIMEOUT);
        }
        agn_client_free(client);
    }
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.packets, 0);
    assert_int_equal(stats.dtls_handshakes, 0);
    assert_true(stats.dtls_unknown > 0);
}

/* ---- ciphers, and what becomes of handshakes ---------------------------------------------------- */

enum last_step { ONLY_A_HELLO, HELLOS, WHOLE };

struct stranger {
    const char *priorities, *identity, *key;
    enum last_step last;
};

static const struct sockaddr_in *source; /* of the next handshakes; NULL: any */

struct way {
    int fd, answers_left; /* how many datagrams of the server it waits for: counting its own would take one
                           * that is sent twice, because the server is slow, for the next step */
};

static int wait_for_bytes(gnutls_transport_ptr_t user, unsigned ms)
{
    struct way *way = user;
    struct pollfd waiting = {.fd = way->fd, .events = POLLIN};
    return way->answers_left > 0 ? poll(&waiting, 1, (int)ms) : 1;
}

static ssize_t send_all(gnutls_transport_ptr_t user, const void *bytes, size_t len)
{
    return send(((struct way *)user)->fd, bytes, len, 0);
}

static ssize_t receive(gnutls_transport_ptr_t user, void *bytes, size_t cap)
{
    struct way *way = user;
    if (way->answers_left == 0) {
        errno = ECONNABORTED;
        return -1;
    }
    ssize_t got = recv(way->fd, bytes, cap, 0);
    way->answers_left -= got >= 0;
    return got;
}

/* A handshake with GnuTLS's own client, without a request behind it. Returns gnutls_handshake's code; the
 * cipher goes to `cipher`. */
static int shake_hands(uint16_t port, const struct stranger *who, gnutls_cipher_algorithm_t *cipher)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval second = {.tv_sec = 1};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    if (source)
        assert_int_equal(bind(fd, (const struct sockaddr *)source, sizeof *source), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second), 0);
    struct way way = {fd, who->last == ONLY_A_HELLO ? 0 : who->last == HELLOS ? 1 : 1000};
    gnutls_psk_client_credentials_t credentials;
    gnutls_session_t session;
    const gnutls_datum_t key = {(unsigned char *)(uintptr_t)who->key, (unsigned)strlen(who->key)};
    assert_int_equal(gnutls_psk_allocate_client_credentials(&credentials), 0);
    assert_int_equal(gnutls_psk_set_client_credentials(credentials, who->identity, &key, GNUTLS_PSK_KEY_HEX),
                     0);
    assert_int_equal(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_DATAGRAM), 0);
    assert_int_equal(gnutls_priority_set_direct(session, who->priorities, NULL), 0);
    assert_int_equal(gnutls_credentials_set(session, GNUTLS_CRD_PSK, credentials), 0);
    gnutls_transport_set_ptr(session, &way);
    gnutls_transport_set_push_function(session, send_all);
    gnutls_transport_set_pull_function(session, receive);
    gnutls_transport_set_pull_timeout_function(session, wait_for_bytes);
    gnutls_dtls_set_timeouts(session, 200, 3000); /* a server under a sanitizer is slow */
    int code;
    do
        code = gnutls_handshake(session);
    while (code < 0 && way.answers_left > 0 && !gnutls_error_is_fatal(code));
    *cipher = code == 0 ? gnutls_cipher_get(session) : GNUTLS_CIPHER_NULL;
    if (code == 0)
        (void)gnutls_bye(session, GNUTLS_SHUT_WR);
    gnutls_deinit(session);
    gnutls_psk_free_client_credentials(credentials);
    close(fd);
    return code;
}

#define PSK_ONLY "NONE:+PSK:+ECDHE-PSK:+SIGN-ALL:+GROUP-ALL:+COMP-NULL:"
#define CBC      "+AES-128-CBC:+AES-256-CBC:+SHA1:+SHA256:+SHA384"

static void only_aead_ciphers_are_served(void **state)
{
    (void)state;
    static const struct {
        const char *priorities;
        gnutls_cipher_algorithm_t cipher, with_cbc;
    } cases[] = {
        {PSK_ONLY "+VERS-DTLS1.2:+AES-256-CCM-8:+AEAD", GNUTLS_CIPHER_AES_256_CCM_8,
         GNUTLS_CIPHER_AES_256_CCM_8},
        {PSK_ONLY "+VERS-DTLS1.2:+AES-128-GCM:+AEAD", GNUTLS_CIPHER_AES_128_GCM, GNUTLS_CIPHER_AES_128_GCM},
        {PSK_ONLY "+VERS-DTLS1.2:" CBC, GNUTLS_CIPHER_NULL, GNUTLS_CIPHER_AES_128_CBC},
        {PSK_ONLY "+VERS-DTLS1.2:" CBC ":+AES-128-CCM:+AEAD", GNUTLS_CIPHER_AES_128_CCM,
         GNUTLS_CIPHER_AES_128_CBC},
        {PSK_ONLY "+VERS-DTLS1.0:" CBC, GNUTLS_CIPHER_NULL, GNUTLS_CIPHER_NULL},
    };
    for (int cbc = 0; cbc < 2; cbc++) {
        struct link_server running;
        struct agn_server_stats stats;
        start(&running, (struct agn_server_config){.dtls_cbc = cbc});
        for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
            struct stranger who = {cases[i].priorities, "camera-a", KEY_A, WHOLE};
            gnutls_cipher_algorithm_t cipher;
            (void)shake_hands(agn_server_dtls_port(running.server), &who, &cipher);
            print_message("case %zu, CBC %d: %s\n", i, cbc, gnutls_cipher_get_name(cipher));
            assert_int_equal(cipher, cbc ? cases[i].with_cbc : cases[i].cipher);
        }
        link_stop_server(&running, &stats);
        assert_int_equal(stats.dtls_handshakes, cbc ? 4 : 3);
        assert_true(stats.dtls_refused >= (cbc ? 1 : 2));
        assert_int_equal(stats.dtls_failed + stats.dtls_unknown + stats.dtls_unfinished, 0);
    }
}

/* A port that was refused once gets no other ciphers the next time. */
static void a_refused_hello_is_no_way_in(void **state)
{
    (void)state;
    struct link_server running;
    start(&running, (struct agn_server_config){0});
    struct sockaddr_in from = {.sin_family = AF_INET};
    socklen_t bytes = sizeof from;
    int holder = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    assert_int_equal(setsockopt(holder, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(holder, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(getsockname(holder, (struct sockaddr *)&from, &bytes), 0);
    source = &from;
    for (int i = 0; i < 3; i++) {
        gnutls_cipher_algorithm_t cipher;
        struct stranger who = {PSK_ONLY "+VERS-DTLS1.2:" CBC, "camera-a", KEY_A, WHOLE};
        assert_true(shake_hands(agn_server_dtls_port(running.server), &who, &cipher) < 0);
    }
    source = NULL;
    close(holder);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.dtls_handshakes + stats.dtls_failed, 0);
    assert_true(stats.dtls_refused >= 2);
}

static void handshakes_are_counted_by_what_became_of_them(void **state)
{
    (void)state;
    static const char aead[] = PSK_ONLY "+VERS-DTLS1.2:+AES-128-CCM-8:+AEAD";
    static const struct stranger strangers[] = {
        {aead, "camera-a", KEY_A, WHOLE},        {aead, "camera-b", KEY_B, WHOLE},
        {aead, "camera-a", KEY_C, WHOLE},        {aead, "camera:c", KEY_C, WHOLE},
        {aead, "camera-a", KEY_A, ONLY_A_HELLO}, {aead, "camera-a", KEY_A, HELLOS},
        {aead, "camera-b", KEY_B, HELLOS}};
    struct link_server running;
    start(&running, (struct agn_server_config){0});
    for (size_t i = 0; i < AGN_COUNT_OF(strangers); i++) {
        gnutls_cipher_algorithm_t cipher;
        int code = shake_hands(agn_server_dtls_port(running.server), &strangers[i], &cipher);
        assert_int_equal(code == 0, i < 2);
    }
    struct agn_server_stats stats;
    double begin_s = agn_now_s();
    do { /* the CoAP library gives up after some seconds */
        usleep(50000);
        agn_server_stats(running.server, &stats);
    } while (stats.dtls_failed + stats.dtls_unfinished < 3 && agn_now_s() < begin_s + 60.0);
    print_message("%.1f s until the last one was given up\n", agn_now_s() - begin_s);
    link_stop_server(&running, NULL);
    assert_int_equal(stats.dtls_handshakes, 2);
    assert_int_equal(stats.dtls_failed, 1);
    assert_int_equal(stats.dtls_unknown, 1);
    assert_int_equal(stats.dtls_refused, 0);
    assert_int_equal(stats.dtls_unfinished, 2);
    assert_int_equal(stats.dtls_peers, 0);
}

/* Bytes that are no handshake, and handshakes that stop half-way, leave the others in peace. */
static void garbage_leaves_sessions_alone(void **state)
{
    (void)state;
    struct link_server running;
    start(&running, (struct agn_server_config){0});
    struct agn_client *client = new_device(&running, "camera-a");
    expect_fused(client, 2);
    struct agn_rng rng;
    agn_rng_seed(&rng, 11);
    for (int i = 0; i < 300; i++) {
        uint8_t bytes[200];
        size_t len = 1 + agn_rng_below(&rng, sizeof bytes);
        for (size_t k = 0; k < len; k++)
            bytes[k] = (uint8_t)agn_rng_u64(&rng);
        if (len > 25 && i % 2 == 0) /* the beginning of a client's hello */
            memcpy(bytes, "\x16\xfe\xff\0\0\0\0\0\0\0\0", 11), bytes[13] = 1;
        int fd = stranger_socket(agn_server_dtls_port(running.server));
        assert_true(send(fd, bytes, len, 0) >= 0);
        close(fd);
        if (i % 16 == 0)
            usleep(10000); /* or the socket's buffer overflows, and real packets are lost with the others */
    }
    usleep(100000); /* for the same reason */
    expect_fused(client, 3);
    agn_client_free(client);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.dtls_handshakes, 1);
}

static void what_is_no_dtls_is_counted(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } strays[] = {
        {"\x01\x02\0\0\0\0\0\0\0\x01\0\x01\0\x04\0\0\0\0\0\0",
         20},                       /* a feature packet's header and checksum */
        {"\x50\x01\0\x01\xb1v", 6}, /* CoAP */
        {"\x16\x03\x03\0\1x", 6},   /* TLS */
        {"\x16\xfe\xfd\0", 4},      /* half a record's header */
        {"hi", 2},
    };
    struct link_server running;
    start(&running, (struct agn_server_config){0});
    struct agn_client *client = new_device(&running, "camera-a");
    expect_fused(client, 2);
    int fd = stranger_socket(agn_server_dtls_port(running.server));
    for (size_t i = 0; i < AGN_COUNT_OF(strays); i++)
        assert_true(send(fd, strays[i].bytes, strays[i].len, 0) >= 0);
    close(fd);
    expect_fused(client, 2);
    agn_client_free(client);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.stray_feature_packets, 1);
    assert_int_equal(stats.stray_coap, 1);
    assert_int_equal(stats.stray_tls, 2);
    assert_int_equal(stats.stray_short, 1);
    assert_int_equal(stats.stray_other, 0);
}

/* Its own bucket, that is; others have theirs. */
static void a_flood_is_dropped(void **state)
{
    (void)state;
    enum { RATE = 10, FRAMES = 200 };
    struct link_server running;
    start(&running, (struct agn_server_config){.peer_messages_per_s = RATE});
    struct agn_client *hasty = link_new_client((struct agn_client_config){
        .port = agn_server_port(running.server), .dead_after = -1, .deadline_ms = 3});
    struct agn_client *calm = new_device(&running, "camera-b");
    double begin_s = agn_now_s();
    int fused = 0;
    for (int i = 0; i < FRAMES; i++)
        fused += link_run_frame(hasty).fused;
    double most = RATE * (2.0 + agn_now_s() - begin_s); /* messages; a frame takes two or more */
    print_message("%d of %d frames of a flood fused, %.0f messages allowed\n", fused, (int)FRAMES, most);
    assert_true(fused <= most / 2.0);
    expect_fused(calm, 2);
    agn_client_free(hasty);
    agn_client_free(calm);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_true(stats.limited > 0);
}

/* ---- keys that change ------------------------------------------------------------------------ */

static void revoked_keys_end_and_others_go_on(void **state)
{
    (void)state;
    struct link_server running;
    start(&running, (struct agn_server_config){0});
    struct agn_client *a = new_device(&running, "camera-a"), *b = new_device(&running, "camera-b");
    expect_fused(a, 1);
    expect_fused(b, 1);
    reload(&running, "camera-b:" KEY_B "\ncamera-c:" KEY_C "\n");
    expect_fused(b, 3);
    assert_int_equal(link_run_frame(a).reason, AGN_CLIENT_UNTRUSTED);
    enum agn_client_reason reason = link_run_frame(a).reason; /* and no new session for it */
    assert_true(reason == AGN_CLIENT_UNTRUSTED || reason == AGN_CLIENT_TIMEOUT);
    write_file(device_keys, "camera-c:" KEY_C "\n");
    struct agn_client *c = new_device(&running, NULL);
    expect_fused(c, 2);

    /* Rotated: the old session ends, a device that has the new key goes on with it. */
    reload(&running, "camera-b:" KEY_C "\n");
    assert_int_equal(link_run_frame(b).reason, AGN_CLIENT_UNTRUSTED);
    write_file(device_keys, "camera-b:" KEY_C "\n");
    struct agn_client *renewed = new_device(&running, "camera-b");
    expect_fused(renewed, 2);

    agn_client_free(a);
    agn_client_free(b);
    agn_client_free(c);
    agn_client_free(renewed);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.dtls_handshakes, 4);
    assert_true(stats.dtls_revoked >= 2);
    assert_int_equal(stats.key_reloads, 2);
    assert_int_equal(stats.keys, 1);
}

static void a_bad_key_file_leaves_the_old_keys(void **state)
{
    (void)state;
    struct link_server running;
    start(&running, (struct agn_server_config){0});
    struct agn_client *client = new_device(&running, "camera-a");
    expect_fused(client, 1);
    write_file(server_keys, "camera-a:12\n");
    assert_int_equal(agn_server_reload_keys(running.server), AGN_ERR_FORMAT);
    assert_int_equal(chmod(server_keys, 0644), 0);
    assert_int_equal(agn_server_reload_keys(running.server), AGN_ERR_ARG);
    unlink(server_keys);
    assert_int_equal(agn_server_reload_keys(running.server), AGN_ERR_NOT_FOUND);
    expect_fused(client, 2);
    agn_client_free(client);
    client = new_device(&running, "camera-b");
    expect_fused(client, 1);
    agn_client_free(client);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.key_reload_failures, 3);
    assert_int_equal(stats.key_reloads, 0);
}

/* ---- a server that dies ------------------------------------------------------------------------ */

static pid_t fork_server(uint16_t *port)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct agn_server *server;
        struct agn_server_model model = link_served_model();
        struct agn_server_config config = {.dtls_port = *port, .psk_file = server_keys, .plain_off = true};
        if (agn_server_create(&server, &config, &model, 1) != 0)
            _exit(1);
        uint16_t bound = agn_server_dtls_port(server);
        if (write(ends[1], &bound, sizeof bound) != sizeof bound)
            _exit(2);
        (void)agn_server_run(server);
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], port, sizeof *port), sizeof *port);
    close(ends[0]);
    return child;
}

/* A restarted server knows no session, and cannot say so: the device finds out by silence. */
static void a_device_recovers_from_a_restart(void **state)
{
    (void)state;
    uint16_t port = 0;
    pid_t child = fork_server(&port);
    struct agn_client *client = link_new_client((struct agn_client_config){.port = port,
                                                                           .psk_file = device_keys,
                                                                           .psk_identity = "camera-a",
                                                                           .deadline_ms = 500,
                                                                           .probe_every = 1});
    expect_fused(client, 2);
    link_kill_server(child);
    assert_int_not_equal(link_run_frame(client).reason, AGN_CLIENT_FUSED);
    child = fork_server(&port);
    int frames = 0;
    while (link_run_frame(client).reason != AGN_CLIENT_FUSED)
        assert_true(++frames < 10);
    print_message("fused again after %d frames\n", frames);
    expect_fused(client, 2);
    agn_client_free(client);
    link_kill_server(child);
}

/* ---- secrets -------------------------------------------------------------------------------------- */

static char log_lines[65536];

static void keep_line(void *user, enum agn_log_level level, const char *line)
{
    (void)user;
    (void)level;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    size_t used = strlen(log_lines);
    snprintf(log_lines + used, sizeof log_lines - used, "%s\n", line);
    pthread_mutex_unlock(&lock);
}

static void keys_show_nowhere(void **state)
{
    (void)state;
    agn_log_to(keep_line, NULL, AGN_LOG_DEBUG);
    struct link_server running;
    start(&running, (struct agn_server_config){0});
    struct agn_client *client = new_device(&running, "camera-a");
    expect_fused(client, 1);
    reload(&running, "camera-a:" KEY_B "\n");
    (void)link_run_frame(client);
    agn_client_free(client);
    link_stop_server(&running, NULL);
    agn_log_to(NULL, NULL, AGN_LOG_ERROR);
    assert_non_null(strstr(log_lines, "reload: keys of 1 devices")); /* the log was listened to */
    assert_null(strcasestr(log_lines, KEY_A));
    assert_null(strcasestr(log_lines, KEY_B));

    struct rlimit core;
    assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
    assert_int_equal(core.rlim_cur, 0);
    assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
}

static int make_folder(void **state)
{
    const char *base = getenv("AGN_TEST_TMP");
    snprintf(folder, sizeof folder, "%s/dtls.XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    snprintf(server_keys, sizeof server_keys, "%s/server.psk", folder);
    snprintf(device_keys, sizeof device_keys, "%s/device.psk", folder);
    return link_set_up(state);
}

static int remove_folder(void **state)
{
    unlink(server_keys);
    unlink(device_keys);
    rmdir(folder);
    return link_tear_down(state);
}

static int make_keys(void **state)
{
    (void)state;
    static const char text[] = "# two devices\ncamera-b:" KEY_B "\ncamera-a:" KEY_A "\n";
    write_file(server_keys, text);
    assert_int_equal(chmod(server_keys, 0600), 0);
    write_file(device_keys, text);
    return 0;
}

int main(void)
{
    /* The one that forks comes first, while the program has no threads. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_device_recovers_from_a_restart, make_keys),
        cmocka_unit_test_setup(frames_are_fused_on_both_ports, make_keys),
        cmocka_unit_test_setup(any_identity_is_served, make_keys),
        cmocka_unit_test_setup(plain_can_be_off, make_keys),
        cmocka_unit_test_setup(a_wrong_key_gets_no_session, make_keys),
        cmocka_unit_test_setup(only_aead_ciphers_are_served, make_keys),
        cmocka_unit_test_setup(a_refused_hello_is_no_way_in, make_keys),
        cmocka_unit_test_setup(handshakes_are_counted_by_what_became_of_them, make_keys),
        cmocka_unit_test_setup(garbage_leaves_sessions_alone, make_keys),
        cmocka_unit_test_setup(what_is_no_dtls_is_counted, make_keys),
        cmocka_unit_test_setup(a_flood_is_dropped, make_keys),
        cmocka_unit_test_setup(revoked_keys_end_and_others_go_on, make_keys),
        cmocka_unit_test_setup(a_bad_key_file_leaves_the_old_keys, make_keys),
        cmocka_unit_test_setup(keys_show_nowhere, make_keys),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
