/* Starts and ends processes. See child.h. */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agilenn/base.h"

extern char **environ;

enum { START_TIMEOUT_MS = 30000, LINE_BYTES = 512, SIGNAL_CODES = 128 };

/* Reads up to the first newline; its length, or a status. */
static int read_line(int fd, char line[LINE_BYTES])
{
    double end = agn_now_s() + START_TIMEOUT_MS / 1000.0;
    size_t length = 0;
    while (length + 1 < LINE_BYTES) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        double left = end - agn_now_s();
        if (left <= 0.0 || poll(&wait, 1, (int)(1000.0 * left)) == 0)
            return AGN_ERR_TIMEOUT;
        ssize_t n = read(fd, line + length, LINE_BYTES - 1 - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return AGN_ERR_IO;
        length += (size_t)n;
        line[length] = '\0';
        if (memchr(line, '\n', length) != NULL)
            return (int)length;
    }
    return AGN_ERR_FORMAT;
}

static int parse_port(const char *line, uint16_t *port)
{
    int number = 0;
    json_t *json = json_loads(line, 0, NULL);
    int bad = json == NULL ? -1 : json_unpack(json, "{s:{s:i}}", "listening", "port", &number);
    json_decref(json);
    *port = (uint16_t)number;
    return bad == 0 && number > 0 && number < 65536 ? AGN_OK : AGN_ERR_FORMAT;
}

static int spawn(struct agn__child *child, char *const *arguments, const char *log, int output)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    int error = posix_spawn(&child->pid, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        child->pid = 0;
        return agn_fail(AGN_ERR_IO, "cannot start %s: %s", arguments[0], strerror(error));
    }
    return AGN_OK;
}

int agn__child_start(struct agn__child *child, const char *program, const char *model, const char *log)
{
    char line[LINE_BYTES], path[1024], file[1024];
    char serve[] = "serve", json[] = "--json", port[] = "--port", any[] = "0", threads[] = "--threads",
         one[] = "1";
    char *arguments[] = {path, serve, json, port, any, threads, one, file, NULL};
    int pipe_ends[2];
    snprintf(path, sizeof(path), "%s", program);
    snprintf(file, sizeof(file), "%s", model);
    child->pid = 0;
    if (pipe(pipe_ends) != 0)
        return agn_fail(AGN_ERR_IO, "cannot make a pipe: %s", strerror(errno));
    fcntl(pipe_ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(pipe_ends[1], F_SETFD, FD_CLOEXEC);
    int status = spawn(child, arguments, log, pipe_ends[1]);
    close(pipe_ends[1]);
    if (status == AGN_OK) {
        status = read_line(pipe_ends[0], line);
        status = status < 0 ? status : parse_port(line, &child->port);
        if (status < 0) {
            agn__child_kill(child);
            status = agn_fail(status, "the server did not start; %s says why", log);
        }
    }
    close(pipe_ends[0]);
    return status;
}

void agn__child_kill(struct agn__child *child)
{
    if (child->pid > 0) {
        kill(child->pid, SIGKILL);
        while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        child->pid = 0;
    }
}

int agn__child_run(char *const *arguments)
{
    pid_t pid = 0;
    int status = 0;
    bool told = false;
    int error = posix_spawn(&pid, arguments[0], NULL, NULL, arguments, environ);
    if (error != 0)
        return agn_fail(AGN_ERR_IO, "cannot start %s: %s", arguments[0], strerror(error));
    const struct timespec moment = {.tv_nsec = 50000000};
    for (pid_t ended = 0; ended != pid;) {
        ended = waitpid(pid, &status, WNOHANG);
        if (ended < 0 && errno != EINTR)
            return agn_fail(AGN_ERR_IO, "cannot wait for %s: %s", arguments[0], strerror(errno));
        if (agn_interrupt_requested() && !told) {
            kill(pid, SIGTERM);
            told = true;
        }
        if (ended != pid)
            nanosleep(&moment, NULL);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : SIGNAL_CODES + WTERMSIG(status);
}
