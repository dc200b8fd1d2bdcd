/* A model as C sources: a folder with the runtime, the link to the server, the model as an array, and
 * examples, that drops into any firmware project. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agilenn/base.h"
#include "agilenn/deploy.h"
#include "agilenn/hosted.h"
#include "agn_build.h"
#include "deploy/cmsis_pack.h"
#include "deploy/runtime_files.h"
#include "deploy/source_text.h"

enum { PREFIX_BYTES = 33, PATH_BYTES = 1200, TEST_SEED = 20240229 };

/* What was written, one name a line, so that the next export knows what is its own. */
#define MANIFEST "agilenn-export.txt"

struct exporter {
    const struct agn_c_source *source;
    struct agn_hosted device;
    char lower[PREFIX_BYTES], upper[PREFIX_BYTES]; /* prefix of names and of macros */
    struct agn_c_source_report report;
    char *manifest, *earlier; /* texts; NULL: none */
    size_t manifest_bytes;
};

/* ---- files ---------------------------------------------------------------------------------------- */

static int path_of(const struct exporter *e, const char *name, char path[PATH_BYTES])
{
    int length = snprintf(path, PATH_BYTES, "%s/%s", e->source->folder, name);
    return length < 0 || length >= PATH_BYTES
               ? agn_fail(AGN_ERR_ARG, "%.100s...: the path is too long", e->source->folder)
               : AGN_OK;
}

static int note_file(struct exporter *e, const char *name)
{
    struct agn__text text = {e->manifest, e->manifest_bytes, e->manifest == NULL ? 0 : e->manifest_bytes + 1,
                             0};
    agn__text_add(&text, "%s\n", name);
    e->manifest = text.chars;
    e->manifest_bytes = text.length;
    return text.status;
}

static int write_file(struct exporter *e, const char *name, const void *bytes, size_t size)
{
    char path[PATH_BYTES];
    int status = path_of(e, name, path);
    if (status < 0)
        return status;
    char *slash = strrchr(path, '/');
    *slash = '\0';
    status = agn_make_dirs(path);
    *slash = '/';
    e->report.files++;
    e->report.replaced += access(path, F_OK) == 0;
    if (status >= 0)
        status = agn_file_write(path, bytes, size);
    return status < 0 ? status : note_file(e, name);
}

static int write_text(struct exporter *e, const char *name, struct agn__text *text)
{
    int status = text->status < 0 ? text->status : write_file(e, name, text->chars, text->length);
    agn_free(text->chars);
    return status;
}

/* Is `name` a line of `list`? */
static bool is_listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at != NULL && *at != '\0'; at = strchr(at, '\n') + 1)
        if (strncmp(at, name, length) == 0 && at[length] == '\n')
            return true;
    return false;
}

/* A name that an export may have written: nothing outside of the folder. */
static bool is_ours(const char *name)
{
    return name[0] != '/' && name[0] != '\0' && strstr(name, "..") == NULL;
}

static int read_manifest(struct exporter *e)
{
    char path[PATH_BYTES];
    uint8_t *data = NULL;
    size_t size = 0;
    int status = path_of(e, MANIFEST, path);
    if (status < 0 || access(path, F_OK) != 0)
        return status;
    status = agn_file_read(path, 1 << 20, &data, &size);
    if (status < 0)
        return status;
    struct agn__text text = {0};
    agn__text_bytes(&text, (const char *)data, size);
    agn__text_add(&text, "\n");
    agn_free(data);
    e->earlier = text.chars;
    return text.status;
}

/* Whatever an earlier export wrote and this one did not. */
static int remove_stale(struct exporter *e)
{
    char name[256], path[PATH_BYTES];
    for (char *at = e->earlier; at != NULL && *at != '\0'; at = strchr(at, '\n') + 1) {
        size_t length = strcspn(at, "\n");
        if (length == 0 || length >= sizeof(name))
            continue;
        memcpy(name, at, length);
        name[length] = '\0';
        if (!is_ours(name) || is_listed(e->manifest, name))
            continue;
        int status = path_of(e, name, path);
        if (status < 0)
            return status;
        e->report.removed += unlink(path) == 0;
    }
    return AGN_OK;
}

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

/* Of an export that left no list, say, or put there by hand. */
static int find_strangers(struct exporter *e, const char *folder)
{
    char path[PATH_BYTES], name[PATH_BYTES];
    int status = path_of(e, folder, path);
    DIR *dir = status < 0 ? NULL : opendir(path);
    if (dir == NULL)
        return status < 0 ? status : agn_fail(AGN_ERR_IO, "%s: cannot be read", path);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        bool code = ends_with(entry->d_name, ".c") || ends_with(entry->d_name, ".h");
        snprintf(name, sizeof(name), "%s/%s", folder, entry->d_name);
        if (!code || is_listed(e->manifest, name))
            continue;
        e->report.strangers++;
        snprintf(e->report.stranger, sizeof(e->report.stranger), "%.63s", name);
    }
    closedir(dir);
    return AGN_OK;
}

/* ---- templates -------------------------------------------------------------------------------------- */

struct rule {
    const char *from;
    char to[PREFIX_BYTES + 32];
};

/* `file` with each rule's words replaced. */
static int write_replaced(struct exporter *e, const struct agn_embedded_file *file, const struct rule *rules,
                          size_t count)
{
    struct agn__text text = {0};
    const char *at = (const char *)file->bytes, *end = at + file->size_bytes;
    while (at < end) {
        const struct rule *rule = NULL;
        for (size_t i = 0; i < count && rule == NULL; i++) {
            size_t length = strlen(rules[i].from);
            if (length <= (size_t)(end - at) && memcmp(at, rules[i].from, length) == 0)
                rule = &rules[i];
        }
        agn__text_bytes(&text, rule != NULL ? rule->to : at, rule != NULL ? strlen(rule->to) : 1);
        at += rule != NULL ? strlen(rule->from) : 1;
    }
    return write_text(e, file->name, &text);
}

static bool begins_with(const char *name, const char *begin)
{
    return strncmp(name, begin, strlen(begin)) == 0;
}

/* Parts of the runtime that not every model needs (agn_parts.h). */
static bool needs_jpeg(const struct agn_dev_model *model)
{
    return model->codec == AGN_CODEC_JPEG;
}

static bool needs_graphs(const struct agn_dev_model *model)
{
    return model->graph.layers != NULL;
}

static const struct {
    const char *setting, *files; /* as agn_parts.h has it by itself; how their names begin */
    bool (*needed)(const struct agn_dev_model *model);
} optional[] = {{"AGN_WITH_JPEG 1", "runtime/agn_jpeg", needs_jpeg},
                {"AGN_WITH_GRAPHS 1", "runtime/agn_graph", needs_graphs},
                {"AGN_WITH_GRAPHS 1", "runtime/agn_kernel_graph", needs_graphs},
                {"AGN_WITH_GRAPHS 1", "runtime/agn_split", needs_graphs}};

/* With the names of the model, and of the library in CMakeLists.txt; the version in what describes it. */
static int write_renamed(struct exporter *e, const struct agn_embedded_file *file)
{
    bool plain = strcmp(e->lower, "agn") == 0;
    struct rule rules[] = {{"AGN_EXPORT_VERSION", AGN_VERSION},
                           {.from = "AGN_MODEL_"},
                           {.from = "agn_model_"},
                           {.from = "set(agn_library agilenn)"}};
    snprintf(rules[1].to, sizeof(rules[1].to), "%s_MODEL_", e->upper);
    snprintf(rules[2].to, sizeof(rules[2].to), "%s_model_", e->lower);
    snprintf(rules[3].to, sizeof(rules[3].to), "set(agn_library agilenn%s%s)", plain ? "" : "_",
             plain ? "" : e->lower);
    return write_replaced(e, file, rules, AGN_COUNT_OF(rules));
}

/* With headers by their place in the folder, so that no build system needs another include path for them. */
static int write_driver(struct exporter *e, const struct agn_embedded_file *file)
{
    static const struct rule rules[] = {{"#include \"drivers/", "#include \""},
                                        {"#include \"agn_", "#include \"../runtime/agn_"}};
    return write_replaced(e, file, rules, AGN_COUNT_OF(rules));
}

/* What the model needs of the runtime, said where its files look. */
static int write_parts(struct exporter *e, const struct agn_embedded_file *file)
{
    struct rule rules[AGN_COUNT_OF(optional)];
    for (size_t i = 0; i < AGN_COUNT_OF(optional); i++) {
        rules[i].from = optional[i].setting;
        snprintf(rules[i].to, sizeof(rules[i].to), "%.*s %d", (int)strlen(optional[i].setting) - 2,
                 optional[i].setting, optional[i].needed(&e->device.dev.model));
    }
    return write_replaced(e, file, rules, AGN_COUNT_OF(rules));
}

/* A part of the runtime that the model does without. */
static bool is_left_out(const struct exporter *e, const struct agn_embedded_file *file)
{
    for (size_t i = 0; i < AGN_COUNT_OF(optional); i++)
        if (begins_with(file->name, optional[i].files) && !optional[i].needed(&e->device.dev.model))
            return true;
    return false;
}

static int write_template(struct exporter *e, const struct agn_embedded_file *file)
{
    if (strcmp(file->name, "runtime/agn_parts.h") == 0)
        return write_parts(e, file);
    if (begins_with(file->name, "drivers/"))
        return write_driver(e, file);
    if (begins_with(file->name, "runtime/"))
        return write_file(e, file->name, file->bytes, file->size_bytes);
    return write_renamed(e, file);
}

/* Arduino's builder compiles what lies in src/, nothing else does: each file there is one of the others. */
static int write_arduino(struct exporter *e, const char *name)
{
    char file[PATH_BYTES + 8];
    const char *base = strrchr(name, '/');
    struct agn__text text = {0};
    snprintf(file, sizeof(file), "src/%s", base == NULL ? name : base + 1);
    agn__text_add(&text, "#if defined(ARDUINO)\n#include \"../%s\"\n#endif\n", name);
    return write_text(e, file, &text);
}

static int write_templates(struct exporter *e)
{
    int status = AGN_OK;
    for (int i = 0; i < agn__runtime_file_count && status >= 0; i++) {
        const struct agn_embedded_file *file = &agn__runtime_files[i];
        bool library = begins_with(file->name, "runtime/") || begins_with(file->name, "drivers/");
        if (is_left_out(e, file))
            continue;
        status = write_template(e, file);
        if (status >= 0 && library && ends_with(file->name, ".c"))
            status = write_arduino(e, file->name);
    }
    struct agn__text header = {0};
    agn__text_add(&header, "#include \"../agilenn.h\"\n");
    return status < 0 ? status : write_text(e, "src/agilenn.h", &header);
}

/* ---- the model ---------------------------------------------------------------------------------------- */

/* Two models under one name are refused by the compiler, and so is a runtime of another version. */
static int write_header(struct exporter *e)
{
    const struct agn_dev_model *m = &e->device.dev.model;
    const char *u = e->upper, *l = e->lower;
    char name[PATH_BYTES];
    struct agn__text text = {0};
    agn__text_add(
        &text,
        "/* The model's sizes, bytes and class names (model id %08x). Made by agilenn export --c-source. "
        "*/\n",
        (unsigned)m->model_id);
    agn__text_add(&text, "#if defined(%s_MODEL_ID) && %s_MODEL_ID != 0x%08xu\n", u, u, (unsigned)m->model_id);
    agn__text_add(&text,
                  "#error \"two models are called %s: export one of them with --prefix NAME\"\n#endif\n", l);
    agn__text_add(&text, "#ifndef %s_MODEL_ID\n#define %s_MODEL_ID          0x%08xu\n\n", u, u,
                  (unsigned)m->model_id);
    agn__text_add(&text, "#include \"runtime/agn_device.h\"\n\n");
    agn__text_add(&text, "#if AGN_DEVICE_RUNTIME != %d\n#error \"", AGN_DEVICE_RUNTIME);
    agn__text_add(
        &text,
        "runtime/ and this model are of different versions of agilenn: export the model again\"\n#endif\n\n");
    agn__text_add(&text, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
    agn__text_add(&text, "#define %s_MODEL_BYTES       %lu\n", u, (unsigned long)m->size_bytes);
    agn__text_add(&text, "#define %s_MODEL_ARENA_BYTES %lu\n", u, (unsigned long)agn_dev_arena_bytes(m));
    agn__text_add(&text, "#define %s_MODEL_INPUT_H     %d\n", u, m->input_h);
    agn__text_add(&text, "#define %s_MODEL_INPUT_W     %d\n", u, m->input_w);
    agn__text_add(&text, "#define %s_MODEL_INPUT_C     %d\n", u, m->input_c);
    agn__text_add(&text, "#define %s_MODEL_CLASSES     %d\n\n", u, m->classes);
    agn__text_add(&text, "/* Aligned as agn_dev_init needs it. */\nextern const union %s_model_data {\n", l);
    agn__text_add(&text, "    uint8_t bytes[%s_MODEL_BYTES];\n    uint32_t alignment;\n} %s_model_data;\n\n",
                  u, l);
    agn__text_add(&text,
                  "/* UTF-8; in a file of its own, so that they take flash only where they are used. */\n");
    agn__text_add(&text, "extern const char *const %s_model_class_names[%s_MODEL_CLASSES];\n\n", l, u);
    agn__text_add(&text, "#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    snprintf(name, sizeof(name), "%s_model_data.h", l);
    return write_text(e, name, &text);
}

static int write_source(struct exporter *e, const char *which, struct agn__text *text)
{
    char name[PATH_BYTES];
    snprintf(name, sizeof(name), "%s_model_%s.c", e->lower, which);
    int status = write_text(e, name, text);
    return status < 0 ? status : write_arduino(e, name);
}

static int write_data(struct exporter *e)
{
    struct agn__text text = {0};
    agn__text_add(&text, "#include \"%s_model_data.h\"\n\n", e->lower);
    agn__text_add(&text, "const union %s_model_data %s_model_data = {{", e->lower, e->lower);
    agn__text_numbers(&text, e->source->bytes, e->source->size_bytes);
    agn__text_add(&text, "\n}};\n");
    return write_source(e, "data", &text);
}

static int write_names(struct exporter *e)
{
    struct agn__text text = {0};
    agn__text_add(&text, "#include \"%s_model_data.h\"\n\n", e->lower);
    agn__text_add(&text, "const char *const %s_model_class_names[%s_MODEL_CLASSES] = {\n", e->lower,
                  e->upper);
    for (int c = 0; c < e->device.dev.model.classes; c++) {
        agn__text_add(&text, "    ");
        agn__text_string(&text, e->source->class_names[c]);
        agn__text_add(&text, ",\n");
    }
    agn__text_add(&text, "};\n");
    return write_source(e, "names", &text);
}

/* ---- the test vector ----------------------------------------------------------------------------------- */

/* The frame of firmware/export/examples/self_test.c. */
static void make_test_frame(uint8_t *pixels, size_t count)
{
    uint32_t state = TEST_SEED;
    for (size_t i = 0; i < count; i++) {
        state = state * UINT32_C(1664525) + UINT32_C(1013904223);
        pixels[i] = (uint8_t)(state >> 24);
    }
}

static int write_results(struct exporter *e, struct agn_dev *dev)
{
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    char name[PATH_BYTES];
    struct agn__text text = {0}, packets = {0};
    size_t total = 0;
    int length;
    while ((length = agn_dev_next_packet(dev, packet, sizeof(packet))) > 0) {
        agn__text_numbers(&packets, packet, (size_t)length);
        total += (size_t)length;
    }
    agn__text_add(&text, "/* What the model makes of the frame in examples/self_test.c: see there. */\n");
    agn__text_add(&text, "#define %s_MODEL_TEST_SEED  UINT32_C(%d)\n", e->upper, TEST_SEED);
    agn__text_add(&text, "#define %s_MODEL_TEST_BYTES %zuu\n\n", e->upper, total);
    agn__text_add(&text, "static const int16_t %s_model_test_logits[] = {", e->lower);
    for (int c = 0; c < e->device.dev.model.classes; c++)
        agn__text_add(&text, "%s%d,", c % 16 == 0 ? "\n    " : " ", agn_dev_local(dev)[c]);
    agn__text_add(&text, "\n};\n\nstatic const uint8_t %s_model_test_packets[] = {", e->lower);
    if (packets.length > 0)
        agn__text_bytes(&text, packets.chars, packets.length);
    agn__text_add(&text, "\n};\n");
    text.status = packets.status < 0 ? packets.status : length < 0 ? length : text.status;
    agn_free(packets.chars);
    snprintf(name, sizeof(name), "%s_model_test.h", e->lower);
    return write_text(e, name, &text);
}

static int write_test(struct exporter *e)
{
    const struct agn_dev_model *model = &e->device.dev.model;
    size_t count = (size_t)model->input_h * model->input_w * model->input_c;
    uint8_t *pixels = agn_alloc(count, 1);
    if (pixels == NULL)
        return AGN_ERR_MEMORY;
    make_test_frame(pixels, count);
    int status = agn_hosted_image(&e->device, pixels, 1, 200);
    if (status >= 0)
        status = write_results(e, &e->device.dev);
    agn_free(pixels);
    return status;
}

/* ---- all ------------------------------------------------------------------------------------------ */

static int take_prefix(struct exporter *e)
{
    const char *prefix = e->source->prefix != NULL ? e->source->prefix : "agn";
    size_t length = strlen(prefix);
    bool good =
        length > 0 && length < PREFIX_BYTES && (isalpha((unsigned char)prefix[0]) || prefix[0] == '_');
    for (size_t i = 0; i < length && good; i++) {
        unsigned char c = (unsigned char)prefix[i];
        good = c < 128 && (isalnum(c) || c == '_');
        e->lower[i] = (char)tolower(c);
        e->upper[i] = (char)toupper(c);
    }
    return good
               ? AGN_OK
               : agn_fail(AGN_ERR_ARG,
                          "'%.40s' is no prefix: a letter, then letters, digits and _, at most %d characters",
                          prefix, PREFIX_BYTES - 1);
}

/* Last, as it lists the others. */
static int write_pack(struct exporter *e)
{
    char name[PATH_BYTES];
    struct agn__text text = {0};
    const struct agn__cmsis_pack pack = {e->lower, e->device.dev.model.model_id, e->manifest};
    agn__cmsis_pack_write(&text, &pack);
    snprintf(name, sizeof(name), "AgileNN.%s_model.pdsc", e->lower);
    return write_text(e, name, &text);
}

static int write_all(struct exporter *e)
{
    int status = read_manifest(e);
    if (status >= 0)
        status = write_templates(e);
    if (status >= 0)
        status = write_header(e);
    if (status >= 0)
        status = write_data(e);
    if (status >= 0)
        status = write_names(e);
    if (status >= 0)
        status = write_test(e);
    if (status >= 0)
        status = write_pack(e);
    if (status >= 0)
        status = note_file(e, MANIFEST);
    if (status >= 0)
        status = remove_stale(e);
    if (status >= 0)
        status = write_file(e, MANIFEST, e->manifest, e->manifest_bytes);
    static const char *const folders[] = {"runtime", "drivers", "src"};
    for (size_t i = 0; i < AGN_COUNT_OF(folders) && status >= 0; i++)
        status = find_strangers(e, folders[i]);
    return status;
}

int agn_deploy_c_source(const struct agn_c_source *source, struct agn_c_source_report *report)
{
    struct exporter e = {.source = source};
    int status = agn_hosted_open(&e.device, source->bytes, source->size_bytes);
    if (status < 0)
        return status;
    status = take_prefix(&e);
    if (status >= 0)
        status = write_all(&e);
    agn_hosted_close(&e.device);
    agn_free(e.manifest);
    agn_free(e.earlier);
    if (report != NULL)
        *report = e.report;
    return status;
}
