/* Nearest spelling by optimal string alignment distance; words are short, so the plain table will do. */
#include "cli/nearest.h"

#include <stddef.h>
#include <string.h>

enum { MAX_LETTERS = 63 };

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* Changed, missing, extra and swapped neighbouring letters each count 1. Both words <= MAX_LETTERS. */
static int distance(const char *a, int a_length, const char *b, int b_length)
{
    int cost[MAX_LETTERS + 1][MAX_LETTERS + 1];
    for (int i = 0; i <= a_length; i++)
        cost[i][0] = i;
    for (int j = 0; j <= b_length; j++)
        cost[0][j] = j;
    for (int i = 1; i <= a_length; i++) {
        for (int j = 1; j <= b_length; j++) {
            int best = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = smaller(best, cost[i - 1][j] + 1);
            best = smaller(best, cost[i][j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = smaller(best, cost[i - 2][j - 2] + 1);
            cost[i][j] = best;
        }
    }
    return cost[a_length][b_length];
}

const char *agn__cli_nearest(const char *word, const char *const *candidates, int count)
{
    size_t length = strlen(word);
    if (length == 0 || length > MAX_LETTERS)
        return NULL;
    const char *nearest = NULL;
    int best = (int)length / 3 + 1;
    for (int i = 0; i < count; i++) {
        size_t candidate_length = strlen(candidates[i]);
        if (candidate_length > MAX_LETTERS)
            continue;
        int changes = distance(word, (int)length, candidates[i], (int)candidate_length);
        /* A word of one or two letters with one change could be anything of that length. */
        if (changes <= best && changes < (int)candidate_length) {
            if (changes == best && nearest)
                continue;
            best = changes;
            nearest = candidates[i];
        }
    }
    return nearest;
}
