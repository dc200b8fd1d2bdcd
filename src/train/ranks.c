/* Training in several processes: each has a part of every batch, sums make them one. What concerns a single
 * phase or loss is in its own file; nothing here happens in a group of one. */
#include <string.h>

#include "train/ranks.h"

/* ---- gradients --------------------------------------------------------------------- */

/* Gradients are summed in pieces of at least so many floats, as soon as backward has settled them. */
enum { PIECE = 1 << 18 };

static int sum_batchnorm(void *user, double *values, size_t count)
{
    const struct agn__sharing *sharing = user;
    return agn_group_sum(sharing->group, values, count);
}

static int sum_settled(void *user, struct agn_params *params, size_t from)
{
    struct agn__sharing *sharing = user;
    size_t end = sharing->begun ? sharing->rest : params->total;
    sharing->begun = true;
    sharing->rest = end;
    if (end - from < PIECE)
        return AGN_OK;
    sharing->rest = from;
    return agn_group_start_sum(sharing->group, params->grad + from, end - from);
}

const struct agn_net_peers *agn__share(struct agn__sharing *sharing, struct agn_group *group)
{
    *sharing = (struct agn__sharing){
        .group = group,
        .peers = {
            .count = agn_group_size(group), .user = sharing, .sum = sum_batchnorm, .gradients = sum_settled}};
    return &sharing->peers;
}

int agn__sum_rest(struct agn__sharing *sharing, struct agn_params *params)
{
    size_t end = sharing->begun ? sharing->rest : params->total;
    sharing->begun = false;
    return agn_group_start_sum(sharing->group, params->grad, end);
}

/* ---- figures ------------------------------------------------------------------------- */

/* ---- the same everywhere ----------------------------------------------------------------- */

static const uint64_t hash_start = 0xCBF29CE484222325U; /* FNV-1a over words instead of bytes */

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size_bytes)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < size_bytes; i += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, at + i, size_bytes - i < sizeof(word) ? size_bytes - i : sizeof(word));
        hash = (hash ^ word) * 0x100000001B3U;
        hash ^= hash >> 29;
    }
    return hash;
}

/* Whether `hash` is rank 0's. */
static int compare(struct agn_group *group, uint64_t hash, bool *same)
{
    uint64_t first = hash;
    int status = agn_group_broadcast(group, &first, sizeof(first));
    *same = first == hash;
    return status;
}

static uint64_t hash_data(uint64_t hash, const struct agn_dataset *data)
{
    const int sizes[] = {data->count, data->height, data->width, data->channels, data->classes};
    size_t image = (size_t)data->height * (size_t)data->width * (size_t)data->channels;
    hash = hash_bytes(hash, sizes, sizeof(sizes));
    hash = hash_bytes(hash, data->labels, (size_t)data->count * sizeof(data->labels[0]));
    for (int i = 0; i < data->count; i += data->count / 256 + 1) /* enough to notice another order or size */
        hash = hash_bytes(hash, data->pixels + (size_t)i * image, image);
    return hash;
}

int64_t agn__data_hash(const struct agn_dataset *data)
{
    const int sizes[] = {data->count, data->height, data->width, data->channels};
    size_t image = (size_t)data->height * (size_t)data->width * (size_t)data->channels;
    uint64_t hash = hash_bytes(hash_start, sizes, sizeof(sizes));
    hash = hash_bytes(hash, data->labels, (size_t)data->count * sizeof(data->labels[0]));
    hash = hash_bytes(hash, data->pixels, (size_t)data->count * image);
    return (int64_t)(hash >> 1) | 1;
}

int agn__check_same_start(const struct agn_train_config *config)
{
    enum { PRESET_BYTES = 8192 };
    char preset[PRESET_BYTES] = "";
    bool same_preset = true, same_data = true;
    if (config->group == NULL)
        return AGN_OK;
    struct agn_preset without_path = config->preset; /* which may differ between machines */
    without_path.data.path[0] = '\0';
    int status = agn_preset_format(&without_path, preset, sizeof(preset));
    status = agn_group_agree(config->group, status < 0 ? status : AGN_OK);
    if (status == AGN_OK)
        status = compare(config->group, hash_bytes(hash_start, preset, sizeof(preset)), &same_preset);
    uint64_t images = hash_data(hash_data(hash_start, config->train), config->test);
    if (config->validation != NULL)
        images = hash_data(images, config->validation);
    if (status == AGN_OK)
        status = compare(config->group, images, &same_data);
    if (status == AGN_OK && !same_preset)
        status = agn_fail(AGN_ERR_MISMATCH, "this process has other settings than process 0: presets and "
                                            "options must be the same everywhere");
    if (status == AGN_OK && !same_data)
        status =
            agn_fail(AGN_ERR_MISMATCH, "this process sees other images than process 0: the data set must "
                                       "be the same everywhere");
    return agn_group_agree(config->group, status);
}

int agn__check_parts(const struct agn_train_config *config)
{
    int size = agn_group_size(config->group), batch = config->preset.train.batch;
    if (batch % size != 0) {
        return agn_fail(AGN_ERR_ARG,
                        "train.batch = %d images cannot be shared out evenly over %d processes: set it to a "
                        "multiple of %d, for instance --set train.batch=%d",
                        batch, size, size, batch / size > 0 ? batch / size * size : size);
    }
    return AGN_OK;
}

/* All that training changes: calls back for each piece of memory. */
static int each_piece(struct agn__trainer *trainer, int (*visit)(void *user, void *data, size_t size_bytes),
                      void *user)
{
    struct agn_model *model = trainer->model;
    struct agn__beside *beside = &trainer->beside;
    int status = AGN_OK;
    for (int role = 0; role < AGN_ROLES && status == AGN_OK; role++) {
        struct agn_params *params = model->parts[role].params;
        status = visit(user, params->value, params->total * sizeof(float));
        if (status == AGN_OK)
            status = visit(user, params->momentum, params->total * sizeof(float));
        if (status == AGN_OK && params->second != NULL) /* Adam's, and its steps */
            status = visit(user, params->second, (params->total + 1) * sizeof(float));
    }
    struct {
        void *data;
        size_t size_bytes;
    } small[] = {{model->centroids, sizeof(model->centroids)},
                 {model->usage, sizeof(model->usage)},
                 {&model->alpha_weight, sizeof(model->alpha_weight)},
                 {&model->alpha_momentum, sizeof(model->alpha_momentum)},
                 {&model->alpha_second, sizeof(model->alpha_second)},
                 {&model->alpha_steps, sizeof(model->alpha_steps)}};
    for (size_t i = 0; i < AGN_COUNT_OF(small) && status == AGN_OK; i++)
        status = visit(user, small[i].data, small[i].size_bytes);
    if (status == AGN_OK)
        status = visit(user, model->fill, (size_t)model->sent_channels * sizeof(float));
    if (status == AGN_OK && beside->symbol_counts != NULL)
        status = visit(user, beside->symbol_counts,
                       (size_t)model->sent_channels * AGN_CONTEXTS * AGN_LEVELS * sizeof(float));
    if (status == AGN_OK && beside->centre_moments != NULL)
        status = visit(user, beside->centre_moments, AGN__CENTRE_MOMENTS * sizeof(float));
    return status == AGN_OK && beside->average != NULL ? agn__average_visit(beside, model, visit, user)
                                                       : status;
}

static int add_to_hash(void *user, void *data, size_t size_bytes)
{
    uint64_t *hash = user;
    *hash = hash_bytes(*hash, data, size_bytes);
    return AGN_OK;
}

static int send_piece(void *user, void *data, size_t size_bytes)
{
    return agn_group_broadcast(user, data, size_bytes);
}

int agn__keep_together(struct agn__trainer *trainer)
{
    struct agn_group *group = trainer->config->group;
    uint64_t hash = hash_start;
    bool same = true, differs;
    if (group == NULL)
        return AGN_OK;
    int status = each_piece(trainer, add_to_hash, &hash);
    if (status == AGN_OK)
        status = compare(group, hash, &same);
    differs = !same;
    if (status == AGN_OK)
        status = agn_group_any(group, &differs);
    if (status == AGN_OK && differs) {
        agn_log(AGN_LOG_WARN, "the processes' weights drifted apart, as they do on processors of different "
                              "kinds; all go on with those of process 0");
        status = each_piece(trainer, send_piece, group);
        for (int role = 0; role < AGN_ROLES; role++)
            trainer->model->parts[role].params->version++;
    }
    return status;
}
