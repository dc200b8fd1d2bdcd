/* A device's instructions for a frame, from its layers' multiply-accumulates. */
#include "fit/fit_internal.h"

/* Instructions of a Cortex-M7 for a multiply-accumulate, for a symbol, and for a pixel of JPEG, as measured
 * under QEMU over the committed presets (docs/PERFORMANCE.md): rough means. */
static const double for_mac = 1.8, for_symbol = 26.0, for_pixel = 33.0;

int agn__fit_count_work(const struct agn_model *model, const struct agn_dev_model *device,
                        struct agn_work *work)
{
    double macs = 0.0;
    struct agn_dev_layer_info info;
    struct agn_dev_memory memory;
    agn_dev_memory(device, &memory);
    for (unsigned i = 0; agn_dev_layer_info(device, i, &info) >= 0; i++)
        macs += (double)info.macs;
    work->extract_instructions = for_mac * macs;
    work->local_instructions = for_mac * memory.dense_macs;
    work->encode_instructions = agn_model_sends_symbols(model)
                                    ? for_symbol * memory.raw_bytes * 8.0 / 3.0
                                    : for_pixel * model->map.height * model->map.width * model->map.channels;
    return AGN_OK;
}
