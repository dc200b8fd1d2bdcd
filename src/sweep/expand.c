/* From a plan to its runs: presets with what is set and varied, each checked before anything is trained. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/deploy.h"
#include "sweep/sweep_internal.h"

enum { SHOWN = 48 };

/* ---- settings of a point ------------------------------------------------------------------- */

struct setting {
    char key[64];
    const char *value;
    int line;
};

struct settings {
    struct setting list[AGN__MOST_AXES];
    int count;
};

/* KEY=VALUE of a line of [list]. */
static int take_assignment(const char *text, int line, struct settings *settings)
{
    struct setting *setting = &settings->list[settings->count];
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text || (size_t)(equals - text) >= sizeof setting->key)
        return agn_fail(AGN_ERR_FORMAT, "'%.100s' is not SECTION.KEY=VALUE", text);
    snprintf(setting->key, sizeof setting->key, "%.*s", (int)(equals - text), text);
    setting->value = equals + 1;
    setting->line = line;
    for (int i = 0; i < settings->count; i++)
        if (strcmp(settings->list[i].key, setting->key) == 0)
            return agn_fail(AGN_ERR_ARG, "%s is there twice", setting->key);
    settings->count++;
    return AGN_OK;
}

static int list_settings(const struct agn__axis *line, struct settings *settings)
{
    int status = AGN_OK;
    for (int i = 0; i < line->values.count && status == AGN_OK; i++)
        status = take_assignment(line->values.items[i], line->line, settings);
    return status;
}

/* What the plan varies at this point; of a grid the last axis runs fastest. */
static int settings_of(const struct agn_sweep_plan *plan, int point, struct settings *settings)
{
    settings->count = 0;
    if (plan->mode == AGN__LIST) {
        int status = list_settings(&plan->axes[point], settings);
        return status < 0 ? agn__plan_fail_at(plan, plan->axes[point].line, status) : AGN_OK;
    }
    settings->count = plan->axis_count;
    for (int a = plan->axis_count - 1, rest = point; a >= 0; a--) {
        const struct agn__axis *axis = &plan->axes[a];
        struct setting *setting = &settings->list[a];
        snprintf(setting->key, sizeof setting->key, "%s", axis->key);
        setting->line = axis->line;
        if (plan->mode == AGN__RANDOM) {
            setting->value = plan->drawn[(size_t)point * (size_t)plan->axis_count + (size_t)a];
        } else {
            setting->value = axis->values.items[rest % axis->values.count];
            rest /= axis->values.count;
        }
    }
    return AGN_OK;
}

static int apply(const struct agn_sweep_plan *plan, const struct setting *setting, struct agn_preset *preset)
{
    char assignment[AGN_PRESET_TEXT_BYTES + 80];
    int status = AGN_OK;
    if (strcmp(setting->key, "train.seed") == 0)
        status = agn_fail(AGN_ERR_ARG, "train.seed: seeds = 1 2 3 under [plan] says which seeds there are");
    else if (strlen(setting->value) >= AGN_PRESET_TEXT_BYTES)
        status = agn_fail(AGN_ERR_RANGE, "%s: the value has more than %d characters", setting->key,
                          AGN_PRESET_TEXT_BYTES - 1);
    snprintf(assignment, sizeof assignment, "%s=%s", setting->key, setting->value);
    if (status == AGN_OK)
        status = agn_preset_set(preset, assignment);
    return status < 0 ? agn__plan_fail_at(plan, setting->line, status) : AGN_OK;
}

/* ---- names ------------------------------------------------------------------------------------ */

/* "joint.rho=0.7 model.grid=2"; of long values their beginning and a number. */
static int name_design(const struct agn_sweep_plan *plan, int point, const struct settings *settings,
                       char design[AGN_SWEEP_DESIGN])
{
    size_t used = 0;
    design[0] = '\0';
    if (plan->mode == AGN__LIST) {
        snprintf(design, AGN_SWEEP_DESIGN, "%s", plan->axes[point].key);
        return AGN_OK;
    }
    for (int i = 0; i < settings->count; i++) {
        const struct setting *s = &settings->list[i];
        char shown[SHOWN + 16];
        if (strlen(s->value) <= SHOWN) {
            snprintf(shown, sizeof shown, "%s", s->value);
        } else {
            agn_text_clip(shown, SHOWN, s->value, SHOWN - 8);
            size_t at = strlen(shown);
            snprintf(shown + at, sizeof shown - at, "#%06x",
                     (unsigned)(agn__hash_text(AGN__HASH_START, s->value) & 0xffffff));
        }
        int length =
            snprintf(design + used, AGN_SWEEP_DESIGN - used, "%s%s=%s", i > 0 ? " " : "", s->key, shown);
        if (length < 0 || used + (size_t)length >= AGN_SWEEP_DESIGN)
            return agn_fail(AGN_ERR_RANGE, "%s: too many axes: a design's name has more than %d characters",
                            plan->path, AGN_SWEEP_DESIGN - 1);
        used += (size_t)length;
    }
    return AGN_OK;
}

static int write_settings(const struct agn_sweep_plan *plan, const struct settings *settings,
                          char text[AGN_SWEEP_SETTINGS])
{
    json_t *object = json_object();
    int failed = object == NULL;
    for (int i = 0; i < settings->count && !failed; i++)
        failed = json_object_set_new(object, settings->list[i].key, json_string(settings->list[i].value));
    char *printed = failed ? NULL : json_dumps(object, 0);
    json_decref(object);
    if (printed == NULL)
        return agn_fail(AGN_ERR_MEMORY, "out of memory");
    size_t length = strlen(printed);
    if (length < AGN_SWEEP_SETTINGS)
        memcpy(text, printed, length + 1);
    free(printed);
    return length < AGN_SWEEP_SETTINGS
               ? AGN_OK
               : agn_fail(AGN_ERR_RANGE, "%s: the values of one run have more than %d characters together",
                          plan->path, AGN_SWEEP_SETTINGS - 1);
}

/* The last part of a path. */
static void name_dataset(const struct agn_sweep_plan *plan, const struct agn_preset *preset,
                         char name[AGN_SWEEP_NAME])
{
    const char *path = preset->data.path;
    size_t end = strlen(path), begin;
    while (end > 0 && path[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/';)
        begin--;
    if (plan->dataset[0] != '\0')
        snprintf(name, AGN_SWEEP_NAME, "%s", plan->dataset);
    else
        snprintf(name, AGN_SWEEP_NAME, "%.*s", (int)(end - begin), path + begin);
}

/* ---- runs ---------------------------------------------------------------------------------------- */

/* All that decides a run's figures. */
static int identify(const struct agn_sweep_plan *plan, const struct agn_preset *preset, uint64_t *id)
{
    char text[AGN_SWEEP_PRESET], rest[512];
    int status = agn_preset_format(preset, text, sizeof text);
    if (status < 0)
        return status;
    snprintf(rest, sizeof rest, "\n%s %d %.17g %.17g %.17g %d\n", plan->split, plan->measure_images,
             plan->images, plan->sent, plan->may_lose, plan->protocol);
    uint64_t hash = agn__hash_text(agn__hash_text(AGN__HASH_START, text), rest);
    for (int i = 0; i < plan->curves.count; i++)
        hash = agn__hash_text(agn__hash_text(hash, plan->curves.items[i]), " ");
    *id = hash;
    return AGN_OK;
}

int agn_sweep_plan_task(const struct agn_sweep_plan *plan, int place, struct agn_sweep_task *task)
{
    const int in_seed = plan->designs * plan->presets.count, seed = place / in_seed, rest = place % in_seed,
              preset = rest / plan->designs, point = rest % plan->designs;
    struct settings settings;
    task->place = place;
    task->preset = plan->loaded[preset];
    snprintf(task->preset_name, sizeof task->preset_name, "%s", task->preset.name);
    int status = settings_of(plan, point, &settings);
    for (int i = 0; i < settings.count && status == AGN_OK; i++)
        status = apply(plan, &settings.list[i], &task->preset);
    task->preset.train.seed = plan->seeds[seed];
    if (status == AGN_OK)
        status = name_design(plan, point, &settings, task->design);
    if (status == AGN_OK)
        status = write_settings(plan, &settings, task->settings);
    name_dataset(plan, &task->preset, task->dataset);
    uint64_t id = 0;
    if (status == AGN_OK && plan->ids != NULL)
        id = plan->ids[place];
    snprintf(task->id, sizeof task->id, "%016" PRIx64, id);
    return status;
}

/* Could a device run these networks? They are built as graphs only. */
static int check_networks(const struct agn_preset *preset)
{
    struct agn_model *model = agn_alloc(1, sizeof *model);
    int status = model == NULL ? AGN_ERR_MEMORY : agn_system_find(preset->model.system, &model->system);
    if (status == AGN_OK) {
        model->preset = *preset;
        model->classes = preset->data.classes > 0 ? preset->data.classes : 2;
        status = model->system->build(model);
    }
    if (status == AGN_OK)
        status = agn_deploy_check(model);
    agn_free(model);
    return status;
}

static int check_task(const struct agn_sweep_plan *plan, const struct agn_sweep_task *task)
{
    const struct agn_preset *p = &task->preset;
    char reason[768];
    int status = agn_preset_check(p);
    if (status == AGN_OK && p->data.path[0] == '\0')
        status = agn_fail(AGN_ERR_ARG, "the preset names no data set; set data.path");
    if (status == AGN_OK && p->data.validation[0] == '\0' &&
        (strcmp(plan->split, "test") != 0 || plan->sent > 0.0 || plan->may_lose > 0.0))
        status = agn_fail(AGN_ERR_ARG,
                          "there are no validation images for measure = validation, sent and may_lose: "
                          "data.validation = 0.1 under [set] holds out a tenth of the training images");
    if (status == AGN_OK)
        status = check_networks(p);
    if (status == AGN_OK || status == AGN_ERR_MEMORY)
        return status;
    snprintf(reason, sizeof reason, "%s", agn_error_message());
    return agn_fail(status, "%s: preset %s%s%s: %s", plan->path, task->preset_name,
                    task->design[0] ? ", " : "", task->design, reason);
}

struct known {
    uint64_t id;
    int place;
};

static int by_id(const void *a, const void *b)
{
    const struct known *x = a, *y = b;
    return x->id != y->id ? (x->id < y->id ? -1 : 1) : x->place - y->place;
}

/* Two ways to write one run would be trained twice. */
static int check_different(const struct agn_sweep_plan *plan, struct agn_sweep_task *task)
{
    struct known *known = agn_alloc((size_t)plan->count, sizeof *known);
    int status = known == NULL ? AGN_ERR_MEMORY : AGN_OK;
    for (int i = 0; i < plan->count && known != NULL; i++)
        known[i] = (struct known){plan->ids[i], i};
    if (known != NULL)
        qsort(known, (size_t)plan->count, sizeof *known, by_id);
    for (int i = 1; i < plan->count && status == AGN_OK; i++) {
        char first[AGN_SWEEP_DESIGN + AGN_SWEEP_NAME];
        if (known[i].id != known[i - 1].id)
            continue;
        status = agn_sweep_plan_task(plan, known[i - 1].place, task);
        snprintf(first, sizeof first, "%s %s", task->preset_name, task->design);
        if (status == AGN_OK)
            status = agn_sweep_plan_task(plan, known[i].place, task);
        if (status == AGN_OK)
            status = agn_fail(AGN_ERR_ARG, "%s: two runs are the same: '%s' and '%s %s'", plan->path, first,
                              task->preset_name, task->design);
    }
    agn_free(known);
    return status;
}

static int make_runs(struct agn_sweep_plan *plan)
{
    struct agn_sweep_task *task = agn_alloc(1, sizeof *task);
    uint64_t *ids = agn_alloc((size_t)plan->count, sizeof *ids);
    int status = task == NULL || ids == NULL ? AGN_ERR_MEMORY : AGN_OK;
    const int of_a_seed = plan->designs * plan->presets.count;
    for (int i = 0; i < plan->count && status == AGN_OK; i++) {
        status = agn_sweep_plan_task(plan, i, task);
        if (status == AGN_OK && i < of_a_seed)
            status = check_task(plan, task);
        if (status == AGN_OK)
            status = identify(plan, &task->preset, &ids[i]);
    }
    plan->ids = ids;
    if (status == AGN_OK)
        status = check_different(plan, task);
    agn_free(task);
    return status;
}

/* ---- the whole ---------------------------------------------------------------------------------------- */

static int load_presets(struct agn_sweep_plan *plan)
{
    int status = AGN_OK;
    plan->loaded = agn_alloc((size_t)plan->presets.count, sizeof *plan->loaded);
    if (plan->loaded == NULL)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < plan->presets.count && status == AGN_OK; i++) {
        status = agn_preset_load(plan->presets.items[i], &plan->loaded[i]);
        for (int s = 0; s < plan->set_count && status == AGN_OK; s++) {
            struct setting setting = {.value = plan->set[s].range, .line = plan->set[s].line};
            snprintf(setting.key, sizeof setting.key, "%s", plan->set[s].key);
            status = apply(plan, &setting, &plan->loaded[i]);
        }
    }
    return status;
}

/* What is varied is not set, too. */
static int check_axes(const struct agn_sweep_plan *plan)
{
    for (int s = 0; s < plan->set_count && plan->mode != AGN__LIST; s++)
        for (int a = 0; a < plan->axis_count; a++)
            if (strcmp(plan->set[s].key, plan->axes[a].key) == 0) {
                agn_fail(AGN_ERR_ARG, "%s stands in [set], too, in line %d", plan->axes[a].key,
                         plan->set[s].line);
                return agn__plan_fail_at(plan, plan->axes[a].line, AGN_ERR_ARG);
            }
    return AGN_OK;
}

static int count_runs(struct agn_sweep_plan *plan)
{
    int64_t designs = plan->mode == AGN__LIST     ? plan->axis_count
                      : plan->mode == AGN__RANDOM ? plan->points
                                                  : 1;
    int64_t others = (int64_t)plan->presets.count * plan->seed_count;
    for (int a = 0; a < plan->axis_count && plan->mode == AGN__GRID && designs <= AGN_SWEEP_MOST_RUNS; a++)
        designs *= plan->axes[a].values.count;
    if (designs * others > AGN_SWEEP_MOST_RUNS)
        return agn_fail(AGN_ERR_RANGE, "%s: more than %d runs", plan->path, AGN_SWEEP_MOST_RUNS);
    plan->designs = (int)designs;
    plan->count = (int)(designs * others);
    return AGN_OK;
}

int agn__plan_expand(struct agn_sweep_plan *plan)
{
    int status = check_axes(plan);
    if (status == AGN_OK)
        status = count_runs(plan);
    if (status == AGN_OK)
        status = load_presets(plan);
    if (status == AGN_OK && plan->mode == AGN__RANDOM)
        status = agn__plan_draw(plan);
    return status < 0 ? status : make_runs(plan);
}
