/* Inside src/sets: one file over HTTP(S) into FILE.part. */
#ifndef AGN_SETS_DOWNLOAD_H
#define AGN_SETS_DOWNLOAD_H

#include "agilenn/fetch.h"

/* Goes on with `part` where it ends, starts over where the server cannot do that, tries again after
 * failures as config says. *resumed: bytes of an earlier run are in it. */
int agn__download(const struct agn_fetch_config *config, const char *url, const char *part, bool *resumed);

#endif
