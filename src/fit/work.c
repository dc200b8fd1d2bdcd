/* A device's instructions for a frame: agilenn/cost.h's model of its kernels. */
#include "fit/fit_internal.h"

int agn__fit_count_work(const struct agn_model *model, const struct agn_dev_model *device,
                        struct agn_work *work)
{
    struct agn_work made;
    int status = agn_work_of_model(device, &made);
    if (status < 0)
        return status;
    /* The fewest frames that can be sent: a device with an answer of its own may keep them all. */
    made.sent_share = agn_part_is_empty(&model->parts[AGN_LOCAL]) ? 1.0 : 0.0;
    *work = made;
    return AGN_OK;
}

int agn__fit_count_encoding(const struct agn_dev_model *device, double bytes, double packets,
                            double *instructions)
{
    struct agn_work work;
    int status = agn_work_of_model(device, &work);
    if (status >= 0)
        status = agn_work_set_bytes(device, bytes, packets, &work);
    if (status >= 0)
        *instructions = work.encode_instructions;
    return status;
}
