/* The sources that `export --c-source` writes, named as in the folder, such as "runtime/agn_device.c", as
 * they were when this program was built (cmake/EmbedFiles.cmake). */
#ifndef AGN_DEPLOY_RUNTIME_FILES_H
#define AGN_DEPLOY_RUNTIME_FILES_H

#include "agilenn/base.h"

extern const struct agn_embedded_file agn__runtime_files[];
extern const int agn__runtime_file_count;

#endif
