/* Systems from the designs of a results file (agilenn/sweep.h): what was measured of each, means over its
 * seeds. */
#include <math.h>
#include <string.h>

#include "agilenn/sweep.h"
#include "cli/estimate.h"

struct reading {
    const struct agn__estimate_options *o;
    struct agn__estimate *list;
    int count;
    char preset[AGN_SWEEP_NAME]; /* of the first */
    bool others;                 /* another one has been seen */
};

static double mean_of(const struct agn_sweep_design *design, const char *figure)
{
    return design->of[agn_sweep_figure_find(figure)].mean;
}

static void fill_work(const struct agn_sweep_design *d, struct agn_work *work)
{
    const struct {
        const char *figure;
        double *to;
    } all[] = {{"extract_instructions", &work->extract_instructions},
               {"local_instructions", &work->local_instructions},
               {"encode_instructions", &work->encode_instructions},
               {"packets", &work->packets},
               {"packet_bytes", &work->packet_bytes},
               {"reply_bytes", &work->reply_bytes},
               {"sent_share", &work->sent_share}};
    for (size_t i = 0; i < AGN_COUNT_OF(all); i++) {
        double value = mean_of(d, all[i].figure);
        *all[i].to = isfinite(value) ? value : 0.0;
    }
}

/* More and shorter packets where the radio takes no such long ones; their headers are those of the radio
 * alone. */
static void fit_radio(const struct agn_radio *radio, struct agn_work *work)
{
    double room = radio->longest_bytes - radio->header_bytes;
    if (room > 0.0 && work->packet_bytes > work->packets * room)
        work->packets = ceil(work->packet_bytes / room);
}

static int check_memory(const struct agn__estimate *e, double ram, double flash)
{
    if (ram <= e->board.ram_bytes && flash <= e->board.flash_bytes)
        return AGN_OK;
    return agn_fail(
        AGN_ERR_RANGE,
        "%s takes %.0f bytes of RAM and %.0f of flash, board %s has %.0f and %.0f; --any shows it anyway",
        e->name, ram, flash, e->board.name, e->board.ram_bytes, e->board.flash_bytes);
}

static int take_design(void *user, const struct agn_sweep_design *design)
{
    struct reading *r = user;
    if (design->done == 0)
        return AGN_OK;
    if (r->count == AGN__ESTIMATE_MOST)
        return agn_fail(AGN_ERR_RANGE, "%s: more than %d designs; --plan takes those of one plan",
                        r->o->results, AGN__ESTIMATE_MOST);
    struct agn__estimate *e = &r->list[r->count];
    double ram = mean_of(design, "ram_bytes"), flash = mean_of(design, "flash_bytes");
    int status = agn__estimate_begin(r->o, e);
    if (status < 0)
        return status;
    snprintf(e->name, sizeof e->name, "%.60s%s%.60s", design->first.preset,
             design->first.design[0] != '\0' ? " " : "", design->first.design);
    if (r->count == 0)
        snprintf(r->preset, sizeof r->preset, "%s", design->first.preset);
    r->others = r->others || strcmp(r->preset, design->first.preset) != 0;
    e->bytes_are = AGN__FIGURES_MEASURED;
    e->accuracy = mean_of(design, "accuracy");
    e->silent_accuracy = mean_of(design, "silent_accuracy");
    e->needs.ram_bytes = isfinite(ram) ? (uint32_t)ram : 0;
    fill_work(design, &e->work);
    fit_radio(&e->radio, &e->work);
    e->work.server_ms = e->work.sent_share > 0.0 ? r->o->server_ms : 0.0;
    status = r->o->any || !isfinite(ram) || !isfinite(flash) ? AGN_OK : check_memory(e, ram, flash);
    if (status >= 0)
        status = agn__estimate_end(r->o, e);
    r->count += status >= 0;
    return status;
}

/* Where all are of one preset, what they differ in is name enough. */
static void shorten_names(struct reading *r)
{
    size_t same = strlen(r->preset) + 1;
    for (int i = 0; i < r->count && !r->others; i++) {
        char *name = r->list[i].name;
        if (strlen(name) > same)
            memmove(name, name + same, strlen(name + same) + 1);
    }
}

int agn__estimate_read_results(const struct agn__estimate_options *o, struct agn__estimate *list)
{
    struct reading reading = {.o = o, .list = list};
    struct agn_sweep_file *file = NULL;
    int status = agn_sweep_open(o->results, false, &file);
    if (status >= 0)
        status = agn_sweep_each_design(file, o->plan, take_design, &reading);
    agn_sweep_close(file);
    shorten_names(&reading);
    if (status >= 0 && reading.count == 0)
        status = agn_fail(AGN_ERR_NOT_FOUND, "%s: no run %s%s%sis done", o->results,
                          o->plan != NULL ? "of plan " : "", o->plan != NULL ? o->plan : "",
                          o->plan != NULL ? " " : "");
    return status < 0 ? status : reading.count;
}
