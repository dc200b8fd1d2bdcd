/* A profile for the choice of cut and threshold (agn_split.h): what `agilenn eval --exits` has found, and
 * times and bytes as this machine's device library has them. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/hosted.h"
#include "agilenn/run.h"
#include "agn_coap.h"

/* A packet's share of CoAP, UDP and IPv4. */
enum { IMAGES = 32, CARRIER_BYTES = AGN_COAP_REQUEST_OVERHEAD + 28 };

/* ---- the file ------------------------------------------------------------------------------- */

static bool is_share(const json_t *value, uint16_t *share)
{
    double number = json_number_value(value);
    *share = (uint16_t)lround(AGN_SPLIT_ONE * fmax(0.0, fmin(1.0, number)));
    return json_is_number(value) && number >= 0.0 && number <= 1.0;
}

/* The softmax's threshold; null: no softmax is enough. */
static bool is_threshold(const json_t *value, uint16_t *exit)
{
    if (json_is_null(value)) {
        *exit = INT16_MAX;
        return true;
    }
    bool good = is_share(value, exit) && *exit > 0;
    *exit = *exit > INT16_MAX ? INT16_MAX : *exit;
    return good;
}

/* The rule of that threshold, a new one if there is none; NULL: there are too many. */
static struct agn_split_rule *rule_of(struct agn_run_split *split, uint16_t exit)
{
    for (int i = 0; i < split->profile.rules; i++)
        if (split->rule[i].exit == exit)
            return &split->rule[i];
    if (split->profile.rules == AGN_EXIT_THRESHOLDS)
        return NULL;
    struct agn_split_rule *rule = &split->rule[split->profile.rules++];
    *rule = (struct agn_split_rule){.exit = exit};
    return rule;
}

static bool take_rule(struct agn_run_split *split, const json_t *from)
{
    const json_t *left = json_object_get(from, "left");
    json_int_t cut = json_integer_value(json_object_get(from, "cut"));
    uint16_t exit;
    if (!json_is_integer(json_object_get(from, "cut")) || cut < 0 || cut >= AGN_SPLIT_MAX_CUTS ||
        !is_threshold(json_object_get(from, "threshold"), &exit) || json_array_size(left) != (size_t)cut)
        return false;
    struct agn_split_rule *rule = rule_of(split, exit);
    if (rule == NULL || !is_share(json_object_get(from, "accuracy"), &rule->right[cut]))
        return false;
    for (int i = 1; i <= cut; i++)
        if (!is_share(json_array_get(left, (size_t)i - 1), &rule->left[i]))
            return false;
    if (cut >= split->profile.cuts)
        split->profile.cuts = (uint8_t)(cut + 1);
    return true;
}

int agn_run_split_read(const char *path, double may_lose, struct agn_run_split *split)
{
    json_error_t error;
    *split = (struct agn_run_split){.profile = {.cut = split->cut, .rule = split->rule}};
    split->profile.allowed = (uint16_t)lround(AGN_SPLIT_ONE * fmax(0.0, fmin(1.0, may_lose)));
    json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &error), *rule;
    if (file == NULL)
        return error.line < 0 ? agn_fail(AGN_ERR_FORMAT, "%s", error.text)
                              : agn_fail(AGN_ERR_FORMAT, "%s: %s in line %d", path, error.text, error.line);
    const json_t *rules = json_object_get(json_object_get(file, "exits"), "rules");
    size_t i;
    bool good = json_array_size(rules) > 0;
    json_array_foreach(rules, i, rule) good = good && take_rule(split, rule);
    json_decref(file);
    return good ? AGN_OK
                : agn_fail(AGN_ERR_FORMAT,
                           "%s: expected what `agilenn eval MODEL.safetensors --exits --json` prints", path);
}

/* ---- times and bytes ---------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A frame's bytes, carriers included; negative: a status. */
static int frame_bytes(struct agn_dev *dev)
{
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    int bytes = 0, length;
    while ((length = agn_dev_next_packet(dev, packet, sizeof packet)) > 0)
        bytes += length + CARRIER_BYTES;
    return length < 0 ? length : bytes;
}

/* Median time and mean bytes of some images at the cut that is chosen. Of an image that an exit takes even so
 * nothing is learned; where they all are such, the cut counts as its bytes uncoded and as free. */
static int measure_cut(struct agn_hosted *device, const struct agn_dataset *data, double slower,
                       struct agn_split_cut *cut)
{
    int count = data->count < IMAGES ? data->count : IMAGES, sum = 0, sent = 0;
    size_t image = (size_t)data->height * (size_t)data->width * (size_t)data->channels;
    struct agn_dev_memory memory;
    double took_s[IMAGES] = {0.0};
    for (int i = 0; i < count; i++) {
        double begin_s = agn_now_s();
        int status = agn_hosted_image(device, data->pixels + (size_t)i * image, (uint16_t)i, 0);
        double end_s = agn_now_s();
        int bytes = status < 0 ? status : frame_bytes(&device->dev);
        if (bytes < 0)
            return agn_fail(bytes, "a frame cannot be made into packets");
        if (bytes > 0)
            took_s[sent++] = end_s - begin_s;
        sum += bytes;
    }
    qsort(took_s, (size_t)sent, sizeof(double), ascending);
    agn_dev_memory(&device->dev.model, &memory);
    cut->device = (uint32_t)ceil(took_s[sent / 2] * slower * AGN_CLIENT_TICKS_PER_S);
    cut->bytes = sent > 0 ? (uint32_t)(sum / sent) : memory.raw_bytes;
    return AGN_OK;
}

int agn_run_split_measure(struct agn_run_split *split, const void *model, size_t model_bytes,
                          const struct agn_dataset *data, double slower)
{
    struct agn_hosted device;
    int status = agn_hosted_open(&device, model, model_bytes);
    if (status < 0)
        return status;
    unsigned cuts = agn_dev_cuts(&device.dev.model);
    status = agn_hosted_check_data(&device.dev.model, data);
    if (status == AGN_OK && cuts != split->profile.cuts)
        status =
            agn_fail(AGN_ERR_MISMATCH, "the profile of exits is of a network with %u cuts, the model has %u",
                     (unsigned)split->profile.cuts, cuts);
    for (unsigned cut = 0; cut < cuts && status == AGN_OK; cut++) {
        agn_dev_select_cut(&device.dev, cut);
        agn_dev_set_exit(&device.dev, INT16_MAX);
        status = measure_cut(&device, data, slower, &split->cut[cut]);
    }
    agn_hosted_close(&device);
    return status;
}
