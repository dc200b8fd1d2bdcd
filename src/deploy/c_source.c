/* A model as C sources: a folder with the runtime, the link to the server, the model as an array, and
 * examples, that drops into any firmware project. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agilenn/base.h"
#include "agilenn/deploy.h"
#include "deploy/runtime_files.h"

enum { PREFIX_BYTES = 33, PATH_BYTES = 1200, TEST_SEED = 20240229 };

/* What was written, one name a line, so that the next export knows what is its own. */
#define MANIFEST "agilenn-export.txt"

struct exporter {
    const struct agn_c_source *source;
    struct agn_dev_model model;
    char lower[PREFIX_BYTES], upper[PREFIX_BYTES]; /* prefix of names and of macros */
    struct agn_c_source_report report;
    char *manifest, *earlier; /* texts; NULL: none */
    size_t manifest_bytes;
};

/* ---- text ----------------------------------------------------------------------------------------- */

struct text {
    char *chars;
    size_t length, cap;
    int status;
};

static void append_bytes(struct text *text, const char *bytes, size_t count)
{
    if (text->status < 0)
        return;
    if (text->chars == NULL || text->length + count + 1 > text->cap) {
        size_t cap = 2 * text->cap + count + 1024;
        char *larger = agn_alloc(cap, 1);
        if (larger == NULL) {
            text->status = AGN_ERR_MEMORY;
            return;
        }
        if (text->chars != NULL)
            memcpy(larger, text->chars, text->length);
        agn_free(text->chars);
        text->chars = larger;
        text->cap = cap;
    }
    memcpy(text->chars + text->length, bytes, count);
    text->length += count;
    text->chars[text->length] = '\0';
}

__attribute__((format(printf, 2, 3))) static void append(struct text *text, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    append_bytes(text, line, length < (int)sizeof(line) ? (size_t)length : sizeof(line) - 1);
}

static void append_numbers(struct text *text, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        append(text, "%s%u,", i % 20 == 0 ? "\n    " : " ", bytes[i]);
}

/* A C string; what is not plain ASCII in octal. */
static void append_string(struct text *text, const char *string)
{
    append(text, "\"");
    for (const unsigned char *c = (const unsigned char *)string; *c != '\0'; c++)
        append(text, isalnum(*c) || *c == ' ' || *c == '-' || *c == '_' || *c == '.' ? "%c" : "\\%03o", *c);
    append(text, "\"");
}

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
    struct text text = {e->manifest, e->manifest_bytes, e->manifest == NULL ? 0 : e->manifest_bytes + 1, 0};
    append(&text, "%s\n", name);
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

static int write_text(struct exporter *e, const char *name, struct text *text)
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
    struct text text = {0};
    append_bytes(&text, (const char *)data, size);
    append(&text, "\n");
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

/* ---- templates -------------------------------------------------------------------------------------- */

/* Of what stands in the templates: names of the model, and of the library in CMakeLists.txt. */
static bool replace_name(const struct exporter *e, const char **at, struct text *text)
{
    const struct {
        const char *from, *prefix, *rest;
    } names[] = {{"AGN_MODEL_", e->upper, "_MODEL_"},
                 {"agn_model_", e->lower, "_model_"},
                 {"set(agn_library agilenn)", "set(agn_library agilenn_", NULL}};
    for (size_t i = 0; i < AGN_COUNT_OF(names); i++) {
        size_t length = strlen(names[i].from);
        if (strncmp(*at, names[i].from, length) != 0)
            continue;
        append(text, "%s%s", names[i].prefix, names[i].rest != NULL ? names[i].rest : e->lower);
        append(text, "%s", names[i].rest != NULL ? "" : ")");
        *at += length;
        return true;
    }
    return false;
}

static int write_template(struct exporter *e, const struct agn__runtime_file *file)
{
    bool runtime = strncmp(file->name, "runtime/", strlen("runtime/")) == 0;
    if (runtime || strcmp(e->lower, "agn") == 0)
        return write_file(e, file->name, file->bytes, file->size_bytes);
    struct text whole = {0}, text = {0};
    append_bytes(&whole, (const char *)file->bytes, file->size_bytes);
    for (const char *at = whole.chars; whole.status >= 0 && *at != '\0';) {
        if (!replace_name(e, &at, &text)) {
            append_bytes(&text, at, 1);
            at++;
        }
    }
    text.status = whole.status < 0 ? whole.status : text.status;
    agn_free(whole.chars);
    return write_text(e, file->name, &text);
}

/* Arduino's builder compiles what lies in src/, and nothing else does: each file there is one of the others.
 */
static int write_arduino(struct exporter *e, const char *name)
{
    char file[PATH_BYTES + 8];
    const char *base = strrchr(name, '/');
    struct text text = {0};
    snprintf(file, sizeof(file), "src/%s", base == NULL ? name : base + 1);
    append(&text, "#if defined(ARDUINO)\n#include \"../%s\"\n#endif\n", name);
    return write_text(e, file, &text);
}

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

static int write_templates(struct exporter *e)
{
    int status = AGN_OK;
    for (int i = 0; i < agn__runtime_file_count && status >= 0; i++) {
        const struct agn__runtime_file *file = &agn__runtime_files[i];
        bool runtime = strncmp(file->name, "runtime/", strlen("runtime/")) == 0;
        status = write_template(e, file);
        if (status >= 0 && runtime && ends_with(file->name, ".c"))
            status = write_arduino(e, file->name);
    }
    struct text header = {0};
    append(&header, "#include \"../agilenn.h\"\n");
    return status < 0 ? status : write_text(e, "src/agilenn.h", &header);
}

/* ---- the model ---------------------------------------------------------------------------------------- */

/* Two models under one name are refused by the compiler, and so is a runtime of another version. */
static int write_header(struct exporter *e)
{
    const struct agn_dev_model *m = &e->model;
    const char *u = e->upper, *l = e->lower;
    char name[PATH_BYTES];
    struct text text = {0};
    append(&text,
           "/* The model's sizes, bytes and class names (model id %08x). Made by agilenn export --c-source. "
           "*/\n",
           (unsigned)m->model_id);
    append(&text, "#if defined(%s_MODEL_ID) && %s_MODEL_ID != 0x%08xu\n", u, u, (unsigned)m->model_id);
    append(&text, "#error \"two models are called %s: export one of them with --prefix NAME\"\n#endif\n", l);
    append(&text, "#ifndef %s_MODEL_ID\n#define %s_MODEL_ID          0x%08xu\n\n", u, u,
           (unsigned)m->model_id);
    append(&text, "#include \"runtime/agn_device.h\"\n\n");
    append(&text, "#if AGN_DEVICE_RUNTIME != %d\n#error \"", AGN_DEVICE_RUNTIME);
    append(
        &text,
        "runtime/ and this model are of different versions of agilenn: export the model again\"\n#endif\n\n");
    append(&text, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
    append(&text, "#define %s_MODEL_BYTES       %lu\n", u, (unsigned long)m->size_bytes);
    append(&text, "#define %s_MODEL_ARENA_BYTES %lu\n", u, (unsigned long)agn_dev_arena_bytes(m));
    append(&text, "#define %s_MODEL_INPUT_H     %d\n", u, m->input_h);
    append(&text, "#define %s_MODEL_INPUT_W     %d\n", u, m->input_w);
    append(&text, "#define %s_MODEL_INPUT_C     %d\n", u, m->input_c);
    append(&text, "#define %s_MODEL_CLASSES     %d\n\n", u, m->classes);
    append(&text, "/* Aligned as agn_dev_init needs it. */\nextern const union %s_model_data {\n", l);
    append(&text, "    uint8_t bytes[%s_MODEL_BYTES];\n    uint32_t alignment;\n} %s_model_data;\n\n", u, l);
    append(&text, "/* UTF-8; in a file of its own, so that they take flash only where they are used. */\n");
    append(&text, "extern const char *const %s_model_class_names[%s_MODEL_CLASSES];\n\n", l, u);
    append(&text, "#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    snprintf(name, sizeof(name), "%s_model_data.h", l);
    return write_text(e, name, &text);
}

static int write_source(struct exporter *e, const char *which, struct text *text)
{
    char name[PATH_BYTES];
    snprintf(name, sizeof(name), "%s_model_%s.c", e->lower, which);
    int status = write_text(e, name, text);
    return status < 0 ? status : write_arduino(e, name);
}

static int write_data(struct exporter *e)
{
    struct text text = {0};
    append(&text, "#include \"%s_model_data.h\"\n\n", e->lower);
    append(&text, "const union %s_model_data %s_model_data = {{", e->lower, e->lower);
    append_numbers(&text, e->source->bytes, e->source->size_bytes);
    append(&text, "\n}};\n");
    return write_source(e, "data", &text);
}

static int write_names(struct exporter *e)
{
    struct text text = {0};
    append(&text, "#include \"%s_model_data.h\"\n\n", e->lower);
    append(&text, "const char *const %s_model_class_names[%s_MODEL_CLASSES] = {\n", e->lower, e->upper);
    for (int c = 0; c < e->model.classes; c++) {
        append(&text, "    ");
        append_string(&text, e->source->class_names[c]);
        append(&text, ",\n");
    }
    append(&text, "};\n");
    return write_source(e, "names", &text);
}

/* ---- the test vector -------------------------------------------------------------------------------------
 */

/* The frame of firmware/export/examples/self_test.c. */
static int push_test_frame(struct agn_dev *dev, uint8_t *row)
{
    size_t row_bytes = (size_t)dev->model.input_w * dev->model.input_c;
    uint32_t state = TEST_SEED;
    int status = agn_dev_frame_begin(dev, 1, 200);
    for (int y = 0; y < dev->model.input_h && status >= 0; y++) {
        for (size_t i = 0; i < row_bytes; i++) {
            state = state * UINT32_C(1664525) + UINT32_C(1013904223);
            row[i] = (uint8_t)(state >> 24);
        }
        status = agn_dev_push_rows(dev, row, 1);
    }
    return status;
}

static int write_results(struct exporter *e, struct agn_dev *dev)
{
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    char name[PATH_BYTES];
    struct text text = {0}, packets = {0};
    size_t total = 0;
    int length;
    while ((length = agn_dev_next_packet(dev, packet, sizeof(packet))) > 0) {
        append_numbers(&packets, packet, (size_t)length);
        total += (size_t)length;
    }
    append(&text, "/* What the model makes of the frame in examples/self_test.c: see there. */\n");
    append(&text, "#define %s_MODEL_TEST_SEED  UINT32_C(%d)\n", e->upper, TEST_SEED);
    append(&text, "#define %s_MODEL_TEST_BYTES %zuu\n\n", e->upper, total);
    append(&text, "static const int16_t %s_model_test_logits[] = {", e->lower);
    for (int c = 0; c < e->model.classes; c++)
        append(&text, "%s%d,", c % 16 == 0 ? "\n    " : " ", agn_dev_local(dev)[c]);
    append(&text, "\n};\n\nstatic const uint8_t %s_model_test_packets[] = {", e->lower);
    if (packets.length > 0)
        append_bytes(&text, packets.chars, packets.length);
    append(&text, "\n};\n");
    text.status = packets.status < 0 ? packets.status : length < 0 ? length : text.status;
    agn_free(packets.chars);
    snprintf(name, sizeof(name), "%s_model_test.h", e->lower);
    return write_text(e, name, &text);
}

static int write_test(struct exporter *e)
{
    struct agn_dev dev;
    size_t arena_bytes = agn_dev_arena_bytes(&e->model);
    void *arena = agn_alloc(arena_bytes, 1);
    uint8_t *row = agn_alloc((size_t)e->model.input_w, e->model.input_c);
    int status = arena == NULL || row == NULL ? AGN_ERR_MEMORY : AGN_OK;
    if (status >= 0)
        status = agn_dev_init(&dev, e->source->bytes, e->source->size_bytes, arena, arena_bytes);
    if (status >= 0)
        status = push_test_frame(&dev, row);
    if (status >= 0)
        status = write_results(e, &dev);
    agn_free(row);
    agn_free(arena);
    return status;
}

/* ---- all
 * ---------------------------------------------------------------------------------------------------- */

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
        status = note_file(e, MANIFEST);
    if (status >= 0)
        status = remove_stale(e);
    if (status >= 0)
        status = write_file(e, MANIFEST, e->manifest, e->manifest_bytes);
    return status;
}

int agn_deploy_c_source(const struct agn_c_source *source, struct agn_c_source_report *report)
{
    struct exporter e = {.source = source};
    int status = agn_dev_model_open(&e.model, source->bytes, source->size_bytes);
    if (status < 0)
        return agn_fail(status, "the model cannot be exported: %s", agn_model_agn_problem(status));
    status = take_prefix(&e);
    if (status >= 0)
        status = write_all(&e);
    agn_free(e.manifest);
    agn_free(e.earlier);
    if (report != NULL)
        *report = e.report;
    return status;
}
