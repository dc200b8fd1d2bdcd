/* Inside src/sets: archives from the network. */
#ifndef AGN_SETS_UNPACK_H
#define AGN_SETS_UNPACK_H

#include "agilenn/base.h"

/* Unpacks a tar.gz or zip whose entries all lie in the folder `top`, and makes that FOLDER/TOP, which must
 * not exist: all of it, or nothing. Entries with other paths, with "..", links and devices are errors. */
int agn__unpack(const char *archive, const char *folder, const char *top);

#endif
