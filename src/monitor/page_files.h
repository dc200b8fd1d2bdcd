/* page.html, page.css and page.js as they were when this program was built (cmake/EmbedFiles.cmake). */
#ifndef AGN_MONITOR_PAGE_FILES_H
#define AGN_MONITOR_PAGE_FILES_H

#include <stddef.h>

struct agn__page_file {
    const char *name;
    const unsigned char *bytes;
    size_t size_bytes;
};

extern const struct agn__page_file agn__page_files[];
extern const int agn__page_file_count;

#endif
