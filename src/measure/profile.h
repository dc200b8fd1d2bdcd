/* What a profile of a board or radio consists of: one table of inputs serves reading, checking, listing and
 * finding out which of them matter. */
#ifndef AGN_MEASURE_PROFILE_H
#define AGN_MEASURE_PROFILE_H

#include <stddef.h>

#include "agilenn/cost.h"

enum agn__input_type {
    AGN__INPUT_NUMBER,   /* a double */
    AGN__INPUT_INTERVAL, /* a struct agn_interval */
    AGN__INPUT_WORD,     /* char[AGN_PROFILE_NAME] */
};

struct agn__input {
    const char *section, *name, *unit;
    enum agn__input_type type;
    size_t offset;      /* in struct agn_board or struct agn_radio */
    double least, most; /* what is believed */
    const char *meaning;
};

const struct agn__input *agn__inputs(enum agn_profile_kind kind, int *count);

#endif
