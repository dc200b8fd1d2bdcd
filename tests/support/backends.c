/* See backends.h. */
#include "backends.h"

#include <string.h>

static struct agn__backend copies;
static bool losing;

static int upload(float *memory, const float *host, size_t count)
{
    memcpy(memory, host, count * sizeof(float));
    return AGN_OK;
}

static int download(float *host, const float *memory, size_t count)
{
    if (losing)
        return agn_fail(AGN_ERR_IO, "the device is lost");
    memcpy(host, memory, count * sizeof(float));
    return AGN_OK;
}

const struct agn__backend *test_backend(int index)
{
    int count = 0;
    while (agn__backends[count] != NULL)
        count++;
    copies = agn__backend_cpu;
    copies.name = "cpu behind copies";
    copies.upload = upload;
    copies.download = download;
    copies.copy = upload;
    return index < count ? agn__backends[index] : index == count ? &copies : NULL;
}

void test_backend_lose(bool loses)
{
    losing = loses;
}
