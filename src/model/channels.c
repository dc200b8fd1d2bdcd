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

struct agn_channel_split agn_model_split(const struct agn_model *model, size_t positions)
{
    return (struct agn_channel_split){positions, model->map.channels, agn_model_local_channels(model),
                                      agn_model_first_sent(model)};
}

void agn_split_channels(const struct agn_channel_split *split, const float *features, float *first,
                        float *rest)
{
    size_t c = (size_t)split->channels, k = (size_t)split->k, sent = (size_t)split->sent, back = c - sent;
#pragma omp parallel for schedule(static)
    for (size_t p = 0; p < split->positions; p++) {
        memcpy(first + p * k, features + p * c, k * sizeof(float));
        memcpy(rest + p * back, features + p * c + sent, back * sizeof(float));
    }
}

void agn_join_channels(const struct agn_channel_split *split, const float *first, const float *rest,
                       float *features)
{
    size_t c = (size_t)split->channels, k = (size_t)split->k, sent = (size_t)split->sent, back = c - sent;
#pragma omp parallel for schedule(static)
    for (size_t p = 0; p < split->positions; p++) {
        float *row = features + p * c;
        memset(row, 0, sent * sizeof(float));
        memcpy(row + sent, rest + p * back, back * sizeof(float));
        for (size_t i = 0; i < k; i++)
            row[i] += first[p * k + i];
    }
}
