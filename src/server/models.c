/* Which models are served: sets of them, replaced while frames are in hand. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"
#include "server/server_internal.h"

/* ---- sets ---------------------------------------------------------------------------- */

static char *describe(const struct agn__model_set *set)
{
    json_t *list = json_array();
    for (int i = 0; i < set->count; i++) {
        const struct agn_server_model *model = &set->models[i]->model;
        char id[9];
        snprintf(id, sizeof id, "%08x", (unsigned)model->model_id);
        json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:i, s:i}", "id", id, "channels",
                                              (int)model->shape.channels, "height", (int)model->shape.height,
                                              "width", (int)model->shape.width, "classes", model->classes));
    }
    bool whole = list && json_array_size(list) == (size_t)set->count;
    json_t *json = json_pack("{s:i, s:[i, i], s:o}", "protocol", (int)AGN_WIRE_VERSION, "protocols",
                             (int)AGN_WIRE_VERSION, (int)AGN_COMPACT_VERSION, "models", list);
    char *text = whole && json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return text;
}

static int check(const struct agn_server_model *models, int count)
{
    if (count < 1 || count > AGN_SERVER_MAX_MODELS)
        return agn_fail(AGN_ERR_ARG, "%d models to serve, expected 1 to %d", count,
                        (int)AGN_SERVER_MAX_MODELS);
    for (int i = 0; i < count; i++) {
        int status = agn__served_check(&models[i]);
        if (status < 0)
            return status;
        for (int other = 0; other < i; other++)
            if (models[other].model_id == models[i].model_id)
                return agn_fail(AGN_ERR_ARG,
                                "two models with the id %08x: they are the same; serve each once",
                                (unsigned)models[i].model_id);
    }
    return 0;
}

int agn__set_create(const struct agn__served_limits *limits, const struct agn_server_model *models, int count,
                    struct agn__model_set **set)
{
    int status = check(models, count);
    if (status < 0)
        return status;
    struct agn__model_set *made = agn_alloc(1, sizeof *made);
    if (!made)
        return AGN_ERR_MEMORY;
    for (; made->count < count; made->count++) {
        struct agn__served *served = agn__served_create(&models[made->count], limits);
        if (!served) {
            agn__set_free(made, false);
            return AGN_ERR_MEMORY;
        }
        made->models[made->count] = served;
    }
    made->json = describe(made);
    if (!made->json) {
        agn__set_free(made, false);
        return agn_fail(AGN_ERR_MEMORY, "no memory to describe the served models");
    }
    *set = made;
    return 0;
}

void agn__set_free(struct agn__model_set *set, bool release)
{
    if (!set)
        return;
    for (int i = 0; i < set->count; i++)
        agn__served_free(set->models[i], release);
    free(set->json);
    agn_free(set);
}

/* ---- replacement ------------------------------------------------------------------------ */

static int find_id(const struct agn__model_set *set, uint32_t model_id)
{
    for (int i = 0; i < set->count; i++)
        if (set->models[i] && set->models[i]->model.model_id == model_id)
            return i;
    return -1;
}

static void add_counts(struct agn_server_model_stats *to, const struct agn_server_model_stats *more)
{
    to->packets += more->packets;
    to->frames += more->frames;
    to->replies += more->replies;
    to->replies_failed += more->replies_failed;
}

/* Models that stay keep their place in memory, with all their frames. One with the id of another but other
 * values of the server's own is another model; devices need not know. */
static void take_over(struct agn_server *server, struct agn__model_set *next, double now_s)
{
    struct agn__model_set old = server->set;
    int kept = 0, fresh = 0;
    for (int i = 0; i < next->count; i++) {
        int same = find_id(&old, next->models[i]->model.model_id);
        if (same < 0 || !agn__served_is_same(old.models[same], next->models[i])) {
            fresh++;
            continue;
        }
        kept++;
        agn__served_free(next->models[i], true);
        next->models[i] = old.models[same];
        old.models[same] = NULL;
    }
    int gone = old.count - kept;
    for (int i = 0; i < old.count; i++)
        if (old.models[i]) {
            old.models[i]->retired_s = now_s;
            old.models[i]->next = server->retiring;
            server->retiring = old.models[i];
        }
    agn__coap_set_models(server->coap, next->json);
    free(old.json);
    server->set = *next;
    agn_free(next);
    server->live.reloads++;
    agn_log(AGN_LOG_INFO, "reload: %d models served, %d of them new, %d gone", server->set.count, fresh,
            gone);
}

/* Its stored replies may still be asked for. */
static bool has_something_left(const struct agn__served *model, double now_s)
{
    return model->jobs_in_hand > 0 || agn__assembly_pending(model->assembly) > 0 ||
           now_s - model->retired_s <= AGN__KEEP_REPLY_S;
}

void agn__models_turn(struct agn_server *server, double now_s)
{
    pthread_mutex_lock(&server->lock);
    struct agn__model_set *next = server->pending;
    server->pending = NULL;
    pthread_mutex_unlock(&server->lock);
    if (next)
        take_over(server, next, now_s);
    for (struct agn__served **link = &server->retiring; *link;) {
        struct agn__served *model = *link;
        if (has_something_left(model, now_s)) {
            link = &model->next;
            continue;
        }
        int same = find_id(&server->set, model->model.model_id);
        if (same >= 0) /* what it counted must not vanish with it */
            add_counts(&server->set.models[same]->stats, &model->stats);
        *link = model->next;
        agn__served_free(model, true);
    }
}

/* Retiring models show up with the one that has their id now; those without one are not served. */
void agn__models_publish(struct agn_server *server)
{
    struct agn_server_stats *stats = &server->live;
    stats->model_count = server->set.count;
    for (int i = 0; i < server->set.count; i++) {
        stats->models[i] = server->set.models[i]->stats;
        stats->models[i].in_hand = agn__assembly_pending(server->set.models[i]->assembly);
    }
    for (const struct agn__served *model = server->retiring; model; model = model->next) {
        int same = find_id(&server->set, model->model.model_id);
        if (same < 0)
            continue;
        add_counts(&stats->models[same], &model->stats);
        stats->models[same].in_hand += agn__assembly_pending(model->assembly);
    }
}

struct agn__served *agn__models_find(struct agn_server *server, const struct agn__peer *peer,
                                     uint32_t model_id, uint32_t key, double now_s)
{
    for (struct agn__served *model = server->retiring; model; model = model->next)
        if (model->model.model_id == model_id && agn__assembly_knows(model->assembly, peer, key, now_s))
            return model;
    int at = find_id(&server->set, model_id);
    return at >= 0 ? server->set.models[at] : NULL;
}

bool agn__models_know_handle(const struct agn_server *server, uint16_t handle)
{
    for (int i = 0; i < server->set.count; i++)
        if (agn_compact_handle(server->set.models[i]->model.model_id) == handle)
            return true;
    return false;
}

void agn__models_each(struct agn_server *server, void (*visit)(struct agn__served *model, void *user),
                      void *user)
{
    for (int i = 0; i < server->set.count; i++)
        visit(server->set.models[i], user);
    for (struct agn__served *model = server->retiring; model; model = model->next)
        visit(model, user);
}
