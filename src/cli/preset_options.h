/* What commands share that work on a preset or a trained model: reading a preset with its overrides,
 * opening the data set it names, showing an evaluation. */
#ifndef AGN_CLI_PRESET_OPTIONS_H
#define AGN_CLI_PRESET_OPTIONS_H

#include "agilenn/train.h"
#include "cli/cli.h"
#include "cli/options.h"

/* Help texts that are the same everywhere. */
#define AGN_CLI_HELP_PRESET  "name of a preset (see presets/), or path of an .ini file"
#define AGN_CLI_HELP_SET     "change a value of the preset; `agilenn info --preset-keys` lists all"
#define AGN_CLI_HELP_DATA    "folder of the data set, instead of the one that the preset names"
#define AGN_CLI_HELP_THREADS "threads to compute with; 0 = one a core"

/* Loads preset `name`, then applies "section.key=value" texts. Status < 0 with a sentence on failure. */
int agn__cli_load_preset(const char *name, const struct agn_cli_list *assignments, struct agn_preset *preset);

/* Opens split "train", "test" or "validation" as the preset says; `limit` < 0 means the preset's. Refuses a
 * set with more classes than the preset has, if that says how many. Images are as networks want them
 * (agn_preset_as_sent). */
int agn__cli_open_dataset(const struct agn_preset *preset, const char *split, int limit,
                          struct agn_dataset **dataset);

/* The same with images as devices take them. */
int agn__cli_open_taken(const struct agn_preset *preset, const char *split, int limit,
                        struct agn_dataset **dataset);

/* The same of the preset that --preset and --set name, in `folder` (--data) unless that is NULL. */
int agn__cli_open_images(const char *preset, const struct agn_cli_list *assignments, const char *folder,
                         const char *split, int limit, struct agn_dataset **dataset);

/* Why the device could not run the preset's extractor, as a sentence; NULL: it could, or the extractor is
 * none that anything could run. Valid until the next error. */
const char *agn__cli_undeployable(const struct agn_preset *preset);

/* Replaces the preset's data folder unless `folder` is NULL. */
int agn__cli_replace_data(struct agn_preset *preset, const char *folder);

/* Figures, with what else there is to say of an evaluation, as text or as a JSON object (NULL: out of
 * memory). */
void agn__cli_print_evaluation(FILE *stream, const struct agn_figures *figures, const struct agn_model *model,
                               const struct agn_evaluation *evaluation);
json_t *agn__cli_json_evaluation(const struct agn_figures *figures, const struct agn_model *model,
                                 const struct agn_evaluation *evaluation);

/* An array of numbers; NULL: out of memory. */
json_t *agn__cli_json_floats(const float *values, int count);
/* Of each channel of the map; null where the model has no reference network. */
json_t *agn__cli_json_importance(const struct agn_model *model, const float *importance);

#endif
