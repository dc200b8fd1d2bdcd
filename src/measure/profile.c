/* Profiles of boards and radios: INI files, found as presets are. Which inputs there are is
 * profile_inputs.c's. */
#include "measure/profile.h"

#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agilenn/targets.h"

enum { MOST_INPUTS = 16, MOST_FOLDERS = 4, PROFILE_FILE_BYTES = 65536 };

static const char *const kind_names[] = {"board", "radio"};
static const char *const sure_words[] = {"known", "computed", "memory", "guess"};

/* ---- reading ----------------------------------------------------------------------------- */

struct reading {
    const struct agn__input *inputs;
    int count;
    const char *path, *at; /* at: what the parser has not seen yet */
    int line;
    int status;
    struct {
        int value_line, source_line, sure_line; /* 0: not given */
    } given[MOST_INPUTS];
    struct agn_profile_input values[MOST_INPUTS];
    char words[MOST_INPUTS][AGN_PROFILE_NAME];
};

static char *next_line(char *line, int cap, void *user)
{
    struct reading *r = user;
    size_t length = strcspn(r->at, "\n"), whole = length + (r->at[length] == '\n');
    if (r->at[0] == '\0')
        return NULL;
    r->line++;
    if (whole >= (size_t)cap) {
        if (r->status == AGN_OK)
            r->status = agn_fail(AGN_ERR_FORMAT, "profile %s, line %d: expected at most %d characters",
                                 r->path, r->line, cap - 2);
        return NULL;
    }
    memcpy(line, r->at, whole);
    line[whole] = '\0';
    r->at += whole;
    return line;
}

static const char *form_of(const struct agn__input *input)
{
    return input->type == AGN__INPUT_INTERVAL ? "three numbers, low typical high"
           : input->type == AGN__INPUT_NUMBER ? "one number"
                                              : "a word";
}

static int refuse(const struct reading *r, int code, const struct agn__input *input, const char *value,
                  const char *expected)
{
    return agn_fail(code, "profile %s, line %d: [%s] %s = %s: expected %s", r->path, r->line, input->section,
                    input->name, value, expected);
}

static int read_numbers(const struct reading *r, const struct agn__input *input, const char *text,
                        struct agn_interval *to)
{
    double numbers[4];
    int count = 0, want = input->type == AGN__INPUT_INTERVAL ? 3 : 1;
    char expected[160], *end;
    for (const char *at = text; *at != '\0' && count < 4; at = end) {
        numbers[count] = strtod(at, &end);
        if (end == at || (*end != '\0' && *end != ' ' && *end != '\t'))
            return refuse(r, AGN_ERR_FORMAT, input, text, form_of(input));
        end += strspn(end, " \t");
        count++;
    }
    if (count != want)
        return refuse(r, AGN_ERR_FORMAT, input, text, form_of(input));
    for (int i = 0; i < count; i++)
        if (!isfinite(numbers[i]) || numbers[i] < input->least || numbers[i] > input->most) {
            snprintf(expected, sizeof expected, "%s, each from %g to %g %s", form_of(input), input->least,
                     input->most, input->unit);
            return refuse(r, AGN_ERR_RANGE, input, text, expected);
        }
    *to = (struct agn_interval){numbers[0], numbers[count / 2], numbers[count - 1]};
    return to->low <= to->typical && to->typical <= to->high
               ? AGN_OK
               : refuse(r, AGN_ERR_RANGE, input, text, "low <= typical <= high");
}

static int read_word(const struct reading *r, const struct agn__input *input, const char *text,
                     char word[AGN_PROFILE_NAME])
{
    char names[256] = "one of";
    int count = 0;
    const struct agn_target *targets = agn_targets(&count);
    if (agn_target_find(text) == NULL) {
        for (int i = 0; i < count; i++)
            snprintf(names + strlen(names), sizeof names - strlen(names), " %s", targets[i].name);
        return refuse(r, AGN_ERR_FORMAT, input, text, names);
    }
    snprintf(word, AGN_PROFILE_NAME, "%s", text);
    return AGN_OK;
}

static int read_value(struct reading *r, int index, const char *value)
{
    const struct agn__input *input = &r->inputs[index];
    if (input->type == AGN__INPUT_WORD)
        return read_word(r, input, value, r->words[index]);
    return read_numbers(r, input, value, &r->values[index].value);
}

static int read_sure(struct reading *r, int index, const char *value)
{
    for (size_t i = 0; i < AGN_COUNT_OF(sure_words); i++)
        if (strcmp(sure_words[i], value) == 0) {
            r->values[index].sure = sure_words[i];
            return AGN_OK;
        }
    return agn_fail(AGN_ERR_FORMAT,
                    "profile %s, line %d: [%s] %s.sure = %s: expected known, computed, memory or guess",
                    r->path, r->line, r->inputs[index].section, r->inputs[index].name, value);
}

static int read_source(struct reading *r, int index, const char *value)
{
    char *to = r->values[index].source;
    if (value[0] == '\0' || strlen(value) >= sizeof r->values[index].source)
        return agn_fail(AGN_ERR_FORMAT, "profile %s, line %d: [%s] %s.source: expected 1 to %d characters",
                        r->path, r->line, r->inputs[index].section, r->inputs[index].name,
                        (int)sizeof r->values[index].source - 1);
    memcpy(to, value, strlen(value) + 1);
    return AGN_OK;
}

/* Which input `name` belongs to; *tail: what follows its name. -1: none. */
static int find_input(const struct reading *r, const char *section, const char *name, const char **tail)
{
    for (int i = 0; i < r->count; i++) {
        size_t length = strlen(r->inputs[i].name);
        if (strcmp(r->inputs[i].section, section) == 0 && strncmp(r->inputs[i].name, name, length) == 0 &&
            (name[length] == '\0' || name[length] == '.')) {
            *tail = name + length;
            return i;
        }
    }
    return -1;
}

static int read_entry(struct reading *r, const char *section, const char *name, const char *value)
{
    const char *tail = "";
    int i = find_input(r, section, name, &tail), *line = NULL, status;
    bool of_value = tail[0] == '\0', of_source = strcmp(tail, ".source") == 0;
    if (i < 0 || !(of_value || of_source || strcmp(tail, ".sure") == 0))
        return agn_fail(
            AGN_ERR_FORMAT,
            "profile %s, line %d: there is no [%s] %s: expected a key of docs/COST.md, or KEY.source or "
            "KEY.sure",
            r->path, r->line, section, name);
    line = of_value ? &r->given[i].value_line : of_source ? &r->given[i].source_line : &r->given[i].sure_line;
    if (*line > 0)
        return agn_fail(
            AGN_ERR_FORMAT,
            "profile %s, line %d: [%s] %s is there twice, the first time in line %d: expected one", r->path,
            r->line, section, name, *line);
    *line = r->line;
    status = of_value    ? read_value(r, i, value)
             : of_source ? read_source(r, i, value)
                         : read_sure(r, i, value);
    return status;
}

static int on_entry(void *user, const char *section, const char *name, const char *value)
{
    struct reading *r = user;
    if (r->status == AGN_OK)
        r->status = read_entry(r, section, name, value);
    return r->status == AGN_OK;
}

static int check_all_given(const struct reading *r)
{
    for (int i = 0; i < r->count; i++) {
        const struct agn__input *input = &r->inputs[i];
        if (r->given[i].value_line == 0)
            return agn_fail(AGN_ERR_FORMAT,
                            "profile %s, line %d: the file ends without [%s] %s: expected %s (%s%s%s)",
                            r->path, r->line, input->section, input->name, form_of(input), input->meaning,
                            input->unit[0] != '\0' ? ", " : "", input->unit);
        if (r->given[i].source_line == 0 || r->given[i].sure_line == 0)
            return agn_fail(
                AGN_ERR_FORMAT,
                "profile %s, line %d: [%s] %s has no %s.%s: expected to be told where it is from%s", r->path,
                r->given[i].value_line, input->section, input->name, input->name,
                r->given[i].source_line == 0 ? "source" : "sure",
                r->given[i].source_line == 0 ? "" : ": known, computed, memory or guess");
    }
    return AGN_OK;
}

/* What it reads is in `r`, however it ends. */
static int read_file(const char *path, enum agn_profile_kind kind, struct reading *r)
{
    uint8_t *text = NULL;
    size_t size = 0;
    *r = (struct reading){.path = path};
    r->inputs = agn__inputs(kind, &r->count);
    int status = agn_file_read(path, PROFILE_FILE_BYTES, &text, &size);
    if (status < 0)
        return agn_fail(AGN_ERR_IO,
                        "cannot read the %s's profile %s: expected an .ini file of at most %d bytes",
                        kind_names[kind], path, PROFILE_FILE_BYTES);
    r->at = (const char *)text;
    int line = strlen((const char *)text) == size ? ini_parse_stream(next_line, r, on_entry, r) : 1;
    agn_free(text);
    if (r->status < 0)
        return r->status;
    if (line != 0)
        return agn_fail(AGN_ERR_FORMAT, "profile %s, line %d: expected [section], key = value, or a comment",
                        path, line);
    return check_all_given(r);
}

/* ---- finding ------------------------------------------------------------------------------ */

static int profile_folders(enum agn_profile_kind kind, char folders[MOST_FOLDERS][PATH_MAX])
{
    int count = 0;
    char program[PATH_MAX];
    const char *from_environment = getenv("AGILENN_PROFILES"),
               *sort = kind == AGN_PROFILE_BOARD ? "boards" : "radios";
    if (from_environment != NULL)
        snprintf(folders[count++], PATH_MAX, "%.3900s/%s", from_environment, sort);
    snprintf(folders[count++], PATH_MAX, "profiles/%s", sort);
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    program[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (slash != NULL) {
        *slash = '\0';
        snprintf(folders[count++], PATH_MAX, "%.3900s/../share/agilenn/profiles/%s", program, sort);
        snprintf(folders[count++], PATH_MAX, "%.3900s/../profiles/%s", program, sort);
    }
    return count;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

int agn_profile_names(enum agn_profile_kind kind, char (*names)[AGN_PROFILE_NAME], int most)
{
    char folders[MOST_FOLDERS][PATH_MAX];
    int folder_count = profile_folders(kind, folders), count = 0;
    for (int i = 0; i < folder_count && count == 0; i++) {
        DIR *dir = opendir(folders[i]);
        const struct dirent *entry;
        while (dir != NULL && count < most && (entry = readdir(dir)) != NULL) {
            size_t length = strlen(entry->d_name);
            if (length > 4 && length < AGN_PROFILE_NAME && strcmp(entry->d_name + length - 4, ".ini") == 0)
                snprintf(names[count++], AGN_PROFILE_NAME, "%.*s", (int)(length - 4), entry->d_name);
        }
        if (dir != NULL)
            closedir(dir);
    }
    if (count > 1)
        qsort(names, (size_t)count, sizeof *names, by_name);
    return count;
}

static int find_profile(const char *name, enum agn_profile_kind kind, char path[PATH_MAX])
{
    char folders[MOST_FOLDERS][PATH_MAX], names[AGN_MOST_PROFILES][AGN_PROFILE_NAME], list[512] = "";
    size_t length = strlen(name);
    if (strchr(name, '/') != NULL || (length > 4 && strcmp(name + length - 4, ".ini") == 0)) {
        snprintf(path, PATH_MAX, "%s", name);
        return AGN_OK;
    }
    int count = profile_folders(kind, folders);
    for (int i = 0; i < count; i++) {
        snprintf(path, PATH_MAX, "%.3900s/%.100s.ini", folders[i], name);
        if (agn_file_exists(path))
            return AGN_OK;
    }
    count = agn_profile_names(kind, names, AGN_MOST_PROFILES);
    for (int i = 0; i < count; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), " %.63s", names[i]);
    return agn_fail(AGN_ERR_IO, "no %s is called '%s'; there are:%s (or give the path of an .ini file)",
                    kind_names[kind], name, list[0] == '\0' ? " none that I can find" : list);
}

static int load(const char *name, enum agn_profile_kind kind, struct reading *r)
{
    char path[PATH_MAX];
    int status = find_profile(name, kind, path);
    return status < 0 ? status : read_file(path, kind, r);
}

/* ---- into structs ------------------------------------------------------------------------- */

/* Into a struct agn_board or agn_radio, whose first member is the name. */
static void store(const struct reading *r, const char *name, void *profile)
{
    char *to = profile;
    const char *slash = strrchr(name, '/'), *base = slash == NULL ? name : slash + 1;
    size_t length = strlen(base);
    if (length > 4 && strcmp(base + length - 4, ".ini") == 0)
        length -= 4;
    snprintf(to, AGN_PROFILE_NAME, "%.*s", (int)(length < 63 ? length : 63), base);
    for (int i = 0; i < r->count; i++) {
        char *at = to + r->inputs[i].offset;
        if (r->inputs[i].type == AGN__INPUT_WORD)
            memcpy(at, r->words[i], AGN_PROFILE_NAME);
        else if (r->inputs[i].type == AGN__INPUT_INTERVAL)
            memcpy(at, &r->values[i].value, sizeof(struct agn_interval));
        else
            memcpy(at, &r->values[i].value.typical, sizeof(double));
    }
}

int agn_board_load(const char *name, struct agn_board *board)
{
    struct reading r;
    int status = load(name, AGN_PROFILE_BOARD, &r);
    if (status >= 0)
        store(&r, name, board);
    return status;
}

int agn_radio_load(const char *name, struct agn_radio *radio)
{
    struct reading r;
    int status = load(name, AGN_PROFILE_RADIO, &r);
    if (status >= 0)
        store(&r, name, radio);
    return status;
}

int agn_profile_inputs(enum agn_profile_kind kind, const char *name, struct agn_profile_input *inputs,
                       int most)
{
    struct reading r;
    int status = load(name, kind, &r), count = 0;
    for (int i = 0; status >= 0 && i < r.count && count < most; i++) {
        r.values[i].key = r.inputs[i].name;
        r.values[i].unit = r.inputs[i].unit;
        r.values[i].meaning = r.inputs[i].meaning;
        if (r.inputs[i].type != AGN__INPUT_WORD)
            inputs[count++] = r.values[i];
    }
    return status < 0 ? status : count;
}
