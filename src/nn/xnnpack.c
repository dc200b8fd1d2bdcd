/* Convolutions through XNNPACK. See xnnpack.h. */
#include "nn/xnnpack.h"

#include <math.h>
#include <xnnpack.h>

#include "agilenn/nn.h"

enum { MOST = AGN_MAX_OPS };

struct agn__xnn_set {
    pthreadpool_t threads; /* NULL: the caller's */
    xnn_operator_t operators[MOST];
    size_t bytes;
};

static int status_of(enum xnn_status status, const char *what)
{
    if (status == xnn_status_success)
        return AGN_OK;
    return agn_fail(status == xnn_status_out_of_memory ? AGN_ERR_MEMORY : AGN_ERR_ENGINE,
                    "XNNPACK: %s failed (status %d)", what, (int)status);
}

bool agn__xnn_is_there(void)
{
    return xnn_initialize(NULL) == xnn_status_success; /* does its work once, whoever asks first */
}

int agn__xnn_set_create(int threads, struct agn__xnn_set **result)
{
    struct agn__xnn_set *set = agn_alloc(1, sizeof(*set));
    if (set == NULL)
        return AGN_ERR_MEMORY;
    set->threads = threads > 1 ? pthreadpool_create((size_t)threads) : NULL;
    if (threads > 1 && set->threads == NULL) {
        agn_free(set);
        return agn_fail(AGN_ERR_MEMORY, "XNNPACK: cannot start %d threads", threads);
    }
    *result = set;
    return AGN_OK;
}

void agn__xnn_set_free(struct agn__xnn_set *set)
{
    if (set == NULL)
        return;
    for (int i = 0; i < MOST; i++)
        if (set->operators[i] != NULL)
            (void)xnn_delete_operator(set->operators[i]);
    if (set->threads != NULL)
        pthreadpool_destroy(set->threads);
    agn_free(set);
}

size_t agn__xnn_set_bytes(const struct agn__xnn_set *set)
{
    return set == NULL ? 0 : set->bytes;
}

/* Padding that a kernel needs after the last row or column; what it leaves over needs none. */
static uint32_t pad_end(int out, int in, int stride, int kernel, int pad)
{
    int end = (out - 1) * stride + kernel - in - pad;
    return (uint32_t)(end > 0 ? end : 0);
}

int agn__xnn_conv_create(struct agn__xnn_set *set, int key, const struct agn__conv_shape *s,
                         const float *weights, const float *bias, bool relu6)
{
    if (key < 0 || key >= MOST)
        return agn_fail(AGN_ERR_RANGE, "XNNPACK: operator %d of at most %d", key, (int)MOST);
    if (set->operators[key] != NULL)
        return AGN_OK;
    size_t groups = s->depthwise ? (size_t)s->oc : 1, ic = s->depthwise ? 1 : (size_t)s->ic;
    set->bytes += (size_t)s->oc * (ic * (size_t)s->kernel_h * (size_t)s->kernel_w + 1) * sizeof(float);
    return status_of(xnn_create_convolution2d_nhwc_f32(
                         (uint32_t)s->pad_h, pad_end(s->ow, s->iw, s->stride, s->kernel_w, s->pad_w),
                         pad_end(s->oh, s->ih, s->stride, s->kernel_h, s->pad_h), (uint32_t)s->pad_w,
                         (uint32_t)s->kernel_h, (uint32_t)s->kernel_w, (uint32_t)s->stride,
                         (uint32_t)s->stride, 1, 1, (uint32_t)groups, ic, (size_t)s->oc / groups,
                         (size_t)s->ic, (size_t)s->oc, weights, bias, relu6 ? 0.0F : -INFINITY,
                         relu6 ? 6.0F : INFINITY, 0, &set->operators[key]),
                     "planning a convolution");
}

int agn__xnn_conv_run(struct agn__xnn_set *set, int key, const struct agn__conv_shape *s, const float *src,
                      float *dst)
{
    xnn_operator_t op = set->operators[key];
    int status = status_of(xnn_setup_convolution2d_nhwc_f32(op, (size_t)s->batch, (size_t)s->ih,
                                                            (size_t)s->iw, src, dst, set->threads),
                           "binding memory");
    return status == AGN_OK ? status_of(xnn_run_operator(op, set->threads), "running a convolution") : status;
}
