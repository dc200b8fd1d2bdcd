/* Parameter stores: named float arrays, their initial values, and files. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/net_internal.h"

int agn__param_declare(struct agn_params *params, const struct agn_op_spec *spec,
                       const struct agn__param_request *request)
{
    struct agn_param param = {.rank = request->rank,
                              .count = 1,
                              .trainable = request->trainable,
                              .decay = request->decay,
                              .offset = params->total};
    snprintf(param.name, sizeof(param.name), "%s.%s", spec->name, request->suffix);
    if (spec->name[0] == '\0')
        return agn_fail(AGN_ERR_ARG, "an operator with parameters needs a name");
    if (agn_params_find(params, param.name) != NULL)
        return agn_fail(AGN_ERR_ARG, "two operators are both named '%s'", spec->name);
    if (params->count == params->capacity)
        return agn_fail(AGN_ERR_RANGE, "a network has at most %d parameters", params->capacity);
    for (int i = 0; i < request->rank; i++) {
        param.dims[i] = request->dims[i];
        param.count *= (size_t)request->dims[i];
    }
    params->list[params->count++] = param;
    params->total += (param.count + 15) / 16 * 16; /* each array starts on a 64-byte line */
    return AGN_OK;
}

const struct agn_param *agn_params_find(const struct agn_params *params, const char *name)
{
    for (int i = 0; i < params->count; i++)
        if (strcmp(params->list[i].name, name) == 0)
            return &params->list[i];
    return NULL;
}

float *agn_params_values(const struct agn_params *params, const char *name)
{
    const struct agn_param *param = agn_params_find(params, name);
    return param == NULL ? NULL : params->value + param->offset;
}

int64_t agn__param_offset(const struct agn_params *params, const struct agn_op_spec *spec, const char *suffix)
{
    char name[AGN_NAME_BYTES + 16];
    snprintf(name, sizeof(name), "%s.%s", spec->name, suffix);
    const struct agn_param *param = agn_params_find(params, name);
    return param == NULL ? -1 : (int64_t)param->offset;
}

static int declare_all(const struct agn_graph *graph, struct agn_params *params)
{
    params->capacity = 4 * graph->count + 1;
    params->list = agn_alloc((size_t)params->capacity, sizeof(*params->list));
    if (params->list == NULL)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < graph->count; i++) {
        const struct agn_op_spec *spec = &graph->ops[i];
        const struct agn__op_kind *kind = agn__op_kinds[spec->type];
        int status = kind->declare == NULL ? AGN_OK : kind->declare(graph, spec, params);
        if (status < 0)
            return status;
    }
    return AGN_OK;
}

static bool same_dims(const struct agn_param *a, const struct agn_param *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, sizeof(a->dims)) == 0;
}

int agn__params_check(const struct agn_params *params, const struct agn_graph *graph)
{
    struct agn_params *wanted = agn_alloc(1, sizeof(*wanted));
    int status = wanted == NULL ? AGN_ERR_MEMORY : declare_all(graph, wanted);
    for (int i = 0; status == AGN_OK && i < wanted->count; i++) {
        const struct agn_param *param = agn_params_find(params, wanted->list[i].name);
        if (param == NULL) {
            status = agn_fail(AGN_ERR_ARG, "the parameter store has no '%s'", wanted->list[i].name);
        } else if (!same_dims(param, &wanted->list[i])) {
            status = agn_fail(AGN_ERR_ARG, "the parameter store's '%s' is not of the shape the network needs",
                              param->name);
        }
    }
    agn_params_free(wanted);
    return status;
}

int agn_params_create(const struct agn_graph *graph, uint64_t seed, struct agn_params **result)
{
    struct agn_rng rng;
    struct agn_params *params = agn_alloc(1, sizeof(*params));
    int status = params == NULL ? AGN_ERR_MEMORY : declare_all(graph, params);
    if (status < 0) {
        agn_params_free(params);
        return status;
    }
    params->value = agn_alloc(params->total + 1, sizeof(float));
    params->grad = agn_alloc(params->total + 1, sizeof(float));
    params->momentum = agn_alloc(params->total + 1, sizeof(float));
    if (params->value == NULL || params->grad == NULL || params->momentum == NULL) {
        agn_params_free(params);
        return AGN_ERR_MEMORY;
    }
    agn_rng_seed(&rng, seed);
    for (int i = 0; i < graph->count; i++) {
        const struct agn__op_kind *kind = agn__op_kinds[graph->ops[i].type];
        if (kind->initialise != NULL)
            kind->initialise(&graph->ops[i], params, &rng);
    }
    params->version = 1;
    *result = params;
    return AGN_OK;
}

void agn_params_free(struct agn_params *params)
{
    if (params != NULL) {
        agn_free(params->list);
        agn_free(params->value);
        agn_free(params->grad);
        agn_free(params->momentum);
        agn_free(params);
    }
}

/* "64x24x3x3" */
static void describe_shape(const int64_t *dims, int rank, char *text, size_t cap)
{
    size_t length = 0;
    snprintf(text, cap, "a single value");
    for (int d = 0; d < rank && length < cap; d++) {
        length +=
            (size_t)snprintf(text + length, cap - length, "%s%lld", d == 0 ? "" : "x", (long long)dims[d]);
    }
}

/* The tensor called PREFIX + parameter name, of the parameter's shape; else NULL and a message. */
static const struct agn_tensor_view *find_array(const struct agn_param *param,
                                                const struct agn_tensor_file *file, const char *prefix)
{
    char name[AGN_NAME_BYTES + 32];
    snprintf(name, sizeof(name), "%s%s", prefix, param->name);
    const struct agn_tensor_view *view = agn_tensor_file_find(file, name);
    if (view == NULL) {
        agn_fail(AGN_ERR_FORMAT, "tensor '%s' is missing; is this file of another network?", name);
        return NULL;
    }
    bool same = view->rank == param->rank;
    for (int i = 0; same && i < param->rank; i++)
        same = view->dims[i] == param->dims[i];
    if (!same) {
        char is[96], should_be[96];
        describe_shape(view->dims, view->rank, is, sizeof(is));
        int64_t dims[AGN_COUNT_OF(view->dims)];
        for (int i = 0; i < param->rank; i++)
            dims[i] = param->dims[i];
        describe_shape(dims, param->rank, should_be, sizeof(should_be));
        agn_fail(AGN_ERR_FORMAT, "tensor '%s' is %s; this network needs %s", name, is, should_be);
        return NULL;
    }
    if (view->dtype != AGN_F32) {
        agn_fail(AGN_ERR_FORMAT, "tensor '%s' does not hold floats: expected F32, F16, BF16 or F64", name);
        return NULL;
    }
    return view;
}

/* Visits every tensor that loading needs: looks only, or copies. */
static int load_arrays(struct agn_params *params, const struct agn_tensor_file *file, bool momentum,
                       bool copy)
{
    for (int i = 0; i < params->count; i++) {
        const struct agn_param *param = &params->list[i];
        bool both = momentum && param->trainable;
        const struct agn_tensor_view *value = find_array(param, file, "");
        const struct agn_tensor_view *moment =
            value != NULL && both ? find_array(param, file, "momentum.") : NULL;
        if (value == NULL || (both && moment == NULL))
            return AGN_ERR_FORMAT;
        if (copy)
            memcpy(params->value + param->offset, value->data, param->count * sizeof(float));
        if (copy && both)
            memcpy(params->momentum + param->offset, moment->data, param->count * sizeof(float));
    }
    return AGN_OK;
}

int agn_params_load(struct agn_params *params, const struct agn_tensor_file *file, bool momentum)
{
    int status = load_arrays(params, file, momentum, false);
    if (status == AGN_OK) {
        status = load_arrays(params, file, momentum, true);
        params->version++;
    }
    return status;
}

static void append_array(const struct agn_param *param, const char *prefix, float *values,
                         struct agn_tensor_file *file)
{
    struct agn_tensor_view *view = &file->tensors[file->count++];
    memset(view, 0, sizeof(*view));
    snprintf(view->name, sizeof(view->name), "%s%s", prefix, param->name);
    view->dtype = AGN_F32;
    view->rank = param->rank;
    for (int i = 0; i < param->rank; i++)
        view->dims[i] = param->dims[i];
    view->data = values;
    view->size_bytes = param->count * sizeof(float);
}

int agn_params_append(const struct agn_params *params, struct agn_tensor_file *file, bool momentum)
{
    size_t room = (size_t)file->count + 2 * (size_t)params->count;
    struct agn_tensor_view *tensors = agn_alloc(room, sizeof(*tensors));
    if (tensors == NULL)
        return AGN_ERR_MEMORY;
    if (file->count > 0)
        memcpy(tensors, file->tensors, (size_t)file->count * sizeof(*tensors));
    agn_free(file->tensors);
    file->tensors = tensors;
    for (int i = 0; i < params->count; i++) {
        const struct agn_param *param = &params->list[i];
        append_array(param, "", params->value + param->offset, file);
        if (momentum && param->trainable)
            append_array(param, "momentum.", params->momentum + param->offset, file);
    }
    return AGN_OK;
}

int agn_params_check_finite(const struct agn_params *params)
{
    for (int p = 0; p < params->count; p++) {
        const struct agn_param *param = &params->list[p];
        const char *dot = strrchr(param->name, '.');
        bool variance = !param->trainable && dot != NULL && strcmp(dot, ".var") == 0;
        for (size_t i = 0; i < param->count; i++) {
            float value = params->value[param->offset + i], momentum = params->momentum[param->offset + i];
            if (!isfinite(value) || !isfinite(momentum)) {
                return agn_fail(AGN_ERR_NUMERIC, "%s'%s' holds a value that is not finite",
                                isfinite(value) ? "the momentum of " : "", param->name);
            }
            if (variance && value < 0.0F)
                return agn_fail(AGN_ERR_NUMERIC, "'%s' holds a negative variance", param->name);
        }
    }
    return AGN_OK;
}
