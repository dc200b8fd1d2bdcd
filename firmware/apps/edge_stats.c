/* Spreads and their printing; see edge_stats.h. What is measured is edge.c's matter. */
#include "edge_stats.h"

#include "board.h"
#include "frame.h"

void edge_spread_add(struct edge_spread *spread, uint32_t value)
{
    if (spread->count == 0 || value < spread->min)
        spread->min = value;
    if (value > spread->max)
        spread->max = value;
    spread->sum += value;
    spread->count++;
}

/* name_min, name_mean, name_max; nothing where no frame ran. */
static void print_spread(const char *name, const struct edge_spread *spread)
{
    static const char *const ends[] = {"_min", "_mean", "_max"};
    if (spread->count == 0)
        return;
    const uint32_t values[] = {spread->min, (uint32_t)(spread->sum / spread->count), spread->max};
    for (unsigned i = 0; i < 3; i++) {
        board_print(name);
        print_number(ends[i], values[i]);
    }
}

/* An emulator counts instructions only where it was told to; else board_count follows the host's clock. A
 * loop of known length tells: no processor runs these turns, of two instructions or more, in less than a
 * count each. */
static int counts_truly(void)
{
    enum { TURNS = 4096 };
    uint32_t begin = board_count();
    for (volatile uint32_t i = 0; i < TURNS;)
        i++;
    return board_count() - begin >= TURNS;
}

static void print_memory(const struct edge_link *link, uint32_t arena_bytes)
{
    struct agn_dev_memory memory;
    agn_dev_memory(&link->dev->model, &memory);
    print_number("ram_arena", memory.arena_bytes);
    print_number("ram_arena_reserved", arena_bytes);
    print_number("ram_device", (uint32_t)sizeof *link->dev);
    print_number("ram_modem", (uint32_t)sizeof link->modem);
    print_number("ram_buffers", (uint32_t)(sizeof link->received + sizeof link->request));
    print_number("stack", board_stack_used());
}

void edge_stats_print(const struct edge_stats *stats, const struct edge_link *link, uint32_t arena_bytes)
{
    static const char *const names[EDGE_STAGE_COUNT] = {"rows", "packets", "radio", "fuse"};
    const struct edge_link_counts *counts = &link->counts;
    print_number("frames", stats->frame_ms.count);
    print_number("answers", stats->fused);
    print_number("answers_partial", stats->partial);
    print_number("local_fallbacks", stats->local);
    print_number("frames_sure", stats->sure);
    print_number("frames_busy", counts->frames_busy);
    print_number("frames_paused", counts->frames_paused);
    /* the answer came late or never */
    print_number("deadline_misses", stats->local - stats->sure - counts->frames_busy - counts->frames_paused);
    print_number("frames_unsent", counts->frames_unsent);
    print_number("frames_unfit", counts->frames_unfit);
    print_number("packets_given", counts->packets);
    print_number("packets_sent", counts->packets_sent);
    print_number("packets_again", counts->again);
    print_number("rounds_again", counts->rounds);
    print_number("packet_cap", link->cap);
    print_number("bytes_per_second", agn_rate_speed(&link->rate));
    print_number("answer_wait_ms", link->answer_ms);
    print_number("bytes", counts->bytes);
    print_number("refusals", counts->refusals);
    print_number("replies_damaged", counts->replies_damaged);
    print_number("replies_late", counts->replies_late);
    print_number("replies_other", counts->replies_other);
    print_number("modem_resyncs", link->modem.counts.resyncs);
    print_number("modem_restarts", link->modem.counts.restarts);
    print_number("modem_opened", link->modem.counts.opened);
    board_print("unit,");
    board_print(counts_truly() ? board_count_unit : "emulator's clock");
    board_print("\n");
    for (unsigned i = 0; i < EDGE_STAGE_COUNT; i++)
        print_spread(names[i], &stats->stages[i]);
    print_spread("frame_ms", &stats->frame_ms);
    print_memory(link, arena_bytes);
}
