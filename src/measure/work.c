/* A model's work: amounts times coefficients, by stage. See work.h and cost.h. */
#include "measure/work.h"

#include <math.h>

#include "agilenn/cost.h"
#include "agn_graph.h"

static const struct {
    const char *name;
    double instructions;
} terms[AGN__TERMS] = {
#define AGN__TERM(name, instructions) {#name, instructions},
#include "measure/work_terms.inc"
#undef AGN__TERM
};

const char *agn__term_name(enum agn__term term)
{
    return terms[term].name;
}

double agn__instructions(const struct agn__amounts *amounts)
{
    double sum = 0.0;
    for (int i = 0; i < AGN__TERMS; i++)
        sum += amounts->of[i] * terms[i].instructions;
    return sum;
}

/* Layers whose results what is sent is made of; all of them where nothing is. */
static void find_extractor(const struct agn_dev_model *model, bool of[AGN_DEV_MAX_GRAPH_LAYERS])
{
    bool all = model->graph.layers == NULL || model->graph.sender == 0;
    for (unsigned i = 0; i < model->layer_count; i++)
        of[i] = all;
    if (all)
        return;
    of[model->graph.sender - 1] = true;
    for (unsigned i = model->layer_count; i-- > 0;) {
        struct agn__node node;
        agn__graph_node(model, i, &node);
        for (int s = 0; s < 2 && of[i]; s++)
            if (node.source[s] > 0 && (s == 0 || node.shape.kind == AGN_LAYER_ADD))
                of[node.source[s] - 1] = true;
    }
}

/* Bytes of coded symbols where they depend on the picture: as trained models of this library have them on
 * average (docs/results/codecs.md), and JPEG of quality 50 (docs/SYSTEMS.md). */
static double typical_bytes(const struct agn_dev_model *model)
{
    double symbols = (double)(model->map_c - model->local_c) * model->map_h * model->map_w;
    double pixels = (double)model->input_h * model->input_w;
    switch (model->codec) {
    case AGN_CODEC_LZW:
        return 1.2 / 8.0 * symbols;
    case AGN_CODEC_RANGE:
        return 0.7 / 8.0 * symbols;
    case AGN_CODEC_JPEG:
        return 0.22 * pixels;
    default: {
        const size_t row_bytes = AGN_ROW_BYTES(model->map_w);
        return (double)(model->map_c - model->local_c) * model->map_h * (double)row_bytes;
    }
    }
}

int agn_work_set_bytes(const struct agn_dev_model *model, double bytes, double packets, struct agn_work *work)
{
    struct agn__amounts amounts = {{0}};
    if (!agn_dev_model_sends(model))
        return AGN_OK;
    if (!(isfinite(bytes) && bytes > 0.0 && isfinite(packets) && packets >= 1.0))
        return agn_fail(AGN_ERR_ARG, "work of a model: %g bytes in %g packets: expected at least one of each",
                        bytes, packets);
    agn__packet_amounts(model, packets, bytes, &amounts);
    work->encode_instructions = agn__instructions(&amounts);
    work->packets = packets;
    work->packet_bytes = bytes + packets * AGN_WORK_COAP_BYTES;
    return AGN_OK;
}

int agn_work_set_measured(const struct agn_dev_model *model, const struct agn_work_measured *measured,
                          struct agn_work *work)
{
    bool sent = measured->packets >= 1.0;
    if (!agn_dev_model_sends(model))
        return AGN_OK;
    if (sent && measured->payload_bytes > 0.0) {
        int status = agn_work_set_bytes(model, measured->payload_bytes, measured->packets, work);
        if (status < 0)
            return status;
    }
    if (sent && measured->datagram_bytes > 0.0)
        work->packet_bytes = measured->datagram_bytes;
    if (measured->reply_bytes > 0.0)
        work->reply_bytes =
            measured->reply_bytes +
            (measured->protocol == 2 ? AGN_WORK_COMPACT_ANSWER_COAP_BYTES : AGN_WORK_ANSWER_COAP_BYTES);
    return AGN_OK;
}

int agn_work_of_model(const struct agn_dev_model *model, struct agn_work *work)
{
    struct agn__amounts extract = {{0}}, local = {{0}};
    struct agn_work made = {.sent_share = agn_dev_model_sends(model) ? 1.0 : 0.0};
    bool in_extractor[AGN_DEV_MAX_GRAPH_LAYERS];
    find_extractor(model, in_extractor);
    agn__flow_amounts(model, &extract);
    agn__local_amounts(model, &local);
    for (unsigned i = 0; i < model->layer_count; i++)
        agn__layer_amounts(model, i, in_extractor[i] ? &extract : &local);
    made.extract_instructions = agn__instructions(&extract);
    made.local_instructions = agn__instructions(&local);
    if (agn_dev_model_sends(model)) {
        double coded = typical_bytes(model), packets = ceil(coded / AGN_FEATURE_MAX_PAYLOAD);
        int status = agn_work_set_bytes(model, coded + packets * AGN_FEATURE_OVERHEAD_BYTES, packets, &made);
        if (status < 0)
            return status;
        made.reply_bytes = (double)AGN_REPLY_BYTES(model->classes) + AGN_WORK_ANSWER_COAP_BYTES;
    }
    *work = made;
    return AGN_OK;
}
