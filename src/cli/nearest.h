/* "Did you mean ...?": the nearest spelling among known words. */
#ifndef AGN_CLI_NEAREST_H
#define AGN_CLI_NEAREST_H

/* The candidate with the fewest changed, missing, extra or swapped letters, or NULL when none is near
 * enough to be what was meant (more than a third of the letters differ). */
const char *agn__cli_nearest(const char *word, const char *const *candidates, int count);

#endif
