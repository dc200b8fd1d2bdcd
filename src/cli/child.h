/* Processes of our own: `agilenn serve`, started, asked for its port, killed; any other one, waited for. */
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

/* Runs a program that ends by itself, with our own streams, and waits for it; an interruption of ours becomes
 * one of its. Returns its exit code, or 128 and the signal that ended it. `arguments` begins with the
 * program's path and ends with NULL. */
int agn__child_run(char *const *arguments);

#endif
