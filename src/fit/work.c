/* A device's instructions and bytes for a frame: agilenn/cost.h's model of its kernels, and the wire's own
 * sizes. */
#include "agn_coap.h"
#include "agn_compact.h"
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

double agn__fit_coap_bytes(int protocol)
{
    return protocol == AGN_COMPACT_VERSION ? AGN_COAP_COMPACT_OVERHEAD : AGN_COAP_REQUEST_OVERHEAD;
}

void agn__fit_speak(int protocol, int classes, struct agn_work *work)
{
    if (protocol != AGN_COMPACT_VERSION || !(work->packets > 0.0))
        return;
    work->packet_bytes -= work->packets * (agn__fit_coap_bytes(1) - agn__fit_coap_bytes(protocol));
    work->reply_bytes = AGN_COMPACT_REPLY_BYTES(classes) + AGN_WORK_COMPACT_ANSWER_COAP_BYTES;
}
