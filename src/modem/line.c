/* Unix sockets and pseudo-terminals as serial lines; see line.h. */
#define _GNU_SOURCE /* posix_openpt and its kin */
#include "modem/line.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "agilenn/base.h"

static int set_address(struct sockaddr_un *address, const char *path)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (strlen(path) == 0 || strlen(path) >= sizeof address->sun_path)
        return agn_fail(AGN_ERR_RANGE, "socket path '%s': expected 1 to %zu bytes; use a shorter one", path,
                        sizeof address->sun_path - 1);
    memcpy(address->sun_path, path, strlen(path));
    return 0;
}

static int make_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 ? fd : agn_fail(AGN_ERR_IO, "cannot make a socket: %s", strerror(errno));
}

/* Tries until somebody listens there: the emulator may start later. */
static int connect_to(struct agn__line *line, const struct sockaddr_un *address, double patience_s)
{
    double until_s = agn_now_s() + patience_s;
    for (;;) {
        int fd = make_socket();
        if (fd < 0)
            return fd;
        if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0) {
            line->fd = fd;
            return 0;
        }
        int error = errno;
        close(fd);
        if (error != ENOENT && error != ECONNREFUSED && error != EAGAIN && error != EINTR)
            return agn_fail(AGN_ERR_IO, "cannot connect to %s: %s", line->path, strerror(error));
        if (agn_interrupt_requested())
            return agn_fail(AGN_ERR_INTERRUPTED, "interrupted while waiting for %s", line->path);
        if (agn_now_s() >= until_s)
            return agn_fail(AGN_ERR_TIMEOUT,
                            "nobody listens at %s within %g s (%s); start the emulator with -serial "
                            "unix:%s,server=on,wait=on, or wait longer (--patience)",
                            line->path, patience_s, strerror(error), line->path);
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    }
}

static int wait_for_caller(struct agn__line *line, int listener, double patience_s)
{
    double until_s = agn_now_s() + patience_s;
    while (agn_now_s() < until_s && !agn_interrupt_requested()) {
        struct pollfd wait = {.fd = listener, .events = POLLIN};
        if (poll(&wait, 1, 100) <= 0)
            continue;
        line->fd = accept(listener, NULL, NULL);
        if (line->fd >= 0)
            return fcntl(line->fd, F_SETFL, O_NONBLOCK) == 0
                       ? 0
                       : agn_fail(AGN_ERR_IO, "cannot set up the line: %s", strerror(errno));
    }
    if (agn_interrupt_requested())
        return agn_fail(AGN_ERR_INTERRUPTED, "interrupted while waiting for a device at %s", line->path);
    return agn_fail(AGN_ERR_TIMEOUT, "no device has connected to %s within %g s; wait longer (--patience)",
                    line->path, patience_s);
}

static int listen_at(struct agn__line *line, const struct sockaddr_un *address, double patience_s)
{
    int listener = make_socket();
    if (listener < 0)
        return listener;
    int status = 0;
    if (bind(listener, (const struct sockaddr *)address, sizeof *address) != 0)
        status = agn_fail(AGN_ERR_IO, "cannot listen at %s: %s%s", line->path, strerror(errno),
                          errno == EADDRINUSE ? "; remove the file if nobody uses it" : "");
    line->made_path = status == 0;
    if (status == 0 && listen(listener, 1) != 0)
        status = agn_fail(AGN_ERR_IO, "cannot listen at %s: %s", line->path, strerror(errno));
    if (status == 0)
        status = wait_for_caller(line, listener, patience_s);
    close(listener);
    return status;
}

/* A raw pseudo-terminal; a symbolic link gives it a name that is known beforehand. */
static int make_pty(struct agn__line *line)
{
    struct termios settings;
    line->fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (line->fd < 0 || grantpt(line->fd) != 0 || unlockpt(line->fd) != 0 ||
        ptsname_r(line->fd, line->name, sizeof line->name) != 0)
        return agn_fail(AGN_ERR_IO, "cannot make a pseudo-terminal: %s", strerror(errno));
    line->keeper = open(line->name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (line->keeper < 0 || tcgetattr(line->keeper, &settings) != 0)
        return agn_fail(AGN_ERR_IO, "cannot set up %s: %s", line->name, strerror(errno));
    cfmakeraw(&settings);
    if (tcsetattr(line->keeper, TCSANOW, &settings) != 0)
        return agn_fail(AGN_ERR_IO, "cannot set up %s: %s", line->name, strerror(errno));
    if (line->path[0] == '\0')
        return 0;
    if (symlink(line->name, line->path) != 0)
        return agn_fail(AGN_ERR_IO, "cannot link %s to %s: %s", line->path, line->name, strerror(errno));
    line->made_path = true;
    return 0;
}

int agn__line_open(struct agn__line *line, enum agn_modem_line kind, const char *path, double patience_s)
{
    struct sockaddr_un address;
    line->fd = line->keeper = -1;
    if (strlen(path) >= sizeof line->path)
        return agn_fail(AGN_ERR_RANGE, "path '%s': expected at most %zu bytes", path, sizeof line->path - 1);
    memcpy(line->path, path, strlen(path) + 1);
    memcpy(line->name, path, strlen(path) + 1);
    if (kind == AGN_MODEM_PTY)
        return make_pty(line);
    int status = set_address(&address, path);
    if (status < 0)
        return status;
    return kind == AGN_MODEM_CONNECT ? connect_to(line, &address, patience_s)
                                     : listen_at(line, &address, patience_s);
}

void agn__line_close(struct agn__line *line)
{
    if (line->fd >= 0)
        close(line->fd);
    if (line->keeper >= 0)
        close(line->keeper);
    if (line->made_path)
        unlink(line->path);
    line->fd = line->keeper = -1;
    line->made_path = false;
}

static int judge_error(const struct agn__line *line)
{
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    if (errno == EPIPE || errno == ECONNRESET)
        return AGN_ERR_NOT_FOUND;
    return agn_fail(AGN_ERR_IO, "the serial line at %s broke: %s", line->name, strerror(errno));
}

int agn__line_read(struct agn__line *line, uint8_t *bytes, size_t cap)
{
    ssize_t count = read(line->fd, bytes, cap);
    if (count > 0)
        return (int)count;
    return count == 0 ? AGN_ERR_NOT_FOUND : judge_error(line);
}

int agn__line_write(struct agn__line *line, const uint8_t *bytes, size_t len)
{
    /* A pty is no socket; without SIGPIPE a hung-up socket must not end the program. */
    ssize_t count =
        line->keeper >= 0 ? write(line->fd, bytes, len) : send(line->fd, bytes, len, MSG_NOSIGNAL);
    return count >= 0 ? (int)count : judge_error(line);
}
