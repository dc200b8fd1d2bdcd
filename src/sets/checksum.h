/* Inside src/sets: sums of files, and the small file that remembers one. */
#ifndef AGN_SETS_CHECKSUM_H
#define AGN_SETS_CHECKSUM_H

#include "agilenn/fetch.h"

enum { AGN__SUM_TEXT = 65 };

/* MD5 and SHA-256 of a file, in lower-case hexadecimal. */
struct agn__file_sums {
    char md5[AGN__SUM_TEXT], sha256[AGN__SUM_TEXT];
};
int agn__sum_file(const char *path, struct agn__file_sums *sums);

/* PATH.sha256, in the format of the command sha256sum. Reading: AGN_ERR_NOT_FOUND when there is none. */
int agn__sum_remember(const char *path, const char *sha256);
int agn__sum_recall(const char *path, char sha256[AGN__SUM_TEXT]);

#endif
