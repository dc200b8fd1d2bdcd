/* Inside src/sets: what agn_fetch knows of a data set and how it gets one file, so that tests can have sets
 * and files of their own. */
#ifndef AGN_SETS_FETCH_SET_H
#define AGN_SETS_FETCH_SET_H

#include "agilenn/fetch.h"

enum agn__sum { AGN__SUM_NONE, AGN__SUM_MD5, AGN__SUM_SHA256 };

struct agn__fetch_file {
    const char *url, *path; /* the whole address; the file to become */
    enum agn__sum sum;
    const char *expected; /* in hexadecimal; NULL with AGN__SUM_NONE */
};
/* Errors as agn_fetch. */
int agn__fetch_one(const struct agn_fetch_config *config, const struct agn__fetch_file *file);

enum { AGN__FETCH_FILES = 2 };

struct agn__remote_file {
    const char *name;
    const char *md5;
};

struct agn__remote_set {
    const char *name, *base_url;
    struct agn__remote_file files[AGN__FETCH_FILES];
    const char *top; /* the folder that the archive holds; NULL: files are used as they are */
};

int agn__fetch_set(const struct agn_fetch_config *config, const struct agn__remote_set *set,
                   char result[1024]);

#endif
