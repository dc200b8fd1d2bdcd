/* Built without XNNPACK. See xnnpack.h. */
#include "nn/xnnpack.h"

#include "agilenn/base.h"

static int refuse(void)
{
    return agn_fail(AGN_ERR_UNSUPPORTED, "this program was built without XNNPACK (Debian: libxnnpack-dev)");
}

bool agn__xnn_is_there(void)
{
    return false;
}

int agn__xnn_set_create(int threads, struct agn__xnn_set **set)
{
    (void)threads;
    (void)set;
    return refuse();
}

void agn__xnn_set_free(struct agn__xnn_set *set)
{
    (void)set; /* there is none */
}

size_t agn__xnn_set_bytes(const struct agn__xnn_set *set)
{
    (void)set;
    return 0;
}

int agn__xnn_conv_create(struct agn__xnn_set *set, int key, const struct agn__conv_shape *shape,
                         const float *weights, const float *bias, bool relu6)
{
    (void)set;
    (void)key;
    (void)shape;
    (void)weights;
    (void)bias;
    (void)relu6;
    return refuse();
}

int agn__xnn_conv_run(struct agn__xnn_set *set, int key, const struct agn__conv_shape *shape,
                      const float *src, float *dst)
{
    (void)set;
    (void)key;
    (void)shape;
    (void)src;
    (void)dst;
    return refuse();
}
