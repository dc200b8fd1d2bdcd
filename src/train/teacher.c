/* The teacher: a trained edge-only model, whose network sees what a device sees and no extractor stands
 * before. */
#include "train/teacher.h"

#include <string.h>

static int check(const struct agn_model *student, const struct agn_model *teacher, const char *path)
{
    const struct agn_preset *s = &student->preset, *t = &teacher->preset;
    if (!agn_part_is_empty(&teacher->parts[AGN_EXTRACTOR]) || agn_part_is_empty(&teacher->parts[AGN_REMOTE]))
        return agn_fail(
            AGN_ERR_ARG,
            "joint.teacher = %s: a model of the system %s has no network on whole images; expected one of "
            "edge-only",
            path, teacher->system->name);
    if (s->data.height != t->data.height || s->data.width != t->data.width ||
        s->data.channels != t->data.channels)
        return agn_fail(AGN_ERR_MISMATCH, "joint.teacher = %s takes images of %dx%dx%d, expected %dx%dx%d",
                        path, t->data.height, t->data.width, t->data.channels, s->data.height, s->data.width,
                        s->data.channels);
    bool same = student->classes == teacher->classes;
    for (int c = 0;
         same && c < student->classes && student->class_names != NULL && teacher->class_names != NULL; c++)
        same = strcmp(student->class_names[c], teacher->class_names[c]) == 0;
    return same ? AGN_OK
                : agn_fail(AGN_ERR_MISMATCH, "joint.teacher = %s knows other classes (%d, expected %d)", path,
                           teacher->classes, student->classes);
}

static void set_conversion(const struct agn_model *student, struct agn__teacher *t)
{
    const struct agn_normalisation *from = &student->normalisation, *to = &t->model->normalisation;
    for (int c = 0; c < student->preset.data.channels; c++) {
        t->scale[c] = from->std[c] / to->std[c];
        t->shift[c] = ((float)from->mean[c] - (float)to->mean[c]) / to->std[c];
    }
}

int agn__teacher_open(const struct agn_model *student, int batch, struct agn__teacher *t)
{
    const char *path = student->preset.joint.teacher;
    *t = (struct agn__teacher){.batch = batch};
    if (path[0] == '\0')
        return AGN_OK;
    if (!agn_file_exists(path))
        return agn_fail(
            AGN_ERR_NOT_FOUND,
            "joint.teacher = %s: there is no such file. The teacher is trained first, with a preset of "
            "the system edge-only on the same images (`agilenn train --preset cifar10-teacher --out "
            "out/cifar10-teacher` for cifar10-lean); joint.teacher= joint.teacher_start=0 "
            "joint.distill=0 joint.local_distill=0 do without",
            path);
    int status = agn_model_load(path, &t->model);
    if (status == AGN_OK)
        status = check(student, t->model, path);
    if (status < 0)
        return status;
    const struct agn_net_config config = {.graph = &t->model->parts[AGN_REMOTE].graph,
                                          .params = t->model->parts[AGN_REMOTE].params,
                                          .batch = batch,
                                          .mode = AGN_NET_FROZEN,
                                          .compute = (enum agn_compute)student->preset.train.compute};
    set_conversion(student, t);
    return agn_net_create(&config, &t->net);
}

void agn__teacher_close(struct agn__teacher *t)
{
    agn_net_free(t->net);
    agn_model_free(t->model);
    *t = (struct agn__teacher){0};
}

int agn__teacher_ask(struct agn__teacher *t, const float *images, const float **logits)
{
    *logits = NULL;
    if (t->net == NULL)
        return AGN_OK;
    struct agn_shape image = agn_net_input_shape(t->net);
    size_t channels = (size_t)image.channels,
           values = (size_t)t->batch * (size_t)image.height * (size_t)image.width * channels;
    float *to = agn_net_write(t->net, AGN_BORDER_INPUT);
    for (size_t i = 0; i < values; i++)
        to[i] = images[i] * t->scale[i % channels] + t->shift[i % channels];
    int status = agn_net_forward(t->net);
    if (status == AGN_OK)
        *logits = agn_net_read(t->net, AGN_BORDER_OUTPUT);
    return status;
}

/* "gamma" of "remote.3.bn.gamma" */
static const char *kind_of(const struct agn_param *param)
{
    const char *dot = strrchr(param->name, '.');
    return dot == NULL ? param->name : dot;
}

static bool alike(const struct agn_param *a, const struct agn_param *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, sizeof(a->dims)) == 0 &&
           strcmp(kind_of(a), kind_of(b)) == 0;
}

int agn__teacher_lend(const struct agn__teacher *t, const struct agn_part *part, const char *name)
{
    const struct agn_params *from = t->model->parts[AGN_REMOTE].params;
    struct agn_params *to = part->params;
    int lent = 0, weights = 0;
    while (lent < from->count && lent < to->count &&
           alike(&from->list[from->count - 1 - lent], &to->list[to->count - 1 - lent]))
        weights += from->list[from->count - 1 - lent++].rank > 1;
    if (weights == 0) /* a bias at most */
        return agn_fail(
            AGN_ERR_MISMATCH,
            "joint.teacher_start = 1, but the last layer of the %s network has not the shape of the "
            "teacher's",
            name);
    for (int i = 1; i <= lent; i++) {
        const struct agn_param *source = &from->list[from->count - i], *target = &to->list[to->count - i];
        memcpy(to->value + target->offset, from->value + source->offset, source->count * sizeof(float));
    }
    to->version++;
    agn_log(AGN_LOG_INFO, "%d of the %s network's %d parameters start as the teacher's", lent, name,
            to->count);
    return lent;
}
