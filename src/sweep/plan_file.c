/* A plan as a whole: from a file, what others ask of it, its end. */
#include <string.h>

#include <stdio.h>
#include <stdlib.h>

#include "sweep/sweep_internal.h"

enum { MOST_BYTES = 1 << 20 };

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
