/* Reads model.agn for commands that hand it on; see device_model.h. */
#include "cli/device_model.h"

#include "agilenn/base.h"
#include "agilenn/deploy.h"
#include "agn_layout.h"

enum { MAX_MODEL_BYTES = 64 << 20, HUFFMAN = 3 /* a codec of earlier versions */ };

int agn__cli_open_device_model(const char *name, const uint8_t *bytes, size_t size_bytes,
                               struct agn_dev_model *model)
{
    int status = agn_dev_model_open(model, bytes, size_bytes);
    if (status == AGN_OK)
        return status;
    if (status == AGN_ERR_VERSION)
        return agn_fail(status,
                        "%s is version %d of model.agn, and this command reads version %d; export its "
                        "model.safetensors again with `agilenn export`",
                        name, agn__load_u16(bytes + AGN__AT_VERSION), AGN_MODEL_VERSION);
    if (status == AGN_ERR_UNSUPPORTED && bytes[AGN__AT_CODEC] == HUFFMAN)
        return agn_fail(status,
                        "%s has the codec huffman, which is no more; export its model.safetensors again with "
                        "`agilenn export`, which takes range in its place",
                        name);
    return agn_fail(status, "%s: %s", name, agn_model_agn_problem(status));
}

int agn__cli_read_device_model(const char *path, uint8_t **model, size_t *model_bytes)
{
    struct agn_dev_model opened;
    int status = agn_file_read(path, MAX_MODEL_BYTES, model, model_bytes);
    return status < 0 ? status : agn__cli_open_device_model(path, *model, *model_bytes, &opened);
}
