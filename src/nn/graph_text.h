/* The block language (agn_graph_parse in nn.h) as text: reading it, writing it. */
#ifndef AGN_NN_GRAPH_TEXT_H
#define AGN_NN_GRAPH_TEXT_H

#include "agilenn/nn.h"

enum { AGN__MAX_KERNEL = 11, AGN__MAX_STRIDE = 8, AGN__TOKEN_BYTES = 96 };

enum agn__block_kind {
    AGN__BLOCK_CONV,
    AGN__BLOCK_DEPTHWISE,
    AGN__BLOCK_INVERTED_RESIDUAL,
    AGN__BLOCK_MBCONV,
    AGN__BLOCK_FUSED,
    AGN__BLOCK_POOL,
    AGN__BLOCK_UP,
    AGN__BLOCK_SHUFFLE,
    AGN__BLOCK_ATTENTION,
    AGN__BLOCK_KINDS
};

struct agn__text_block {
    enum agn__block_kind kind;
    int channels, kernel, stride, repeats, expansion, grid, linear, activation;
    char token[AGN__TOKEN_BYTES]; /* as it stands in the text, or in the named network it comes from */
};

struct agn__text_blocks {
    int count;
    struct agn__text_block list[AGN_MAX_OPS]; /* each makes an operator at least */
};

/* Reads `text`: named networks replaced by their blocks, channels multiplied by `width`. Errors name the
 * block. */
int agn__text_read(const char *text, double width, struct agn__text_blocks *blocks);

/* Does the block have a residual branch, wherever its shape stays? */
bool agn__block_is_residual(enum agn__block_kind kind);

/* Blocks of the network that `token` ("separable:s2") names: their length, 0 when it names none. */
int agn__network_blocks(const char *token, char *blocks, size_t cap);
/* All names, for messages. */
extern const char agn__network_names[];

#endif
