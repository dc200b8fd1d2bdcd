/* See small_model.h. */
#include "small_model.h"

#include <string.h>

static struct agn_model_layer layer(enum agn_layer_kind kind, int out_c, int kernel, int stride, int pad)
{
    struct agn_model_layer made;
    memset(&made, 0, sizeof made);
    made.kind = kind;
    made.out_c = out_c;
    made.kernel_h = made.kernel_w = kernel;
    made.stride_h = made.stride_w = stride;
    made.pad_h = made.pad_w = pad;
    made.out_zero_point = made.clamp_min = -128;
    made.clamp_max = 127;
    made.out_scale = 6.0f / 255.0f;
    return made;
}

void small_model_make(struct small_model *small)
{
    memset(small, 0, sizeof *small);
    struct agn_model_agn *model = &small->model;
    model->model_id = SMALL_MODEL_ID;
    model->input_h = model->input_w = SMALL_SIDE;
    model->input_c = 1;
    model->input_zero_point[0] = -55;
    model->input_scale[0] = 1.0f / 90.0f;
    for (int i = 0; i < 9; i++)
        small->depthwise_weights[i] = (int8_t)(i % 2 ? 40 : 15 * i);
    for (int i = 0; i < 6; i++) {
        small->pointwise_weights[i] = (int8_t)(20 * i - 30);
        small->pointwise[i] = (struct agn_model_channel){20 * 128 * i - 30 * 128 + 900, 1 << 30, 36};
    }
    small->depthwise[0] = (struct agn_model_channel){30000, 1 << 30, 39};
    for (int i = 0; i < (int)sizeof small->dense_weights; i++)
        small->dense_weights[i] = (int8_t)(i * 37 % 200 - 100);
    for (int i = 0; i < SMALL_CLASSES; i++)
        small->dense[i] = (struct agn_model_channel){1000 * i, 1 << 30, 40};

    small->layers[0] = layer(AGN_LAYER_DWCONV, 1, 3, 2, 1);
    small->layers[0].weights = small->depthwise_weights;
    small->layers[0].channels = small->depthwise;
    small->layers[1] = layer(AGN_LAYER_CONV, 6, 1, 1, 0);
    small->layers[1].weights = small->pointwise_weights;
    small->layers[1].channels = small->pointwise;
    model->layer_count = 2;
    model->layers = small->layers;
    model->local_c = 2;
    model->grid = 2;
    model->classes = SMALL_CLASSES;
    model->dense_weights = small->dense_weights;
    model->dense_channels = small->dense;
    model->alpha_q15 = 8192;
    model->codec = AGN_CODEC_LZW;
    for (int i = 0; i < 256; i++)
        model->symbols[i] = (uint8_t)(i < 40 ? 0 : i * 7 / 255);
    for (int i = 0; i < AGN_WIRE_LEVELS; i++)
        model->centroids[i] = (float)i * 0.8f;
}

void small_model_image(uint8_t *image)
{
    for (int i = 0; i < SMALL_SIDE * SMALL_SIDE; i++)
        image[i] = (uint8_t)(i * 91 % 256);
}
