/* The engine's door to XNNPACK, for inference on processors that oneDNN has no code for (arm64 above all):
 * convolutions on NHWC floats, with a clamp in place of ReLU6. Built without the library, all of it answers
 * AGN_ERR_UNSUPPORTED (no_xnnpack.c). */
#ifndef AGN_NN_XNNPACK_H
#define AGN_NN_XNNPACK_H

#include <stdbool.h>
#include <stddef.h>

#include "nn/onednn.h"

/* Is the library there, and does it know this processor? */
bool agn__xnn_is_there(void);

/* What may compute at the same time has a set of its own: its threads and its operators, each with packed
 * weights, which all nets of the set share whatever their batch. */
struct agn__xnn_set;
int agn__xnn_set_create(int threads, struct agn__xnn_set **set);
void agn__xnn_set_free(struct agn__xnn_set *set);
size_t agn__xnn_set_bytes(const struct agn__xnn_set *set);

/* Makes operator number `key` of the set, unless it is there. weights (oc, kh, kw, ic), depthwise (oc, kh,
 * kw); bias (oc); both are copied. shape->batch is not looked at. Status. */
int agn__xnn_conv_create(struct agn__xnn_set *set, int key, const struct agn__conv_shape *shape,
                         const float *weights, const float *bias, bool relu6);
/* dst = [clamped] convolution(src), of shape->batch images. XNNPACK may read (not use) up to AGN__XNN_BEYOND
 * bytes past the source's end. */
enum { AGN__XNN_BEYOND = 64 };
int agn__xnn_conv_run(struct agn__xnn_set *set, int key, const struct agn__conv_shape *shape,
                      const float *src, float *dst);

#endif
