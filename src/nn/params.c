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
        agn_free(params->second);
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

/* What the number of steps goes by in a file: the first trainable parameter; NULL where there is none. */
static const struct agn_param *first_trainable(const struct agn_params *params)
{
    for (int i = 0; i < params->count; i++)
        if (params->list[i].trainable)
            return &params->list[i];
    return NULL;
}

static struct agn_param steps_param(const struct agn_param *first)
{
    struct agn_param steps = *first;
    steps.rank = 1;
    steps.dims[0] = 1;
    steps.count = 1;
    return steps;
}

static bool has_second(const struct agn_params *params, const struct agn_tensor_file *file)
{
    const struct agn_param *first = first_trainable(params);
    char name[AGN_NAME_BYTES + 32];
    snprintf(name, sizeof(name), "second.%s", first == NULL ? "" : first->name);
    return first != NULL && agn_tensor_file_find(file, name) != NULL;
}

/* Looks for one array, and copies it if `copy`. */
static int load_array(const struct agn_param *param, const struct agn_tensor_file *file, const char *prefix,
                      float *values, bool copy)
{
    const struct agn_tensor_view *view = find_array(param, file, prefix);
    if (view != NULL && copy)
        memcpy(values, view->data, param->count * sizeof(float));
    return view == NULL ? AGN_ERR_FORMAT : AGN_OK;
}

/* Visits every tensor that loading needs: looks only, or copies. */
static int load_arrays(struct agn_params *params, const struct agn_tensor_file *file, bool momentum,
                       bool second, bool copy)
{
    int status = AGN_OK;
    for (int i = 0; i < params->count && status == AGN_OK; i++) {
        const struct agn_param *param = &params->list[i];
        size_t at = param->offset;
        status = load_array(param, file, "", params->value + at, copy);
        if (status == AGN_OK && momentum && param->trainable)
            status = load_array(param, file, "momentum.", params->momentum + at, copy);
        if (status == AGN_OK && second && param->trainable)
            status = load_array(param, file, "second.", copy ? params->second + at : NULL, copy);
    }
    if (status == AGN_OK && second) {
        struct agn_param steps = steps_param(first_trainable(params));
        status = load_array(&steps, file, "steps.", copy ? params->second + params->total : NULL, copy);
    }
    return status;
}

int agn_params_load(struct agn_params *params, const struct agn_tensor_file *file, bool momentum)
{
    bool second = momentum && has_second(params, file);
    int status = load_arrays(params, file, momentum, second, false);
    if (status == AGN_OK && second)
        status = agn_params_use_adam(params);
    if (status < 0)
        return status;
    if (momentum)
        agn_params_clear_moments(params);
    status = load_arrays(params, file, momentum, second, true);
    params->version++;
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
    size_t room = (size_t)file->count + 3 * (size_t)params->count + 1;
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
        if (momentum && param->trainable && params->second != NULL)
            append_array(param, "second.", params->second + param->offset, file);
    }
    const struct agn_param *first = first_trainable(params);
    if (momentum && params->second != NULL && first != NULL) {
        struct agn_param steps = steps_param(first);
        append_array(&steps, "steps.", params->second + params->total, file);
    }
    return AGN_OK;
}

/* Second moments and the number of steps: finite, and not negative. */
static int check_second(const struct agn_params *params)
{
    for (int p = 0; p < params->count; p++) {
        const struct agn_param *param = &params->list[p];
        for (size_t i = 0; i < param->count; i++) {
            float second = params->second[param->offset + i];
            if (!isfinite(second) || second < 0.0F)
                return agn_fail(AGN_ERR_NUMERIC, "the second moment of '%s' is negative or not finite",
                                param->name);
        }
    }
    float steps = params->second[params->total];
    return isfinite(steps) && steps >= 0.0F
               ? AGN_OK
               : agn_fail(AGN_ERR_NUMERIC, "the number of Adam's steps is negative or not finite");
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
    return params->second == NULL ? AGN_OK : check_second(params);
}
