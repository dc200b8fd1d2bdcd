/* Feeds the safetensors reader any bytes, and reads all that it hands out. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "agilenn/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agn_tensor_file file;
    if (agn_tensor_file_parse(data, size, &file) < 0)
        return 0;
    size_t total = 0;
    volatile uint8_t sink = 0;
    for (int i = 0; i < file.count; i++) {
        const struct agn_tensor_view *tensor = &file.tensors[i];
        const uint8_t *bytes = tensor->data;
        for (size_t b = 0; b < tensor->size_bytes; b++)
            sink = (uint8_t)(sink ^ bytes[b]);
        total += tensor->size_bytes;
        if (tensor->rank < 0 || tensor->rank > 6 || agn_tensor_file_find(&file, tensor->name) != tensor)
            abort();
    }
    if (total > 2 * size) /* halves become floats */
        abort();
    agn_tensor_file_free(&file);
    return 0;
}
