/* `agilenn info` on a reference network, or on tensors of elsewhere: names, shapes and how many values. */
#include <string.h>

#include "cli/info.h"

static int64_t values_of(const struct agn_tensor_view *tensor)
{
    int64_t count = 1;
    for (int d = 0; d < tensor->rank; d++)
        count *= tensor->dims[d];
    return count;
}

static bool starts_with(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Values below the prefix, and in `tensors` how many tensors they are in. */
static int64_t count_floats(const struct agn_tensor_file *file, const char *prefix, int *tensors)
{
    int64_t sum = 0;
    *tensors = 0;
    for (int i = 0; i < file->count; i++) {
        if (file->tensors[i].dtype == AGN_F32 && starts_with(file->tensors[i].name, prefix)) {
            sum += values_of(&file->tensors[i]);
            (*tensors)++;
        }
    }
    return sum;
}

static void describe_shape(const struct agn_tensor_view *tensor, char *text, size_t size)
{
    size_t length = 0;
    snprintf(text, size, "one value");
    for (int d = 0; d < tensor->rank && length < size; d++)
        length += (size_t)snprintf(text + length, size - length, "%s%lld", d == 0 ? "" : "x",
                                   (long long)tensor->dims[d]);
}

/* NULL: out of memory. */
static json_t *json_tensors(const struct agn_tensor_file *file)
{
    json_t *list = json_array();
    for (int i = 0; i < file->count && list != NULL; i++) {
        const struct agn_tensor_view *tensor = &file->tensors[i];
        json_t *shape = json_array();
        for (int d = 0; d < tensor->rank; d++)
            json_array_append_new(shape, json_integer(tensor->dims[d]));
        json_array_append_new(list, json_pack("{s:s, s:o, s:b, s:I}", "name", tensor->name, "shape", shape,
                                              "floats", tensor->dtype == AGN_F32, "bytes",
                                              (json_int_t)tensor->size_bytes));
    }
    return list;
}

int agn__info_tensors(const struct agn_tensor_file *file, const char *name, bool json)
{
    int stem_tensors = 0, reference_tensors = 0;
    int64_t stem = count_floats(file, "extractor.", &stem_tensors),
            reference = count_floats(file, "reference.", &reference_tensors);
    bool usable = reference_tensors > 0 && stem_tensors > 0;
    const char *kind = usable ? "reference" : "tensors";
    if (json)
        return agn__cli_print_json("info", json_pack("{s:s, s:s, s:I, s:I, s:o}", "file", name, "kind", kind,
                                                     "stem_values", (json_int_t)stem, "reference_values",
                                                     (json_int_t)reference, "tensors", json_tensors(file)));
    for (int i = 0; i < file->count; i++) {
        char shape[128];
        describe_shape(&file->tensors[i], shape, sizeof shape);
        printf("%-48s %-20s%s\n", file->tensors[i].name, shape,
               file->tensors[i].dtype == AGN_F32 ? "" : "  no floats: not read by a training");
    }
    if (usable)
        printf("\n%s: a reference network with its stem, for agilenn train --reference: %lld values of the "
               "stem (extractor.*), %lld of the reference (reference.*)\n",
               name, (long long)stem, (long long)reference);
    else
        printf("\n%s: %d tensors, but no model, and no reference network, whose tensors are named "
               "extractor.* and reference.*\n",
               name, file->count);
    return AGN_CLI_SUCCESS;
}
