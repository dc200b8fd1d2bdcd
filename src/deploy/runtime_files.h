/* The runtime's sources inside the program, for export; made at build time by cmake/EmbedFiles.cmake. */
#ifndef AGN_DEPLOY_RUNTIME_FILES_H
#define AGN_DEPLOY_RUNTIME_FILES_H

#include <stddef.h>

struct agn__runtime_file {
    const char *name; /* in the exported folder, such as "runtime/agn_device.c" */
    const unsigned char *bytes;
    size_t size_bytes;
};

extern const struct agn__runtime_file agn__runtime_files[];
extern const int agn__runtime_file_count;

#endif
