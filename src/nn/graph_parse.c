/* Networks from text: the block language of agn_graph_parse (nn.h). */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/net_internal.h"

struct block {
    char kind[16];
    int channels, kernel, stride, repeats, expansion, grid, linear;
};

static int parse_number(const char *text, int *value)
{
    char *end = NULL;
    long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < 0 || number > 65535) {
        return agn_fail(AGN_ERR_RANGE, "'%s' is not a whole number from 0 to 65535", text);
    }
    *value = (int)number;
    return AGN_OK;
}

/* "mb:c32:e4:k3:s2:n2". The caller of this file's functions adds the block to their messages. */
static int parse_block(const char *token, struct block *block)
{
    char copy[96], *save = NULL;
    *block = (struct block){.kernel = 3, .stride = 1, .repeats = 1, .expansion = 6, .grid = 1};
    if (strlen(token) >= sizeof(copy)) {
        return agn_fail(AGN_ERR_RANGE, "the block is too long");
    }
    snprintf(copy, sizeof(copy), "%s", token);
    const char *kind = strtok_r(copy, ":", &save);
    snprintf(block->kind, sizeof(block->kind), "%s", kind == NULL ? "" : kind);
    for (char *part = strtok_r(NULL, ":", &save); part != NULL; part = strtok_r(NULL, ":", &save)) {
        struct {
            char letter;
            int *value;
        } fields[] = {{'c', &block->channels}, {'k', &block->kernel},    {'s', &block->stride},
                      {'n', &block->repeats},  {'e', &block->expansion}, {'g', &block->grid},
                      {'l', &block->linear}};
        size_t f = 0;
        while (f < AGN_COUNT_OF(fields) && fields[f].letter != part[0]) {
            f++;
        }
        if (f == AGN_COUNT_OF(fields)) {
            return agn_fail(AGN_ERR_ARG, "'%s' starts with none of c k s n e g l", part);
        }
        int status = parse_number(part + 1, fields[f].value);
        if (status < 0) {
            return status;
        }
    }
    return AGN_OK;
}

/* Convolution (oc > 0) or depthwise convolution (oc = 0), then BN, then ReLU6 unless linear. */
static int append_conv_bn(struct agn_graph *graph, int src, const char *name, int oc, int kernel, int stride,
                          bool linear)
{
    int op = oc > 0 ? agn_graph_conv(graph, src, name, oc, kernel, stride, false)
                    : agn_graph_depthwise(graph, src, name, kernel, stride);
    char bn[AGN_NAME_BYTES];
    if (op < 0) {
        return op;
    }
    if (snprintf(bn, sizeof(bn), "%s.bn", name) >= (int)sizeof(bn)) {
        return agn_fail(AGN_ERR_RANGE, "parameter name '%s.bn' is too long", name);
    }
    return agn_graph_batchnorm(graph, op, bn, !linear);
}

/* MobileNetV2's inverted residual: 1x1 expand, depthwise, 1x1 linear project, and the shortcut
 * when the shape stays (Sandler et al. 2018). Expansion 1 leaves out the first convolution. */
static int append_inverted_residual(struct agn_graph *graph, int src, const char *prefix,
                                    const struct block *b, int stride)
{
    int ic = graph->ops[src].shape.channels, op = src;
    char name[AGN_NAME_BYTES];
    if ((int64_t)ic * b->expansion > 65535) {
        return agn_fail(AGN_ERR_RANGE, "expansion by %d gives more than 65535 channels", b->expansion);
    }
    if (b->expansion > 1) {
        snprintf(name, sizeof(name), "%s.expand", prefix);
        op = append_conv_bn(graph, op, name, ic * b->expansion, 1, 1, false);
    }
    if (op >= 0) {
        snprintf(name, sizeof(name), "%s.depthwise", prefix);
        op = append_conv_bn(graph, op, name, 0, b->kernel, stride, false);
    }
    if (op >= 0) {
        snprintf(name, sizeof(name), "%s.project", prefix);
        op = append_conv_bn(graph, op, name, b->channels, 1, 1, true);
    }
    if (op >= 0 && stride == 1 && ic == b->channels) {
        op = agn_graph_add(graph, src, op);
    }
    return op;
}

static int append_block(struct agn_graph *graph, int src, const char *prefix, int *number, const char *token)
{
    struct block b;
    char name[AGN_NAME_BYTES - 16];
    int op = src, status = parse_block(token, &b);
    bool pool = strcmp(b.kind, "pool") == 0, dw = strcmp(b.kind, "dw") == 0;
    if (status < 0) {
        return status;
    }
    if (!pool && !dw && (strcmp(b.kind, "conv") != 0 && strcmp(b.kind, "mb") != 0)) {
        return agn_fail(AGN_ERR_ARG, "kind is none of conv, dw, mb, pool");
    }
    if (!pool && !dw && b.channels < 1) {
        return agn_fail(AGN_ERR_ARG, "it needs its number of channels, such as :c32");
    }
    if (b.repeats < 1 || b.expansion < 1) {
        return agn_fail(AGN_ERR_RANGE, "n and e must be at least 1");
    }
    if (pool) {
        return agn_graph_pool(graph, src, b.grid);
    }
    for (int i = 0; i < b.repeats && op >= 0; i++, (*number)++) {
        int stride = i == 0 ? b.stride : 1;
        snprintf(name, sizeof(name), "%s.%d", prefix, *number);
        op = b.kind[0] == 'm'
                 ? append_inverted_residual(graph, op, name, &b, stride)
                 : append_conv_bn(graph, op, name, dw ? 0 : b.channels, b.kernel, stride, b.linear);
    }
    return op;
}

int agn_graph_parse(struct agn_graph *graph, int src, const char *prefix, const char *text)
{
    char copy[2048], reason[512], *save = NULL;
    int op = src, number = 0, count = graph->count;
    if (strlen(text) >= sizeof(copy) || strlen(prefix) > 32) {
        return agn_fail(AGN_ERR_RANGE, "network text or prefix '%.32s' is too long", prefix);
    }
    if (src < 0 || src >= count) {
        return agn_fail(AGN_ERR_ARG, "network '%s': source %d is not an earlier operator", prefix, src);
    }
    snprintf(copy, sizeof(copy), "%s", text);
    for (char *token = strtok_r(copy, " \t\r\n", &save); token != NULL && op >= 0;
         token = strtok_r(NULL, " \t\r\n", &save)) {
        op = append_block(graph, op, prefix, &number, token);
        if (op < 0) {
            snprintf(reason, sizeof(reason), "%s", agn_error_message());
            graph->count = count; /* as it was */
            agn_fail(op, "network '%s', block '%.60s': %s", prefix, token, reason);
        }
    }
    return op;
}
