/* completion.bash as it was when this program was built (cmake/EmbedFiles.cmake). */
#ifndef AGN_CLI_COMPLETION_FILES_H
#define AGN_CLI_COMPLETION_FILES_H

#include "agilenn/base.h"

extern const struct agn_embedded_file agn__completion_files[];
extern const int agn__completion_file_count;

#endif
