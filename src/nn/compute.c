/* Which ways to compute this CPU has. How they work: op_conv.c. */
#include "nn/net_internal.h"

/* Whether oneDNN has bf16 convolutions for a CPU without bf16 arithmetic depends on both. */
static int try_bf16(void)
{
    const struct agn__conv_config config = {.shape = {.batch = 1,
                                                      .ic = 16,
                                                      .ih = 4,
                                                      .iw = 4,
                                                      .oc = 16,
                                                      .oh = 4,
                                                      .ow = 4,
                                                      .kernel_h = 1,
                                                      .kernel_w = 1,
                                                      .stride = 1,
                                                      .bf16 = true},
                                            .pass = AGN__CONV_FORWARD,
                                            .bias = true,
                                            .lanes = 1};
    struct agn__conv *conv = NULL;
    int status = agn__conv_create(&config, &conv);
    agn__conv_free(conv);
    return status;
}

int agn__compute_check(enum agn_compute compute)
{
    if ((unsigned)compute > AGN_COMPUTE_BF16_EMULATED)
        return agn_fail(AGN_ERR_ARG, "there is no way to compute of number %d", (int)compute);
    if (compute == AGN_COMPUTE_F32)
        return AGN_OK;
    if (compute == AGN_COMPUTE_BF16_EMULATED || agn__onednn_has_bf16())
        return try_bf16();
    return agn_fail(AGN_ERR_UNSUPPORTED,
                    "bf16 needs a CPU with AVX512_BF16, but oneDNN finds %s here; compute in f32, or in "
                    "bf16-emulated to measure bf16's accuracy, slowly",
                    agn__onednn_isa());
}
