/* Inside src/sets: what agn_fetch knows of a data set, so that tests can have sets of their own. */
#ifndef AGN_SETS_FETCH_SET_H
#define AGN_SETS_FETCH_SET_H

#include "agilenn/fetch.h"

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
