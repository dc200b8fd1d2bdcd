/* Results files: rows as they were put, intervals, designs, which of two rows stays, CSV of any origin,
 * locks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/temp_folder.h"
#include "sweep/sweep_internal.h"

static struct agn_sweep_row row, other;

static void fill_row(struct agn_sweep_row *r, int number, const char *state)
{
    *r = (struct agn_sweep_row){.place = number, .seed = number, .images = 100};
    for (int i = 0; i < agn__column_count; i++)
        if (agn__columns[i].kind == AGN__REAL)
            *(double *)(void *)((char *)r + agn__columns[i].offset) = number + i / 3.0;
    snprintf(r->plan, sizeof r->plan, "p");
    snprintf(r->id, sizeof r->id, "%016x", (unsigned)number);
    snprintf(r->design, sizeof r->design, "k=3, \"quoted\"");
    snprintf(r->settings, sizeof r->settings, "{\"k\": \"3\"}");
    snprintf(r->preset_text, sizeof r->preset_text, "[data]\nformat = idx\n\n[model]\n");
    snprintf(r->state, sizeof r->state, "%s", state);
    snprintf(r->split, sizeof r->split, "test");
    snprintf(r->started, sizeof r->started, "2026-01-0%dT00:00:00Z", number % 9 + 1);
    r->silent_accuracy = NAN;
    r->accuracy = 0.5 + number / 100.0;
}

static struct agn_sweep_file *open_new(const char *name)
{
    struct agn_sweep_file *file = NULL;
    if (agn_sweep_open(temp_path("%s", name), true, &file) < 0)
        fail_msg("%s", agn_error_message());
    return file;
}

static bool same_real(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void assert_same_row(const struct agn_sweep_row *a, const struct agn_sweep_row *b)
{
    for (int i = 0; i < agn__column_count; i++) {
        const char *x = (const char *)a + agn__columns[i].offset,
                   *y = (const char *)b + agn__columns[i].offset;
        if (agn__columns[i].kind == AGN__TEXT)
            assert_string_equal(x, y);
        else if (agn__columns[i].kind == AGN__WHOLE)
            assert_int_equal(*(const int *)(const void *)x, *(const int *)(const void *)y);
        else
            assert_true(same_real(*(const double *)(const void *)x, *(const double *)(const void *)y));
    }
}

static const struct agn_sweep_point points[] = {{"loss", "256", "accuracy", 0.1, 0.25},
                                                {"loss", "256", "accuracy", 0.2, 1.0 / 3.0}};

static void rows_come_back(void **state)
{
    (void)state;
    struct agn_sweep_file *file = open_new("rows.sqlite");
    fill_row(&row, 1, "done");
    assert_int_equal(agn__results_put(file, &row, points, 2), AGN_OK);
    assert_int_equal(agn__results_get(file, "p", row.id, &other), 1);
    assert_same_row(&row, &other);
    assert_int_equal(agn__results_get(file, "q", row.id, &other), 0);
    assert_int_equal(agn__results_get(file, NULL, row.id, &other), 1);
    agn_sweep_close(file);
    assert_int_equal(agn_sweep_open(temp_path("nowhere.sqlite"), false, &file), AGN_ERR_NOT_FOUND);
    static const char text[] =
        "this is no database, but text of some length, so that SQLite reads a header of it";
    temp_file("text.sqlite", text, sizeof text);
    assert_int_equal(agn_sweep_open(temp_path("text.sqlite"), false, &file), AGN_ERR_FORMAT);
    assert_int_equal(agn_sweep_open(temp_path("text.sqlite"), true, &file), AGN_ERR_FORMAT);
}

/* ---- intervals --------------------------------------------------------------------------- */

static void intervals_are_students_and_wilsons(void **state)
{
    (void)state;
    const double three[] = {1.0, NAN, 2.0, 3.0};
    struct agn_statistic s = agn_statistic_of(three, 4, 100);
    assert_int_equal(s.n, 3);
    assert_true(fabs(s.mean - 2.0) < 1e-12);
    assert_true(fabs(s.low - (2.0 - 4.302653 / sqrt(3.0))) < 1e-4);
    assert_true(fabs(s.high - (2.0 + 4.302653 / sqrt(3.0))) < 1e-4);
    double many[101];
    for (int i = 0; i < 101; i++)
        many[i] = i % 2;
    s = agn_statistic_of(many, 101, 0); /* 100 degrees of freedom: 1.983972 */
    double mean = 50.0 / 101.0, deviation = sqrt(101.0 * mean * (1.0 - mean) / 100.0);
    assert_true(fabs(s.high - mean - 1.983972 * deviation / sqrt(101.0)) < 1e-6);
    s = agn_statistic_of(many, 41, 0); /* 40: 2.021075 */
    mean = 20.0 / 41.0;
    deviation = sqrt(41.0 * mean * (1.0 - mean) / 40.0);
    assert_true(fabs(s.high - mean - 2.021075 * deviation / sqrt(41.0)) < 1e-5);
    const double one = 0.9; /* of 100: Wilson 0.8256343 to 0.9447708 */
    s = agn_statistic_of(&one, 1, 100);
    assert_true(fabs(s.low - 0.8256343) < 1e-6 && fabs(s.high - 0.9447708) < 1e-6);
    s = agn_statistic_of(&one, 1, 0);
    assert_true(s.n == 1 && isnan(s.low) && isnan(s.high));
    s = agn_statistic_of(three + 1, 1, 100);
    assert_true(s.n == 0 && isnan(s.mean));
}

struct seen {
    int count, done[4], failed[4], diverged[4];
    double accuracy[4], silent_n[4];
    char design[4][32];
};

static int see_design(void *user, const struct agn_sweep_design *d)
{
    struct seen *seen = user;
    int i = seen->count++;
    if (i >= 4)
        return AGN_ERR_RANGE;
    seen->done[i] = d->done;
    seen->failed[i] = d->failed;
    seen->diverged[i] = d->diverged;
    seen->accuracy[i] = d->of[agn_sweep_figure_find("accuracy")].mean;
    seen->silent_n[i] = d->of[agn_sweep_figure_find("silent_accuracy")].n;
    snprintf(seen->design[i], sizeof seen->design[i], "%.31s", d->first.design);
    return AGN_OK;
}

static void designs_are_in_the_plans_order(void **state)
{
    (void)state;
    static const char *const states[] = {"done", "diverged", "done", "failed", "done", "done"};
    struct seen seen = {0};
    struct agn_sweep_file *file = open_new("designs.sqlite");
    for (int i = 0; i < 6; i++) {
        fill_row(&row, i, states[i]);
        snprintf(row.design, sizeof row.design, i % 2 == 0 ? "z" : "a"); /* by place z is the first */
        assert_int_equal(agn__results_put(file, &row, NULL, 0), AGN_OK);
    }
    assert_int_equal(agn_sweep_each_design(file, "p", see_design, &seen), AGN_OK);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.design[0], "z");
    assert_int_equal(seen.done[0], 3);
    assert_true(fabs(seen.accuracy[0] - 0.52) < 1e-12);
    assert_true(seen.silent_n[0] == 0.0);
    assert_int_equal(seen.done[1], 1);
    assert_int_equal(seen.failed[1], 1);
    assert_int_equal(seen.diverged[1], 1);
    assert_true(fabs(seen.accuracy[1] - 0.55) < 1e-12);
    seen.count = 0;
    assert_int_equal(agn_sweep_each_design(file, "another", see_design, &seen), AGN_OK);
    assert_int_equal(seen.count, 0);
    agn_sweep_close(file);
}

/* ---- merging ------------------------------------------------------------------------------- */

static void put_alone(const char *name, int started, const char *how, double accuracy)
{
    struct agn_sweep_file *file = open_new(name);
    fill_row(&row, 1, how);
    snprintf(row.started, sizeof row.started, "2026-01-0%dT00:00:00Z", started);
    row.accuracy = accuracy;
    assert_int_equal(agn__results_put(file, &row, points, strcmp(how, "done") == 0 ? 2 : 0), AGN_OK);
    agn_sweep_close(file);
}

static void expect_merged(const char *a, const char *b, double accuracy, int rows)
{
    static int number;
    char out[64], paths[2][4096], id[17];
    const char *const from[] = {paths[0], paths[1]};
    int taken = 0;
    struct agn_sweep_file *file = NULL;
    snprintf(out, sizeof out, "merged%d.sqlite", number++);
    snprintf(paths[0], sizeof paths[0], "%s", temp_path("%s", a));
    snprintf(paths[1], sizeof paths[1], "%s", temp_path("%s", b));
    assert_int_equal(agn_sweep_merge(temp_path("%s", out), from, 2, &taken), AGN_OK);
    assert_int_equal(taken, rows);
    assert_int_equal(agn_sweep_open(temp_path("%s", out), false, &file), AGN_OK);
    snprintf(id, sizeof id, "%016x", 1U);
    assert_int_equal(agn__results_get(file, "p", id, &other), 1);
    assert_true(fabs(other.accuracy - accuracy) < 1e-12);
    agn_sweep_close(file);
}

static void the_later_done_row_stays(void **state)
{
    (void)state;
    put_alone("old.sqlite", 1, "done", 0.1);
    put_alone("new.sqlite", 2, "done", 0.2);
    put_alone("failed.sqlite", 3, "failed", 0.3);
    put_alone("diverged.sqlite", 4, "diverged", 0.4);
    expect_merged("old.sqlite", "new.sqlite", 0.2, 2);
    expect_merged("new.sqlite", "old.sqlite", 0.2, 1);
    expect_merged("failed.sqlite", "old.sqlite", 0.1, 2);
    expect_merged("old.sqlite", "diverged.sqlite", 0.1, 1);
    expect_merged("diverged.sqlite", "failed.sqlite", 0.4, 1);
    expect_merged("old.sqlite", "old.sqlite", 0.1, 1);
}

/* ---- CSV --------------------------------------------------------------------------------------- */

static int merge_text(const char *text, int *rows)
{
    char path[4096];
    const char *const from[] = {path};
    temp_file("given.csv", text, strlen(text));
    snprintf(path, sizeof path, "%s", temp_path("given.csv"));
    return agn_sweep_merge(temp_path("into.sqlite"), from, 1, rows);
}

static void refuse_text(const char *text, const char *why)
{
    int rows = -1;
    assert_int_equal(merge_text(text, &rows), AGN_ERR_FORMAT);
    assert_int_equal(rows, -1);
    if (strstr(agn_error_message(), why) == NULL)
        fail_msg("'%s' lacks '%s'", agn_error_message(), why);
}

static void bad_csv_is_refused(void **state)
{
    (void)state;
    int rows = -1;
    refuse_text("", "line 1: expected the head of a table");
    refuse_text("plan,id\n", "line 1: expected the head of a table");
    refuse_text("name,question,text\na,b\n", "line 2: another number of fields");
    refuse_text("name,question,text\na,b,c,d\n", "line 2: another number of fields");
    refuse_text("name,question,text\n\"a\n\nb\",b,c\na,\"b,c\n", "line 5: a quote has no end");
    refuse_text("name,question,text\na,\"b\"c,d\n", "line 2: expected a comma");
    refuse_text("name,question,text\na,b\"c,d\n", "line 2: expected a comma");
    refuse_text("plan,id,curve,label,x,figure,value\np,1,loss,,0.1,accuracy,none\n",
                "line 2: a name is too long");
    refuse_text("plan,id,curve,label,x,figure,value\np,1,loss,,,accuracy,1\n", "line 2: a name is too long");
    refuse_text("plan,id,curve,label,x,figure,value\np,1,a-curve-of-a-long-name,,1,accuracy,1\n", "line 2");
    assert_int_equal(merge_text("name,question,text\r\na,\"b \"\"c\"\"\",\"d\r\ne\"", &rows), AGN_OK);
    assert_int_equal(rows, 0);
}

static void csv_is_without_loss(void **state)
{
    (void)state;
    char path[4096];
    const char *const from[] = {path};
    int rows = 0;
    struct agn_sweep_file *file = open_new("there.sqlite");
    fill_row(&row, 5, "done");
    snprintf(row.reason, sizeof row.reason, "a \"reason\",\r\nof lines");
    row.seconds = 1e-300;
    row.train_seconds = 0.1 + 0.2;
    assert_int_equal(agn__results_put(file, &row, NULL, 0), AGN_OK);
    snprintf(path, sizeof path, "%s", temp_path("runs.csv"));
    FILE *csv = fopen(path, "w");
    assert_non_null(csv);
    assert_int_equal(agn_sweep_write_csv(file, NULL, AGN_SWEEP_RUNS, csv), AGN_OK);
    assert_int_equal(fclose(csv), 0);
    agn_sweep_close(file);
    assert_int_equal(agn_sweep_merge(temp_path("back.sqlite"), from, 1, &rows), AGN_OK);
    assert_int_equal(rows, 1);
    assert_int_equal(agn_sweep_open(temp_path("back.sqlite"), false, &file), AGN_OK);
    assert_int_equal(agn__results_get(file, "p", row.id, &other), 1);
    assert_same_row(&row, &other);
    agn_sweep_close(file);
}

/* ---- locks ----------------------------------------------------------------------------------------- */

/* In another process: a lock does not hold against the one that has it. */
static int open_elsewhere(const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        struct agn_sweep_file *file = NULL;
        int status = agn_sweep_open(path, true, &file);
        bool named = strstr(agn_error_message(), "is locked by process") != NULL;
        _exit(status == AGN_ERR_BUSY && named ? 1 : status == AGN_OK ? 0 : 2);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    return WEXITSTATUS(how);
}

static void one_process_writes(void **state)
{
    (void)state;
    char path[4096];
    snprintf(path, sizeof path, "%s", temp_path("locked.sqlite"));
    struct agn_sweep_file *file = open_new("locked.sqlite");
    assert_int_equal(open_elsewhere(path), 1);
    agn_sweep_close(file);
    assert_int_equal(open_elsewhere(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back),
        cmocka_unit_test(intervals_are_students_and_wilsons),
        cmocka_unit_test(designs_are_in_the_plans_order),
        cmocka_unit_test(the_later_done_row_stays),
        cmocka_unit_test(bad_csv_is_refused),
        cmocka_unit_test(csv_is_without_loss),
        cmocka_unit_test(one_process_writes),
    };
    return cmocka_run_group_tests(tests, temp_folder_setup, temp_folder_teardown);
}
