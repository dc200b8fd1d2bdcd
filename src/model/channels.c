/* Small helpers on feature maps and logits. */
#include <math.h>
#include <string.h>

#include "agilenn/model.h"

int agn_argmax(const float *row, int count)
{
    int best = 0;
    for (int c = 1; c < count; c++)
        best = row[c] > row[best] ? c : best;
    return best;
}

void agn_fuse_f32(const float *local, float local_weight, const float *remote, float remote_weight,
                  int classes, float *fused)
{
    for (int c = 0; c < classes; c++)
        fused[c] = (local != NULL ? local_weight * local[c] : 0.0F) +
                   (remote != NULL ? remote_weight * remote[c] : 0.0F);
}

double agn_surest(const float *logits, int classes)
{
    float best = logits[agn_argmax(logits, classes)];
    double sum = 0.0;
    for (int c = 0; c < classes; c++)
        sum += exp((double)(logits[c] - best));
    return 1.0 / sum;
}

bool agn_model_answer(const struct agn_model *model, const float *local, const float *remote, float *answer)
{
    int classes = model->classes;
    if (model->system->exits) {
        bool leaves = agn_surest(local, classes) >= model->preset.model.exit_threshold;
        memcpy(answer, leaves ? local : remote, (size_t)classes * sizeof(float));
        return leaves;
    }
    float alpha = (float)agn_model_alpha(model);
    agn_fuse_f32(local, alpha, remote, 1.0F - alpha, classes, answer);
    return false;
}

void agn_split_channels(const float *features, size_t positions, int channels, int k, float *first,
                        float *rest)
{
    size_t c = (size_t)channels, front = (size_t)k, back = c - front;
#pragma omp parallel for schedule(static)
    for (size_t p = 0; p < positions; p++) {
        memcpy(first + p * front, features + p * c, front * sizeof(float));
        memcpy(rest + p * back, features + p * c + front, back * sizeof(float));
    }
}

void agn_join_channels(const float *first, const float *rest, size_t positions, int channels, int k,
                       float *features)
{
    size_t c = (size_t)channels, front = (size_t)k, back = c - front;
#pragma omp parallel for schedule(static)
    for (size_t p = 0; p < positions; p++) {
        memcpy(features + p * c, first + p * front, front * sizeof(float));
        memcpy(features + p * c + front, rest + p * back, back * sizeof(float));
    }
}
