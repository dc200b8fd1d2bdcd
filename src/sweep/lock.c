/* Who writes a results file: a lock on FILE.lock, which the system takes back when its process ends, however.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sweep/sweep_internal.h"

enum { WHO_BYTES = 96 };

static int fail_busy(int fd, const char *path)
{
    char who[WHO_BYTES] = "";
    ssize_t length = pread(fd, who, sizeof who - 1, 0);
    who[length > 0 ? length : 0] = '\0';
    who[strcspn(who, "\n")] = '\0';
    return agn_fail(
        AGN_ERR_BUSY,
        "%s is locked by %s: wait for its end, or write another file and join them (agilenn sweep merge)",
        path, who[0] != '\0' ? who : "another process");
}

static int note_owner(int fd)
{
    char who[WHO_BYTES];
    struct tm utc;
    time_t now = time(NULL);
    gmtime_r(&now, &utc);
    int length = snprintf(who, sizeof who, "process %ld since ", (long)getpid());
    length += (int)strftime(who + length, sizeof who - (size_t)length, "%Y-%m-%d %H:%M:%S UTC\n", &utc);
    return ftruncate(fd, 0) == 0 && pwrite(fd, who, (size_t)length, 0) == length ? 0 : -1;
}

int agn__lock(const char *path)
{
    char name[1024 + 8];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    snprintf(name, sizeof name, "%s.lock", path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return agn_fail(AGN_ERR_IO, "cannot write %s: %s", name, strerror(errno));
    int status = fd;
    if (fcntl(fd, F_SETLK, &lock) != 0)
        status = errno == EACCES || errno == EAGAIN
                     ? fail_busy(fd, path)
                     : agn_fail(AGN_ERR_IO, "cannot lock %s: %s", name, strerror(errno));
    else if (note_owner(fd) < 0)
        status = agn_fail(AGN_ERR_IO, "cannot write %s: %s", name, strerror(errno));
    if (status < 0)
        close(fd);
    return status;
}
