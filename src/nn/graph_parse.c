/* Networks from text: the block language of agn_graph_parse (nn.h). */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/graph_blocks.h"

struct block {
    char kind[16];
    int channels, kernel, stride, repeats, expansion, grid, linear, activation;
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
                      {'l', &block->linear},   {'a', &block->activation}};
        size_t f = 0;
        while (f < AGN_COUNT_OF(fields) && fields[f].letter != part[0]) {
            f++;
        }
        if (f == AGN_COUNT_OF(fields)) {
            return agn_fail(AGN_ERR_ARG, "'%s' starts with none of c k s n e g l a", part);
        }
        int status = parse_number(part + 1, fields[f].value);
        if (status < 0) {
            return status;
        }
    }
    return AGN_OK;
}

/* Kinds of blocks and what they are put together from. */
enum kind { CONV, DEPTHWISE, INVERTED_RESIDUAL, MBCONV, FUSED, POOL, KINDS };
static const char *const kind_names[KINDS] = {"conv", "dw", "mb", "mbse", "fused", "pool"};

static int kind_of(const struct block *block)
{
    for (int kind = 0; kind < KINDS; kind++) {
        if (strcmp(block->kind, kind_names[kind]) == 0) {
            return kind;
        }
    }
    return agn_fail(AGN_ERR_ARG, "kind is none of conv, dw, mb, mbse, fused, pool");
}

static int check_block(const struct block *b, int kind)
{
    if (kind != POOL && kind != DEPTHWISE && b->channels < 1) {
        return agn_fail(AGN_ERR_ARG, "it needs its number of channels, such as :c32");
    }
    if (b->repeats < 1 || b->expansion < 1) {
        return agn_fail(AGN_ERR_RANGE, "n and e must be at least 1");
    }
    if (b->activation > 1) {
        return agn_fail(AGN_ERR_RANGE, "a is 0 (ReLU6) or 1 (SiLU)");
    }
    return AGN_OK;
}

static int append_once(struct agn_graph *graph, int src, const char *name, const struct block *b, int kind,
                       int stride)
{
    struct agn__block block = {b->channels, b->kernel, stride, b->expansion};
    enum agn__activation activation = b->activation == 1 ? AGN__SILU : AGN__RELU6;
    switch (kind) {
    case INVERTED_RESIDUAL:
        return agn__graph_inverted_residual(graph, src, name, &block, activation, false);
    case MBCONV:
        return agn__graph_inverted_residual(graph, src, name, &block, AGN__SILU, true);
    case FUSED:
        return agn__graph_fused(graph, src, name, &block);
    default:
        block.channels = kind == DEPTHWISE ? 0 : b->channels;
        return agn__graph_conv_bn(graph, src, name, &block, b->linear != 0 ? AGN__LINEAR : activation);
    }
}

static int append_block(struct agn_graph *graph, int src, const char *prefix, int *number, const char *token)
{
    struct block b;
    char name[AGN_NAME_BYTES - 16];
    int op = src, status = parse_block(token, &b), kind = status < 0 ? status : kind_of(&b);
    status = kind < 0 ? kind : check_block(&b, kind);
    if (status < 0) {
        return status;
    }
    if (kind == POOL) {
        return agn_graph_pool(graph, src, b.grid);
    }
    for (int i = 0; i < b.repeats && op >= 0; i++, (*number)++) {
        snprintf(name, sizeof(name), "%s.%d", prefix, *number);
        op = append_once(graph, op, name, &b, kind, i == 0 ? b.stride : 1);
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
