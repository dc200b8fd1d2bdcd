/* The search space: presets written as text over a base preset. docs/FIT.md has the same as a table.
 *
 * Sizes follow the images: `small` ones (up to 48 pixels) lose a half or three quarters of their side before
 * the map, larger ones three quarters or seven eighths. Whether a candidate can be built is found out by
 * building it (needs.c). */
#include <stdio.h>
#include <string.h>

#include "fit/fit_internal.h"

enum { SMALL_SIDE = 48 };

/* A candidate as assignments, "section.key=value" each; NULL ends them. `%s` stands for the base's server
 * network, `%d` for the images' channels. */
struct row {
    const char *name;
    const char *set[12];
};

#define SPLIT      "model.system=agilenn", "model.codec=range"
#define SMALL_TAIL "model.remote=conv:c48 mb:c48:e4 mb:c96:e4:s2 conv:c128:k1"
#define BASE_TAIL  "model.remote=%s"
#define POOLED     "model.local=", "model.grid=4", "model.local_channels=5"
#define LAYERS                                                                                               \
    "model.local=conv:c32:k1 dw:s2 conv:c64:k1", "model.grid=3", "model.local_channels=8", "joint.local=1"
#define DEEP_LAYERS                                                                                          \
    "model.local=conv:c32:k1 dw:s2 conv:c64:k1 dw conv:c96:k1", "model.grid=2", "model.local_channels=10",   \
        "joint.local=1"
/* Patches without activation: values of both signs, all of which go where the device is not sure. */
#define PATCHES                                                                                              \
    "model.extractor=conv:c24:k4:s4:l1", "model.sends=all", "model.local_channels=12", "model.grid=1",       \
        "joint.local=1"
#define JPEG(quality)                                                                                        \
    "model.system=edge-only", "model.codec=jpeg", "model.jpeg_quality=" quality,                             \
        "model.remote=conv:c32 conv:c48:s2 %s", "model.local="
#define ALONE "model.system=local-only", "joint.rate=0.1"
#define EXITS "model.system=spinn", "model.codec=lzw", "joint.local=0.15", BASE_TAIL
#define CODER                                                                                                \
    "model.system=deepcod", "model.extractor=conv:c4:k4:s4:l1",                                              \
        "model.decoder=attention up conv:c64:l1 fused:c64:e1 attention up conv:c32:l1 fused:c32:e1 "         \
        "conv:c%d:a2"

/* Long texts and qualities are put together from literals side by side, on purpose. */
/* NOLINTBEGIN(bugprone-suspicious-missing-comma) */

/* Those first that differ most: a search that is short of time takes the first ones. */
static const struct row small[] = {
    {"split-quarter-whole",
     {SPLIT, "model.extractor=conv:c16:s2 dw:s2 conv:c32:k1", "model.sends=all", "model.local_channels=16",
      "model.grid=1", "model.local=conv:c48:k1 dw conv:c64:k1", "joint.local=1", "joint.bits=0.15",
      BASE_TAIL}},
    {"jpeg-q30", {JPEG("30")}},
    {"alone-medium",
     {ALONE, "model.local=conv:c16:s2 dw conv:c32:k1 dw:s2 conv:c64:k1 dw conv:c64:k1 dw conv:c96:k1",
      "model.grid=3"}},
    {"split-patch-signed",
     {SPLIT, PATCHES, "model.local=conv:c64:k1 dw conv:c64:k1 dw:s2 conv:c128:k1", "joint.bits=0.1",
      SMALL_TAIL}},
    {"split-quarter-layers",
     {SPLIT, "model.extractor=conv:c16:s2 dw:s2 conv:c24:k1", LAYERS, "joint.bits=0.05", SMALL_TAIL}},
    {"exits-quarter",
     {EXITS, "model.extractor=conv:c16:s2 | dw conv:c24:k1 dw:s2", "model.local=dw:s2 conv:c24:k1 |"}},
    {"split-patch-layers",
     {SPLIT, "model.extractor=conv:c24:k4:s4 conv:c24:k1", LAYERS, "joint.bits=0.05", SMALL_TAIL}},
    {"jpeg-q10", {JPEG("10")}},
    {"alone-small", {ALONE, "model.local=conv:c12:s2 dw:s2 conv:c32:k1 dw conv:c64:k1", "model.grid=3"}},
    {"split-half-pooled",
     {SPLIT, "model.extractor=conv:c16:s2 conv:c24", POOLED, "joint.bits=0.05", BASE_TAIL}},
    {"split-quarter-deep",
     {SPLIT, "model.extractor=conv:c16:s2 dw:s2 conv:c24:k1", DEEP_LAYERS, "joint.bits=0.15", SMALL_TAIL}},
    {"alone-large",
     {ALONE,
      "model.local=conv:c24:s2 dw conv:c48:k1 conv:c48:k1 dw:s2 conv:c96:k1 dw conv:c96:k1 dw:s2 "
      "conv:c160:k1 dw conv:c160:k1",
      "model.grid=1"}},
    {"jpeg-q75", {JPEG("75")}},
    {"split-half-layers",
     {SPLIT, "model.extractor=conv:c16:s2 dw conv:c24:k1", LAYERS, "joint.bits=0.05", BASE_TAIL}},
    {"split-patch-cheap",
     {SPLIT, PATCHES, "model.local=conv:c64:k2:s2 dw conv:c96:k1", "joint.bits=0.1", SMALL_TAIL}},
    {"split-half-deep",
     {SPLIT, "model.extractor=conv:c16:s2 dw conv:c24:k1", DEEP_LAYERS, "joint.bits=0.15", BASE_TAIL}},
    {"exits-half",
     {EXITS, "model.extractor=conv:c16:s2 | dw conv:c24:k1",
      "model.local=dw:s2 conv:c24:k1 | dw:s2 conv:c32:k1"}},
    {"coder",
     {CODER, "model.remote=%s", "train.optimizer=adam", "train.beta1=0", "train.beta2=0.9",
      "train.weight_decay=0", "joint.rate=0.001", "joint.teach=logits"}},
    {"jpeg-q50", {JPEG("50")}},
    {"split-quarter-pooled",
     {SPLIT, "model.extractor=conv:c16:s2 conv:c24:s2", POOLED, "joint.bits=0.05", SMALL_TAIL}},
    {"split-quarter-dear",
     {SPLIT, "model.extractor=conv:c16:s2 dw:s2 conv:c24:k1", LAYERS, "joint.bits=0.15", SMALL_TAIL}},
    {"split-patch-pooled",
     {SPLIT, "model.extractor=conv:c24:k4:s4 conv:c24:k1", POOLED, "joint.bits=0.05", SMALL_TAIL}},
    {"split-half-dear",
     {SPLIT, "model.extractor=conv:c16:s2 dw conv:c24:k1", LAYERS, "joint.bits=0.15", BASE_TAIL}},
};

static const struct row large[] = {
    {"split-quarter-layers",
     {SPLIT, "model.extractor=conv:c16:s2 dw:s2 conv:c24:k1", LAYERS, "joint.bits=0.05", BASE_TAIL}},
    {"jpeg-q30", {JPEG("30")}},
    {"alone-medium",
     {ALONE, "model.local=conv:c16:s2 dw:s2 conv:c32:k1 dw:s2 conv:c64:k1 dw conv:c64:k1 dw conv:c96:k1",
      "model.grid=3"}},
    {"split-eighth-layers",
     {SPLIT, "model.extractor=conv:c24:k4:s4 dw:s2 conv:c24:k1", LAYERS, "joint.bits=0.05", SMALL_TAIL}},
    {"exits-eighth",
     {EXITS, "model.extractor=conv:c16:s2 dw:s2 conv:c24:k1 | dw:s2 conv:c32:k1",
      "model.local=dw:s2 conv:c24:k1 |"}},
    {"split-patch-layers",
     {SPLIT, "model.extractor=conv:c24:k4:s4 conv:c24:k1", LAYERS, "joint.bits=0.05", BASE_TAIL}},
    {"jpeg-q10", {JPEG("10")}},
    {"alone-small", {ALONE, "model.local=conv:c12:k4:s4 dw:s2 conv:c32:k1 dw conv:c64:k1", "model.grid=3"}},
    {"split-quarter-pooled",
     {SPLIT, "model.extractor=conv:c16:s2 conv:c24:s2", POOLED, "joint.bits=0.05", BASE_TAIL}},
    {"split-eighth-deep",
     {SPLIT, "model.extractor=conv:c24:k4:s4 dw:s2 conv:c24:k1", DEEP_LAYERS, "joint.bits=0.15", SMALL_TAIL}},
    {"alone-large",
     {ALONE,
      "model.local=conv:c24:s2 dw:s2 conv:c48:k1 conv:c48:k1 dw:s2 conv:c96:k1 dw conv:c96:k1 dw:s2 "
      "conv:c160:k1 dw conv:c160:k1",
      "model.grid=1"}},
    {"jpeg-q75", {JPEG("75")}},
    {"split-quarter-deep",
     {SPLIT, "model.extractor=conv:c16:s2 dw:s2 conv:c24:k1", DEEP_LAYERS, "joint.bits=0.15", BASE_TAIL}},
    {"jpeg-q50", {JPEG("50")}},
    {"split-eighth-pooled",
     {SPLIT, "model.extractor=conv:c24:k4:s4 dw:s2 conv:c24:k1", POOLED, "joint.bits=0.05", SMALL_TAIL}},
    {"split-quarter-dear",
     {SPLIT, "model.extractor=conv:c16:s2 dw:s2 conv:c24:k1", LAYERS, "joint.bits=0.15", BASE_TAIL}},
};
/* NOLINTEND(bugprone-suspicious-missing-comma) */

/* The server's network behind a feature map: the base's, where that has one. */
static const char *server_network(const struct agn_preset *base)
{
    const char *system = base->model.system;
    bool split = system[0] == '\0' || strcmp(system, "agilenn") == 0;
    return split && base->model.remote[0] != '\0' ? base->model.remote : "mobilenetv2-tiny";
}

static void hold_out(struct agn_preset *preset)
{
    if (preset->data.validation[0] == '\0')
        snprintf(preset->data.validation, sizeof preset->data.validation, "0.1");
}

/* What of a base is about its own system goes back to what is usual, its data and schedule stay. */
static void take_base(const struct agn_preset *base, struct agn_preset *preset)
{
    struct agn_preset usual;
    agn_preset_defaults(&usual);
    *preset = *base;
    preset->model = usual.model;
    snprintf(preset->model.reference, sizeof preset->model.reference, "%s",
             base->model.reference[0] != '\0' ? base->model.reference : "mobilenetv2-tiny");
    snprintf(preset->model.remote, sizeof preset->model.remote, "%s", server_network(base));
    preset->model.remote_width = base->model.remote_width;
    preset->model.reference_width = base->model.reference_width;
    preset->reference.stem[0] = '\0';
    hold_out(preset);
}

/* Puts the server's network or the images' channels where the text asks for it. */
static int fill_in(const char *text, const struct agn_preset *base, char *filled, size_t cap)
{
    const char *at = strchr(text, '%');
    int length;
    if (at == NULL)
        length = snprintf(filled, cap, "%s", text);
    else if (at[1] == 'd')
        length = snprintf(filled, cap, "%.*s%d%s", (int)(at - text), text, base->data.channels, at + 2);
    else
        length = snprintf(filled, cap, "%.*s%s%s", (int)(at - text), text, server_network(base), at + 2);
    return length < 0 || (size_t)length >= cap
               ? agn_fail(AGN_ERR_RANGE, "the server's network of preset %s is too long a text", base->name)
               : AGN_OK;
}

/* Can the networks be put together? Their graphs only. */
static int build(const struct agn_preset *preset)
{
    struct agn_model *model = agn_alloc(1, sizeof *model);
    int status = model == NULL ? AGN_ERR_MEMORY : agn_system_find(preset->model.system, &model->system);
    if (status >= 0) {
        model->preset = *preset;
        model->classes = preset->data.classes;
        status = model->system->build(model);
    }
    agn_free(model);
    return status;
}

/* A Local NN's grid is at most its map: small images make small maps. */
static int fit_grid(struct agn_preset *preset)
{
    int status = build(preset);
    while (status < 0 && preset->model.grid > 1) {
        preset->model.grid--;
        status = build(preset);
    }
    return status;
}

static int make(const struct row *row, const struct agn_preset *base, struct agn_fit_candidate *candidate)
{
    char text[AGN_PRESET_TEXT_BYTES + 64];
    *candidate = (struct agn_fit_candidate){.rung = -1};
    snprintf(candidate->name, sizeof candidate->name, "%s", row->name);
    take_base(base, &candidate->preset);
    snprintf(candidate->preset.name, sizeof candidate->preset.name, "%s", row->name);
    int status = AGN_OK;
    for (size_t i = 0; i < AGN_COUNT_OF(row->set) && row->set[i] != NULL && status >= 0; i++) {
        status = fill_in(row->set[i], base, text, sizeof text);
        if (status >= 0)
            status = agn_preset_set(&candidate->preset, text);
    }
    if (status >= 0)
        status = agn_preset_check(&candidate->preset);
    return status < 0 ? status : fit_grid(&candidate->preset);
}

/* The base as it is, but for images that are held out. */
static int take_as_it_is(const struct agn_preset *base, struct agn_fit_candidate *candidate)
{
    *candidate = (struct agn_fit_candidate){.rung = -1, .preset = *base, .is_base = true};
    snprintf(candidate->name, sizeof candidate->name, "base");
    hold_out(&candidate->preset);
    return agn_preset_check(&candidate->preset);
}

int agn_fit_space(const struct agn_preset *base, bool with_base,
                  struct agn_fit_candidate candidates[AGN_FIT_MOST])
{
    int side = base->data.height < base->data.width ? base->data.height : base->data.width, count = 0;
    const struct row *rows = side <= SMALL_SIDE ? small : large;
    size_t row_count = side <= SMALL_SIDE ? AGN_COUNT_OF(small) : AGN_COUNT_OF(large);
    if (with_base) {
        if (take_as_it_is(base, &candidates[count]) < 0)
            snprintf(candidates[count].dropped, AGN_FIT_REASON, "no such preset: %.200s",
                     agn_error_message());
        count++;
    }
    for (size_t i = 0; i < row_count && count < AGN_FIT_MOST; i++) {
        if (make(&rows[i], base, &candidates[count]) < 0)
            snprintf(candidates[count].dropped, AGN_FIT_REASON, "no such preset: %.200s",
                     agn_error_message());
        count++;
    }
    return count;
}
