/* The description of an exported folder as a CMSIS-Pack. */
#ifndef AGN_DEPLOY_CMSIS_PACK_H
#define AGN_DEPLOY_CMSIS_PACK_H

#include <stdint.h>

#include "deploy/source_text.h"

struct agn__cmsis_pack {
    const char *prefix; /* of the model, in small letters */
    uint32_t model_id;
    const char *files; /* of the folder, each followed by a line's end */
};

/* Adds the .pdsc file's content, after the schema PACK.xsd 1.7.7. */
void agn__cmsis_pack_write(struct agn__text *text, const struct agn__cmsis_pack *pack);

#endif
