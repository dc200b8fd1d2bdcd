/* A web server on 127.0.0.1 for tests of downloads: serves the files of a folder, with faults. */
#ifndef AGN_TEST_HTTP_SERVER_H
#define AGN_TEST_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct http_faults {
    int faulty_requests; /* so many requests from the first on meet the faults below; the others none */
    size_t cut_after;    /* closes the connection after so many bytes of the body; 0 = never */
    size_t stall_after;  /* sends no more after so many bytes of the body, but stays; 0 = never */
    bool corrupt;        /* changes the first byte of each body */
    int status;          /* answers so, as in 503, and no file; 0 = as it should */
    bool ignore_ranges;  /* always sends whole files, all requests */
};

struct http_server;

/* Exits the program on failure. A thread a connection. */
struct http_server *http_server_start(const char *folder, struct http_faults faults);
const char *http_server_url(const struct http_server *server); /* http://127.0.0.1:PORT */
/* Requests so far, those with a Range, and bytes of bodies. */
int http_server_requests(struct http_server *server);
int http_server_ranges(struct http_server *server);
size_t http_server_bytes(struct http_server *server);
void http_server_stop(struct http_server *server);

#endif
