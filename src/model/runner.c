/* The networks of a model on batches of images, in float. */
#include <string.h>

#include "agilenn/model.h"

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
    int status = r->first == NULL || r->rest == NULL || r->values == NULL || r->symbols == NULL
                     ? AGN_ERR_MEMORY
                     : AGN_OK;
    for (int role = 0; role < AGN_ROLES && status == AGN_OK; role++) {
        const struct agn_net_config config = {.graph = &model->parts[role].graph,
                                              .params = model->parts[role].params,
                                              .batch = batch,
                                              .mode = AGN_NET_FROZEN};
        bool wanted = role == AGN_EXTRACTOR || (roles & 1U << role) != 0;
        if (wanted && !agn_part_is_empty(&model->parts[role]))
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
}

int agn_runner_run(struct agn_runner *r, enum agn_role role, const float *input)
{
    if (r->nets[role] == NULL)
        return AGN_OK;
    struct agn_shape in = agn_net_input_shape(r->nets[role]);
    size_t floats = (size_t)r->batch * (size_t)in.height * (size_t)in.width * (size_t)in.channels;
    memcpy(agn_net_write(r->nets[role], AGN_BORDER_INPUT), input, floats * sizeof(float));
    return agn_net_forward(r->nets[role]);
}

int agn_runner_extract(struct agn_runner *r, const float *images)
{
    int channels = r->model->map.channels, k = channels - r->model->sent_channels;
    if (r->nets[AGN_EXTRACTOR] == NULL) {
        agn_split_channels(images, r->positions, channels, k, r->first, r->values);
        return AGN_OK;
    }
    int status = agn_runner_run(r, AGN_EXTRACTOR, images);
    if (status == AGN_OK && r->model->system->quantise != NULL) { /* all of it stays, and all of it is sent */
        memcpy(r->first, agn_runner_output(r, AGN_EXTRACTOR, 0), r->sent * sizeof(float));
        memcpy(r->rest, r->first, r->sent * sizeof(float));
        r->model->system->quantise(r->model, r->rest, r->sent, r->values);
    } else if (status == AGN_OK) {
        agn_split_channels(agn_runner_output(r, AGN_EXTRACTOR, 0), r->positions, channels, k, r->first,
                           r->rest);
        agn_quantise(r->model->centroids, r->rest, r->sent, r->symbols, r->values);
    }
    return status;
}

const float *agn_runner_output(const struct agn_runner *r, enum agn_role role, int i)
{
    if (r->nets[role] == NULL)
        return NULL;
    struct agn_shape out = agn_graph_output_shape(&r->model->parts[role].graph);
    size_t floats = (size_t)out.height * (size_t)out.width * (size_t)out.channels;
    return agn_net_read(r->nets[role], AGN_BORDER_OUTPUT) + (size_t)i * floats;
}
