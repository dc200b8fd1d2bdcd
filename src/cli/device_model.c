/* Reads model.agn for commands that hand it on; see device_model.h. */
#include "cli/device_model.h"

#include "agilenn/base.h"
#include "agilenn/deploy.h"
#include "agn_device.h"

enum { MAX_MODEL_BYTES = 64 << 20 };

int agn__cli_read_device_model(const char *path, uint8_t **model, size_t *model_bytes)
{
    struct agn_dev_model opened;
    int status = agn_file_read(path, MAX_MODEL_BYTES, model, model_bytes);
    if (status < 0)
        return status;
    status = agn_dev_model_open(&opened, *model, *model_bytes);
    return status == AGN_OK ? AGN_OK : agn_fail(status, "%s: %s", path, agn_model_agn_problem(status));
}
