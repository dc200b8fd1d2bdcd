/* Borders of a net: host memory that callers write and read. On a backend that computes in the host's memory
 * they are the tensors themselves. Else each has a copy on the host, and goes to the net when the pass that
 * takes it begins, to the host when somebody wants to see it. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "nn/net_internal.h"

/* The borders of a pass: AGN_BORDER_OUTPUT and so on are made in the order of enum agn__pass. */
static enum agn_border source_of(enum agn__pass pass)
{
    return (enum agn_border)(2 * pass);
}

static enum agn_border result_of(enum agn__pass pass)
{
    return (enum agn_border)(2 * pass + 1);
}

static const struct agn__node *node_of(const struct agn_net *net, enum agn_border border)
{
    bool output = border == AGN_BORDER_OUTPUT || border == AGN_BORDER_DIFF_OUTPUT ||
                  border == AGN_BORDER_TANGENT_OUTPUT || border == AGN_BORDER_TANGENT_DIFF_OUTPUT;
    return &net->nodes[output ? net->graph.count - 1 : 0];
}

static float *tensor_of(const struct agn_net *net, enum agn_border border)
{
    const struct agn__node *node = node_of(net, border);
    switch (border) {
    case AGN_BORDER_INPUT:
    case AGN_BORDER_OUTPUT:
        return node->value;
    case AGN_BORDER_DIFF_OUTPUT:
    case AGN_BORDER_DIFF_INPUT:
        return node->diff;
    case AGN_BORDER_TANGENT_INPUT:
    case AGN_BORDER_TANGENT_OUTPUT:
        return node->tangent;
    default:
        return node->tangent_diff;
    }
}

static bool on_host(const struct agn_net *net)
{
    return net->backend->upload == NULL;
}

int agn__borders_create(struct agn_net *net)
{
    for (int b = 0; b < AGN__BORDERS && !on_host(net); b++) {
        enum agn_border border = (enum agn_border)b;
        if (tensor_of(net, border) != NULL) {
            net->borders[b].host = agn_alloc(node_of(net, border)->floats, sizeof(float));
            if (net->borders[b].host == NULL)
                return AGN_ERR_MEMORY;
        }
    }
    return AGN_OK;
}

void agn__borders_free(struct agn_net *net)
{
    for (int b = 0; b < AGN__BORDERS; b++)
        agn_free(net->borders[b].host);
}

int agn__borders_send(struct agn_net *net, enum agn__pass pass)
{
    enum agn_border source = source_of(pass);
    struct agn__border *border = &net->borders[source];
    int status = net->border_status;
    net->border_status = AGN_OK;
    if (status < 0)
        return agn_fail(status, "results of a network's last pass could not be fetched");
    if (border->host_is_newer) {
        status = net->backend->upload(tensor_of(net, source), border->host, node_of(net, source)->floats);
        border->host_is_newer = status < 0;
    }
    return status;
}

void agn__borders_made(struct agn_net *net, enum agn__pass pass)
{
    net->borders[result_of(pass)].net_is_newer = true;
}

/* The host's copy, as new as the net's. */
static float *fetch(struct agn_net *net, enum agn_border which)
{
    struct agn__border *border = &net->borders[which];
    if (border->net_is_newer && border->host != NULL) {
        size_t floats = node_of(net, which)->floats;
        int status = net->backend->download(border->host, tensor_of(net, which), floats);
        for (size_t i = 0; i < floats && status < 0; i++)
            border->host[i] = NAN;
        net->border_status = status < 0 ? status : net->border_status;
        border->net_is_newer = false;
    }
    return border->host;
}

float *agn_net_write(struct agn_net *net, enum agn_border border)
{
    if (on_host(net))
        return tensor_of(net, border);
    float *host = fetch(net, border);
    net->borders[border].host_is_newer = host != NULL;
    return host;
}

const float *agn_net_read(struct agn_net *net, enum agn_border border)
{
    return on_host(net) ? tensor_of(net, border) : fetch(net, border);
}

int agn_net_copy(struct agn_net *net, enum agn_border border, struct agn_net *other,
                 enum agn_border other_border)
{
    size_t floats = node_of(net, border)->floats;
    bool through_host = on_host(net) || net->backend != other->backend;
    assert(floats == node_of(other, other_border)->floats);
    if (through_host || other->borders[other_border].host_is_newer) {
        memcpy(agn_net_write(net, border), agn_net_read(other, other_border), floats * sizeof(float));
        return AGN_OK;
    }
    net->borders[border].host_is_newer = false;
    net->borders[border].net_is_newer = true;
    return net->backend->copy(tensor_of(net, border), tensor_of(other, other_border), floats);
}
