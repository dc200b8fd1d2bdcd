/* Networks that go by a name in the block language. Each is blocks and nothing else: `agilenn info` shows
 * them, and whoever wants another network starts from there.
 *
 * Extractors (24 channels, as in the AgileNN paper; the stride of the first layer is 3 unless given):
 *   separable   of the paper's public code: two separable 3x3 convolutions, the first to 4 channels
 *   conv24      of the paper's text: two 3x3 convolutions of 24 channels
 * Networks on their map, so without a first convolution with stride:
 *   efficientnetv2-s   Tan & Le 2021, table 4 (256 channels in the last stage, as in their code)
 *   mobilenetv2        Sandler et al. 2018, with the public code's changes: a separable 3x3 convolution to 16
 *                      channels in front, stride 1 up to the stage of 24 channels
 *   mobilenetv2-small, mobilenetv2-tiny   ours, inverted residuals for small maps and small computers
 *   resnet-small       ours, whole 3x3 convolutions with shortcuts: twice the work of mobilenetv2-small in
 * little more time, as no depthwise convolution waits for memory
 * A whole network on the image:
 *   mcunet-5fps        of the MCUNet family (Lin et al. 2020), found by search for microcontrollers: blocks
 * as in mit-han-lab/tiny-training (MIT licence), there under this name */
#include "nn/graph_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct network {
    const char *name;
    const char *start, *rest; /* the stride stands between them */
    int stride;               /* 0: it has none to choose, `start` is all */
};

static const struct network networks[] = {
    {"separable", "dw:s", ":l1 conv:c4:k1 dw:l1 conv:c24:k1", 3},
    {"conv24", "conv:c24:s", " conv:c24", 3},
    {"efficientnetv2-s",
     "fused:c24:e1:n2 fused:c48:e4:s2:n4 fused:c64:e4:s2:n4 mbse:c128:e4:s2:n6 mbse:c160:e6:n9 "
     "mbse:c256:e6:s2:n15 conv:c1280:k1:a1",
     "", 0},
    {"mobilenetv2",
     "dw:l1 conv:c16:k1 mb:c16:e1 mb:c24:e6:n2 mb:c32:e6:s2:n3 mb:c64:e6:s2:n4 mb:c96:e6:n3 mb:c160:e6:s2:n3 "
     "mb:c320:e6 conv:c1280:k1",
     "", 0},
    {"mobilenetv2-small", "conv:c64:s2 mb:c64:e4:n2 mb:c128:e4:s2:n3 conv:c320:k1", "", 0},
    {"resnet-small", "conv:c48 fused:c96:e1:s2 fused:c96:e1:n2 fused:c192:e1:s2 fused:c192:e1 conv:c320:k1",
     "", 0},
    {"mcunet-5fps",
     "conv:c16:s2 mb:c8:e1 mb:c16:e4:s2 mb:c16:e3 mb:c24:e3:k7:s2 mb:c24:e5 mb:c40:e5:s2 mb:c40:e4:k7 "
     "mb:c48:e4:k5 mb:c48:e3 mb:c48:e4 mb:c96:e5:k7:s2 mb:c96:e4:k5:n2 mb:c160:e6",
     "", 0},
    {"mobilenetv2-tiny", "conv:c48:s2 mb:c48:e4 mb:c96:e4:s2 conv:c128:k1", "", 0},
};

const char agn__network_names[] =
    "separable, conv24, efficientnetv2-s, mobilenetv2, mobilenetv2-small, mobilenetv2-tiny, resnet-small, "
    "mcunet-5fps";

/* ":s3", 1 to AGN__MAX_STRIDE */
static bool read_stride(const char *letters, int *stride)
{
    if (strncmp(letters, ":s", 2) != 0 || letters[2] < '0' || letters[2] > '9')
        return false;
    char *end = NULL;
    long value = strtol(letters + 2, &end, 10);
    *stride = value > AGN__MAX_STRIDE ? AGN__MAX_STRIDE + 1 : (int)value;
    return *end == '\0' && *stride >= 1 && *stride <= AGN__MAX_STRIDE;
}

int agn__network_blocks(const char *token, char *blocks, size_t cap)
{
    size_t length = strcspn(token, ":");
    for (size_t i = 0; i < AGN_COUNT_OF(networks); i++) {
        const struct network *network = &networks[i];
        int stride = network->stride;
        if (strlen(network->name) != length || strncmp(network->name, token, length) != 0)
            continue;
        if (token[length] != '\0' && stride == 0) {
            return agn_fail(AGN_ERR_ARG, "'%s' takes no letters; write its blocks to change them",
                            network->name);
        }
        if (token[length] != '\0' && !read_stride(token + length, &stride)) {
            return agn_fail(AGN_ERR_ARG, "'%s' takes nothing but its stride, 1 to %d, such as %s:s%d",
                            network->name, AGN__MAX_STRIDE, network->name, network->stride);
        }
        return stride == 0 ? snprintf(blocks, cap, "%s", network->start)
                           : snprintf(blocks, cap, "%s%d%s", network->start, stride, network->rest);
    }
    return 0;
}
