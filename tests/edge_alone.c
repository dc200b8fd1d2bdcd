/* The edge server as a program of its own, linked with nothing but its room and what that needs
 * (check_edge_alone.sh). usage: edge_alone MODEL.safetensors ... ; prints its port, serves until SIGTERM. */
#include <signal.h>
#include <stdio.h>

#include "agilenn/edge.h"

static struct agn_edge *edge;

static void end(int number)
{
    (void)number;
    agn_server_drain(agn_edge_server(edge));
}

int main(int argc, char **argv)
{
    const struct agn_edge_config config = {
        .paths = (const char *const *)argv + 1, .count = argc - 1, .server = {.workers = 1}, .threads = 1};
    int status = argc < 2 ? AGN_ERR_ARG : agn_edge_open(&config, &edge);
    if (status == AGN_OK) {
        signal(SIGTERM, end);
        printf("%u\n", (unsigned)agn_server_port(agn_edge_server(edge)));
        fflush(stdout);
        status = agn_edge_run(edge);
        agn_edge_close(edge);
    }
    if (status < 0)
        fprintf(stderr, "edge_alone: %s\n", agn_error_message());
    return status < 0;
}
