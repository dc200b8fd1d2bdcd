/* Plans: what is refused and where, which runs a grid, a list and random draws make, that an id is of all
 * that decides a run and of nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/sweep.h"
#include "support/temp_folder.h"

static const char preset_text[] =
    "[data]\npath = somewhere/set\nclasses = 4\nheight = 12\nwidth = 12\nvalidation = 0.1\n"
    "[model]\nextractor = conv:c4:s2 conv:c8\nreference = conv:c8:s2\n"
    "remote = conv:c8:s2\nlocal_channels = 3\ngrid = 2\n";
static struct agn_sweep_task a, b;

static int make_presets(void **state)
{
    static char folder[4096];
    const char *const names[] = {"one.ini", "two.ini"};
    if (temp_folder_setup(state) < 0)
        return -1;
    snprintf(folder, sizeof folder, "%s", temp_path("presets"));
    if (agn_make_dirs(folder) < 0)
        return -1;
    for (size_t i = 0; i < AGN_COUNT_OF(names); i++) {
        char path[4200], text[1024];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        snprintf(text, sizeof text, "%s[joint]\nepochs = %d\n", preset_text, (int)i + 1);
        if (agn_file_write(path, text, strlen(text)) < 0)
            return -1;
    }
    return setenv("AGILENN_PRESETS", folder, 1);
}

static struct agn_sweep_plan *parse(const char *text)
{
    struct agn_sweep_plan *plan = NULL;
    int status = agn_sweep_plan_parse(text, "folder/p.ini", &plan);
    if (status < 0)
        fail_msg("refused: %s", agn_error_message());
    return plan;
}

static void refuse(const char *text, const char *why)
{
    struct agn_sweep_plan *plan = NULL;
    assert_true(agn_sweep_plan_parse(text, "folder/p.ini", &plan) < 0);
    assert_null(plan);
    if (strstr(agn_error_message(), why) == NULL)
        fail_msg("'%s' lacks '%s'", agn_error_message(), why);
}

#define PLAN "[plan]\npresets = one\n"

static void bad_plans_are_refused(void **state)
{
    (void)state;
    refuse("", "names no presets");
    refuse("[plan]\npresets =\n", "names no presets");
    refuse("[plan]\npresets = nowhere\n", "nowhere");
    refuse("rubbish\n", "line 1: neither [section], key = value, nor a comment");
    refuse(PLAN "presets = two\n", "line 3: [plan] presets is given already, in line 2");
    refuse(PLAN "sedes = 1\n", "line 3: [plan] knows no 'sedes': expected question, dataset, presets");
    refuse(PLAN "seeds = 1 2 1\n", "line 3: seed 1 is there twice");
    refuse(PLAN "seeds =\n", "no run");
    refuse(PLAN "seeds = 1.5\n", "expected a whole number");
    refuse(PLAN "seeds = nan\n", "expected a whole number");
    refuse(PLAN "images = -1\n", "images = '-1': expected a number from 0");
    refuse(PLAN "mode = grit\n", "mode = 'grit': expected grid, list or random");
    refuse(PLAN "measure = train\n", "expected validation or test");
    refuse(PLAN "curves = loss rate\n", "curves = rate: expected some of loss, budget");
    refuse(PLAN "sent = 0.1\nmay_lose = 0.1\n", "exclude each other");
    refuse(PLAN "protocol = 3\n", "from 1 to 2");
    refuse(PLAN "[grit]\nx = 1\n", "line 4: [grit] has no meaning where mode = grid");
    refuse(PLAN "[list]\nx = 1\n", "[list] has no meaning where mode = grid");
    refuse(PLAN "[grid]\njoint.rho =\n", "line 4: joint.rho has no values");
    refuse(PLAN "[grid]\njoint.rho = 0.7 | | 0.8\n", "line 4: a value is missing");
    refuse(PLAN "[grid]\njoint.rho = 0.7 0.x\n", "line 4: joint.rho = '0.x': expected a number");
    refuse(PLAN "[grid]\nrho = 0.7\n", "line 4: 'rho=0.7' is not SECTION.KEY=VALUE");
    refuse(PLAN "[grid]\njoint.rho = 0.7\njoint.rho = 0.8\n",
           "line 5: [grid] joint.rho is given already, in line 4");
    refuse(PLAN "[set]\njoint.rho = 0.7\n[grid]\njoint.rho = 0.8\n",
           "line 6: joint.rho stands in [set], too, in line 4");
    refuse(PLAN "[set]\njoint.roh = 0.7\n", "line 4: there is no setting 'joint.roh'");
    refuse(PLAN "[grid]\ntrain.seed = 1 2\n", "line 4: train.seed: seeds = 1 2 3 under [plan]");
    refuse(PLAN "[grid]\njoint.rho = 0.7 0.70\n",
           "two runs are the same: 'one joint.rho=0.7' and 'one joint.rho=0.70'");
    refuse("[plan]\npresets = one one\n", "two runs are the same");
    refuse(PLAN "[grid]\nmodel.local_channels = 3 9\n", "preset one, model.local_channels=9: ");
    refuse(PLAN "[set]\ndata.validation =\n", "there are no validation images");
    refuse(PLAN "[set]\njoint.points = 1\n", "joint.points = 1");
    refuse(PLAN "question = \xff\n", "line 3: a control character, or text that is not UTF-8");
    refuse(PLAN "question = \x01\n", "line 3: a control character");
    refuse(PLAN "mode = list\n", "[list] is missing or empty");
    refuse(PLAN "mode = list\n[list]\nx = joint.rho\n", "line 5: 'joint.rho' is not SECTION.KEY=VALUE");
    refuse(PLAN "mode = list\n[list]\nx = joint.rho=0.7 joint.rho=0.8\n", "line 5: joint.rho is there twice");
    refuse(PLAN "mode = random\nruns = 2\n", "[random] is missing or empty");
    refuse(PLAN "mode = random\n[random]\njoint.rho = 0.1..0.2\n", "needs runs = N");
    refuse(PLAN "mode = random\nruns = 2\n[random]\njoint.rho = 0.1..0.2 logg\n", "line 6: '0.1..0.2 logg'");
    refuse(PLAN "mode = random\nruns = 2\n[random]\njoint.rho = 0.2..0.1\n",
           "line 6: '0.2..0.1': expected LOW below");
    refuse(PLAN "mode = random\nruns = 2\n[random]\njoint.rho = 0..0.1 log\n", "above 0 for log");
    refuse(PLAN "mode = random\nruns = 2\n[random]\njoint.points = 2..3.5 int\n", "whole numbers for int");
    refuse(PLAN "mode = random\nruns = 2\n[random]\njoint.rho = 0.1..inf\n", "expected LOW..HIGH");
    refuse(PLAN "mode = random\nruns = 3\n[random]\njoint.points = 2..3 int\n",
           "hardly more than 2 different points");
}

static void sizes_are_limited(void **state)
{
    (void)state;
    static char text[1 << 16];
    size_t at = (size_t)snprintf(text, sizeof text, PLAN "[grid]\n");
    static const char *const keys[] = {"joint.rho", "joint.rate", "joint.lambda", "joint.bits"};
    for (size_t k = 0; k < AGN_COUNT_OF(keys); k++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "%s =", keys[k]);
        for (int i = 1; i <= 20; i++)
            at += (size_t)snprintf(text + at, sizeof text - at, " 0.%d1", i);
        at += (size_t)snprintf(text + at, sizeof text - at, "\n");
    }
    refuse(text, "more than 100000 runs");
    at = (size_t)snprintf(text, sizeof text, PLAN "[grid]\njoint.rho =");
    for (int i = 0; i < 1001; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "\n  0.%d1", i);
    refuse(text, "more than 1000 values");
    memset(text, 'x', 300);
    memcpy(text, "question = ", 11);
    text[300] = '\0';
    refuse(text, "line 1: more than 180 characters");
}

static void a_grid_has_all_combinations(void **state)
{
    (void)state;
    struct agn_sweep_plan *plan = parse("[plan]\npresets = one two\nseeds = 7 8\n[set]\ntrain.batch = 32\n"
                                        "[grid]\njoint.rho = 0.7 0.8\nmodel.local_channels = 2 3 4\n");
    assert_string_equal(agn_sweep_plan_name(plan), "p");
    assert_int_equal(agn_sweep_plan_count(plan), 24);
    assert_int_equal(agn_sweep_plan_task(plan, 0, &a), AGN_OK);
    assert_string_equal(a.design, "joint.rho=0.7 model.local_channels=2");
    assert_string_equal(a.settings, "{\"joint.rho\": \"0.7\", \"model.local_channels\": \"2\"}");
    assert_string_equal(a.preset_name, "one");
    assert_string_equal(a.dataset, "set");
    assert_int_equal(a.preset.train.seed, 7);
    assert_int_equal(a.preset.train.batch, 32);
    assert_int_equal(agn_sweep_plan_task(plan, 23, &a), AGN_OK);
    assert_string_equal(a.design, "joint.rho=0.8 model.local_channels=4");
    assert_string_equal(a.preset_name, "two");
    assert_int_equal(a.preset.train.seed, 8);
    assert_int_equal(a.preset.model.local_channels, 4);
    assert_true(fabs(a.preset.joint.rho - 0.8) < 1e-12);
    for (int i = 0; i < 24; i++) {
        assert_int_equal(agn_sweep_plan_task(plan, i, &a), AGN_OK);
        assert_int_equal(a.place, i);
        assert_int_equal(agn_sweep_plan_find(plan, a.id), i);
    }
    assert_int_equal(agn_sweep_plan_find(plan, "0000000000000000"), AGN_ERR_NOT_FOUND);
    agn_sweep_plan_free(plan);
}

/* "|" where values have blanks, "||" where they have "|". */
static void values_may_have_blanks(void **state)
{
    (void)state;
    struct agn_sweep_plan *plan = parse(PLAN "[grid]\nmodel.remote = conv:c8:s2 | conv:c8:s2\n   conv:c8\n");
    assert_int_equal(agn_sweep_plan_count(plan), 2);
    assert_int_equal(agn_sweep_plan_task(plan, 1, &a), AGN_OK);
    assert_string_equal(a.preset.model.remote, "conv:c8:s2 conv:c8");
    agn_sweep_plan_free(plan);
    plan = parse(PLAN
                 "[set]\nmodel.system = spinn\nmodel.codec = lzw\n[grid]\n"
                 "model.extractor = conv:c4:s2 | conv:c8 || conv:c4:s2 | conv:c4\n[set]\nmodel.local = |\n");
    assert_int_equal(agn_sweep_plan_count(plan), 2);
    assert_int_equal(agn_sweep_plan_task(plan, 1, &a), AGN_OK);
    assert_string_equal(a.preset.model.extractor, "conv:c4:s2 | conv:c4");
    agn_sweep_plan_free(plan);
}

static void a_list_has_its_lines(void **state)
{
    (void)state;
    struct agn_sweep_plan *plan =
        parse(PLAN "mode = list\nseeds = 3\n[list]\nas-it-is =\nmore = joint.rho=0.9 joint.rate=0.3\n"
                   "other = model.remote=conv:c8:s2 conv:c8 | joint.rho=0.9\n");
    assert_int_equal(agn_sweep_plan_count(plan), 3);
    assert_int_equal(agn_sweep_plan_task(plan, 0, &a), AGN_OK);
    assert_string_equal(a.design, "as-it-is");
    assert_string_equal(a.settings, "{}");
    assert_int_equal(agn_sweep_plan_task(plan, 1, &a), AGN_OK);
    assert_string_equal(a.settings, "{\"joint.rho\": \"0.9\", \"joint.rate\": \"0.3\"}");
    assert_true(fabs(a.preset.joint.rate - 0.3) < 1e-12);
    assert_int_equal(agn_sweep_plan_task(plan, 2, &a), AGN_OK);
    assert_string_equal(a.preset.model.remote, "conv:c8:s2 conv:c8");
    agn_sweep_plan_free(plan);
}

#define RANDOM                                                                                               \
    PLAN "mode = random\nruns = 200\n[random]\njoint.rate = 0.001..1 log\njoint.rho = 0.5..0.9\n"            \
         "model.local_channels = 2..4 int\njoint.selection = topk | none\n"

static void random_points_are_of_their_ranges(void **state)
{
    (void)state;
    struct agn_sweep_plan *plan = parse(RANDOM), *again = parse(RANDOM);
    int low = 0, channels[5] = {0}, none = 0;
    assert_int_equal(agn_sweep_plan_count(plan), 200);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(agn_sweep_plan_task(plan, i, &a), AGN_OK);
        assert_int_equal(agn_sweep_plan_task(again, i, &b), AGN_OK);
        assert_string_equal(a.id, b.id);
        assert_in_range(a.preset.model.local_channels, 2, 4);
        channels[a.preset.model.local_channels]++;
        assert_true(a.preset.joint.rate >= 0.001 && a.preset.joint.rate <= 1.0);
        assert_true(a.preset.joint.rho >= 0.5 && a.preset.joint.rho <= 0.9);
        low += a.preset.joint.rate < 0.0316;
        none += a.preset.joint.selection == AGN_SELECT_NONE;
    }
    assert_in_range(low, 70,
                    130); /* half of them below the geometric mean; 0.03 of them if it were uniform */
    assert_in_range(none, 70, 130);
    for (int k = 2; k <= 4; k++)
        assert_in_range(channels[k], 40, 95);
    agn_sweep_plan_free(plan);
    plan = parse(PLAN "random_seed = 2\nmode = random\nruns = 1\n[random]\njoint.rho = 0.5..0.9\n");
    assert_int_equal(agn_sweep_plan_task(plan, 0, &a), AGN_OK);
    agn_sweep_plan_free(again);
    again = parse(PLAN "random_seed = 3\nmode = random\nruns = 1\n[random]\njoint.rho = 0.5..0.9\n");
    assert_int_equal(agn_sweep_plan_task(again, 0, &b), AGN_OK);
    assert_string_not_equal(a.id, b.id);
    agn_sweep_plan_free(plan);
    agn_sweep_plan_free(again);
}

static void first_id(const char *text, char id[17])
{
    struct agn_sweep_plan *plan = parse(text);
    assert_int_equal(agn_sweep_plan_task(plan, 0, &a), AGN_OK);
    memcpy(id, a.id, 17);
    agn_sweep_plan_free(plan);
}

/* The same run in another plan has the same id; whatever changes its figures changes it. */
static void ids_are_of_what_decides(void **state)
{
    (void)state;
    static const char *const same[] = {PLAN "question = Why?\n[grid]\njoint.rho = 0.8\n",
                                       PLAN
                                       "mode = list\n[list]\nname = joint.rho=0.8\nother = joint.rho=0.7\n",
                                       PLAN "seeds = 1 2\n[set]\njoint.rho = 0.80\n"};
    static const char *const different[] = {
        PLAN "seeds = 2\n",       PLAN "measure = test\n", PLAN "measure_images = 10\n",
        PLAN "images = 100\n",    PLAN "protocol = 1\n",   PLAN "sent = 0.5\n",
        PLAN "may_lose = 0.5\n",  PLAN "curves = loss\n",  PLAN "[set]\ntrain.batch = 8\n",
        "[plan]\npresets = two\n"};
    char first[17], other[17], before[AGN_COUNT_OF(different)][17];
    first_id(PLAN, first);
    for (size_t i = 0; i < AGN_COUNT_OF(same); i++) {
        first_id(same[i], other);
        assert_string_equal(first, other);
    }
    for (size_t i = 0; i < AGN_COUNT_OF(different); i++) {
        first_id(different[i], before[i]);
        assert_string_not_equal(first, before[i]);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(before[i], before[j]);
    }
    assert_string_equal(first, "aa6890480959fc05");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_plans_are_refused),       cmocka_unit_test(sizes_are_limited),
        cmocka_unit_test(a_grid_has_all_combinations), cmocka_unit_test(values_may_have_blanks),
        cmocka_unit_test(a_list_has_its_lines),        cmocka_unit_test(random_points_are_of_their_ranges),
        cmocka_unit_test(ids_are_of_what_decides),
    };
    return cmocka_run_group_tests(tests, make_presets, temp_folder_teardown);
}
