/* A server process of our own: `agilenn serve`, started, asked for its port, killed. */
#ifndef AGN_CLI_CHILD_H
#define AGN_CLI_CHILD_H

#include <stdint.h>
#include <sys/types.h>

struct agn__child {
    pid_t pid; /* 0: none */
    uint16_t port;
};

/* Starts `program serve --json --port 0 MODEL` with its messages in `log`, and waits until it listens. */
int agn__child_start(struct agn__child *child, const char *program, const char *model, const char *log);
/* SIGKILL and wait: the server dies in mid-work. */
void agn__child_kill(struct agn__child *child);

#endif
