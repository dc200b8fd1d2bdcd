/* gnuplot as a child process: script in, PNG or SVG out, its complaint turned into a sentence. What is drawn
 * is the business of plot.c and plot_explanation.c. */
#define _POSIX_C_SOURCE 200809L
#include "agilenn/gnuplot.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agilenn/plot.h"
#include "plot/fonts.h"

extern char **environ;

enum { COMPLAINT_BYTES = 1024, TEXT_LIMIT_BYTES = 200, MAX_PICTURE_BYTES = 64 << 20 };

static int fail_missing(void)
{
    return agn_fail(AGN_ERR_NOT_FOUND, "plots need gnuplot, which is not installed: install Debian's "
                                       "gnuplot-nox (apt-get install gnuplot-nox)");
}

/* Runs `gnuplot ARGUMENT` on three open files; its exit status, or -1 when a signal ended it. */
static int run_gnuplot(char *argument, FILE *const streams[3], int *exit_status)
{
    char program[] = "gnuplot";
    char *arguments[] = {program, argument, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child = 0;
    int status = 0, code = posix_spawn_file_actions_init(&actions);
    if (code != 0)
        return agn_fail(AGN_ERR_MEMORY, "cannot start gnuplot: %s", strerror(code));
    for (int i = 0; i < 3 && code == 0; i++)
        code = posix_spawn_file_actions_adddup2(&actions, fileno(streams[i]), i);
    if (code == 0)
        code = posix_spawnp(&child, program, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (code == ENOENT)
        return fail_missing();
    if (code != 0)
        return agn_fail(AGN_ERR_IO, "cannot start gnuplot: %s", strerror(code));
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return agn_fail(AGN_ERR_IO, "cannot wait for gnuplot: %s", strerror(errno));
    *exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return *exit_status == 127 ? fail_missing() : AGN_OK; /* 127: spawn could not tell in time */
}

static int open_terminal(struct agn_gnuplot *plot, const char *terminal, const char *font, int width,
                         int height)
{
    FILE *script = tmpfile();
    if (!script)
        return agn_fail(AGN_ERR_IO, "cannot draw a plot: no temporary file: %s", strerror(errno));
    fprintf(script,
            "set encoding utf8\n"
            "set terminal %s noenhanced size %d,%d font '%s,11' background '#FFFFFF' "
            "linewidth 1.4\n"
            "set border 3 linecolor rgb '" AGN_COLOUR_INK "' linewidth 0.7\n"
            "set tics nomirror textcolor rgb '" AGN_COLOUR_INK "'\n"
            "set grid ytics linecolor rgb '#DDDDDD' linetype 1 linewidth 0.6\n"
            "set style fill solid 1.0 noborder\n",
            terminal, width, height, font);
    plot->script = script;
    return AGN_OK;
}

int agn_gnuplot_open(struct agn_gnuplot *plot, int width, int height)
{
    plot->svg = false;
    return open_terminal(plot, "pngcairo", "DejaVu Sans", width, height);
}

int agn_gnuplot_open_for(struct agn_gnuplot *plot, const char *path, int width, int height)
{
    size_t length = strlen(path);
    plot->svg = length > 4 && strcmp(path + length - 4, ".svg") == 0;
    /* Who looks at an SVG has other fonts. */
    return plot->svg ? open_terminal(plot, "svg", "sans-serif", width, height)
                     : agn_gnuplot_open(plot, width, height);
}

/* The last line of gnuplot's complaint that is neither empty nor a marker of the place. */
static int fail_with_complaint(FILE *errors, int exit_status)
{
    char line[COMPLAINT_BYTES], kept[COMPLAINT_BYTES] = "no reason given";
    rewind(errors);
    while (fgets(line, sizeof line, errors)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[strspn(line, " \t^")] != '\0')
            memcpy(kept, line, sizeof kept);
    }
    return agn_fail(AGN_ERR_IO, "gnuplot failed (%s %d): %.300s", exit_status < 0 ? "signal" : "exit code",
                    exit_status, kept + strspn(kept, " \t"));
}

/* A whole PNG begins with its signature and ends with the chunk IEND. */
static bool is_whole_png(const unsigned char *bytes, size_t size)
{
    static const unsigned char head[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const unsigned char tail[8] = {'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
    return size >= 16 && memcmp(bytes, head, sizeof head) == 0 &&
           memcmp(bytes + size - 8, tail, sizeof tail) == 0;
}

/* A whole SVG ends with its outermost element. */
static bool is_whole_svg(const unsigned char *bytes, size_t size)
{
    static const char head[] = "<?xml", tail[] = "</svg>";
    enum { HEAD = sizeof head - 1, TAIL = sizeof tail - 1 };
    while (size > 0 && (bytes[size - 1] == '\n' || bytes[size - 1] == '\r'))
        size--;
    return size >= HEAD + TAIL && memcmp(bytes, head, HEAD) == 0 &&
           memcmp(bytes + size - TAIL, tail, TAIL) == 0;
}

static int copy_picture(FILE *picture, bool svg, const char *path)
{
    long size = fseek(picture, 0, SEEK_END) == 0 ? ftell(picture) : -1;
    if (size < 0 || size > MAX_PICTURE_BYTES)
        return agn_fail(AGN_ERR_IO, "cannot draw %s: gnuplot made no picture", path);
    unsigned char *bytes = agn_alloc((size_t)size + 1, 1);
    if (!bytes)
        return AGN_ERR_MEMORY;
    rewind(picture);
    int status;
    bool all = fread(bytes, 1, (size_t)size, picture) == (size_t)size;
    if (!all || !(svg ? is_whole_svg : is_whole_png)(bytes, (size_t)size))
        status =
            agn_fail(AGN_ERR_IO, "cannot draw %s: gnuplot made no whole picture; is the disk full?", path);
    else
        status = agn_file_write(path, bytes, (size_t)size);
    agn_free(bytes);
    return status;
}

int agn_gnuplot_draw(struct agn_gnuplot *plot, const char *path)
{
    /* Files rather than pipes: neither side can block the other or die of a broken pipe. */
    FILE *streams[3] = {plot->script, tmpfile(), tmpfile()};
    char default_settings[] = "-d"; /* leaves out the user's own ~/.gnuplot */
    int exit_status = 0, status = AGN_OK;
    if (!streams[1] || !streams[2])
        status = agn_fail(AGN_ERR_IO, "cannot draw %s: no temporary file: %s", path, strerror(errno));
    else if (fflush(plot->script) != 0 || ferror(plot->script))
        status =
            agn_fail(AGN_ERR_IO, "cannot draw %s: cannot write a temporary file: %s", path, strerror(errno));
    if (status == AGN_OK) {
        rewind(plot->script);
        status = run_gnuplot(default_settings, streams, &exit_status);
    }
    if (status == AGN_OK)
        status = exit_status != 0 ? fail_with_complaint(streams[2], exit_status)
                                  : copy_picture(streams[1], plot->svg, path);
    for (int i = 0; i < 3; i++)
        if (streams[i])
            fclose(streams[i]);
    plot->script = NULL;
    return status;
}

int agn_plot_available(void)
{
    FILE *streams[3] = {tmpfile(), tmpfile(), tmpfile()};
    char version[] = "--version";
    int exit_status = 0, status = AGN_OK;
    if (!streams[0] || !streams[1] || !streams[2])
        status = agn_fail(AGN_ERR_IO, "plots need a temporary file: %s", strerror(errno));
    else
        status = run_gnuplot(version, streams, &exit_status);
    if (status == AGN_OK && exit_status != 0)
        status = fail_with_complaint(streams[2], exit_status);
    for (int i = 0; i < 3; i++)
        if (streams[i])
            fclose(streams[i]);
    return status;
}

void agn_gnuplot_string(FILE *script, const char *text)
{
    size_t written = 0;
    fputc('\'', script);
    while (*text && written < TEXT_LIMIT_BYTES) {
        uint32_t code;
        size_t length = agn_utf8_read(text, &code);
        if (length == 0 || !agn__font_has(code))
            fputc('?', script);
        else if (*text == '\'')
            fputs(
                "’",
                script); /* the only special one within single quotes, and doubling fails at the beginning */
        else
            fwrite(text, 1, length, script);
        text += length ? length : 1;
        written += length ? length : 1;
    }
    fputs(*text ? "…'" : "'", script);
}
