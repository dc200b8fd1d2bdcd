/* Several systems in one table: what was measured of each, and what it costs. */
#include <math.h>

#include "cli/estimate.h"

enum { NAME_COLUMNS = 28 };

const char *agn__figures_name(enum agn__figures figures)
{
    static const char *const names[] = {"modelled", "measured", "given"};
    return names[figures];
}

static void print_system(const struct agn__estimate *e)
{
    const struct agn_cost *c = &e->cost;
    const struct agn_work *w = &e->work;
    char accuracy[16] = "-", ms[64], mj[64];
    if (isfinite(e->accuracy))
        snprintf(accuracy, sizeof accuracy, "%.2f%%", 100.0 * e->accuracy);
    snprintf(ms, sizeof ms, "%.2f (%.2f to %.2f)", c->mean_ms.typical, c->mean_ms.low, c->mean_ms.high);
    snprintf(mj, sizeof mj, "%.2f (%.2f to %.2f)", c->mean_mj.typical, c->mean_mj.low, c->mean_mj.high);
    agn__cli_print_name(stdout, e->name, NAME_COLUMNS);
    printf(" %8s %9.0f %-8s %7.0f %5.0f%% %-8s %25s %25s %9u\n", accuracy,
           w->extract_instructions + w->local_instructions + w->sent_share * w->encode_instructions,
           e->counted ? "counted" : "modelled", w->packet_bytes, 100.0 * w->sent_share,
           agn__figures_name(e->bytes_are), ms, mj, (unsigned)e->needs.ram_bytes);
}

/* Of those that take part. */
static void print_best(const struct agn__estimate_options *o, const struct agn__estimate *list, int count)
{
    const struct agn__estimate *fastest = NULL, *thriftiest = NULL;
    int part = 0;
    for (int i = 0; i < count; i++) {
        const struct agn__estimate *e = &list[i];
        if (!agn__estimate_takes_part(o, e))
            continue;
        part++;
        if (fastest == NULL || e->cost.mean_ms.typical < fastest->cost.mean_ms.typical)
            fastest = e;
        if (thriftiest == NULL || e->cost.mean_mj.typical < thriftiest->cost.mean_mj.typical)
            thriftiest = e;
    }
    if (part == 0) {
        printf("\nno model reaches %.4g %%\n", 100.0 * o->accuracy);
    } else if (part > 1) {
        printf("\nleast latency: ");
        agn__cli_print_name(stdout, fastest->name, 0);
        printf("; least energy: ");
        agn__cli_print_name(stdout, thriftiest->name, 0);
        printf(" (modelled, typical)\n");
    }
}

int agn__estimate_print_together(const struct agn__estimate_options *o, const struct agn__estimate *list,
                                 int count)
{
    bool below = false;
    printf("on %s at %.0f MHz, radio %s at %.0f kbit/s: ms and mJ are modelled, means over all frames\n",
           list->board.name, list->board.clock_mhz, list->radio.name, list->radio.rate_kbps);
    printf("%-*s %8s %18s %23s %25s %25s %9s\n", NAME_COLUMNS, "model", "accuracy", "instructions       ",
           "bytes, share sent      ", "ms (low to high)", "mJ (low to high)", "RAM B");
    for (int i = 0; i < count; i++)
        if (agn__estimate_takes_part(o, &list[i]))
            print_system(&list[i]);
        else
            below = true;
    if (below)
        printf("below %.4g %%, or not known:\n", 100.0 * o->accuracy);
    for (int i = 0; i < count; i++)
        if (!agn__estimate_takes_part(o, &list[i]))
            print_system(&list[i]);
    print_best(o, list, count);
    return AGN_CLI_SUCCESS;
}
