/* page.html, page.css and page.js as they were when this program was built (cmake/EmbedFiles.cmake). */
#ifndef AGN_MONITOR_PAGE_FILES_H
#define AGN_MONITOR_PAGE_FILES_H

#include "agilenn/base.h"

extern const struct agn_embedded_file agn__page_files[];
extern const int agn__page_file_count;

#endif
