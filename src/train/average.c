/* A moving average of what joint training learns: weights and BN statistics of extractor, Local and Remote
 * NN, alpha and the quantiser's levels. It becomes the model when training ends; a checkpoint holds both.
 *
 * The average of ascending levels ascends, so that they stay a quantiser. */
#include <math.h>
#include <string.h>

#include "train/train_internal.h"

enum { STORES = 3, SMALL = 1 + AGN_LEVELS };

struct agn__average {
    float *values[STORES]; /* beside the value arrays of the stores */
    float small[SMALL];    /* alpha's w, the levels */
};

static const char prefix[] = "average.", small_name[] = "average.small";

static void list_stores(const struct agn_model *model, struct agn_params *stores[STORES])
{
    stores[0] = model->extractor_params;
    stores[1] = model->local_params;
    stores[2] = model->remote_params;
}

static void gather_small(const struct agn_model *model, float small[SMALL])
{
    small[0] = model->alpha_weight;
    memcpy(small + 1, model->centroids, AGN_LEVELS * sizeof(float));
}

int agn__average_create(struct agn_model *model)
{
    struct agn_params *stores[STORES];
    struct agn__average *average = agn_alloc(1, sizeof(*average));
    if (average == NULL) {
        return AGN_ERR_MEMORY;
    }
    list_stores(model, stores);
    for (int s = 0; s < STORES; s++) {
        average->values[s] = agn_alloc(stores[s]->total, sizeof(float));
        if (average->values[s] == NULL) {
            agn__average_free(average);
            return AGN_ERR_MEMORY;
        }
        memcpy(average->values[s], stores[s]->value, stores[s]->total * sizeof(float));
    }
    gather_small(model, average->small);
    model->average = average;
    return AGN_OK;
}

void agn__average_free(struct agn__average *average)
{
    for (int s = 0; average != NULL && s < STORES; s++) {
        agn_free(average->values[s]);
    }
    agn_free(average);
}

static void follow(float *restrict average, const float *restrict value, size_t count, float rate)
{
#pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < count; i++) {
        average[i] += rate * (value[i] - average[i]);
    }
}

void agn__average_follow(struct agn_model *model, int64_t step)
{
    struct agn_params *stores[STORES];
    float small[SMALL];
    /* The first steps' values, far from all later ones, are soon forgotten. */
    double decay = fmin(model->preset.train.ema, (1.0 + (double)step) / (10.0 + (double)step));
    list_stores(model, stores);
    for (int s = 0; s < STORES; s++) {
        follow(model->average->values[s], stores[s]->value, stores[s]->total, (float)(1.0 - decay));
    }
    gather_small(model, small);
    follow(model->average->small, small, SMALL, (float)(1.0 - decay));
}

static void swap(float *restrict a, float *restrict b, size_t count)
{
#pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < count; i++) {
        float value = a[i];
        a[i] = b[i];
        b[i] = value;
    }
}

void agn__average_swap(struct agn_model *model)
{
    struct agn_params *stores[STORES];
    float *small = model->average->small;
    list_stores(model, stores);
    for (int s = 0; s < STORES; s++) {
        swap(stores[s]->value, model->average->values[s], stores[s]->total);
        stores[s]->version++;
    }
    swap(&model->alpha_weight, small, 1);
    swap(model->centroids, small + 1, AGN_LEVELS);
}

void agn__average_apply(struct agn_model *model)
{
    struct agn_params *stores[STORES];
    list_stores(model, stores);
    for (int s = 0; s < STORES; s++) {
        memcpy(stores[s]->value, model->average->values[s], stores[s]->total * sizeof(float));
        stores[s]->version++;
    }
    model->alpha_weight = model->average->small[0];
    memcpy(model->centroids, model->average->small + 1, AGN_LEVELS * sizeof(float));
    agn__average_free(model->average);
    model->average = NULL;
}

int agn__average_visit(struct agn_model *model, int (*visit)(void *user, void *data, size_t size_bytes),
                       void *user)
{
    struct agn_params *stores[STORES];
    int status = AGN_OK;
    list_stores(model, stores);
    for (int s = 0; s < STORES && status == AGN_OK; s++) {
        status = visit(user, model->average->values[s], stores[s]->total * sizeof(float));
    }
    return status < 0 ? status : visit(user, model->average->small, SMALL * sizeof(float));
}

/* ---- in checkpoints ------------------------------------------------------------------------- */

static void append_view(struct agn_tensor_file *file, const char *name, float *values, size_t count)
{
    struct agn_tensor_view *view = &file->tensors[file->count++];
    snprintf(view->name, sizeof(view->name), "%s", name);
    view->dtype = AGN_F32;
    view->rank = 1;
    view->dims[0] = (int64_t)count;
    view->data = values;
    view->size_bytes = count * sizeof(float);
}

int agn__average_append(const struct agn_model *model, struct agn_tensor_file *file)
{
    struct agn_params *stores[STORES];
    size_t room = (size_t)file->count + 1;
    list_stores(model, stores);
    for (int s = 0; s < STORES; s++) {
        room += (size_t)stores[s]->count;
    }
    struct agn_tensor_view *tensors = agn_alloc(room, sizeof(*tensors));
    if (tensors == NULL) {
        return AGN_ERR_MEMORY;
    }
    memcpy(tensors, file->tensors, (size_t)file->count * sizeof(*tensors));
    agn_free(file->tensors);
    file->tensors = tensors;
    for (int s = 0; s < STORES; s++) {
        for (int p = 0; p < stores[s]->count; p++) {
            const struct agn_param *param = &stores[s]->list[p];
            char name[sizeof(prefix) + sizeof(param->name)];
            snprintf(name, sizeof(name), "%s%s", prefix, param->name);
            append_view(file, name, model->average->values[s] + param->offset, param->count);
        }
    }
    append_view(file, small_name, model->average->small, SMALL);
    return AGN_OK;
}

static int load_view(const struct agn_tensor_file *file, const char *name, float *values, size_t count)
{
    const struct agn_tensor_view *view = agn_tensor_file_find(file, name);
    if (view == NULL || view->dtype != AGN_F32 || view->size_bytes != count * sizeof(float)) {
        return agn_fail(AGN_ERR_FORMAT, "tensor '%s' is missing or has another size than %zu floats", name,
                        count);
    }
    memcpy(values, view->data, view->size_bytes);
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i])) {
            return agn_fail(AGN_ERR_FORMAT, "tensor '%s' holds a value that is not finite", name);
        }
    }
    return AGN_OK;
}

int agn__average_load(struct agn_model *model, const struct agn_tensor_file *file)
{
    struct agn_params *stores[STORES];
    int status = agn__average_create(model);
    list_stores(model, stores);
    for (int s = 0; s < STORES; s++) {
        for (int p = 0; status == AGN_OK && p < stores[s]->count; p++) {
            const struct agn_param *param = &stores[s]->list[p];
            char name[sizeof(prefix) + sizeof(param->name)];
            snprintf(name, sizeof(name), "%s%s", prefix, param->name);
            status = load_view(file, name, model->average->values[s] + param->offset, param->count);
        }
    }
    if (status == AGN_OK)
        status = load_view(file, small_name, model->average->small, SMALL);
    return status == AGN_OK ? agn__check_levels(model->average->small + 1, small_name) : status;
}
