/* completion.bash as it was when this program was built (cmake/EmbedFiles.cmake). */
#ifndef AGN_CLI_COMPLETION_FILES_H
#define AGN_CLI_COMPLETION_FILES_H

#include <stddef.h>

struct agn__completion_file {
    const char *name;
    const unsigned char *bytes;
    size_t size_bytes;
};

extern const struct agn__completion_file agn__completion_files[];
extern const int agn__completion_file_count;

#endif
