/* Whether a data set is one for a given model. */
#include <stdio.h>
#include <string.h>

#include "agilenn/model.h"

/* A model file holds '?' where a name's bytes are no UTF-8. */
static bool same_name(const char *in_model, const char *in_data)
{
    for (; *in_model != '\0' && *in_data != '\0'; in_model++, in_data++) {
        bool replaced = *in_model == '?' && (unsigned char)*in_data > 0x7F;
        if (*in_model != *in_data && !replaced)
            return false;
    }
    return *in_model == *in_data;
}

/* Sets without names number their classes. */
static bool is_number(const char *name, int number)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", number);
    return strcmp(name, text) == 0;
}

int agn_model_other_class(char *const *in_model, const struct agn_dataset *data)
{
    for (int i = 0; i < data->classes; i++) {
        bool named = !is_number(in_model[i], i) && !is_number(data->class_names[i], i);
        if (named && !same_name(in_model[i], data->class_names[i]))
            return i;
    }
    return -1;
}

int agn_preset_as_sent(const struct agn_preset *preset, struct agn_dataset *data)
{
    const struct agn_system *system;
    int status = agn_system_find(preset->model.system, &system);
    if (status < 0 || preset->model.codec != AGN_CODEC_JPEG || system->as_sent == NULL)
        return status;
    if (data->height != preset->data.height || data->width != preset->data.width ||
        data->channels != preset->data.channels)
        return agn_fail(AGN_ERR_MISMATCH, "the images are %dx%dx%d, but the preset says %dx%dx%d",
                        data->height, data->width, data->channels, preset->data.height, preset->data.width,
                        preset->data.channels);
    return system->as_sent(preset, data);
}

int agn_model_check_data(const struct agn_model *model, const struct agn_dataset *data)
{
    struct agn_shape in = agn_graph_input_shape(&model->parts[AGN_EXTRACTOR].graph);
    if (data->height != in.height || data->width != in.width || data->channels != in.channels) {
        return agn_fail(AGN_ERR_MISMATCH, "the images are %dx%dx%d, but the model takes %dx%dx%d",
                        data->height, data->width, data->channels, in.height, in.width, in.channels);
    }
    if (data->classes > model->classes) {
        return agn_fail(AGN_ERR_MISMATCH, "the data set has %d classes, but the model only %d", data->classes,
                        model->classes);
    }
    int other = agn_model_other_class(model->class_names, data);
    if (other >= 0) {
        return agn_fail(AGN_ERR_MISMATCH,
                        "class %d of the data set is '%s', but '%s' in the model: its labels mean something "
                        "else; give it the classes of the set that the model was trained on, in their order",
                        other, data->class_names[other], model->class_names[other]);
    }
    return agn_dataset_check_labels("the data set's", data);
}
