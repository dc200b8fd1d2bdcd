/* The context model of the range coder, learned from the symbols of training images, and the
 * mean of each channel, which the same symbols give.
 *
 * Each context of each channel (agn_wire.h) has counts of the symbols that followed it. Contexts with alike
 * counts share a distribution: k-means with the bits of coding as the distance, so that a centre is the mean
 * of its members' counts and every round shortens the code of the training symbols. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_internal.h"

enum {
    MOST_IMAGES = 4000,
    LEARN_BATCH = 50,
    DISTRIBUTIONS = AGN_MODEL_DISTRIBUTIONS,
    ROUNDS = 40,
    WHOLE = 1 << AGN_PROBABILITY_BITS,
};
/* Counts that were not seen are taken for this share of one. */
static const double unseen = 0.3;

/* ---- tables ------------------------------------------------------------------------------- */

void agn__contexts_initialise(struct agn_model *model)
{
    model->distributions = 1; /* half of the symbols are 0, the larger ones ever rarer */
    memset(model->context_map, 0, (size_t)model->sent_channels * AGN_CONTEXTS);
    for (int symbol = 0; symbol < AGN_LEVELS; symbol++) {
        int up_to = symbol + 1 < AGN_LEVELS ? WHOLE - (WHOLE >> (symbol + 1)) : WHOLE;
        model->context_cumulative[2 * symbol] = (uint8_t)up_to;
        model->context_cumulative[2 * symbol + 1] = (uint8_t)(up_to >> 8);
    }
}

void agn_model_forget_contexts(struct agn_model *model)
{
    agn__contexts_initialise(model);
    agn__trust_initialise(model);
}

void agn_model_contexts(const struct agn_model *model, struct agn_context_model *contexts)
{
    *contexts = (struct agn_context_model){.map = model->context_map,
                                           .cumulative = model->context_cumulative,
                                           .distributions = (uint8_t)model->distributions,
                                           .channels = (uint8_t)model->sent_channels};
}

/* Probabilities in 2^-15, each symbol at least one unit. */
static void store_distribution(const double *share, uint8_t *entry)
{
    double sum = 0.0;
    int below = 0;
    for (int symbol = 0; symbol < AGN_LEVELS; symbol++) {
        int most = WHOLE - (AGN_LEVELS - 1 - symbol);
        sum += share[symbol];
        int up_to = symbol + 1 < AGN_LEVELS ? (int)lround(sum * WHOLE) : WHOLE;
        up_to = up_to <= below ? below + 1 : up_to;
        up_to = up_to > most ? most : up_to;
        entry[2 * symbol] = (uint8_t)up_to;
        entry[2 * symbol + 1] = (uint8_t)(up_to >> 8);
        below = up_to;
    }
}

/* ---- clusters ------------------------------------------------------------------------------ */

struct clusters {
    const double *counts; /* (contexts, AGN_LEVELS) */
    int contexts, size;
    uint8_t *member_of; /* contexts */
    double share[DISTRIBUTIONS][AGN_LEVELS],
        bits[DISTRIBUTIONS][AGN_LEVELS]; /* probabilities, -log2 of them */
};

static double total(const double *counts)
{
    double sum = 0.0;
    for (int s = 0; s < AGN_LEVELS; s++)
        sum += counts[s];
    return sum;
}

struct ranked {
    double zeros, weight;
    int context;
};

static int by_zeros(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    int order = (x->zeros > y->zeros) - (x->zeros < y->zeros);
    return order != 0 ? order : x->context - y->context;
}

/* First memberships: contexts in the order of their share of zeros, cut into pieces of equal weight. */
static int cut_by_zeros(struct clusters *c)
{
    struct ranked *list = agn_alloc((size_t)c->contexts, sizeof(*list));
    double all = 0.0, passed = 0.0;
    if (list == NULL)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < c->contexts; i++) {
        const double *counts = c->counts + (size_t)i * AGN_LEVELS;
        double weight = total(counts);
        list[i] = (struct ranked){weight > 0.0 ? counts[0] / weight : 0.0, weight, i};
        all += weight;
    }
    qsort(list, (size_t)c->contexts, sizeof(*list), by_zeros);
    for (int i = 0; i < c->contexts; i++) {
        int piece = all > 0.0 ? (int)(passed / all * c->size) : 0;
        c->member_of[list[i].context] = (uint8_t)(piece < c->size ? piece : c->size - 1);
        passed += list[i].weight;
    }
    agn_free(list);
    return AGN_OK;
}

static void take_means(struct clusters *c)
{
    for (int k = 0; k < c->size; k++)
        for (int s = 0; s < AGN_LEVELS; s++)
            c->share[k][s] = unseen;
    for (int i = 0; i < c->contexts; i++)
        for (int s = 0; s < AGN_LEVELS; s++)
            c->share[c->member_of[i]][s] += c->counts[(size_t)i * AGN_LEVELS + (size_t)s];
    for (int k = 0; k < c->size; k++) {
        double sum = total(c->share[k]);
        for (int s = 0; s < AGN_LEVELS; s++) {
            c->share[k][s] /= sum;
            c->bits[k][s] = -log2(c->share[k][s]);
        }
    }
}

/* The distribution that codes these symbols in the fewest bits. */
static int best_for(const struct clusters *c, const double counts[AGN_LEVELS])
{
    int best = 0;
    double least = INFINITY;
    for (int k = 0; k < c->size; k++) {
        double cost = 0.0;
        for (int s = 0; s < AGN_LEVELS; s++)
            cost += counts[s] * c->bits[k][s];
        if (cost < least) {
            least = cost;
            best = k;
        }
    }
    return best;
}

/* Every context to its best distribution; whether any moved. */
static bool reassign(struct clusters *c)
{
    bool moved = false;
    for (int i = 0; i < c->contexts; i++) {
        int best = best_for(c, c->counts + (size_t)i * AGN_LEVELS);
        moved = moved || best != c->member_of[i];
        c->member_of[i] = (uint8_t)best;
    }
    return moved;
}

/* Contexts that never came take the distribution that suits their channel as a whole. */
static void place_unseen(struct clusters *c)
{
    for (int first = 0; first < c->contexts; first += AGN_CONTEXTS) {
        double all[AGN_LEVELS] = {0};
        for (int i = 0; i < AGN_CONTEXTS * AGN_LEVELS; i++)
            all[i % AGN_LEVELS] += c->counts[(size_t)first * AGN_LEVELS + (size_t)i];
        int best = best_for(c, all);
        for (int i = first; i < first + AGN_CONTEXTS; i++)
            if (total(c->counts + (size_t)i * AGN_LEVELS) == 0.0)
                c->member_of[i] = (uint8_t)best;
    }
}

static int cluster(struct agn_model *model, const double *counts)
{
    struct clusters c = {.counts = counts,
                         .contexts = model->sent_channels * AGN_CONTEXTS,
                         .size = DISTRIBUTIONS,
                         .member_of = model->context_map};
    int status = cut_by_zeros(&c);
    if (status < 0)
        return status;
    take_means(&c);
    for (int round = 0; round < ROUNDS && reassign(&c); round++)
        take_means(&c);
    place_unseen(&c);
    model->distributions = c.size;
    for (int k = 0; k < c.size; k++)
        store_distribution(c.share[k], model->context_cumulative + (size_t)k * AGN_DISTRIBUTION_BYTES);
    return AGN_OK;
}

/* ---- symbols ------------------------------------------------------------------------------- */

/* Counts one image's symbols, (height, width, channels). */
static void count_symbols(const struct agn_model *model, const uint8_t *symbols, double *counts)
{
    unsigned channels = (unsigned)model->sent_channels, width = (unsigned)model->map.width;
    for (unsigned channel = 0; channel < channels; channel++) {
        uint8_t rows[2][AGN_MAX_FEATURES + 1];
        for (unsigned y = 0; y < (unsigned)model->map.height; y++) {
            uint8_t *row = rows[y & 1];
            const uint8_t *above = y > 0 ? rows[1 - (y & 1)] : NULL;
            for (unsigned x = 0; x < width; x++) {
                row[x] = symbols[((size_t)y * width + x) * channels + channel];
                unsigned context = agn_context_at(row, above, x, width);
                counts[((size_t)channel * AGN_CONTEXTS + context) * AGN_LEVELS + row[x]] += 1.0;
            }
        }
    }
}

static int count_batch(struct agn_runner *r, const struct agn_batch *batch, double *counts)
{
    int status = agn_runner_extract(r, batch->images);
    for (int i = 0; i < batch->count && status == AGN_OK; i++)
        count_symbols(r->model, r->symbols + (size_t)i * (r->sent / LEARN_BATCH), counts);
    return status;
}

static void take_channel_means(struct agn_model *model, const double *counts)
{
    for (size_t c = 0; c < (size_t)model->sent_channels; c++) {
        double sum = 0.0, symbols = 0.0;
        for (size_t i = 0; i < (size_t)AGN_CONTEXTS * AGN_LEVELS; i++) {
            double count = counts[c * AGN_CONTEXTS * AGN_LEVELS + i];
            sum += count * (double)model->centroids[i % AGN_LEVELS];
            symbols += count;
        }
        model->fill[c] = (float)(sum / fmax(symbols, 1.0));
    }
}

int agn_model_learn_contexts(struct agn_model *model, const struct agn_dataset *data)
{
    const struct agn_loader_config load = {.batch = LEARN_BATCH,
                                           .shuffle = true, /* data sets may stand class by class */
                                           .seed = (uint64_t)model->preset.train.seed,
                                           .normalisation = model->normalisation};
    size_t contexts = (size_t)model->sent_channels * AGN_CONTEXTS;
    if (!agn_model_sends_symbols(model))
        return AGN_OK;
    double *counts = agn_alloc(contexts * AGN_LEVELS, sizeof(*counts));
    struct agn_runner runner = {0};
    struct agn_loader *loader = NULL;
    struct agn_batch batch;
    int more = 0, seen = 0, status = counts == NULL ? AGN_ERR_MEMORY : agn_model_check_data(model, data);
    if (status == AGN_OK)
        status = agn_runner_open(&runner, model, LEARN_BATCH, 0);
    if (status == AGN_OK)
        status = agn_loader_create(data, &load, &loader);
    if (status == AGN_OK)
        status = agn_loader_start(loader, 0);
    while (status == AGN_OK && seen < MOST_IMAGES && (more = agn_loader_next(loader, &batch)) > 0) {
        status = agn_interrupt_requested()
                     ? agn_fail(AGN_ERR_INTERRUPTED, "learning contexts was interrupted")
                     : count_batch(&runner, &batch, counts);
        seen += batch.count;
    }
    if (status == AGN_OK && more < 0)
        status = more;
    if (status == AGN_OK)
        status = cluster(model, counts);
    if (status == AGN_OK)
        take_channel_means(model, counts);
    agn_loader_free(loader);
    agn_runner_close(&runner);
    agn_free(counts);
    return status;
}
