/* A plan as a whole: from a file or a text, what others ask of it, its end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sweep/sweep_internal.h"

enum { MOST_BYTES = 1 << 20 };

/* The file's name without folder and ending. */
static int name_plan(const char *path, struct agn_sweep_plan *plan)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    size_t length = strlen(name);
    if (length > 4 && strcmp(name + length - 4, ".ini") == 0)
        length -= 4;
    if (length == 0 || length >= sizeof plan->name || strlen(path) >= sizeof plan->path)
        return agn_fail(AGN_ERR_ARG, "%.200s: the name of a plan has 1 to %d characters", path,
                        AGN_SWEEP_NAME - 1);
    memcpy(plan->name, name, length);
    memcpy(plan->path, path, strlen(path) + 1);
    return AGN_OK;
}

int agn_sweep_plan_parse(const char *text, const char *path, struct agn_sweep_plan **made)
{
    struct agn_sweep_plan *plan = agn_alloc(1, sizeof *plan);
    int status = plan == NULL ? AGN_ERR_MEMORY : name_plan(path, plan);
    if (status == AGN_OK) {
        plan->random_seed = 1;
        plan->seeds[0] = 1;
        plan->seed_count = 1;
        plan->measure_images = 2000;
        plan->protocol = 2;
        snprintf(plan->split, sizeof plan->split, "validation");
        plan->text = agn_alloc(strlen(text) + 1, 1);
        status = plan->text == NULL ? AGN_ERR_MEMORY : AGN_OK;
    }
    if (status == AGN_OK) {
        memcpy(plan->text, text, strlen(text) + 1);
        status = agn__plan_read(plan);
    }
    if (status == AGN_OK)
        status = agn__plan_expand(plan);
    if (status < 0) {
        agn_sweep_plan_free(plan);
        return status;
    }
    *made = plan;
    return AGN_OK;
}

int agn_sweep_plan_load(const char *path, struct agn_sweep_plan **plan)
{
    uint8_t *data = NULL;
    size_t size = 0;
    int status = agn_file_read(path, MOST_BYTES, &data, &size);
    if (status < 0)
        return status;
    if (strlen((const char *)data) != size)
        status = agn_fail(AGN_ERR_FORMAT, "%s: a zero byte: expected text", path);
    else
        status = agn_sweep_plan_parse((const char *)data, path, plan);
    agn_free(data);
    return status;
}

void agn_sweep_plan_free(struct agn_sweep_plan *plan)
{
    if (plan == NULL)
        return;
    for (int i = 0; i < plan->set_count; i++)
        agn_free(plan->set[i].range);
    for (int i = 0; i < plan->axis_count; i++) {
        agn__texts_free(&plan->axes[i].values);
        agn_free(plan->axes[i].range);
    }
    for (size_t i = 0; plan->drawn != NULL && i < (size_t)plan->points * (size_t)plan->axis_count; i++)
        agn_free(plan->drawn[i]);
    agn__texts_free(&plan->presets);
    agn__texts_free(&plan->curves);
    agn_free(plan->drawn);
    agn_free(plan->axes);
    agn_free(plan->loaded);
    agn_free(plan->ids);
    agn_free(plan->text);
    agn_free(plan);
}

const char *agn_sweep_plan_name(const struct agn_sweep_plan *plan)
{
    return plan->name;
}

const char *agn_sweep_plan_question(const struct agn_sweep_plan *plan)
{
    return plan->question;
}

int agn_sweep_plan_count(const struct agn_sweep_plan *plan)
{
    return plan->count;
}

int agn_sweep_plan_find(const struct agn_sweep_plan *plan, const char *id)
{
    char *end;
    uint64_t wanted = strtoull(id, &end, 16);
    for (int i = 0; i < plan->count && strlen(id) == 16 && *end == '\0'; i++)
        if (plan->ids[i] == wanted)
            return i;
    return agn_fail(AGN_ERR_NOT_FOUND, "%s: no run has the id '%.40s'; --dry-run lists them", plan->path, id);
}
