/* The block language as text. What blocks are made of: graph_parse.c, graph_blocks.c. */
#include "nn/graph_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NUMBER = 65535, TEXT_BYTES = 2048, NETWORK_BYTES = 512 };
static const char blanks[] = " \t\r\n";

/* Kinds of blocks, the letters that each takes. */
static const struct {
    const char *name, *letters;
} kinds[AGN__BLOCK_KINDS] = {{"conv", "cksnla"}, {"dw", "ksnla"},    {"mb", "ceksna"},
                             {"mbse", "ceksn"},  {"fused", "ceksn"}, {"pool", "g"},
                             {"up", "s"},        {"shuffle", "s"},   {"attention", ""}};

bool agn__block_is_residual(enum agn__block_kind kind)
{
    return kind == AGN__BLOCK_INVERTED_RESIDUAL || kind == AGN__BLOCK_MBCONV || kind == AGN__BLOCK_FUSED;
}

/* Of a block that does not say it. */
static int usual_stride(enum agn__block_kind kind)
{
    return kind == AGN__BLOCK_UP || kind == AGN__BLOCK_SHUFFLE ? 2 : 1;
}

/* ---- one block -------------------------------------------------------------------- */

static int parse_number(const char *text, int *value)
{
    char *end = NULL;
    long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < 0 || number > MAX_NUMBER)
        return agn_fail(AGN_ERR_RANGE, "'%s' is not a whole number from 0 to %d", text, MAX_NUMBER);
    *value = (int)number;
    return AGN_OK;
}

static int *field(struct agn__text_block *block, char letter)
{
    switch (letter) {
    case 'c':
        return &block->channels;
    case 'e':
        return &block->expansion;
    case 'k':
        return &block->kernel;
    case 's':
        return &block->stride;
    case 'n':
        return &block->repeats;
    case 'g':
        return &block->grid;
    case 'l':
        return &block->linear;
    default:
        return &block->activation;
    }
}

static int find_kind(const char *name)
{
    for (int kind = 0; kind < AGN__BLOCK_KINDS; kind++)
        if (strcmp(name, kinds[kind].name) == 0)
            return kind;
    return agn_fail(
        AGN_ERR_ARG,
        "its kind is none of conv, dw, mb, mbse, fused, pool, up, shuffle, attention, nor is it one of %s",
        agn__network_names);
}

static int check_range(char letter, int value, int low, int high, const char *what)
{
    return value >= low && value <= high ? AGN_OK
                                         : agn_fail(AGN_ERR_RANGE, "%c%d: %s from %d to %d is possible",
                                                    letter, value, what, low, high);
}

static int check_block(const struct agn__text_block *b)
{
    bool has_channels = strchr(kinds[b->kind].letters, 'c') != NULL;
    if (has_channels && b->channels < 1)
        return agn_fail(AGN_ERR_ARG, "it needs its number of channels, 1 to %d, such as :c32", MAX_NUMBER);
    int status = check_range('k', b->kernel, 1, AGN__MAX_KERNEL, "a kernel");
    if (status == AGN_OK)
        status = check_range('s', b->stride, usual_stride(b->kind), AGN__MAX_STRIDE, "a stride");
    if (status == AGN_OK)
        status = check_range('n', b->repeats, 1, MAX_NUMBER, "a number of repeats");
    if (status == AGN_OK)
        status = check_range('e', b->expansion, 1, MAX_NUMBER, "an expansion");
    if (status == AGN_OK)
        status = check_range('g', b->grid, 1, MAX_NUMBER, "a grid");
    if (status == AGN_OK)
        status = check_range('l', b->linear, 0, 1, "l (1: no activation)");
    if (status == AGN_OK)
        status = check_range('a', b->activation, 0, 2, "a (0: ReLU6, 1: SiLU, 2: tanh)");
    return status;
}

/* "mb:c32:e4:k3:s2:n2" */
static int parse_block(const char *token, struct agn__text_block *block)
{
    char copy[AGN__TOKEN_BYTES], *save = NULL, given[16] = "";
    *block = (struct agn__text_block){.kernel = 3, .repeats = 1, .expansion = 6, .grid = 1};
    snprintf(block->token, sizeof(block->token), "%s", token);
    if (strlen(token) >= sizeof(copy))
        return agn_fail(AGN_ERR_RANGE, "the block is too long");
    snprintf(copy, sizeof(copy), "%s", token);
    int kind = find_kind(copy[0] == ':' ? "" : strtok_r(copy, ":", &save));
    if (kind < 0)
        return kind;
    block->kind = (enum agn__block_kind)kind;
    block->stride = usual_stride(block->kind);
    const char *letters = kinds[kind].letters;
    if (strstr(token, "::") != NULL || token[strlen(token) - 1] == ':')
        return agn_fail(AGN_ERR_ARG, "a colon is followed by no letter");
    for (char *part = strtok_r(NULL, ":", &save); part != NULL; part = strtok_r(NULL, ":", &save)) {
        if (letters[0] == '\0')
            return agn_fail(AGN_ERR_ARG, "%s takes no letters", kinds[kind].name);
        if (strchr(letters, part[0]) == NULL) {
            return agn_fail(AGN_ERR_ARG, "'%s' starts with none of the letters that %s takes, %s", part,
                            kinds[kind].name, letters);
        }
        if (strchr(given, part[0]) != NULL)
            return agn_fail(AGN_ERR_ARG, "letter %c is given twice", part[0]);
        given[strlen(given)] = part[0];
        int status = parse_number(part + 1, field(block, part[0]));
        if (status < 0)
            return status;
    }
    return check_block(block);
}

/* ---- a network --------------------------------------------------------------------- */

/* Puts the block into the message of a failure. */
static int explain(int status, const char *token, const char *network)
{
    char reason[384];
    if (status >= 0)
        return status;
    snprintf(reason, sizeof(reason), "%s", agn_error_message());
    return network == NULL ? agn_fail(status, "block '%.60s': %s", token, reason)
                           : agn_fail(status, "block '%.60s' of '%.60s': %s", token, network, reason);
}

/* Adds the blocks of `text`; `network`: the named one that they are of, or NULL. */
static int add_blocks(char *text, const char *network, struct agn__text_blocks *blocks)
{
    char *save = NULL;
    for (char *token = strtok_r(text, blanks, &save); token != NULL; token = strtok_r(NULL, blanks, &save)) {
        char inner[NETWORK_BYTES];
        int status = network == NULL ? agn__network_blocks(token, inner, sizeof(inner)) : 0;
        if (status > 0) {
            status = add_blocks(inner, token, blocks);
            if (status < 0)
                return status;
            continue;
        }
        if (status == 0 && blocks->count == AGN_MAX_OPS)
            status = agn_fail(AGN_ERR_RANGE, "a network has at most %d operators", AGN_MAX_OPS);
        else if (status == 0)
            status = parse_block(token, &blocks->list[blocks->count++]);
        if (status < 0)
            return explain(status, token, network);
    }
    return AGN_OK;
}

/* MobileNetV2's rule: multiples of 8, at least 8, and never below 90 % of what was asked for. */
static double multiplied(int channels, double width)
{
    double exact = channels * width, rounded = 8.0 * floor((exact + 4.0) / 8.0);
    rounded = rounded < 8.0 ? 8.0 : rounded;
    return rounded < 0.9 * exact ? rounded + 8.0 : rounded;
}

/* The last 1x1 convolution, the classifier's features, never gets narrower (Sandler et al. 2018,
 * section 6.1). */
static bool keeps_width(const struct agn__text_blocks *blocks, int index)
{
    int last = blocks->count - 1;
    while (last > 0 && blocks->list[last].kind == AGN__BLOCK_POOL)
        last--;
    return index == last && blocks->list[last].kind == AGN__BLOCK_CONV && blocks->list[last].kernel == 1;
}

static int apply_width(struct agn__text_blocks *blocks, double width)
{
    for (int i = 0; i < blocks->count && width != 1.0; i++) {
        struct agn__text_block *block = &blocks->list[i];
        if (block->channels == 0 || (width < 1.0 && keeps_width(blocks, i)))
            continue;
        double channels = multiplied(block->channels, width);
        if (channels > MAX_NUMBER) {
            return explain(agn_fail(AGN_ERR_RANGE,
                                    "a width of %g makes it %.0f channels; at most %d are "
                                    "possible",
                                    width, channels, MAX_NUMBER),
                           block->token, NULL);
        }
        block->channels = (int)channels;
    }
    return AGN_OK;
}

int agn__text_read(const char *text, double width, struct agn__text_blocks *blocks)
{
    char copy[TEXT_BYTES];
    blocks->count = 0;
    if (strlen(text) >= sizeof(copy)) {
        return agn_fail(AGN_ERR_RANGE, "the text is too long: %zu characters, %zu are possible", strlen(text),
                        sizeof(copy) - 1);
    }
    if (!(width > 0.0 && width <= MAX_NUMBER))
        return agn_fail(AGN_ERR_RANGE, "a width of %g is not possible", width);
    snprintf(copy, sizeof(copy), "%s", text);
    int status = add_blocks(copy, NULL, blocks);
    return status < 0 ? status : apply_width(blocks, width);
}

/* ---- what devices compute ---------------------------------------------------------- */

static int check_device_block(const struct agn__text_block *b)
{
    const int least = b->kind == AGN__BLOCK_CONV ? 1 : 3, most = 7, most_stride = 4;
    if (b->kind != AGN__BLOCK_CONV && b->kind != AGN__BLOCK_DEPTHWISE &&
        b->kind != AGN__BLOCK_INVERTED_RESIDUAL)
        return agn_fail(AGN_ERR_UNSUPPORTED, "a device has conv, dw and mb only");
    if (b->activation != 0 && b->linear == 0)
        return agn_fail(AGN_ERR_UNSUPPORTED, "a device has no activation but ReLU6: leave a%d out",
                        b->activation);
    bool patches = b->kind == AGN__BLOCK_CONV && b->kernel == b->stride;
    if (b->kernel < least || b->kernel > most || (b->kernel % 2 == 0 && !patches))
        return agn_fail(AGN_ERR_UNSUPPORTED, "k%d: a device has kernels of %s3, 5 and 7 here%s", b->kernel,
                        least == 1 ? "1, " : "", least == 1 ? ", or 2 and 4 with a stride as large" : "");
    if (b->stride > most_stride)
        return agn_fail(AGN_ERR_UNSUPPORTED, "s%d: a device has strides up to %d", b->stride, most_stride);
    return AGN_OK;
}

int agn_graph_check_device(const char *text)
{
    struct agn__text_blocks *blocks = agn_alloc(1, sizeof(*blocks));
    int status = blocks == NULL ? AGN_ERR_MEMORY : agn__text_read(text, 1.0, blocks);
    for (int i = 0; status == AGN_OK && i < blocks->count; i++)
        status = explain(check_device_block(&blocks->list[i]), blocks->list[i].token, NULL);
    agn_free(blocks);
    return status;
}

/* ---- writing ----------------------------------------------------------------------- */

/* Letters of a block in the order of `kinds`, those with their usual values left out. */
static int write_block(const struct agn__text_block *block, char *text, size_t cap)
{
    struct agn__text_block b = *block,
                           usual = {.kernel = 3, .stride = usual_stride(b.kind), .repeats = 1, .grid = 1};
    int length = snprintf(text, cap, "%s", kinds[b.kind].name);
    for (const char *letter = kinds[b.kind].letters; *letter != '\0'; letter++) {
        int value = *field(&b, *letter);
        if (value != *field(&usual, *letter))
            length += snprintf(text + length, cap - (size_t)length, ":%c%d", *letter, value);
    }
    return length;
}

int agn_graph_expand(const char *text, double width, char *expanded, size_t cap)
{
    struct agn__text_blocks *blocks = agn_alloc(1, sizeof(*blocks));
    size_t length = 0;
    int status = blocks == NULL ? AGN_ERR_MEMORY : agn__text_read(text, width, blocks);
    for (int i = 0; status == AGN_OK && i < blocks->count; i++) {
        char block[AGN__TOKEN_BYTES];
        size_t size = (size_t)write_block(&blocks->list[i], block, sizeof(block)), gap = i > 0;
        if (length + gap + size >= cap) {
            status = agn_fail(AGN_ERR_SPACE, "the network's blocks need more than %zu bytes", cap);
            break;
        }
        snprintf(expanded + length, cap - length, "%s%s", gap ? " " : "", block);
        length += gap + size;
    }
    if (status == AGN_OK && length == 0 && cap > 0)
        expanded[0] = '\0';
    agn_free(blocks);
    return status < 0 ? status : (int)length;
}
