/* A net's memory: operators ask for buffers with lifetimes, memory_plan.c places them in one arena, and
 * tensors get addresses. */
#include <assert.h>

#include "nn/net_internal.h"

int agn__time(const struct agn_net *net, enum agn__pass pass, int index)
{
    int ops = net->graph.count;
    bool reverse = pass == AGN__BACKWARD || pass == AGN__TANGENT_BACKWARD;
    return (int)pass * ops + (reverse ? ops - 1 - index : index);
}

int agn__net_buffer(struct agn_net *net, size_t size_bytes, int first, int last)
{
    assert(net->buffer_count < net->buffer_capacity); /* an operator has asked for more than it may */
    net->buffers[net->buffer_count] =
        (struct agn__buffer){.size_bytes = size_bytes, .first = first, .last = last};
    return net->buffer_count++;
}

int agn__net_buffer_always(struct agn_net *net, size_t size_bytes)
{
    return agn__net_buffer(net, size_bytes, 0, AGN__PASSES * net->graph.count);
}

int agn__net_buffer_of_parameters(struct agn_net *net, size_t size_bytes)
{
    int buffer = agn__net_buffer_always(net, agn__net_owns_copies(net) ? size_bytes : 0);
    net->buffers[buffer].shared = !agn__net_owns_copies(net);
    return buffer;
}

bool agn__net_owns_copies(const struct agn_net *net)
{
    return net->whole == NULL || net->part == 0;
}

void agn__net_need_scratch(struct agn_net *net, size_t size_bytes)
{
    net->scratch_bytes = size_bytes > net->scratch_bytes ? size_bytes : net->scratch_bytes;
}

void *agn__net_address(const struct agn_net *net, int buffer)
{
    if (buffer >= 0 && net->buffers[buffer].shared && net->whole != NULL)
        net = net->whole->parts[0]; /* planned alike: its buffers have the same numbers */
    return buffer < 0 ? NULL : net->arena + net->buffers[buffer].offset;
}

/* The stretch of `whole` that belongs to a part's border of `floats`. */
static float *part_of(float *whole, size_t part, size_t floats)
{
    return whole == NULL ? NULL : whole + part * floats;
}

static void give_addresses(const struct agn_net *net, int index)
{
    struct agn__node *node = &net->nodes[index];
    bool border = index == 0 || index == net->graph.count - 1;
    if (border && net->whole != NULL) {
        const struct agn__node *whole = &net->whole->nodes[index];
        size_t part = (size_t)net->part;
        node->value = part_of(whole->value, part, node->floats);
        node->diff = part_of(whole->diff, part, node->floats);
        node->tangent = part_of(whole->tangent, part, node->floats);
        node->tangent_diff = part_of(whole->tangent_diff, part, node->floats);
        return;
    }
    node->value = agn__net_address(net, node->value_buffer);
    node->diff = agn__net_address(net, node->diff_buffer);
    node->tangent = agn__net_address(net, node->tangent_buffer);
    node->tangent_diff = agn__net_address(net, node->tangent_diff_buffer);
}

int agn__net_place(struct agn_net *net)
{
    net->arena_bytes = agn__memory_plan(net->buffers, net->buffer_count);
    net->arena = net->arena_bytes == 0 ? NULL : net->backend->allocate(net->arena_bytes);
    if (net->arena == NULL) {
        return agn_fail(AGN_ERR_MEMORY,
                        "a network for batches of %d needs %zu MB, which this machine has not", net->batch,
                        net->arena_bytes >> 20);
    }
    for (int i = 0; i < net->graph.count; i++)
        give_addresses(net, i);
    return AGN_OK;
}
