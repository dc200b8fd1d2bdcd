/* The remote network's start from the reference: both classify the same features. */
#include <stdio.h>
#include <string.h>

#include "train/channel_selection.h"

void agn__warm_start(struct agn_model *model)
{
    struct agn_params *to = model->parts[AGN_REMOTE].params;
    const struct agn_params *from = model->parts[AGN_REFERENCE].params;
    int sent = agn_model_first_sent(model);
    for (int i = 0; i < to->count; i++) {
        const struct agn_param *target = &to->list[i];
        char name[AGN_NAME_BYTES + 32];
        snprintf(name, sizeof(name), "reference%s", target->name + strlen("remote"));
        const struct agn_param *source = agn_params_find(from, name);
        if (source == NULL || source->rank != target->rank || source->dims[0] != target->dims[0])
            continue;
        const float *src = from->value + source->offset;
        float *dst = to->value + target->offset;
        if (source->count == target->count) {
            memcpy(dst, src, target->count * sizeof(float));
        } else if (target->rank == 4 && source->dims[1] == model->map.channels &&
                   target->dims[1] == model->sent_channels && source->dims[2] == target->dims[2]) {
            size_t area = (size_t)target->dims[2] * (size_t)target->dims[3];
            for (int o = 0; o < target->dims[0]; o++) {
                memcpy(dst + (size_t)o * (size_t)model->sent_channels * area,
                       src + ((size_t)o * (size_t)model->map.channels + (size_t)sent) * area,
                       (size_t)model->sent_channels * area * sizeof(float));
            }
        }
    }
    to->version++;
}
