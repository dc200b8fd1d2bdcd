/* Inside src/sets: what a reader has found beside good images, in bounded memory: a count, and the first
 * ones in byte order, whichever thread found them when. */
#ifndef AGN_SETS_FINDINGS_H
#define AGN_SETS_FINDINGS_H

#include "agilenn/sets.h"

/* Counts a text, and keeps a copy if it is one of the `most` first. Not for several threads at once. */
int agn__findings_add(struct agn_dataset_findings *findings, int most, const char *text);
void agn__findings_free(struct agn_dataset_findings *findings);

/* Files and folders that no reader takes, by kind. */
struct agn__unread {
    struct agn_dataset_unread kinds[AGN_REPORT_KINDS];
    int kind_count, count;
};

/* Counts `path` among its like: `kind`, or, where that is NULL, the ending of its name in lower case. */
int agn__unread_add(struct agn__unread *unread, const char *kind, const char *path);
/* Brings kinds into byte order: folders list their files in any. */
void agn__unread_sort(struct agn__unread *unread);
void agn__unread_free(struct agn__unread *unread);
/* A line for all, and one for each kind, as warnings. */
void agn__unread_log(const struct agn__unread *unread, const struct agn_dataset_source *source);

#endif
