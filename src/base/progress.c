/* Progress reports for a person: one line that rewrites itself on a terminal, a line per
 * epoch (or per ten seconds of a long one) in a file and where escape sequences are not wanted. */
#define _DEFAULT_SOURCE
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agilenn/base.h"

static const double terminal_interval_s = 0.1, file_interval_s = 10.0;

struct line {
    char text[256];
    size_t length;
};

AGN_PRINTF(2, 3) static void add(struct line *line, const char *format, ...)
{
    size_t room = sizeof line->text - line->length;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line->text + line->length, room, format, args);
    va_end(args);
    if (length > 0)
        line->length += (size_t)length < room ? (size_t)length : room - 1;
}

/* NAN says "does not apply", 0 "not known yet"; nothing else is no figure. */
static bool is_figure(double value)
{
    return isfinite(value) && value != 0.0;
}

static void add_eta(struct line *line, double eta_s)
{
    if (!is_figure(eta_s) || eta_s < 0.5 || eta_s > 1e7)
        return;
    long seconds = lround(eta_s);
    if (seconds >= 3600)
        add(line, "  ETA %ld:%02ld:%02ld", seconds / 3600, seconds / 60 % 60, seconds % 60);
    else
        add(line, "  ETA %ld:%02ld", seconds / 60, seconds % 60);
}

static void compose(struct line *line, const struct agn_progress *progress)
{
    line->length = 0;
    add(line, "%s", progress->phase ? progress->phase : "");
    if (progress->epoch > 0 && progress->epochs > 0)
        add(line, "  epoch %d/%d", progress->epoch, progress->epochs);
    if (progress->total > 0 && progress->done >= 0) {
        double share = (double)progress->done / (double)progress->total;
        add(line, "  %d %%", (int)(100.0 * fmin(share, 1.0)));
    }
    if (is_figure(progress->rate) && progress->rate > 0.0)
        add(line, "  %.*f %s/s", progress->rate < 10.0 ? 1 : 0, progress->rate,
            progress->item ? progress->item : "items");
    add_eta(line, progress->eta_s);
    for (int i = 0; i < AGN_PROGRESS_FIGURES && progress->figures[i].key; i++) {
        const struct agn_figure *figure = &progress->figures[i];
        bool share = figure->kind == AGN_FIGURE_SHARE;
        if (is_figure(figure->value))
            add(line, "  %s %.*f%s", figure->key,
                share                        ? 1
                : fabs(figure->value) < 10.0 ? 3
                                             : 1,
                share ? 100.0 * figure->value : figure->value, share ? " %" : "");
    }
}

/* A line longer than the terminal would wrap, and only its last part be rewritten. */
static void cut_to_terminal(struct line *line, int descriptor)
{
    struct winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 && line->length >= size.ws_col) {
        line->length = size.ws_col - 1u;
        line->text[line->length] = '\0';
    }
}

/* A terminal that obeys escape sequences, and a user who wants them (https://no-color.org). */
static bool can_rewrite(int descriptor)
{
    const char *terminal = getenv("TERM"), *no_color = getenv("NO_COLOR");
    bool dumb = terminal == NULL || terminal[0] == '\0' || strcmp(terminal, "dumb") == 0 ||
                strcmp(terminal, "unknown") == 0;
    bool plain = no_color != NULL && no_color[0] != '\0';
    return descriptor >= 0 && !dumb && !plain && isatty(descriptor);
}

void agn_progress_print(void *user, const struct agn_progress *progress)
{
    static _Thread_local double printed_s = -INFINITY;
    FILE *stream = user;
    int descriptor = fileno(stream);
    bool terminal = can_rewrite(descriptor);
    double now = agn_now_s();
    if (printed_s == -INFINITY && !terminal)
        printed_s = now; /* the first line of a file comes with the first ten seconds or epoch */
    if (!progress->epoch_end && now - printed_s < (terminal ? terminal_interval_s : file_interval_s))
        return;
    printed_s = now;

    struct line line;
    compose(&line, progress);
    if (terminal) {
        cut_to_terminal(&line, descriptor);
        /* To the line's start, the text, clear what a longer line left behind. */
        (void)fprintf(stream, "\r%s\x1b[K%s", line.text, progress->epoch_end ? "\n" : "");
    } else {
        (void)fprintf(stream, "%s\n", line.text);
    }
    (void)fflush(stream);
}
