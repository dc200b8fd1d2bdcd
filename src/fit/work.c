/* A device's instructions for a frame: agilenn/cost.h's model of its kernels. */
#include "fit/fit_internal.h"

/* A rough mean over the committed presets, for where that model has no coefficients. */
static const double for_mac = 1.8;

int agn__fit_count_work(const struct agn_model *model, const struct agn_dev_model *device,
                        struct agn_work *work)
{
    struct agn_dev_layer_info info;
    struct agn_work made;
    double macs = 0.0;
    int status = agn_work_of_model(device, &made);
    if (status < 0)
        return status;
    for (unsigned i = 0; agn_dev_layer_info(device, i, &info) >= 0; i++)
        macs += (double)info.macs;
    if (!(made.extract_instructions > 0.0))
        made.extract_instructions = for_mac * macs;
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
