/* Plot of which system is best where: areas over rate and clock, for latency and for energy. */
#include <math.h>

#include "agilenn/gnuplot.h"
#include "agilenn/plot.h"

enum {
    WIDTH = 1200,
    HEIGHT = 480,
    PANEL_WIDTH = 408,
    PANEL_HEIGHT = 336,
    LETTER_WIDTH = 8,
    LINE_HEIGHT = 18,
    LEGEND_COLUMNS = 22
};

/* What is dark has white letters. */
static const struct {
    const char *colour;
    bool dark;
} areas[] = {{AGN_COLOUR_BLUE, true},
             {AGN_COLOUR_ORANGE, false},
             {AGN_COLOUR_GREEN, true},
             {AGN_COLOUR_SKY, false},
             {AGN_COLOUR_VERMILLION, true},
             {"#F0E442", false},
             {"#CC79A7", false},
             {AGN_COLOUR_GREY, false},
             {"#8B5A2B", true},
             {AGN_COLOUR_SHADE, false},
             {"#7F3C8D", true},
             {AGN_COLOUR_INK, true}};

/* One of the two fields. */
struct field {
    const struct agn_plot_best *best;
    const unsigned char *winners;
    double *x, *y; /* borders of the squares: one more than there are rates and clocks */
};

static int winner(const struct field *f, int c, int r)
{
    return f->winners[c * f->best->rate_count + r];
}

static bool wins_anywhere(const struct agn_plot_best *b, int system)
{
    for (int i = 0; i < b->rate_count * b->clock_count; i++)
        if (b->fastest[i] == system || b->thriftiest[i] == system)
            return true;
    return false;
}

/* Half-way between neighbours: by factors on the rates' axis. */
static void find_borders(const struct agn_plot_best *b, double *x, double *y)
{
    x[0] = b->rates_kbps[0];
    y[0] = b->clocks_mhz[0];
    for (int r = 1; r < b->rate_count; r++)
        x[r] = sqrt(b->rates_kbps[r - 1] * b->rates_kbps[r]);
    for (int c = 1; c < b->clock_count; c++)
        y[c] = (b->clocks_mhz[c - 1] + b->clocks_mhz[c]) / 2.0;
    x[b->rate_count] = b->rates_kbps[b->rate_count - 1];
    y[b->clock_count] = b->clocks_mhz[b->clock_count - 1];
}

static int run_end(const struct field *f, int c, int r)
{
    int end = r + 1;
    while (end < f->best->rate_count && winner(f, c, end) == winner(f, c, r))
        end++;
    return end;
}

/* Whether squares `r` to `end` of row `c` are a run as they are one of system `s` in a row beside it. */
static bool is_run(const struct field *f, int c, int r, int end, int s)
{
    return c >= 0 && c < f->best->clock_count && winner(f, c, r) == s && run_end(f, c, r) == end &&
           (r == 0 || winner(f, c, r - 1) != s);
}

/* A line for each rectangle of squares of one winner: left, right, bottom, top, winner. Each is a trace
 * higher than it should be, against seams. */
static void write_areas(FILE *script, const char *name, const struct field *f)
{
    double trace = (f->y[f->best->clock_count] - f->y[0]) / (2 * PANEL_HEIGHT);
    fprintf(script, "$%s << EOD\n", name);
    for (int c = 0; c < f->best->clock_count; c++)
        for (int r = 0, end; r < f->best->rate_count; r = end) {
            int s = winner(f, c, r), top = c + 1;
            end = run_end(f, c, r);
            if (is_run(f, c - 1, r, end, s))
                continue;
            while (is_run(f, top, r, end, s))
                top++;
            fprintf(script, "%.6g %.6g %.6g %.6g %d\n", f->x[r], f->x[end], f->y[c], f->y[top] + trace, s);
        }
    fprintf(script, "EOD\n");
}

/* ---- names in the areas ---------------------------------------------------------------------------- */

/* Share of the way along an axis. */
static double along_x(const struct field *f, double x)
{
    return log(x / f->x[0]) / log(f->x[f->best->rate_count] / f->x[0]);
}

static double along_y(const struct field *f, double y)
{
    return (y - f->y[0]) / (f->y[f->best->clock_count] - f->y[0]);
}

struct spot {
    double x, y, room; /* shares of the way; room: 1 and more where the name fits */
};

/* Of the widest block of the system's squares that begins in row `c` and is as high as a name. */
static void look_in_row(const struct field *f, int system, double width, int c, struct spot *found)
{
    int top = c;
    while (top < f->best->clock_count &&
           along_y(f, f->y[top]) - along_y(f, f->y[c]) < (double)LINE_HEIGHT / PANEL_HEIGHT)
        top++;
    double height = along_y(f, f->y[top]) - along_y(f, f->y[c]);
    if (height < (double)LINE_HEIGHT / PANEL_HEIGHT)
        return;
    for (int r = 0, end; r < f->best->rate_count; r = end + 1) {
        for (end = r; end < f->best->rate_count; end++) {
            bool all = true;
            for (int row = c; row < top && all; row++)
                all = winner(f, row, end) == system;
            if (!all)
                break;
        }
        double left = along_x(f, f->x[r]), right = along_x(f, f->x[end]);
        /* Of blocks with room enough the one nearest to the middle. */
        double room = (right - left) / width, middle = along_y(f, f->y[c]) + height / 2.0;
        double worth = fmin(room, 1.0) - 0.1 * fabs(middle - 0.5) + 0.01 * fmin(room, 8.0);
        if (room >= 1.0 && worth > found->room)
            *found = (struct spot){(left + right) / 2.0, middle, worth};
    }
}

static void write_names(FILE *script, const struct field *f)
{
    fprintf(script, "unset label\n");
    for (int s = 0; s < f->best->systems; s++) {
        double width = (double)((agn_text_columns(f->best->names[s]) + 1) * LETTER_WIDTH) / PANEL_WIDTH;
        struct spot found = {0.0, 0.0, 0.0};
        for (int c = 0; c < f->best->clock_count; c++)
            look_in_row(f, s, width, c, &found);
        if (found.room <= 0.0)
            continue;
        fprintf(script, "set label ");
        agn_gnuplot_string(script, f->best->names[s]);
        fprintf(script, " at graph %.4f, graph %.4f center front textcolor rgb '%s'\n", found.x, found.y,
                areas[s % (int)AGN_COUNT_OF(areas)].dark ? "#FFFFFF" : AGN_COLOUR_INK);
    }
}

/* ---- the picture ------------------------------------------------------------------------------------- */

static void write_panel(FILE *script, const struct field *f, double left, const char *name, const char *title)
{
    const char *join = "plot ";
    fprintf(script, "set lmargin at screen %g\nset rmargin at screen %g\nset title '%s'\n", left,
            left + (double)PANEL_WIDTH / WIDTH, title);
    write_names(script, f);
    for (int s = 0; s < f->best->systems; s++) {
        if (!wins_anywhere(f->best, s))
            continue;
        fprintf(script,
                "%s$%s using ($5 == %d ? $1 : NaN):3:1:2:3:4 with boxxyerror fillcolor rgb '%s' title ", join,
                name, s, areas[s % (int)AGN_COUNT_OF(areas)].colour);
        char shown[128];
        (void)agn_text_clip(shown, sizeof shown, f->best->names[s], LEGEND_COLUMNS);
        agn_gnuplot_string(script, shown);
        join = ", ";
    }
    fprintf(script, "\n");
}

static void write_picture(FILE *script, const struct field fields[2])
{
    const struct agn_plot_best *b = fields[0].best;
    write_areas(script, "latency", &fields[0]);
    write_areas(script, "energy", &fields[1]);
    fprintf(script, "set multiplot title ");
    agn_gnuplot_string(script, b->title);
    fprintf(
        script,
        " font ',13'\nset logscale x\nset format x '%%g'\nset xlabel 'kbit/s'\n"
        "set ylabel 'MHz' offset 1,0\nset tmargin at screen 0.84\nset bmargin at screen 0.14\nunset grid\n"
        "set xtics add (50, 200, 500, 2000, 5000, 20000, 50000)\nset tics out\n");
    fprintf(script, "set xrange [%.6g:%.6g]\nset yrange [%.6g:%.6g]\nunset key\n", fields[0].x[0],
            fields[0].x[b->rate_count], fields[0].y[0], fields[0].y[b->clock_count]);
    write_panel(script, &fields[0], 0.065, "latency", "least latency, mean");
    fprintf(script, "set key at screen 0.825, screen 0.86 left top reverse Left samplen 1\n");
    write_panel(script, &fields[1], 0.475, "energy", "least energy, mean of processor and radio");
    fprintf(script, "unset multiplot\n");
}

static int check(const char *path, const struct agn_plot_best *best)
{
    if (best->systems < 1 || best->systems > AGN_PLOT_MAX_SYSTEMS || best->rate_count < 2 ||
        best->clock_count < 2)
        return agn_fail(
            AGN_ERR_ARG,
            "cannot draw %s: %d systems at %d rates and %d clocks: expected 1 to %d at 2 and more", path,
            best->systems, best->rate_count, best->clock_count, AGN_PLOT_MAX_SYSTEMS);
    return AGN_OK;
}

int agn_plot_best(const char *path, const struct agn_plot_best *best)
{
    struct agn_gnuplot plot;
    int status = check(path, best);
    if (status < 0)
        return status;
    double *borders = agn_alloc((size_t)(best->rate_count + best->clock_count + 2), sizeof *borders);
    if (borders == NULL)
        return AGN_ERR_MEMORY;
    double *x = borders, *y = borders + best->rate_count + 1;
    find_borders(best, x, y);
    status = agn_gnuplot_open_for(&plot, path, WIDTH, HEIGHT);
    if (status >= 0) {
        const struct field fields[2] = {{best, best->fastest, x, y}, {best, best->thriftiest, x, y}};
        write_picture(plot.script, fields);
        status = agn_gnuplot_draw(&plot, path);
    }
    agn_free(borders);
    return status;
}
