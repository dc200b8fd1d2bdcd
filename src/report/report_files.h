/* report.html, report.css, report.js, paper.csv and the quick plan as they were when this program was built
 * (cmake/EmbedFiles.cmake). */
#ifndef AGN_REPORT_FILES_H
#define AGN_REPORT_FILES_H

#include "agilenn/base.h"

extern const struct agn_embedded_file agn__report_files[];
extern const int agn__report_file_count;

#endif
