/* See http_server.h. Knows GET and "Range: bytes=N-", closes after each answer; no more than tests need. */
#define _POSIX_C_SOURCE 200809L
#include "http_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 64, HEADER_BYTES = 4096 };

struct http_server {
    char folder[512], url[64];
    struct http_faults faults;
    int listener;
    pthread_t acceptor, workers[MAX_CONNECTIONS];
    int worker_count;
    atomic_bool stopping;
    atomic_int requests, ranges;
    atomic_size_t bytes;
};

struct connection {
    struct http_server *server;
    int descriptor;
};

static void give_up(const char *what)
{
    perror(what);
    exit(1);
}

static bool send_all(int descriptor, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(descriptor, data, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

static bool read_request(int descriptor, char *header)
{
    size_t used = 0;
    while (used < HEADER_BYTES - 1) {
        ssize_t got = recv(descriptor, header + used, HEADER_BYTES - 1 - used, 0);
        if (got <= 0)
            return false;
        used += (size_t)got;
        header[used] = '\0';
        if (strstr(header, "\r\n\r\n"))
            return true;
    }
    return false;
}

/* The file of "GET /NAME HTTP/1.1", whole; NULL when there is none. */
static char *load_file(const struct http_server *server, const char *header, size_t *size)
{
    char name[256], path[1024];
    if (sscanf(header, "GET /%255s HTTP/1.1", name) != 1 || strstr(name, ".."))
        return NULL;
    snprintf(path, sizeof path, "%s/%s", server->folder, name);
    FILE *stream = fopen(path, "rb");
    if (!stream)
        return NULL;
    fseek(stream, 0, SEEK_END);
    *size = (size_t)ftell(stream);
    rewind(stream);
    char *data = malloc(*size + 1);
    if (!data || fread(data, 1, *size, stream) != *size)
        give_up(path);
    fclose(stream);
    return data;
}

static void send_status(int descriptor, int status)
{
    char text[128];
    int length = snprintf(text, sizeof text,
                          "HTTP/1.1 %d Trouble\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
    (void)send_all(descriptor, text, (size_t)length);
}

static void send_body(struct http_server *server, int descriptor, char *data, size_t size, bool faulty)
{
    const struct http_faults *faults = &server->faults;
    size_t sent = size;
    if (faulty && faults->corrupt && size > 0)
        data[0] ^= 1;
    if (faulty && faults->cut_after && faults->cut_after < sent)
        sent = faults->cut_after;
    if (faulty && faults->stall_after && faults->stall_after < sent)
        sent = faults->stall_after;
    if (send_all(descriptor, data, sent))
        atomic_fetch_add(&server->bytes, sent);
    while (faulty && faults->stall_after && !atomic_load(&server->stopping)) {
        struct pollfd gone = {.fd = descriptor, .events = POLLIN}; /* the client leaves, or the test ends */
        if (poll(&gone, 1, 20) != 0)
            break;
    }
}

static void answer(struct http_server *server, int descriptor)
{
    char header[HEADER_BYTES], text[256];
    if (!read_request(descriptor, header))
        return;
    bool faulty = atomic_fetch_add(&server->requests, 1) < server->faults.faulty_requests;
    const char *range = strstr(header, "\r\nRange: bytes=");
    size_t size = 0, start = 0;
    atomic_fetch_add(&server->ranges, range != NULL);
    if (range && !server->faults.ignore_ranges)
        start = (size_t)strtoull(range + strlen("\r\nRange: bytes="), NULL, 10);
    if (faulty && server->faults.status) {
        send_status(descriptor, server->faults.status);
        return;
    }
    char *data = load_file(server, header, &size);
    if (!data || (start > 0 && start >= size)) {
        send_status(descriptor, data ? 416 : 404);
        free(data);
        return;
    }
    int length = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n",
                          start ? "206 Partial Content" : "200 OK", size - start);
    if (start)
        length += snprintf(text + length, sizeof text - (size_t)length,
                           "Content-Range: bytes %zu-%zu/%zu\r\n", start, size - 1, size);
    length += snprintf(text + length, sizeof text - (size_t)length, "\r\n");
    if (send_all(descriptor, text, (size_t)length))
        send_body(server, descriptor, data + start, size - start, faulty);
    free(data);
}

static void *serve_connection(void *argument)
{
    struct connection *connection = argument;
    answer(connection->server, connection->descriptor);
    close(connection->descriptor);
    free(connection);
    return NULL;
}

static void *accept_all(void *argument)
{
    struct http_server *server = argument;
    while (!atomic_load(&server->stopping)) {
        struct pollfd waiting = {.fd = server->listener, .events = POLLIN};
        if (poll(&waiting, 1, 20) != 1)
            continue;
        struct connection *connection = malloc(sizeof *connection);
        if (!connection || server->worker_count == MAX_CONNECTIONS)
            give_up("http server");
        connection->server = server;
        connection->descriptor = accept(server->listener, NULL, NULL);
        if (connection->descriptor < 0 ||
            pthread_create(&server->workers[server->worker_count], NULL, serve_connection, connection) != 0)
            give_up("http server");
        server->worker_count++;
    }
    return NULL;
}

struct http_server *http_server_start(const char *folder, struct http_faults faults)
{
    struct http_server *server = calloc(1, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (!server)
        give_up("http server");
    snprintf(server->folder, sizeof server->folder, "%s", folder);
    server->faults = faults;
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (server->listener < 0 || bind(server->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(server->listener, 16) != 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &length) != 0)
        give_up("http server");
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    if (pthread_create(&server->acceptor, NULL, accept_all, server) != 0)
        give_up("http server");
    return server;
}

const char *http_server_url(const struct http_server *server)
{
    return server->url;
}

int http_server_requests(struct http_server *server)
{
    return atomic_load(&server->requests);
}

int http_server_ranges(struct http_server *server)
{
    return atomic_load(&server->ranges);
}

size_t http_server_bytes(struct http_server *server)
{
    return atomic_load(&server->bytes);
}

void http_server_stop(struct http_server *server)
{
    atomic_store(&server->stopping, true);
    pthread_join(server->acceptor, NULL);
    for (int i = 0; i < server->worker_count; i++)
        pthread_join(server->workers[i], NULL);
    close(server->listener);
    free(server);
}
