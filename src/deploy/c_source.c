/* A model as C sources: a folder with the runtime, the model as an array, and an example, that drops into any
 * firmware project. */
#include <stdio.h>
#include <string.h>

#include "agilenn/base.h"
#include "agilenn/deploy.h"
#include "deploy/runtime_files.h"

static int write_file(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[1200];
    int length = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= sizeof(path))
        return agn_fail(AGN_ERR_ARG, "%.100s...: the path is too long", folder);
    return agn_file_write(path, bytes, size);
}

static int write_header(const char *folder, const struct agn_dev_model *model)
{
    char text[2048];
    int length = snprintf(
        text, sizeof(text),
        "/* The model's sizes and bytes (model id %08x). Made by agilenn export --c-source. */\n"
        "#ifndef AGN_MODEL_DATA_H\n#define AGN_MODEL_DATA_H\n\n#include <stdint.h>\n\n"
        "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n"
        "#define AGN_MODEL_BYTES       %lu\n"
        "#define AGN_MODEL_ARENA_BYTES %lu\n"
        "#define AGN_MODEL_INPUT_H     %d\n#define AGN_MODEL_INPUT_W     %d\n#define AGN_MODEL_INPUT_C     "
        "%d\n"
        "#define AGN_MODEL_CLASSES     %d\n\n"
        "/* Aligned as agn_dev_init needs it. */\n"
        "extern const union agn_model_data {\n    uint8_t bytes[AGN_MODEL_BYTES];\n    uint32_t alignment;\n"
        "} agn_model_data;\n\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n",
        (unsigned)model->model_id, (unsigned long)model->size_bytes,
        (unsigned long)agn_dev_arena_bytes(model), model->input_h, model->input_w, model->input_c,
        model->classes);
    return write_file(folder, "agn_model_data.h", text, (size_t)length);
}

static int write_data(const char *folder, const uint8_t *bytes, size_t size)
{
    static const char begin[] =
        "#include \"agn_model_data.h\"\n\nconst union agn_model_data agn_model_data = {{";
    size_t cap = sizeof(begin) + 6 * size + size / 16 + 64, at = sizeof(begin) - 1;
    char *text = agn_alloc(cap, 1);
    if (text == NULL)
        return AGN_ERR_MEMORY;
    memcpy(text, begin, at);
    for (size_t i = 0; i < size; i++)
        at += (size_t)snprintf(text + at, cap - at, "%s%u,", i % 20 == 0 ? "\n    " : " ", bytes[i]);
    at += (size_t)snprintf(text + at, cap - at, "\n}};\n");
    int status = write_file(folder, "agn_model_data.c", text, at);
    agn_free(text);
    return status;
}

int agn_deploy_c_source(const char *folder, const uint8_t *bytes, size_t size)
{
    struct agn_dev_model model;
    char runtime[1200];
    int status = agn_dev_model_open(&model, bytes, size);
    if (status < 0)
        return agn_fail(status, "the model cannot be exported: %s", agn_model_agn_problem(status));
    snprintf(runtime, sizeof(runtime), "%.1100s/runtime", folder);
    status = agn_make_dirs(runtime);
    for (int i = 0; i < agn__runtime_file_count && status >= 0; i++) {
        const struct agn__runtime_file *file = &agn__runtime_files[i];
        status = write_file(folder, file->name, file->bytes, file->size_bytes);
    }
    if (status >= 0)
        status = write_header(folder, &model);
    return status < 0 ? status : write_data(folder, bytes, size);
}
