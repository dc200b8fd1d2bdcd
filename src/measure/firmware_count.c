/* Builds and runs firmware through its Makefile. See firmware_count.h. */
#include "measure/firmware_count.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agilenn/base.h"

extern char **environ;

enum { PATH_BYTES = 512, MOST_OUTPUT = 1 << 20 };

static bool is_installed(const char *program)
{
    const char *path = getenv("PATH");
    char file[PATH_BYTES];
    while (path != NULL && *path != '\0') {
        size_t length = strcspn(path, ":");
        if (snprintf(file, sizeof(file), "%.*s/%s", (int)length, path, program) < (int)sizeof(file) &&
            access(file, X_OK) == 0)
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

const char *agn__firmware_missing(const char *folder)
{
    char makefile[PATH_BYTES];
    if (folder == NULL)
        return "no firmware folder was given (--firmware firmware)";
    snprintf(makefile, sizeof(makefile), "%s/Makefile", folder);
    if (access(makefile, R_OK) != 0)
        return "the firmware folder has no Makefile";
    if (!is_installed("make"))
        return "make is not installed";
    if (!is_installed("arm-none-eabi-gcc"))
        return "arm-none-eabi-gcc is not installed";
    return is_installed("qemu-system-arm") ? NULL : "qemu-system-arm is not installed";
}

/* Waits for the program; AGN_ERR_IO unless it ends with 0. */
static int run(char *const *arguments, const char *log)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    int ended = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    int failed = posix_spawnp(&pid, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0)
        return agn_fail(AGN_ERR_IO, "cannot start %s: %s", arguments[0], strerror(failed));
    while (waitpid(pid, &ended, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(ended) && WEXITSTATUS(ended) == 0 ? AGN_OK : AGN_ERR_IO;
}

/* The number behind "name," at a line's begin. */
static int number_of(const char *text, const char *name, uint32_t *number)
{
    size_t length = strlen(name);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ',') {
            *number = (uint32_t)strtoul(line + length + 1, NULL, 10);
            return AGN_OK;
        }
    }
    return agn_fail(AGN_ERR_FORMAT, "the firmware did not print '%s'", name);
}

/* Runs an app; `text` is what it printed, freed with agn_free. */
static int run_app(const char *folder, const char *work, const char *app, uint8_t **text)
{
    char app_is[64], out_is[PATH_BYTES + 8], model_is[PATH_BYTES + 24], frames_is[PATH_BYTES + 24],
        log[PATH_BYTES + 8];
    char make[] = "make", silent[] = "-s", in[] = "-C", run_it[] = "run", where[PATH_BYTES];
    size_t size = 0;
    snprintf(where, sizeof(where), "%s", folder);
    snprintf(app_is, sizeof(app_is), "APP=%s", app);
    snprintf(out_is, sizeof(out_is), "OUT=%s", work);
    snprintf(model_is, sizeof(model_is), "MODEL=%s/model.agn", work);
    snprintf(frames_is, sizeof(frames_is), "FRAMES=%s/frames.raw", work);
    snprintf(log, sizeof(log), "%s/log", work);
    char *const arguments[] = {make, silent, in, where, run_it, app_is, out_is, model_is, frames_is, NULL};
    int status = run(arguments, log), read = agn_file_read(log, MOST_OUTPUT, text, &size);
    if (read < 0)
        return read;
    if (status < 0) {
        const char *end = (const char *)*text + (size > 300 ? size - 300 : 0);
        status = agn_fail(status, "make -C %s run APP=%s failed: ...%s", folder, app, end);
        agn_free(*text);
        *text = NULL;
    }
    return status;
}

static int count_in(const char *folder, const char *work, struct agn__firmware_count *count)
{
    uint8_t *totals = NULL, *stages = NULL;
    int status = run_app(folder, work, "count", &totals);
    if (status >= 0)
        status = run_app(folder, work, "stages", &stages);
    if (status >= 0)
        status = number_of((const char *)totals, "rows", &count->rows);
    if (status >= 0)
        status = number_of((const char *)totals, "packets", &count->packets);
    if (status >= 0)
        status = number_of((const char *)totals, "bytes", &count->bytes);
    if (status >= 0)
        status = number_of((const char *)stages, "packet", &count->packet);
    agn_free(totals);
    agn_free(stages);
    return status < 0 ? status : AGN_OK;
}

static void remove_folder(const char *work)
{
    char remove[] = "rm", recursively[] = "-rf", end[] = "--", folder[PATH_BYTES];
    snprintf(folder, sizeof(folder), "%s", work);
    char *const arguments[] = {remove, recursively, end, folder, NULL};
    run(arguments, "/dev/null");
}

struct agn__firmware_images agn__firmware_images_of(const struct agn_dataset *data, int most)
{
    enum { STANDARD_IMAGES = 20 };
    most = most > 0 ? most : STANDARD_IMAGES;
    return (struct agn__firmware_images){.pixels = data->pixels,
                                         .bytes = (size_t)data->height * (size_t)data->width *
                                                  (size_t)data->channels,
                                         .count = most < data->count ? most : data->count};
}

int agn__firmware_count_frames(const char *folder, const uint8_t *model, size_t model_bytes,
                               const struct agn__firmware_images *images, struct agn__firmware_count *count)
{
    const char *parent = getenv("TMPDIR");
    char work[PATH_BYTES - 32], path[PATH_BYTES];
    snprintf(work, sizeof(work), "%s/agilenn-count-XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(work) == NULL)
        return agn_fail(AGN_ERR_IO, "cannot make a folder %s: %s", work, strerror(errno));
    snprintf(path, sizeof(path), "%s/model.agn", work);
    int status = agn_file_write(path, model, model_bytes);
    snprintf(path, sizeof(path), "%s/frames.raw", work);
    if (status >= 0)
        status = agn_file_write(path, images->pixels, images->bytes * (size_t)images->count);
    if (status >= 0)
        status = count_in(folder, work, count);
    remove_folder(work);
    return status;
}
