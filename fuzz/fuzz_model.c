/* model.safetensors and checkpoints. The length that begins the file is made good, since hardly a changed
 * header would have the right one. A model that is taken has finite weights and levels that ascend, and can
 * be written and read again. */
#define _XOPEN_SOURCE 700
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/model.h"
#include "fuzz_folder.h"

enum { LENGTH_BYTES = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(int condition)
{
    if (!condition)
        abort();
}

/* Bytes up to the end of the first JSON object and the blanks after it; all where it has no end. */
static size_t header_bytes(const uint8_t *text, size_t size)
{
    bool in_string = false;
    size_t depth = 0, at = 0;
    for (; at < size; at++) {
        in_string ^= text[at] == '"';
        if (in_string && text[at] == '\\')
            at++;
        else if (!in_string && text[at] == '{')
            depth++;
        else if (!in_string && text[at] == '}' && (depth == 0 || --depth == 0))
            break;
    }
    at = at < size ? at + 1 : size;
    while (at < size && text[at] == ' ')
        at++;
    return at;
}

static void check(const struct agn_model *model, const char *path)
{
    struct agn_model *again = NULL;
    struct agn_context_model contexts;
    demand(agn_model_check_finite(model) == AGN_OK);
    demand(agn_model_check_levels(model, model->centroids, "levels") == AGN_OK);
    agn_model_contexts(model, &contexts);
    demand(agn_context_model_check(&contexts) == 0);
    demand(agn_model_alpha(model) >= 0 && agn_model_alpha(model) <= 1);
    demand(agn_model_save(model, path) == AGN_OK && agn_model_load(path, &again) == AGN_OK);
    demand(agn_model_id(again) == agn_model_id(model));
    agn_model_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *path, *saved;
    if (!path) {
        path = fuzz_folder_file("model");
        saved = fuzz_folder_file("saved");
    }
    if (size < LENGTH_BYTES)
        return 0;
    uint8_t *copy = malloc(size);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    size_t length = header_bytes(copy + LENGTH_BYTES, size - LENGTH_BYTES);
    for (int i = 0; i < LENGTH_BYTES; i++)
        copy[i] = (uint8_t)((uint64_t)length >> 8 * i);
    fuzz_folder_write(path, copy, size);
    free(copy);
    struct agn_model *model = NULL;
    int status = agn_model_load(path, &model);
    demand((status < 0) == (model == NULL));
    if (model)
        check(model, saved);
    agn_model_free(model);
    return 0;
}
