/* Which of several systems is best at which rate of the radio and clock of the processor. */
#include <math.h>

#include "agilenn/plot.h"
#include "cli/estimate.h"

enum { RATES = 33, CLOCKS = 24 };

static void find_best(const struct agn__estimate *list, int count, double rate, double clock,
                      unsigned char best[2])
{
    double least[2] = {INFINITY, INFINITY};
    best[0] = best[1] = 0;
    for (int i = 0; i < count; i++) {
        struct agn_board board = list[i].board;
        struct agn_radio radio = list[i].radio;
        struct agn_cost cost;
        board.clock_mhz = clock;
        radio.rate_kbps = rate;
        if (agn_cost_frame(&board, &radio, &list[i].work, &cost) < 0)
            continue;
        const double values[2] = {cost.mean_ms.typical, cost.mean_mj.typical};
        for (int v = 0; v < 2; v++)
            if (values[v] < least[v]) {
                least[v] = values[v];
                best[v] = (unsigned char)i;
            }
    }
}

int agn__estimate_plot(const char *path, const struct agn__estimate *list, int count)
{
    static unsigned char best[2][RATES * CLOCKS];
    double rates[RATES], clocks[CLOCKS];
    const char *names[AGN__ESTIMATE_MOST];
    char title[256];
    for (int i = 0; i < count; i++)
        names[i] = list[i].name;
    for (int r = 0; r < RATES; r++)
        rates[r] = pow(10.0, 1.0 + r / 8.0); /* 10 kbit/s to 100 Mbit/s */
    for (int c = 0; c < CLOCKS; c++)
        clocks[c] = 20.0 * (c + 1);
    for (int c = 0; c < CLOCKS; c++)
        for (int r = 0; r < RATES; r++) {
            unsigned char two[2];
            find_best(list, count, rates[r], clocks[c], two);
            best[0][c * RATES + r] = two[0];
            best[1][c * RATES + r] = two[1];
        }
    snprintf(title, sizeof title, "Which system is best (modelled): %s, %s", list->board.name,
             list->radio.name);
    return agn_plot_best(path, &(struct agn_plot_best){.title = title,
                                                       .names = names,
                                                       .systems = count,
                                                       .rates_kbps = rates,
                                                       .rate_count = RATES,
                                                       .clocks_mhz = clocks,
                                                       .clock_count = CLOCKS,
                                                       .fastest = best[0],
                                                       .thriftiest = best[1]});
}
