/* An edge server from a model file: glue between server, Remote NN and model. */
#include <string.h>

#include "agilenn/run.h"

struct agn_edge {
    struct agn_model *model;
    struct agn_remote *remote;
    struct agn_server *server;
    struct agn_context_model contexts;
    uint32_t model_id;
};

int agn_edge_open(const char *model_path, const struct agn_server_config *config, struct agn_edge **result)
{
    struct agn_edge *edge = agn_alloc(1, sizeof(*edge));
    int status = edge == NULL ? AGN_ERR_MEMORY : agn_model_load(model_path, &edge->model, NULL);
    if (status == AGN_OK)
        status = agn_remote_create(edge->model, &edge->remote);
    if (status == AGN_OK) {
        const struct agn_model *model = edge->model;
        agn_model_contexts(model, &edge->contexts);
        struct agn_server_model served = {.model_id = agn_model_id(model),
                                          .shape = {.channels = (uint8_t)model->sent_channels,
                                                    .height = (uint8_t)model->map.height,
                                                    .width = (uint8_t)model->map.width},
                                          .contexts = &edge->contexts,
                                          .classes = model->classes,
                                          .fill = model->fill,
                                          .infer = agn_remote_infer,
                                          .user = edge->remote};
        memcpy(served.centroids, model->centroids, sizeof(served.centroids));
        edge->model_id = served.model_id;
        status = agn_server_create(&edge->server, config, &served);
    }
    if (status < 0) {
        agn_edge_close(edge);
        return status;
    }
    *result = edge;
    return AGN_OK;
}

struct agn_server *agn_edge_server(const struct agn_edge *edge)
{
    return edge->server;
}

uint32_t agn_edge_model_id(const struct agn_edge *edge)
{
    return edge->model_id;
}

void agn_edge_close(struct agn_edge *edge)
{
    if (edge != NULL) {
        agn_server_free(edge->server);
        agn_remote_free(edge->remote);
        agn_model_free(edge->model);
        agn_free(edge);
    }
}
