/* The page as one text, and the policy that lets a browser run it and nothing else. */
#ifndef AGN_MONITOR_PAGE_H
#define AGN_MONITOR_PAGE_H

#include <stddef.h>

struct agn__page {
    char *text; /* style and script within it */
    size_t size_bytes;
    char policy[256]; /* Content-Security-Policy */
};

/* AGN_ERR_MEMORY. Freed with agn__page_free, which also takes a zeroed page. */
int agn__page_make(struct agn__page *page);
void agn__page_free(struct agn__page *page);

#endif
