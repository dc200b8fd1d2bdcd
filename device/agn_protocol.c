/* The versions of the protocol as a device uses them. */
#include "agn_compact.h"
#include "agn_device_internal.h"

#if AGN_WITH_PROTOCOL_1
int agn__read_reply_1(const uint8_t *src, size_t len, uint32_t model_id, struct agn_reply_packet *reply)
{
    (void)model_id; /* it is in the reply */
    return agn_reply_unpack(src, len, reply);
}

const struct agn__protocol agn__protocol_1 = {agn_feature_pack, agn__read_reply_1, agn_reply_logit,
                                              0xFFFF,           AGN_WIRE_VERSION,  AGN_FEATURE_HEADER_BYTES};
#endif

#if AGN_WITH_PROTOCOL_2
const struct agn__protocol agn__protocol_2 = {agn_compact_pack,    agn_compact_reply_unpack,
                                              agn_compact_logit,   0xFF,
                                              AGN_COMPACT_VERSION, AGN_COMPACT_MOST_HEADER};
#endif

int agn_dev_set_protocol(struct agn_dev *dev, unsigned version)
{
#if AGN_WITH_PROTOCOL_1
    if (version == AGN_WIRE_VERSION) {
        dev->protocol = &agn__protocol_1;
        return 0;
    }
#endif
#if AGN_WITH_PROTOCOL_2
    if (version == AGN_COMPACT_VERSION) {
        dev->protocol = &agn__protocol_2;
        return 0;
    }
#endif
    return AGN_ERR_UNSUPPORTED;
}

unsigned agn_dev_protocol(const struct agn_dev *dev)
{
    return agn__version(dev);
}

void agn_dev_ask_now(struct agn_dev *dev, unsigned asks)
{
    dev->asks_now = asks != 0;
}
