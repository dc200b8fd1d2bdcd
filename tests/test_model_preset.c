/* Presets: reading, writing, bad values, and finding them by name. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agilenn/train.h"
#include "temp_folder.h"

static void expect_message(const char *part)
{
    if (strstr(agn_error_message(), part) == NULL)
        fail_msg("the message '%s' lacks '%s'", agn_error_message(), part);
}

static void expect_refused(struct agn_preset *preset, const char *assignment, int status, const char *part)
{
    struct agn_preset before = *preset;
    int got = agn_preset_set(preset, assignment);
    if (got != status) {
        fail_msg("'%s' gives %d (%s), expected %d", assignment, got, got < 0 ? agn_error_message() : "",
                 status);
    }
    expect_message(part);
    assert_memory_equal(preset, &before, sizeof(before));
}

static void round_trip(const struct agn_preset *preset)
{
    static char text[8192], again[8192];
    struct agn_preset parsed;
    int length = agn_preset_format(preset, text, sizeof(text));
    assert_true(length > 0 && (size_t)length == strlen(text));
    agn_preset_defaults(&parsed);
    memcpy(parsed.name, preset->name, sizeof(parsed.name));
    if (agn_preset_parse(text, &parsed) < 0)
        fail_msg("%s\n%s", agn_error_message(), text);
    assert_int_equal(agn_preset_format(&parsed, again, sizeof(again)), length);
    assert_string_equal(text, again);
    assert_string_equal(parsed.model.remote, preset->model.remote);
    assert_string_equal(parsed.data.path, preset->data.path);
    assert_true(parsed.joint.rho == preset->joint.rho && parsed.joint.rate == preset->joint.rate);
}

static void written_presets_read_the_same(void **state)
{
    (void)state;
    struct agn_preset preset;
    agn_preset_defaults(&preset);
    round_trip(&preset);
    preset.joint.rho = 1.0 / 3.0; /* needs all 17 digits */
    preset.joint.rate = 1e-6 * 1.0000000000000002;
    preset.train.seed = 2147483647;
    assert_int_equal(agn_preset_set(&preset, "data.path=/a folder/with = and : and a;b/\xC3\xA9#1"), AGN_OK);
    round_trip(&preset);
    assert_int_equal(agn_preset_set(&preset, "data.ground=#12AbeF"), AGN_OK);
    assert_int_equal(agn_preset_set(&preset, "data.bad_files=skip"), AGN_OK);
    round_trip(&preset);
    struct agn_preset read;
    agn_preset_defaults(&read);
    assert_string_equal(read.data.ground, "white");
    assert_int_equal(read.data.bad_files, AGN_BAD_FILES_REFUSE);
    assert_int_equal(agn_preset_parse("[data]\nground = #12AbeF\nbad_files = skip ; a comment\n", &read),
                     AGN_OK);
    assert_string_equal(read.data.ground, "#12AbeF");
    assert_int_equal(read.data.bad_files, AGN_BAD_FILES_SKIP);
}

/* Longer than a line of the INI reader may be. */
static void long_texts_survive(void **state)
{
    (void)state;
    struct agn_preset preset;
    agn_preset_defaults(&preset);
    char assignment[AGN_PRESET_TEXT_BYTES + 64] = "model.remote=conv:c48:s2";
    while (strlen(assignment) + 16 < AGN_PRESET_TEXT_BYTES)
        strcat(assignment, " mb:c48:e4");
    assert_int_equal(agn_preset_set(&preset, assignment), AGN_OK);
    round_trip(&preset);
    char path[256] = "data.path=/";
    memset(path + strlen(path), 'x', 159);
    assert_int_equal(agn_preset_set(&preset, path), AGN_OK);
    round_trip(&preset);
    strcat(path, "y");
    expect_refused(&preset, path, AGN_ERR_RANGE, "data.path");
    memset(assignment + strlen(assignment), 'x', 40);
    assignment[sizeof(assignment) - 1] = '\0';
    expect_refused(&preset, assignment, AGN_ERR_RANGE,
                   "model.remote: the value has more than 1023 characters");
}

static void too_small_a_buffer(void **state)
{
    (void)state;
    struct agn_preset preset;
    agn_preset_defaults(&preset);
    char text[8192], small[64] = "unchanged";
    int length = agn_preset_format(&preset, text, sizeof(text));
    assert_int_equal(agn_preset_format(&preset, small, sizeof(small)), AGN_ERR_SPACE);
    assert_string_equal(small, "unchanged");
    assert_int_equal(agn_preset_format(&preset, text, (size_t)length), AGN_ERR_SPACE);
    assert_int_equal(agn_preset_format(&preset, text, (size_t)length + 1), length);
}

static void bad_values_name_key_and_range(void **state)
{
    (void)state;
    static const struct {
        const char *assignment, *message;
    } bad[] = {{"joint.rho=0", "joint.rho = '0': expected a number from 0.001 to 0.999"},
               {"joint.rho=1", "joint.rho = '1': expected a number from 0.001 to 0.999"},
               {"joint.rho=nan", "joint.rho = 'nan'"},
               {"joint.rate=inf", "joint.rate = 'inf'"},
               {"joint.rho=0.8x", "joint.rho = '0.8x'"},
               {"joint.rho=", "joint.rho = ''"},
               {"joint.rho=0,8", "joint.rho = '0,8'"},
               {"train.batch=1", "train.batch = '1': expected a whole number from 2 to 4096"},
               {"train.batch=64.5", "train.batch = '64.5': expected a whole number"},
               {"train.batch=99999999999999999999", "train.batch"},
               {"train.seed=-1", "train.seed = '-1'"},
               {"data.channels=4", "data.channels = '4': expected a whole number from 1 to 3"},
               {"data.classes=1001", "data.classes = '1001'"},
               {"model.local_channels=0", "model.local_channels = '0'"},
               {"model.grid=17", "model.grid = '17'"},
               {"data.path=/a\n[model]", "data.path"},
               {"data.path= /a", "data.path"},
               {"data.path=/a ", "data.path"},
               {"data.path=/a  b", "data.path"},
               {"data.path=/a ;b", "data.path"},
               {"data.path=;b", "data.path"}};
    struct agn_preset preset;
    agn_preset_defaults(&preset);
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++)
        expect_refused(&preset, bad[i].assignment, AGN_ERR_RANGE, bad[i].message);
}

static void wrong_words_are_told_the_right_ones(void **state)
{
    (void)state;
    static const struct {
        const char *assignment, *message;
    } bad[] = {{"data.bad_files=ignore", "data.bad_files = 'ignore': expected refuse or skip"},
               {"model.codec=zip", "model.codec = 'zip': expected range, lzw, raw3 or jpeg"},
               {"joint.method=magic", "joint.method = 'magic'"},
               {"joint.importance=pixel", "joint.importance = 'pixel': expected channel or element"},
               {"joint.selection=", "joint.selection = '': expected topk, importance or none"},
               {"model.alpha_form=tanh", "model.alpha_form = 'tanh': expected sigmoid or softmax"}};
    struct agn_preset preset;
    agn_preset_defaults(&preset);
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++)
        expect_refused(&preset, bad[i].assignment, AGN_ERR_ARG, bad[i].message);
    assert_int_equal(agn_preset_set(&preset, "model.codec=lzw"), AGN_OK);
    assert_int_equal(agn_preset_set(&preset, "model.codec=huffman"), AGN_OK); /* of earlier versions */
    assert_int_equal(preset.model.codec, AGN_CODEC_RANGE);
}

static void assignments(void **state)
{
    (void)state;
    struct agn_preset preset;
    agn_preset_defaults(&preset);
    assert_int_equal(agn_preset_set(&preset, "joint.rho=0.25"), AGN_OK);
    assert_true(preset.joint.rho == 0.25);
    assert_int_equal(agn_preset_set(&preset, "data.path=a=b.c"), AGN_OK);
    assert_string_equal(preset.data.path, "a=b.c");
    static const char *const not_assignments[] = {"",
                                                  "joint",
                                                  "joint.rho",
                                                  "rho=0.8",
                                                  "=",
                                                  ".",
                                                  ".=",
                                                  "joint=0.8.1",
                                                  "an.extremely_long_name_that_no_setting_could_ever_have=1",
                                                  "an_extremely_long_section_that_no_setting_could_have.x=1"};
    for (size_t i = 0; i < AGN_COUNT_OF(not_assignments); i++) {
        bool dotted = strcmp(not_assignments[i], ".=") == 0;
        expect_refused(&preset, not_assignments[i], AGN_ERR_ARG, dotted ? "no setting" : "SECTION.KEY=VALUE");
    }
    expect_refused(&preset, "joint.roh=0.8", AGN_ERR_ARG, "there is no setting 'joint.roh'");
    expect_refused(&preset, "train.rho=0.8", AGN_ERR_ARG, "there is no setting 'train.rho'");
    expect_refused(&preset, "joint.rho =0.8", AGN_ERR_ARG, "there is no setting 'joint.rho '");
}

static void expect_unreadable(const char *text, int status, const char *part)
{
    struct agn_preset preset, before;
    agn_preset_defaults(&preset);
    before = preset;
    assert_int_equal(agn_preset_parse(text, &preset), status);
    expect_message(part);
    assert_memory_equal(&preset, &before, sizeof(before));
}

/* No shell has seen what stands in a preset. */
static void data_paths_are_expanded(void **state)
{
    (void)state;
    static const struct {
        const char *given, *path;
    } cases[] = {{"~/sets/a b", "/home/of me/sets/a b"},
                 {"~", "/home/of me"},
                 {"'~/sets'", "/home/of me/sets"},
                 {"\"/a b/c\"", "/a b/c"},
                 {"'/it''s'", "/it''s"},
                 {"~other/sets", "~other/sets"},
                 {"/a/~/b", "/a/~/b"},
                 {"\"/a'", "\"/a'"},
                 {"\"", "\""},
                 {"", ""}};
    struct agn_preset preset;
    char text[256], *before = getenv("HOME") == NULL ? NULL : strdup(getenv("HOME"));
    assert_int_equal(setenv("HOME", "/home/of me", 1), 0);
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        agn_preset_defaults(&preset);
        snprintf(text, sizeof(text), "data.path=%s", cases[i].given);
        assert_int_equal(agn_preset_set(&preset, text), AGN_OK);
        assert_string_equal(preset.data.path, cases[i].path);
        snprintf(text, sizeof(text), "[data]\npath = %s\n", cases[i].given);
        assert_int_equal(agn_preset_parse(text, &preset), AGN_OK);
        assert_string_equal(preset.data.path, cases[i].path);
        round_trip(&preset);
    }
    assert_int_equal(setenv("HOME", "", 1), 0);
    assert_int_equal(agn_preset_set(&preset, "data.path=~/sets"), AGN_OK);
    assert_string_equal(preset.data.path, "~/sets");
    if (before != NULL)
        assert_int_equal(setenv("HOME", before, 1), 0);
    free(before);
}

static void ini_texts(void **state)
{
    (void)state;
    struct agn_preset preset;
    agn_preset_defaults(&preset);
    assert_int_equal(agn_preset_parse("; a comment\n[joint]\nrho = 0.5 ; half\nlambda: 0.25\n"
                                      "[model]\nremote = conv:c8\n  mb:c8\n  conv:c9\nextractor=conv:c7\n",
                                      &preset),
                     AGN_OK);
    assert_true(preset.joint.rho == 0.5 && preset.joint.lambda == 0.25);
    assert_string_equal(preset.model.remote, "conv:c8 mb:c8 conv:c9");
    assert_string_equal(preset.model.extractor, "conv:c7");
    expect_unreadable("[joint]\nrho = 0.5\nwhat is this\n", AGN_ERR_FORMAT, "line 3");
    expect_unreadable("[joint\n[data]\nheight = 9\n", AGN_ERR_FORMAT, "line 1");
    expect_unreadable("rho = 0.5\n", AGN_ERR_ARG, "there is no setting '.rho'");
    expect_unreadable("[joint]\nroh = 0.5\n", AGN_ERR_ARG, "joint.roh");
    expect_unreadable("[joint]\nrho = 0.5\nrho = 0.6\n", AGN_ERR_ARG,
                      "joint.rho is given twice, in lines 2 and 3");
    expect_unreadable("[joint]\nrho = 0.5\n 0.6\n", AGN_ERR_ARG, "joint.rho goes on over a second line");
    expect_unreadable("[model]\nremote = conv:c8\nremote = conv:c9\n", AGN_ERR_ARG,
                      "model.remote is given twice, in lines 2 and 3");
    expect_unreadable("[model]\nremote = conv:c8\ngrid = 2\n\n[joint]\n[model]\n  remote = conv:c9\n",
                      AGN_ERR_ARG, "model.remote is given twice, in lines 2 and 7");
    expect_unreadable("[model]\nremote = conv:c8\n[model]\n remote = conv:c9\n", AGN_ERR_ARG,
                      "model.remote is given twice, in lines 2 and 4");
    char line[300] = "[joint]\n;";
    memset(line + 9, 'x', 250);
    expect_unreadable(line, AGN_ERR_FORMAT, "line 2 has more than 198 characters; break it between words");
    /* The first bad entry is named, whatever follows. */
    expect_unreadable("[joint]\nrho = 5\nlambda = 0.5\nrate = x\n", AGN_ERR_RANGE, "joint.rho = '5'");
}

static void all_bytes(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 5);
    char text[400];
    for (int round = 0; round < 2000; round++) {
        size_t length = agn_rng_below(&rng, sizeof(text) - 1);
        static const char some[] = "[]=:;# \n\nxdatapathmodelremote";
        for (size_t i = 0; i < length; i++) {
            text[i] = round % 2 == 0 ? (char)(1 + agn_rng_below(&rng, 255))
                                     : some[agn_rng_below(&rng, sizeof(some) - 1)];
        }
        text[length] = '\0';
        struct agn_preset preset;
        agn_preset_defaults(&preset);
        if (agn_preset_parse(text, &preset) == AGN_OK)
            round_trip(&preset);
    }
}

/* ---- finding -------------------------------------------------------------------- */

static void put(const char *name, const char *text)
{
    temp_file(name, text, strlen(text));
}

static void looked_up_by_name(void **state)
{
    (void)state;
    struct agn_preset preset;
    put("p/mine.ini", "[joint]\nrho = 0.5\n");
    put("p/other.ini", "[joint]\nrho = 7\n");
    setenv("AGILENN_PRESETS", temp_path("p"), 1);
    assert_int_equal(agn_preset_load("mine", &preset), AGN_OK);
    assert_string_equal(preset.name, "mine");
    assert_true(preset.joint.rho == 0.5 && preset.joint.lambda == 0.3); /* the rest: defaults */
    assert_int_equal(agn_preset_load(temp_path("p/mine.ini"), &preset), AGN_OK);
    assert_string_equal(preset.name, "mine");
    assert_int_equal(agn_preset_load("other", &preset), AGN_ERR_RANGE);
    expect_message("p/other.ini");
    expect_message("joint.rho = '7'");
    assert_true(preset.joint.rho == 0.5); /* untouched */
    assert_int_equal(agn_preset_load("none", &preset), AGN_ERR_NOT_FOUND);
    expect_message("'none'");
    expect_message("mine");
    expect_message("other");
    assert_int_equal(agn_preset_load(temp_path("p/none.ini"), &preset), AGN_ERR_NOT_FOUND);
    expect_message("p/none.ini");
    assert_true(agn_preset_load(temp_path("p/"), &preset) < 0);
    assert_true(agn_preset_load("", &preset) < 0);
    unsetenv("AGILENN_PRESETS");
}

static void write_preset(const char *name, const char *text)
{
    assert_int_equal(agn_file_write(temp_path(name), (const uint8_t *)text, strlen(text)), AGN_OK);
}

static void presets_stand_on_others(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {{"base = circle\n", "in a circle"},
               {"base =\n", "base names no preset"},
               {"base = nowhere\n", "no preset is called 'nowhere'"},
               {"base = wrong\n", "wrong.ini: joint.rho = '7'"},
               {"base = first\n[joint]\nrho = 7\n", "circle.ini: joint.rho = '7'"},
               {"base = first\n\n[joint]\nrho 0.5\n", "line 4 is neither"},
               {"[joint]\nrho = 0.5\nbase = first\n", "there is no setting 'joint.base'"}};
    struct agn_preset preset;
    assert_int_equal(mkdir(temp_path("b"), 0700), 0);
    setenv("AGILENN_PRESETS", temp_path("elsewhere"), 1);
    write_preset("b/first.ini", "[joint]\nrho = 0.6\nrate = 0.07\n[model]\ncodec = lzw\n");
    write_preset("b/wrong.ini", "[joint]\nrho = 7\n");
    write_preset("b/second.ini",
                 "; comments may stand before\n\n  base = first ; and behind\n[joint]\nrho = 0.7\n");
    write_preset("b/third.ini", "base = second\n[model]\ngrid = 2\n");
    assert_int_equal(agn_preset_load(temp_path("b/third.ini"), &preset), AGN_OK);
    assert_string_equal(preset.name, "third");
    assert_true(preset.joint.rho == 0.7 && preset.joint.rate == 0.07 && preset.model.grid == 2);
    assert_int_equal(preset.model.codec, AGN_CODEC_LZW);
    round_trip(&preset); /* as a file of its own */
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++) {
        struct agn_preset before = preset;
        write_preset("b/circle.ini", bad[i].text);
        assert_true(agn_preset_load(temp_path("b/circle.ini"), &preset) < 0);
        expect_message(bad[i].message);
        assert_memory_equal(&preset, &before, sizeof(before));
    }
}

static void checks_what_fits_together(void **state)
{
    (void)state;
    static const struct {
        const char *assignment, *message;
    } bad[] = {{"data.format=csv", "data.format = 'csv': expected idx, folder, cifar10"},
               {"data.ground=#12345", "data.ground = '#12345': expected white, black or #RRGGBB"},
               {"joint.points=1", "joint.points = 1"},
               {"model.remote=", "model.remote is missing"},
               {"model.reference=", "model.reference is missing: a preset describes this network"},
               {"model.extractor=",
                "model.extractor is missing: a preset describes this network, such as conv24:s2"}};
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++) {
        struct agn_preset preset;
        agn_preset_defaults(&preset);
        agn_preset_set(&preset, "model.remote=conv:c8");
        agn_preset_set(&preset, "model.reference=conv:c8");
        assert_int_equal(agn_preset_check(&preset), AGN_OK);
        assert_int_equal(agn_preset_set(&preset, bad[i].assignment), AGN_OK);
        assert_true(agn_preset_check(&preset) < 0);
        expect_message(bad[i].message);
    }
}

/* ---- networks ---------------------------------------------------------------------- */

static void start_preset(struct agn_preset *preset)
{
    static const char *const settings[] = {"model.extractor=conv24:s2", "model.reference=mobilenetv2-tiny",
                                           "model.remote=mobilenetv2-tiny"};
    agn_preset_defaults(preset);
    preset->data.classes = 10;
    for (size_t i = 0; i < AGN_COUNT_OF(settings); i++)
        assert_int_equal(agn_preset_set(preset, settings[i]), AGN_OK);
}

/* Shapes that cannot be: a message that names setting, layer, what was found and what would do. */
static void impossible_networks(void **state)
{
    (void)state;
    static const struct {
        const char *assignment, *messages[4];
    } bad[] = {
        {"model.extractor=conv:c24:s2 convolution:c8",
         {"model.extractor, block ", "block 'convolution:c8'", "kind is none of"}},
        {"model.extractor=conv:c24:s9",
         {"model.extractor, block ", "block 'conv:c24:s9'", "a stride from 1 to 8"}},
        {"model.extractor=conv:c24:k12",
         {"model.extractor, block ", "block 'conv:c24:k12'", "a kernel from 1 to 11"}},
        {"model.extractor=conv:c24:s2 conv:c0",
         {"model.extractor, block ", "block 'conv:c0'", "channels, 1 to 65535"}},
        {"model.extractor=conv:c65536",
         {"model.extractor, block ", "'65536' is not a whole number from 0 to 65535"}},
        {"model.extractor=conv:c256",
         {"model.extractor makes a 28x28x256 map of a 28x28 image", "at most 255"}},
        {"model.extractor=conv:c24:s2 pool:g20",
         {"'pool:g20' on a 14x14x24 map", "a 14x14 map cannot be pooled to a 20x20 grid"}},
        {"model.extractor=conv:c5",
         {"model.local_channels = 5", "makes a 28x28x5 map", "at least one must be left"}},
        {"model.local_channels=24", {"model.local_channels = 24", "makes a 14x14x24 map"}},
        {"model.grid=15", {"model.grid = 15", "a 14x14x24 map", "a grid of at most 14"}},
        {"model.extractor=conv24:s8", {"model.grid = 5", "a 4x4x24 map", "a grid of at most 4"}},
        {"model.remote=conv:c64 mb:c64:e2000",
         {"model.remote, block ", "'mb:c64:e2000' on a 14x14x64 map", "expansion by 2000"}},
        {"model.remote=mb:c8:n600", {"model.remote, block ", "'mb:c8:n600'", "at most 512 operators"}},
        {"model.remote=efficientnetv3",
         {"model.remote, block ", "block 'efficientnetv3'", "mobilenetv2-small"}},
        {"model.remote=conv:c60000 conv:c9000:k1",
         {"the networks have", "at most 268435456 are possible", "model.remote"}},
        {"model.reference=conv:c8 pool:g20", {"model.reference, block ", "'pool:g20' on a 14x14x8 map"}},
        {"model.reference=separable:s", {"model.reference, block ", "nothing but its stride, 1 to 8"}},
    };
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++) {
        struct agn_preset preset;
        struct agn_model *model = NULL;
        start_preset(&preset);
        assert_int_equal(agn_preset_set(&preset, "model.grid=5"), AGN_OK);
        assert_int_equal(agn_preset_set(&preset, "data.classes=1000"), AGN_OK);
        assert_int_equal(agn_preset_set(&preset, bad[i].assignment), AGN_OK);
        if (agn_model_create(&preset, NULL, &model) >= 0)
            fail_msg("%s was accepted", bad[i].assignment);
        assert_null(model);
        for (size_t m = 0; m < 4 && bad[i].messages[m] != NULL; m++)
            expect_message(bad[i].messages[m]);
    }
}

static int64_t macs_of(const struct agn_graph *graph)
{
    int64_t sum = 0;
    for (int op = 0; op < graph->count; op++)
        sum += agn_op_macs(graph, op);
    return sum;
}

static int64_t parameters_of(const struct agn_params *params)
{
    int64_t sum = 0;
    for (int p = 0; p < params->count; p++)
        sum += params->list[p].trainable ? (int64_t)params->list[p].count : 0;
    return sum;
}

static void widths_apply(void **state)
{
    (void)state;
    struct agn_preset preset;
    struct agn_model *plain = NULL, *narrow = NULL;
    start_preset(&preset);
    assert_int_equal(agn_model_create(&preset, NULL, &plain), AGN_OK);
    assert_int_equal(agn_preset_set(&preset, "model.remote_width=0.5"), AGN_OK);
    assert_int_equal(agn_preset_set(&preset, "model.reference_width=1.5"), AGN_OK);
    assert_int_equal(agn_model_create(&preset, NULL, &narrow), AGN_OK);
    const struct agn_param *first = agn_params_find(narrow->parts[AGN_REMOTE].params, "remote.0.weight");
    assert_int_equal(first->dims[0], 24);
    assert_int_equal(first->dims[1], 19);
    assert_int_equal(agn_params_find(narrow->parts[AGN_REMOTE].params, "remote.3.weight")->dims[0],
                     128); /* the last */
    assert_int_equal(agn_params_find(narrow->parts[AGN_REFERENCE].params, "reference.0.weight")->dims[0], 72);
    assert_int_equal(agn_params_find(narrow->parts[AGN_REFERENCE].params, "reference.3.weight")->dims[0],
                     192);
    assert_true(macs_of(&narrow->parts[AGN_REMOTE].graph) < macs_of(&plain->parts[AGN_REMOTE].graph));
    assert_true(macs_of(&narrow->parts[AGN_REFERENCE].graph) > macs_of(&plain->parts[AGN_REFERENCE].graph));
    assert_int_equal(macs_of(&narrow->parts[AGN_EXTRACTOR].graph),
                     macs_of(&plain->parts[AGN_EXTRACTOR].graph));
    agn_model_free(plain);
    agn_model_free(narrow);
}

static void keys_are_printed(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    agn_preset_print_keys(stream);
    fclose(stream);
    static const char *const sections[] = {"[data]", "[model]", "[train]", "[reference]", "[joint]"};
    for (size_t i = 0; i < AGN_COUNT_OF(sections); i++)
        assert_non_null(strstr(text, sections[i]));
    assert_non_null(strstr(text, "0.001 to 0.999"));
    for (int i = 0; agn_dataset_formats[i] != NULL; i++)
        assert_non_null(strstr(text, agn_dataset_formats[i]));
    for (int i = 0; agn_systems[i] != NULL; i++)
        assert_non_null(strstr(text, agn_systems[i]->name));
    free(text);
}

/* ---- the presets of this repository ------------------------------------------------- */

static void shipped_presets_build_models(void **state)
{
    (void)state;
    const char *root = getenv("AGN_SOURCE_DIR");
    char folder[4096], path[4400];
    snprintf(folder, sizeof(folder), "%s/presets", root == NULL ? "." : root);
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    int found = 0;
    if (dir == NULL) {
        fail_msg("cannot open %s; set AGN_SOURCE_DIR", folder);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        struct agn_preset preset;
        struct agn_model *model = NULL;
        if (strstr(entry->d_name, ".ini") == NULL)
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (agn_preset_load(path, &preset) < 0 || agn_preset_check(&preset) < 0 ||
            agn_model_create(&preset, NULL, &model) < 0)
            fail_msg("%s: %s", path, agn_error_message());
        round_trip(&preset);
        agn_model_free(model);
        found++;
    }
    closedir(dir);
    assert_true(found >= 1);
}

static int load_shipped(const char *name, struct agn_preset *preset)
{
    const char *root = getenv("AGN_SOURCE_DIR");
    char path[4400];
    snprintf(path, sizeof(path), "%s/presets/%s.ini", root == NULL ? "." : root, name);
    return agn_preset_load(path, preset);
}

/* The paper's networks: figures counted elsewhere for the same layers (in PyTorch). */
static void macs_of_the_papers_networks(void **state)
{
    (void)state;
    static const char *const presets[] = {"cifar10-paper"};
    for (size_t i = 0; i < AGN_COUNT_OF(presets); i++) {
        struct agn_preset preset;
        struct agn_model *model = NULL;
        assert_int_equal(load_shipped(presets[i], &preset), AGN_OK);
        assert_int_equal(agn_model_create(&preset, NULL, &model), AGN_OK);
        assert_int_equal(model->map.height * 10000 + model->map.width * 100 + model->map.channels, 323224);
        assert_int_equal((macs_of(&model->parts[AGN_EXTRACTOR].graph) + 500) / 1000, 175);
        assert_int_equal((macs_of(&model->parts[AGN_REMOTE].graph) + 50000) / 100000, 872);
        assert_int_equal((macs_of(&model->parts[AGN_REFERENCE].graph) + 50000) / 100000, 2353);
        assert_int_equal((parameters_of(model->parts[AGN_REMOTE].params) + 5000) / 10000, 224);
        assert_int_equal((parameters_of(model->parts[AGN_REFERENCE].params) + 50000) / 100000, 202);
        agn_model_free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_presets_read_the_same),
        cmocka_unit_test(long_texts_survive),
        cmocka_unit_test(too_small_a_buffer),
        cmocka_unit_test(bad_values_name_key_and_range),
        cmocka_unit_test(wrong_words_are_told_the_right_ones),
        cmocka_unit_test(assignments),
        cmocka_unit_test(data_paths_are_expanded),
        cmocka_unit_test(ini_texts),
        cmocka_unit_test(all_bytes),
        cmocka_unit_test(looked_up_by_name),
        cmocka_unit_test(presets_stand_on_others),
        cmocka_unit_test(checks_what_fits_together),
        cmocka_unit_test(impossible_networks),
        cmocka_unit_test(widths_apply),
        cmocka_unit_test(macs_of_the_papers_networks),
        cmocka_unit_test(keys_are_printed),
        cmocka_unit_test(shipped_presets_build_models),
    };
    return cmocka_run_group_tests(tests, temp_folder_setup, temp_folder_teardown);
}
