/* What each layer of the extractor costs, in board_count's unit: the kernels are wrapped by the linker
 * (--wrap), which leaves the library itself as it is. What is not in a layer's figure is the streaming around
 * the kernels. The mean over the frames linked in. */
#include "frame.h"

#include "agn_device_internal.h"

static uint32_t layers[AGN_DEV_MAX_GRAPH_LAYERS], cost;

static void charge(const struct agn_dev_layer *layer, uint32_t begin)
{
    uint32_t spent = board_count() - begin - cost;
    for (unsigned i = 0; i < frame_dev.model.layer_count; i++) {
        struct agn_dev_layer_info info;
        agn_dev_layer_info(&frame_dev.model, i, &info);
        if (info.shape.channels == layer->channels)
            layers[i] += spent;
    }
}

/* What follows the sink, as parameters and as arguments. */
#define NO_PANEL
#define PANEL_PARAMETER , int16_t *panel
#define PANEL           , panel
#define WRAP(kernel, parameter, argument)                                                                    \
    void __real_##kernel(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,      \
                         unsigned end, const struct agn__sink *sink parameter);                              \
    void __wrap_##kernel(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,      \
                         unsigned end, const struct agn__sink *sink parameter);                              \
    void __wrap_##kernel(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,      \
                         unsigned end, const struct agn__sink *sink parameter)                               \
    {                                                                                                        \
        uint32_t begin = board_count();                                                                      \
        __real_##kernel(layer, rows, first, end, sink argument);                                             \
        charge(layer, begin);                                                                                \
    }
#if AGN_WITH_GRAPHS
WRAP(agn__graph_conv_row, PANEL_PARAMETER, PANEL)
WRAP(agn__graph_dwconv_row, NO_PANEL, NO_PANEL)
#if AGN_KERNEL_DSP
int __real_agn__graph_conv_sent(const struct agn_dev_layer *layer, const int16_t *const *rows,
                                const struct agn__sent *sent, int16_t *panel);
int __wrap_agn__graph_conv_sent(const struct agn_dev_layer *layer, const int16_t *const *rows,
                                const struct agn__sent *sent, int16_t *panel);
int __wrap_agn__graph_conv_sent(const struct agn_dev_layer *layer, const int16_t *const *rows,
                                const struct agn__sent *sent, int16_t *panel)
{
    uint32_t begin = board_count();
    int done = __real_agn__graph_conv_sent(layer, rows, sent, panel);
    charge(layer, begin);
    return done;
}

void __real_agn__bytes_conv_row(const struct agn_dev_layer *layer, const struct agn__bytes *bytes,
                                const uint8_t *patches, const struct agn__sink *sink);
void __wrap_agn__bytes_conv_row(const struct agn_dev_layer *layer, const struct agn__bytes *bytes,
                                const uint8_t *patches, const struct agn__sink *sink);
void __wrap_agn__bytes_conv_row(const struct agn_dev_layer *layer, const struct agn__bytes *bytes,
                                const uint8_t *patches, const struct agn__sink *sink)
{
    uint32_t begin = board_count();
    __real_agn__bytes_conv_row(layer, bytes, patches, sink);
    charge(layer, begin);
}
#endif
#else
WRAP(agn__conv_row, NO_PANEL, NO_PANEL)
WRAP(agn__dwconv_row, NO_PANEL, NO_PANEL)
#endif

int app_main(void)
{
    struct frame_counts counts;
    char name[] = "layer 01";
    int status = frame_open();
    uint32_t frames = 0, begin = board_count();
    cost = board_count() - begin;
    while (status >= 0 && (status = frame_run(frames, &counts, NULL)) > 0)
        frames++;
    if (status < 0 || frames == 0) {
        print_number("error", (uint32_t)-status);
        return 1;
    }
    for (unsigned i = 0; i < frame_dev.model.layer_count; i++) {
        name[6] = (char)('0' + (i + 1) / 10);
        name[7] = (char)('0' + (i + 1) % 10);
        print_number(name, layers[i] / frames);
    }
    return 0;
}
