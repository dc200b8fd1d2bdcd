/* reference.safetensors: a pre-trained reference network with its stem, from a training of ours or from
 * elsewhere, as safetensors under the names that `agilenn info` lists. */
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "model/model_internal.h"

static const char normalisation_name[] = "normalisation";

static void append_normalisation(struct agn_tensor_file *file, float values[2 * AGN_MAX_CHANNELS])
{
    struct agn_tensor_view *view = &file->tensors[file->count++];
    *view = (struct agn_tensor_view){.dtype = AGN_F32,
                                     .rank = 1,
                                     .dims = {2 * AGN_MAX_CHANNELS},
                                     .data = values,
                                     .size_bytes = 2 * AGN_MAX_CHANNELS * sizeof(float)};
    snprintf(view->name, sizeof(view->name), "%s", normalisation_name);
}

int agn_reference_save(const struct agn_model *model, const char *path, const struct agn_effort *effort)
{
    struct agn_tensor_file file = {0};
    float norm[2 * AGN_MAX_CHANNELS];
    char spent[96], key[] = "training_state";
    char *metadata[1][2] = {{key, spent}};
    for (int c = 0; c < AGN_MAX_CHANNELS; c++) {
        norm[c] = (float)model->normalisation.mean[c];
        norm[AGN_MAX_CHANNELS + c] = model->normalisation.std[c];
    }
    snprintf(spent, sizeof(spent), "{\"seconds\": %.3f, \"images\": %lld}", effort->seconds,
             (long long)effort->images);
    int status = agn_params_append(model->parts[AGN_EXTRACTOR].params, &file, false);
    if (status == AGN_OK)
        status = agn_params_append(model->parts[AGN_REFERENCE].params, &file, false);
    if (status == AGN_OK) {
        append_normalisation(&file, norm); /* appending parameters leaves room for their momenta */
        file.metadata = metadata;
        file.metadata_count = 1;
        status = agn_tensor_file_write(path, &file);
    }
    agn_free(file.tensors);
    return status;
}

/* A reference must see images as it did when it was trained. */
static int take_normalisation(struct agn_model *model, const struct agn_tensor_file *file)
{
    const struct agn_tensor_view *view = agn_tensor_file_find(file, normalisation_name);
    float values[2 * AGN_MAX_CHANNELS];
    if (view == NULL)
        return AGN_OK;
    if (view->dtype != AGN_F32 || view->size_bytes != sizeof(values)) {
        return agn_fail(AGN_ERR_FORMAT,
                        "tensor '%s' is not %d floats: means, then deviations, in grey levels from 0 to 255",
                        normalisation_name, 2 * AGN_MAX_CHANNELS);
    }
    memcpy(values, view->data, sizeof(values));
    for (int c = 0; c < model->preset.data.channels; c++) {
        float mean = values[c], std = values[AGN_MAX_CHANNELS + c];
        if (!(mean >= 0.0F && mean <= 255.0F && std >= 1.0F && std <= 255.0F)) {
            return agn_fail(
                AGN_ERR_FORMAT,
                "tensor '%s', channel %d: mean %g and deviation %g; expected 0 to 255 and 1 to 255",
                normalisation_name, c, (double)mean, (double)std);
        }
        model->normalisation.mean[c] = (uint8_t)lroundf(mean);
        model->normalisation.std[c] = std;
    }
    return AGN_OK;
}

/* What the pre-training took counts as part of this training; a file from elsewhere does not say. */
static void take_effort(const struct agn_tensor_file *file, struct agn_effort *effort)
{
    const char *text = agn_tensor_file_metadata(file, "training_state");
    json_t *json = text == NULL ? NULL : json_loads(text, 0, NULL);
    double seconds = 0.0;
    json_int_t images = 0;
    if (json != NULL && json_unpack(json, "{s:F, s:I}", "seconds", &seconds, "images", &images) == 0 &&
        seconds >= 0.0 && images >= 0) {
        effort->seconds = seconds;
        effort->images = images;
    }
    json_decref(json);
}

static int load(struct agn_model *model, struct agn_params *stem, const struct agn_tensor_file *file,
                struct agn_effort *effort)
{
    int status = agn_params_load(stem, file, false);
    if (status == AGN_OK)
        status = agn_params_load(model->parts[AGN_REFERENCE].params, file, false);
    if (status == AGN_OK)
        status = take_normalisation(model, file);
    if (status == AGN_OK)
        status = agn_params_check_finite(stem);
    if (status == AGN_OK)
        status = agn_params_check_finite(model->parts[AGN_REFERENCE].params);
    if (status == AGN_OK)
        take_effort(file, effort);
    return status;
}

static int load_reference(const char *path, struct agn_model *model, struct agn_params *stem,
                          struct agn_effort *effort)
{
    struct agn_tensor_file file = {0};
    char reason[768];
    int status = agn_tensor_file_read(path, &file);
    if (status < 0)
        return status;
    status = load(model, stem, &file, effort);
    agn_tensor_file_free(&file);
    if (status < 0) {
        snprintf(reason, sizeof(reason), "%s", agn_error_message());
        return agn_fail(status,
                        "reference %s: %s (its tensors 'reference.*' must be model.reference's, and "
                        "'extractor.*' %s's)",
                        path, reason,
                        stem == model->parts[AGN_EXTRACTOR].params ? "model.extractor" : "reference.stem");
    }
    return AGN_OK;
}

int agn_reference_adopt(const char *path, struct agn_model *model, struct agn_effort *effort)
{
    return load_reference(path, model, model->parts[AGN_EXTRACTOR].params, effort);
}

int agn_stem_open(const char *path, struct agn_model *model, struct agn_part *stem)
{
    struct agn_effort ignored = {0};
    struct agn_shape map = model->map;
    if (path == NULL) {
        return agn_fail(AGN_ERR_ARG, "reference.stem is set, so that phase 1 imitates the stem of a given "
                                     "reference network: name its weights with --reference FILE");
    }
    int op = agn_graph_init(&stem->graph, model->parts[AGN_EXTRACTOR].graph.ops[0].shape);
    if (op >= 0)
        op = agn_graph_parse(&stem->graph, op, "extractor", model->preset.reference.stem);
    if (op < 0)
        return op;
    struct agn_shape s = agn_graph_output_shape(&stem->graph);
    if (s.height != map.height || s.width != map.width || s.channels != map.channels) {
        return agn_fail(
            AGN_ERR_MISMATCH,
            "reference.stem makes %dx%dx%d features, but model.extractor %dx%dx%d; they must agree", s.height,
            s.width, s.channels, map.height, map.width, map.channels);
    }
    int status = agn_params_create(&stem->graph, 0, &stem->params);
    return status < 0 ? status : load_reference(path, model, stem->params, &ignored);
}

void agn_stem_close(struct agn_part *stem)
{
    agn_params_free(stem->params);
    stem->params = NULL;
}
