/* The networks of a model on batches of images, in float. */
#include <string.h>

#include "agilenn/model.h"

static bool is_stage(int role)
{
    return role == AGN_EXTRACTOR || role == AGN_STAGE_2 || role == AGN_STAGE_3;
}

/* Where exits are wanted all are. */
static bool is_wanted(int role, unsigned roles)
{
    bool further_exit = role == AGN_EXIT_2 || role == AGN_EXIT_3;
    return is_stage(role) || (roles & 1U << (further_exit ? AGN_LOCAL : role)) != 0;
}

int agn_runner_open(struct agn_runner *r, const struct agn_model *model, int batch, unsigned roles)
{
    size_t map = (size_t)model->map.height * (size_t)model->map.width;
    size_t k = (size_t)agn_model_local_channels(model);
    *r = (struct agn_runner){.model = model, .batch = batch, .positions = (size_t)batch * map};
    r->sent = r->positions * (size_t)model->sent_channels;
    r->first = agn_alloc(r->positions * k, sizeof(float));
    r->rest = agn_alloc(r->sent, sizeof(float));
    r->values = agn_alloc(r->sent, sizeof(float));
    r->symbols = agn_alloc(r->sent, 1);
    bool made = r->first != NULL && r->rest != NULL && r->values != NULL && r->symbols != NULL;
    if (agn_model_stages(model) > 1) {
        r->answers = agn_alloc((size_t)batch * (size_t)model->classes, sizeof(float));
        made = made && r->answers != NULL;
    }
    int status = made ? AGN_OK : AGN_ERR_MEMORY;
    for (int role = 0; role < AGN_ROLES && status == AGN_OK; role++) {
        const struct agn_net_config config = {.graph = &model->parts[role].graph,
                                              .params = model->parts[role].params,
                                              .batch = batch,
                                              .mode = AGN_NET_FROZEN};
        if (is_wanted(role, roles) && !agn_part_is_empty(&model->parts[role]))
            status = agn_net_create(&config, &r->nets[role]);
    }
    return status;
}

void agn_runner_close(struct agn_runner *r)
{
    for (int role = 0; role < AGN_ROLES; role++)
        agn_net_free(r->nets[role]);
    agn_free(r->first);
    agn_free(r->rest);
    agn_free(r->values);
    agn_free(r->symbols);
    agn_free(r->answers);
}

static int run_net(struct agn_runner *r, enum agn_role role, const float *input)
{
    struct agn_shape in = agn_net_input_shape(r->nets[role]);
    size_t floats = (size_t)r->batch * (size_t)in.height * (size_t)in.width * (size_t)in.channels;
    memcpy(agn_net_write(r->nets[role], AGN_BORDER_INPUT), input, floats * sizeof(float));
    return agn_net_forward(r->nets[role]);
}

/* The device's answer to each image. */
static void choose_exits(struct agn_runner *r)
{
    const struct agn_model *model = r->model;
    int stages = agn_model_stages(model), classes = model->classes;
    for (int i = 0; i < r->batch; i++) {
        int stage = 1;
        while (stage < stages &&
               agn_surest(agn_runner_exit(r, stage, i), classes) < model->preset.model.exit_threshold)
            stage++;
        memcpy(r->answers + (size_t)i * (size_t)classes, agn_runner_exit(r, stage, i),
               (size_t)classes * sizeof(float));
    }
}

/* `input`: of the last exit. */
static int run_exits(struct agn_runner *r, const float *input)
{
    int stages = agn_model_stages(r->model), status = AGN_OK;
    for (int stage = 1; stage <= stages && status == AGN_OK; stage++)
        status = run_net(r, agn_exit_role(stage),
                         stage == stages ? input : agn_runner_output(r, agn_stage_role(stage), 0));
    if (status == AGN_OK)
        choose_exits(r);
    return status;
}

int agn_runner_run(struct agn_runner *r, enum agn_role role, const float *input)
{
    if (r->nets[role] == NULL)
        return AGN_OK;
    return role == AGN_LOCAL && r->answers != NULL ? run_exits(r, input) : run_net(r, role, input);
}

/* From the images to the last stage's features, which are left there. */
static int run_stages(struct agn_runner *r, const float *images)
{
    int status = run_net(r, AGN_EXTRACTOR, images);
    for (int stage = 2; stage <= agn_model_stages(r->model) && status == AGN_OK; stage++)
        status = run_net(r, agn_stage_role(stage), agn_runner_output(r, agn_stage_role(stage - 1), 0));
    return status;
}

int agn_runner_extract(struct agn_runner *r, const float *images)
{
    const struct agn_channel_split split = agn_model_split(r->model, r->positions);
    if (r->nets[AGN_EXTRACTOR] == NULL) {
        agn_split_channels(&split, images, r->first, r->values);
        return AGN_OK;
    }
    enum agn_role last = agn_stage_role(agn_model_stages(r->model));
    int status = run_stages(r, images);
    if (status == AGN_OK && r->model->system->quantise != NULL) { /* all of it stays, and all of it is sent */
        memcpy(r->first, agn_runner_output(r, last, 0), r->sent * sizeof(float));
        memcpy(r->rest, r->first, r->sent * sizeof(float));
        r->model->system->quantise(r->model, r->rest, r->sent, r->values);
    } else if (status == AGN_OK) {
        agn_split_channels(&split, agn_runner_output(r, last, 0), r->first, r->rest);
        agn_quantise(r->model->centroids, r->rest, r->sent, r->symbols, r->values);
    }
    return status;
}

static const float *output_of(const struct agn_runner *r, enum agn_role role, int i)
{
    if (r->nets[role] == NULL)
        return NULL;
    struct agn_shape out = agn_graph_output_shape(&r->model->parts[role].graph);
    size_t floats = (size_t)out.height * (size_t)out.width * (size_t)out.channels;
    return agn_net_read(r->nets[role], AGN_BORDER_OUTPUT) + (size_t)i * floats;
}

const float *agn_runner_output(const struct agn_runner *r, enum agn_role role, int i)
{
    bool chosen = role == AGN_LOCAL && r->answers != NULL && r->nets[role] != NULL;
    return chosen ? r->answers + (size_t)i * (size_t)r->model->classes : output_of(r, role, i);
}

const float *agn_runner_exit(const struct agn_runner *r, int stage, int i)
{
    return output_of(r, agn_exit_role(stage), i);
}
