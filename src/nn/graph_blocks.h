/* Blocks of well-known networks, put together from operators. Each function returns the index of its last
 * operator, or a status. Parameters are named PREFIX.part. */
#ifndef AGN_NN_GRAPH_BLOCKS_H
#define AGN_NN_GRAPH_BLOCKS_H

#include "nn/net_internal.h"

enum agn__activation { AGN__LINEAR, AGN__RELU6, AGN__SILU, AGN__TANH };

/* What a block needs to know. */
struct agn__block {
    int channels; /* of the result; ignored by depthwise convolutions */
    int kernel, stride;
    int expansion; /* inner channels are this many times the source's */
};

/* Convolution (channels > 0) or depthwise convolution (0), BN, activation. */
int agn__graph_conv_bn(struct agn_graph *graph, int src, const char *name, const struct agn__block *block,
                       enum agn__activation activation);

/* MobileNetV2's inverted residual (Sandler et al. 2018): 1x1 expand, depthwise, 1x1 linear project, all with
 * BN and `activation`, and the shortcut when the shape stays. Expansion 1 leaves out the first convolution.
 * With `excite`, a squeeze-and-excitation to a quarter of the source's channels stands before the projection:
 * EfficientNet's MBConv (Tan & Le 2019). */
int agn__graph_inverted_residual(struct agn_graph *graph, int src, const char *prefix,
                                 const struct agn__block *block, enum agn__activation activation,
                                 bool excite);

/* EfficientNetV2's Fused-MBConv (Tan & Le 2021): full convolution to the inner channels with BN and SiLU, 1x1
 * linear project, shortcut when the shape stays. Expansion 1 is one convolution with BN and SiLU. */
int agn__graph_fused(struct agn_graph *graph, int src, const char *prefix, const struct agn__block *block);

/* SAGAN's self-attention (Zhang et al. 2019) with an eighth of the channels in queries and keys: one 1x1
 * convolution, PREFIX.qkv, makes them and the values; gamma is PREFIX.gamma. */
int agn__graph_attention(struct agn_graph *graph, int src, const char *prefix);

#endif
