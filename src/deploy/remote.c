/* The Remote NN as the server runs it: frozen, one frame at a time. */
#include <string.h>

#include "agilenn/deploy.h"

struct agn_remote {
    struct agn_net *net;
};

int agn_remote_create(const struct agn_model *model, struct agn_remote **result)
{
    struct agn_remote *remote = agn_alloc(1, sizeof(*remote));
    struct agn_net_config config = {
        .graph = &model->remote, .params = model->remote_params, .batch = 1, .mode = AGN_NET_FROZEN};
    int status = remote == NULL ? AGN_ERR_MEMORY : agn_net_create(&config, &remote->net);
    if (status < 0) {
        agn_free(remote);
        return status;
    }
    *result = remote;
    return AGN_OK;
}

void agn_remote_free(struct agn_remote *remote)
{
    if (remote != NULL) {
        agn_net_free(remote->net);
        agn_free(remote);
    }
}

int agn_remote_infer(void *user, const float *features, int count, float *logits)
{
    struct agn_remote *remote = user;
    struct agn_shape in = agn_net_input_shape(remote->net);
    size_t floats = (size_t)in.height * (size_t)in.width * (size_t)in.channels;
    size_t classes = (size_t)agn_net_output_shape(remote->net).channels;
    for (int i = 0; i < count; i++) {
        memcpy(agn_net_input(remote->net), features + (size_t)i * floats, floats * sizeof(float));
        int status = agn_net_forward(remote->net);
        if (status < 0) {
            return status;
        }
        memcpy(logits + (size_t)i * classes, agn_net_output(remote->net), classes * sizeof(float));
    }
    return AGN_OK;
}
