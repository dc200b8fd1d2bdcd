/* The paper's tables and figures, and which columns stand in ours beside them. */
#include <string.h>

#include "report/report_internal.h"

const char *const agn__paper_sets[AGN__PAPER_SETS] = {"cifar10", "cifar100", "svhn", "imagenet200"};

#define ACCURACY                                                                                             \
    {                                                                                                        \
        .name = "accuracy, %", .figure = "accuracy", .kind = AGN__COLUMN_REAL, .which = AGN__ACCURACY,       \
        .scale = 100.0, .decimals = 2                                                                        \
    }
#define SKEWNESS                                                                                             \
    {                                                                                                        \
        .name = "skewness, %", .figure = "skewness", .kind = AGN__COLUMN_REAL, .which = AGN__SKEWNESS,       \
        .scale = 100.0, .decimals = 1                                                                        \
    }
#define DISORDER                                                                                             \
    {                                                                                                        \
        .name = "out of order, %", .figure = "disorder_rate", .kind = AGN__COLUMN_REAL,                      \
        .which = AGN__DISORDER_RATE, .scale = 100.0, .decimals = 1                                           \
    }
#define MS(title, of, part)                                                                                  \
    {                                                                                                        \
        .name = (title), .figure = (of), .kind = AGN__COLUMN_COST, .which = (part), .scale = 1.0,            \
        .decimals = 1                                                                                        \
    }
#define MS_AT(title, of, kbps, mhz)                                                                          \
    {                                                                                                        \
        .name = (title), .figure = (of), .kind = AGN__COLUMN_COST, .which = AGN__TOTAL_MS, .scale = 1.0,     \
        .decimals = 1, .rate = (kbps), .clock = (mhz)                                                        \
    }
#define BYTES(title, of, column)                                                                             \
    {                                                                                                        \
        .name = (title), .figure = (of), .kind = AGN__COLUMN_REAL, .which = (column), .scale = 1.0 / 1024.0, \
        .decimals = 1                                                                                        \
    }

static const struct agn__column systems[] = {
    ACCURACY,
    MS("latency, ms", "latency_ms", AGN__TOTAL_MS),
    MS("device, ms", "local_ms", AGN__LOCAL_MS),
    MS("compress, ms", "encode_ms", AGN__ENCODE_MS),
    MS("network, ms", "network_ms", AGN__NETWORK_MS),
    {.name = "server, ms", .figure = "remote_ms", .kind = AGN__COLUMN_NONE, .decimals = 1},
    {.name = "alone, %",
     .kind = AGN__COLUMN_REAL,
     .which = AGN__SILENT_ACCURACY,
     .scale = 100.0,
     .decimals = 2},
};
static const struct agn__column compression[] = {
    {.name = "compression",
     .figure = "compression",
     .kind = AGN__COLUMN_COMPRESSION,
     .scale = 1.0,
     .decimals = 1},
    ACCURACY,
    {.name = "bytes", .kind = AGN__COLUMN_REAL, .which = AGN__BYTES_MEAN, .scale = 1.0, .decimals = 1},
};
static const struct agn__column energy[] = {
    {.name = "energy, mJ",
     .figure = "energy_mj",
     .kind = AGN__COLUMN_COST,
     .which = AGN__BOARD_MJ,
     .scale = 1.0,
     .decimals = 1},
    ACCURACY,
};
static const struct agn__column memory[] = {
    BYTES("RAM, KB", "ram_kb", AGN__RAM_BYTES),
    BYTES("flash, KB", "flash_kb", AGN__FLASH_BYTES),
    ACCURACY,
};
static const struct agn__column bandwidth[] = {
    MS_AT("270 kbit/s, ms", "latency_270_ms", 270.0, 0.0),
    MS_AT("2 Mbit/s, ms", "latency_2000_ms", 2000.0, 0.0),
    MS_AT("6 Mbit/s, ms", "latency_6000_ms", 6000.0, 0.0),
};
static const struct agn__column clocks[] = {
    MS_AT("64 MHz, ms", "latency_64_ms", 0.0, 64.0),
    MS_AT("128 MHz, ms", "latency_128_ms", 0.0, 128.0),
    MS_AT("216 MHz, ms", "latency_216_ms", 0.0, 216.0),
};
static const double rates[] = {270.0, 2000.0, 6000.0}, frequencies[] = {64.0, 128.0, 216.0};
static const struct agn__column k_rho[] = {
    {.name = "k, % of channels",
     .figure = "k_share",
     .kind = AGN__COLUMN_K_SHARE,
     .scale = 100.0,
     .decimals = 0},
    ACCURACY,
    SKEWNESS,
    DISORDER,
};
static const struct agn__column losses[] = {ACCURACY, SKEWNESS, DISORDER};
static const struct agn__column alphas[] = {
    ACCURACY,
    {.name = "α in the end",
     .figure = "alpha",
     .kind = AGN__COLUMN_REAL,
     .which = AGN__ALPHA,
     .scale = 1.0,
     .decimals = 3},
};
static const struct agn__column methods[] = {
    ACCURACY,
    MS("latency, ms", "latency_ms", AGN__TOTAL_MS),
    SKEWNESS,
    DISORDER,
};

#define COLUMNS(list) .columns = (list), .column_count = AGN_COUNT_OF(list)

const struct agn__topic agn__topics[] = {
    {.table = "systems",
     .title = "Accuracy and latency of all systems",
     .note = "The paper: at 216 MHz and 6 Mbit/s; ours: board and radio as above. Latency is the mean over "
             "all frames, those that are not sent "
             "included, so that the parts add "
             "up to it; what the server computes is not in the results and not counted in ours. \"alone\" is "
             "the accuracy of "
             "the device without a server.",
     .make = "a plan whose presets are those of all systems on the data set",
     .systems = "",
     COLUMNS(systems),
     .x = 1,
     .y = 0,
     .x_name = "latency of a frame, ms"},
    {.table = "compression",
     .title = "Accuracy and compression",
     .note = "Ours: bytes of the image's pixels over mean bytes a frame, all headers counted. The paper does "
             "not say what its rates "
             "are relative to, so compare the shapes of the curves, not their places.",
     .make = "a plan that varies joint.bits (agilenn) or model.extractor (deepcod)",
     .systems = " agilenn deepcod ",
     .keys = {"joint.bits", "model.extractor"},
     .presets_too = true,
     COLUMNS(compression),
     .x = 0,
     .y = 1,
     .x_name = "compression"},
    {.table = "energy",
     .title = "Energy of a frame",
     .note = "Of the whole board, mean over all frames. The paper measured it, ours is modelled.",
     .make = "a plan whose presets are those of all systems on the data set",
     .systems = "",
     COLUMNS(energy),
     .y = -1},
    {.table = "memory",
     .title = "Memory beside a device alone",
     .note = "Of the device's library, model and buffers. The paper's device alone is MCUNet; on small "
             "images ours is a network at "
             "the images' own size.",
     .make = "a plan with a preset of agilenn and one of local-only",
     .systems = " agilenn local-only ",
     COLUMNS(memory),
     .y = -1},
    {.table = "bandwidth",
     .title = "Latency at three rates",
     .note = "Only the rate on the air changes.",
     .make = "a plan whose presets are those of all systems on the data set",
     .systems = "",
     COLUMNS(bandwidth),
     .y = -1,
     .across = rates,
     .x_name = "kbit/s on the air"},
    {.table = "clock",
     .title = "Latency at three clocks",
     .note = "Only the processor's clock changes.",
     .make = "a plan whose presets are those of all systems on the data set",
     .systems = "",
     COLUMNS(clocks),
     .y = -1,
     .across = frequencies,
     .x_name = "MHz"},
    {.table = "k-rho",
     .title = "k and ρ: accuracy and the skewness reached",
     .note = "k is the number of channels that stay on the device, ρ the share of importance that they "
             "should carry.",
     .make = "a plan with model.local_channels and joint.rho as axes",
     .systems = "",
     .keys = {"joint.rho", "model.local_channels"},
     COLUMNS(k_rho),
     .x = 0,
     .y = 1,
     .x_name = "channels that stay, %"},
    {.table = "lambda",
     .title = "λ: weight of the prediction loss",
     .note = "The rest, 1 - λ, is the weight of skewness and disorder.",
     .make = "a plan with joint.lambda as an axis",
     .systems = "",
     .keys = {"joint.lambda"},
     COLUMNS(losses),
     .x = -1,
     .y = 0,
     .x_name = "λ"},
    {.table = "alpha",
     .title = "α: weight of the device's answer",
     .note = "The paper sets α; in ours training begins with it and goes on from there.",
     .make = "a plan with model.alpha_initial as an axis",
     .systems = "",
     .keys = {"model.alpha_initial"},
     COLUMNS(alphas),
     .x = -1,
     .y = 0,
     .x_name = "α"},
    {.table = "temperature",
     .title = "T: how fast α may move",
     .note = "α = sigmoid(w / T).",
     .make = "a plan with model.alpha_temperature as an axis",
     .systems = "",
     .keys = {"model.alpha_temperature"},
     COLUMNS(alphas),
     .x = -1,
     .y = 0,
     .x_name = "T"},
    {.table = "xai",
     .title = "How importance is measured",
     .note = "Gradient saliency is joint.method = gradient.",
     .make = "a plan with joint.method (or joint.points) as an axis",
     .systems = "",
     .keys = {"joint.method", "joint.points"},
     COLUMNS(methods),
     .y = -1},
    {.table = "ordering",
     .title = "Order of importance",
     .note = "Images in which some channel that is sent outweighs one that stays.",
     .make = "a plan that varies joint.disorder_margin, joint.importance or joint.selection",
     .systems = "",
     .keys = {"joint.disorder_margin", "joint.importance", "joint.selection", "joint.disorder"},
     COLUMNS(losses),
     .y = -1},
};
const int agn__topic_count = AGN_COUNT_OF(agn__topics);
_Static_assert(AGN_COUNT_OF(agn__topics) <= AGN__MOST_TOPICS, "report_internal.h");

bool agn__topic_has(const struct agn__topic *topic, const struct agn__design *design)
{
    char value[128], system[64];
    if (design->copy || design->done == 0)
        return false;
    snprintf(system, sizeof system, " %.60s ", design->first->text[AGN__SYSTEM]);
    if (topic->systems[0] != '\0' && strstr(topic->systems, system) == NULL)
        return false;
    for (size_t i = 0; i < AGN_COUNT_OF(topic->keys) && topic->keys[i] != NULL; i++)
        if (agn__design_setting(design, topic->keys[i], value))
            return true;
    return (topic->keys[0] == NULL || topic->presets_too) && design->first->text[AGN__DESIGN][0] == '\0';
}

enum agn__source agn__column_source(const struct agn__column *column)
{
    return column->kind == AGN__COLUMN_COST ? AGN__MODELLED : AGN__MEASURED;
}

struct agn__value agn__column_value(const struct agn__report *report, const struct agn__design *design,
                                    const struct agn__column *column)
{
    struct agn_board board = report->board;
    struct agn_radio radio = report->radio;
    struct agn__value value = AGN__UNKNOWN, bytes;
    struct agn__shape shape;
    switch (column->kind) {
    case AGN__COLUMN_REAL:
        return agn__design_value(design, (enum agn__run_real)column->which);
    case AGN__COLUMN_COST:
        if (column->rate > 0.0)
            radio.rate_kbps = column->rate;
        if (column->clock > 0.0)
            board.clock_mhz = column->clock;
        return agn__design_cost(design, &board, &radio, (enum agn__cost)column->which);
    case AGN__COLUMN_COMPRESSION:
        bytes = agn__design_value(design, AGN__BYTES_MEAN);
        if (bytes.mean > 0.0 && agn__design_shape(design, &shape))
            value.mean = shape.image_bytes / bytes.mean;
        break;
    case AGN__COLUMN_K_SHARE:
        if (agn__design_shape(design, &shape) && shape.channels > 0)
            value.mean = (double)shape.k / shape.channels;
        break;
    case AGN__COLUMN_NONE:
        break;
    }
    return value;
}
