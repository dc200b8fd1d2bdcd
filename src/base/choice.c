/* Which of two ways is the faster one just now. See agilenn/base.h. */
#include "agilenn/base.h"

/* Windows from one comparison to the next: twice as many whenever it changed nothing. */
enum { FEWEST = 2, MOST = 16 };

static void settle(struct agn_choice *c)
{
    int better = c->cost[1] < c->cost[0] ? 1 : 0;
    bool stays = better != c->way;
    int longer = 2 * c->gap < MOST ? 2 * c->gap : MOST;
    c->gap = stays && longer > FEWEST ? longer : FEWEST;
    c->way = better;
    c->trial = false;
    c->since = 0;
    c->settled = c->cost[better];
}

/* The second way is for unusual times: whether they are over can be found out only by trying. */
static bool is_due(const struct agn_choice *c, double cost)
{
    bool changed = cost > 1.25 * c->settled || cost < 0.8 * c->settled;
    return c->settled <= 0.0 || (c->since >= c->gap && (changed || c->way == 1));
}

void agn_choice_report(struct agn_choice *c, double work, double seconds)
{
    c->work += work;
    c->seconds += seconds;
    if (c->seconds < c->window_s || c->work <= 0.0)
        return;
    double cost = c->seconds / c->work;
    c->work = c->seconds = 0.0;
    if (!c->warm) { /* caches and memory were cold */
        c->warm = true;
        return;
    }
    c->cost[c->way] = cost;
    c->since++;
    if (c->trial) {
        settle(c);
    } else if (is_due(c, cost)) {
        c->trial = true;
        c->way = 1 - c->way;
    }
}
