/* A moving average of what joint training learns: weights and BN statistics of extractor, Local and Remote
 * NN, alpha and the quantiser's levels. It becomes the model when training ends; a checkpoint holds both.
 *
 * The average of ascending levels ascends, so that they stay a quantiser. */
#include <math.h>
#include <string.h>

#include "train/beside.h"

enum { STORES = AGN_REFERENCE, SMALL = 1 + AGN_LEVELS };

struct agn__average {
    float *values[STORES]; /* beside the value arrays of the stores */
    float small[SMALL];    /* alpha's w, the levels */
};

static const char prefix[] = "average.", small_name[] = "average.small";

static void list_stores(const struct agn_model *model, struct agn_params *stores[STORES])
{
    for (int role = 0; role < STORES; role++)
        stores[role] = model->parts[role].params;
}

static void gather_small(const struct agn_model *model, float small[SMALL])
{
    small[0] = model->alpha_weight;
    memcpy(small + 1, model->centroids, AGN_LEVELS * sizeof(float));
}

int agn__average_create(struct agn__beside *beside, const struct agn_model *model)
{
    struct agn_params *stores[STORES];
    struct agn__average *average = agn_alloc(1, sizeof(*average));
    if (average == NULL)
        return AGN_ERR_MEMORY;
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
    beside->average = average;
    return AGN_OK;
}

void agn__average_free(struct agn__average *average)
{
    for (int s = 0; average != NULL && s < STORES; s++)
        agn_free(average->values[s]);
    agn_free(average);
}

static void follow(float *restrict average, const float *restrict value, size_t count, float rate)
{
#pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < count; i++)
        average[i] += rate * (value[i] - average[i]);
}

void agn__average_follow(struct agn__beside *beside, const struct agn_model *model, int64_t step)
{
    struct agn_params *stores[STORES];
    float small[SMALL];
    /* The first steps' values, far from all later ones, are soon forgotten. */
    double decay = fmin(model->preset.train.ema, (1.0 + (double)step) / (10.0 + (double)step));
    list_stores(model, stores);
    for (int s = 0; s < STORES; s++)
        follow(beside->average->values[s], stores[s]->value, stores[s]->total, (float)(1.0 - decay));
    gather_small(model, small);
    follow(beside->average->small, small, SMALL, (float)(1.0 - decay));
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

void agn__average_swap(struct agn__beside *beside, struct agn_model *model)
{
    struct agn_params *stores[STORES];
    float *small = beside->average->small;
    list_stores(model, stores);
    for (int s = 0; s < STORES; s++) {
        swap(stores[s]->value, beside->average->values[s], stores[s]->total);
        stores[s]->version++;
    }
    swap(&model->alpha_weight, small, 1);
    swap(model->centroids, small + 1, AGN_LEVELS);
}

void agn__average_apply(struct agn__beside *beside, struct agn_model *model)
{
    struct agn_params *stores[STORES];
    list_stores(model, stores);
    for (int s = 0; s < STORES; s++) {
        memcpy(stores[s]->value, beside->average->values[s], stores[s]->total * sizeof(float));
        stores[s]->version++;
    }
    model->alpha_weight = beside->average->small[0];
    memcpy(model->centroids, beside->average->small + 1, AGN_LEVELS * sizeof(float));
    agn__average_free(beside->average);
    beside->average = NULL;
}

int agn__average_visit(struct agn__beside *beside, const struct agn_model *model,
                       int (*visit)(void *user, void *data, size_t size_bytes), void *user)
{
    struct agn_params *stores[STORES];
    int status = AGN_OK;
    list_stores(model, stores);
    for (int s = 0; s < STORES && status == AGN_OK; s++)
        status = visit(user, beside->average->values[s], stores[s]->total * sizeof(float));
    return status < 0 ? status : visit(user, beside->average->small, SMALL * sizeof(float));
}

/* ---- in checkpoints ------------------------------------------------------------------------- */

int agn__average_append(const struct agn__beside *beside, const struct agn_model *model,
                        struct agn_tensor_file *file)
{
    struct agn_params *stores[STORES];
    int status = AGN_OK;
    list_stores(model, stores);
    for (int s = 0; s < STORES; s++) {
        for (int p = 0; p < stores[s]->count && status == AGN_OK; p++) {
            const struct agn_param *param = &stores[s]->list[p];
            char name[sizeof(prefix) + sizeof(param->name)];
            snprintf(name, sizeof(name), "%s%s", prefix, param->name);
            const struct agn_tensor_view view =
                agn_tensor_view_f32(name, beside->average->values[s] + param->offset, param->count);
            status = agn_tensor_file_append(file, &view, 1);
        }
    }
    const struct agn_tensor_view small = agn_tensor_view_f32(small_name, beside->average->small, SMALL);
    return status == AGN_OK ? agn_tensor_file_append(file, &small, 1) : status;
}

static int load_view(const struct agn_tensor_file *file, const char *name, float *values, size_t count)
{
    const struct agn_tensor_view *view = agn_tensor_file_find(file, name);
    if (view == NULL || view->dtype != AGN_F32 || view->size_bytes != count * sizeof(float)) {
        return agn_fail(AGN_ERR_FORMAT, "tensor '%s' is missing or has another size than %zu floats", name,
                        count);
    }
    memcpy(values, view->data, view->size_bytes);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return agn_fail(AGN_ERR_FORMAT, "tensor '%s' holds a value that is not finite", name);
    return AGN_OK;
}

int agn__average_load(struct agn__beside *beside, const struct agn_model *model,
                      const struct agn_tensor_file *file)
{
    struct agn_params *stores[STORES];
    int status = agn__average_create(beside, model);
    list_stores(model, stores);
    for (int s = 0; s < STORES; s++) {
        for (int p = 0; status == AGN_OK && p < stores[s]->count; p++) {
            const struct agn_param *param = &stores[s]->list[p];
            char name[sizeof(prefix) + sizeof(param->name)];
            snprintf(name, sizeof(name), "%s%s", prefix, param->name);
            status = load_view(file, name, beside->average->values[s] + param->offset, param->count);
        }
    }
    if (status == AGN_OK)
        status = load_view(file, small_name, beside->average->small, SMALL);
    return status == AGN_OK ? agn_model_check_levels(model, beside->average->small + 1, small_name) : status;
}
