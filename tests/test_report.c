/* The page of results: what stands in it, that hostile text stays text, that the same files give the same
 * bytes in any order, and which files are refused. */
#include <math.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "agilenn/report.h"
#include "report/designs.h"
#include "report/paper.h"
#include "temp_folder.h"

enum { MOST_BYTES = 16 << 20 };

/* ---- files ------------------------------------------------------------------------------- */

static const char *source_file(const char *name)
{
    static char path[1024];
    const char *root = getenv("AGN_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/%s", root != NULL ? root : "..", name);
    return path;
}

static char *read_text(const char *path)
{
    uint8_t *text = NULL;
    size_t size = 0;
    if (agn_file_read(path, MOST_BYTES, &text, &size) < 0)
        fail_msg("%s", agn_error_message());
    char *copy = strdup((const char *)text);
    assert_non_null(copy);
    agn_free(text);
    return copy;
}

static void execute(sqlite3 *database, const char *sql)
{
    char *why = NULL;
    if (sqlite3_exec(database, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s in %.200s", why, sql);
}

/* results.sql, then `more`, in a file of that name. */
static const char *make_results(const char *name, const char *more)
{
    const char *path = temp_path("%s", name);
    char *sql = read_text(source_file("tests/support/results.sql"));
    sqlite3 *database;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    execute(database, sql);
    execute(database, more);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
    free(sql);
    return path;
}

static int write_page(const char *const *results, int count, const char *folder, bool pictures)
{
    const struct agn_report_config config = {.results = results,
                                             .result_count = count,
                                             .folder = folder,
                                             .title = "<Title> & \"more\"",
                                             .board = "stm32f746",
                                             .radio = "esp8266",
                                             .pictures = pictures};
    assert_int_equal(agn_make_dirs(folder), AGN_OK);
    return agn_report_write(&config, NULL);
}

/* report.html of one file, for the caller to free. */
static char *page_of(const char *results, const char *folder, bool pictures)
{
    if (write_page(&results, 1, folder, pictures) < 0)
        fail_msg("%s", agn_error_message());
    char path[1024];
    snprintf(path, sizeof path, "%s/report.html", folder);
    return read_text(path);
}

static int count_of(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
        count++;
    return count;
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("the page lacks %s", part);
}

/* ---- what stands in it -------------------------------------------------------------------- */

static void test_holds_results_beside_the_paper(void **state)
{
    (void)state;
    char *page = page_of(make_results("a.sqlite", ""), temp_path("page"), false);
    assert_has(page, "<title>&lt;Title&gt; &amp; &quot;more&quot;</title>");
    /* mean over three seeds, 0.839 to 0.845, and Student's interval: 0.842 +- 4.303 * 0.003 / sqrt(3) */
    assert_has(page, "84.20 <span class=\"interval\">83.45 to 84.95</span>");
    /* the paper's of the same data set and system */
    assert_has(page, "<td class=\"number paper\" data-value=\"94.2\"><span class=\"mark\" title=\"from the "
                     "paper\">†</span> 94.2</td>");
    assert_has(page, "<td class=\"number modelled\"");
    assert_has(page, "the loss is not finite in epoch 2");
    assert_has(page, "killed by signal 9");
    assert_has(page, "Which system is the most accurate, and what does it cost?");
    /* a plan's command is without the choice of one run */
    assert_has(page, "<code>agilenn sweep bench/plans/grid.ini --out r.sqlite --jobs 2</code>");
    /* 146 bytes instead of 101 */
    assert_has(page, "</span> 44.6</td>");
    /* 32 * 32 * 3 bytes of pixels as 146 */
    assert_has(page, "</span> 21.0</td>");
    assert_has(page, "SVHN: its pictures are not part of any Debian package");
    assert_has(page, "joint.rho = 0.7 is the best of 3 values");
    assert_has(page, "of 5 presets cifar10-lean is the most accurate, 84.20 %");
    assert_has(page, "1 runs diverged");
    free(page);
}

/* One run of each accuracy has Wilson's interval: of 0.71 over 2000 images 0.6897 to 0.7295. */
static void test_one_seed_has_wilsons_interval(void **state)
{
    (void)state;
    char *page = page_of(make_results("a.sqlite", ""), temp_path("page"), false);
    assert_has(page, "71.00 <span class=\"interval\">68.97 to 72.95</span>");
    free(page);
}

/* Each picture of the Markdown lies beside it. */
static void assert_pictures(const char *markdown, int expected)
{
    int pictures = 0;
    char name[256];
    for (const char *at = strstr(markdown, "](report-"); at != NULL; at = strstr(at + 1, "](report-")) {
        assert_int_equal(sscanf(at, "](%200[a-z0-9.-])", name), 1);
        assert_true(agn_file_exists(temp_path("page/%s", name)));
        pictures++;
    }
    assert_in_range(pictures, 10, 40);
    assert_int_equal(pictures, expected);
}

static void test_hostile_text_stays_text(void **state)
{
    (void)state;
    char *page = page_of(make_results("a.sqlite", ""), temp_path("page"), true);
    assert_int_equal(count_of(page, "<script"), 1); /* the page's own */
    assert_int_equal(count_of(page, "</script"), 1);
    assert_int_equal(count_of(page, "<img"), 0);
    assert_has(page, "&lt;script&gt;alert(&quot;question&quot;)&lt;/script&gt;");
    assert_int_equal(count_of(page, "<table>"), count_of(page, "</table>"));
    assert_int_equal(count_of(page, "<svg"), count_of(page, "</svg>"));
    assert_int_equal(count_of(page, "http://"),
                     2 * count_of(page, "<svg")); /* names of SVG's language, nothing else */
    assert_int_equal(count_of(page, "https://"), 0);
    assert_null(strstr(page, "Gnuplot"));
    assert_null(strstr(page, "nan"));
    char *markdown = read_text(temp_path("page/report.md"));
    /* there as code only, which is indented */
    for (const char *at = strstr(markdown, "<script"); at != NULL; at = strstr(at + 1, "<script")) {
        const char *line = at;
        while (line > markdown && line[-1] != '\n')
            line--;
        assert_memory_equal(line, "    ", 4);
    }
    assert_null(strstr(markdown, "<img"));
    assert_pictures(markdown, count_of(page, "<figure>"));
    free(markdown);
    free(page);
}

static void test_same_results_give_the_same_bytes(void **state)
{
    (void)state;
    const char *first = make_results("a.sqlite", "");
    /* the same rows, the other way round */
    const char *second =
        make_results("b.sqlite", "CREATE TABLE r AS SELECT * FROM runs ORDER BY rowid DESC; DELETE FROM runs;"
                                 "INSERT INTO runs SELECT * FROM r; DROP TABLE r;"
                                 "CREATE TABLE c AS SELECT * FROM curves ORDER BY rowid DESC; DELETE FROM "
                                 "curves; INSERT INTO curves SELECT * FROM c; DROP TABLE c");
    char *a = page_of(first, temp_path("one"), true), *b = page_of(second, temp_path("two"), true);
    char *x = read_text(temp_path("one/report.md")), *y = read_text(temp_path("two/report.md"));
    assert_string_equal(a, b);
    assert_string_equal(x, y);
    free(a);
    free(b);
    free(x);
    free(y);
}

/* A run that two files have counts once: the one that is done. */
static void test_files_are_joined(void **state)
{
    (void)state;
    const char *files[] = {
        make_results(
            "a.sqlite",
            "UPDATE runs SET state = 'failed', reason = 'in the first file' WHERE preset = 'cifar10-lean'"),
        make_results("b.sqlite", "")};
    char *alone = page_of(files[1], temp_path("one"), false);
    if (write_page(files, 2, temp_path("two"), false) < 0)
        fail_msg("%s", agn_error_message());
    char *both = read_text(temp_path("two/report.html"));
    assert_string_equal(both, alone);
    free(alone);
    free(both);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void refuse(int status, const char *path, const char *reason)
{
    assert_int_equal(write_page(&path, 1, temp_path("no"), false), status);
    if (strstr(agn_error_message(), reason) == NULL)
        fail_msg("'%s' lacks '%s'", agn_error_message(), reason);
    assert_int_equal(temp_count_entries(temp_path("no")), 0);
}

static void test_refuses_other_files(void **state)
{
    (void)state;
    refuse(AGN_ERR_NOT_FOUND, temp_path("nowhere.sqlite"), "there is no results file");
    refuse(AGN_ERR_FORMAT, temp_file("text.sqlite", "no database, but text of some length\n", 37),
           "expected a results file");
    refuse(AGN_ERR_FORMAT, temp_file("empty.sqlite", "", 0), "no such table: meta");
    refuse(AGN_ERR_FORMAT, make_results("newer.sqlite", "UPDATE meta SET value = 2"), "version 2");
    refuse(AGN_ERR_FORMAT, make_results("old.sqlite", "UPDATE meta SET value = 'x'"), "version");
    refuse(AGN_ERR_FORMAT, make_results("none.sqlite", "DELETE FROM meta"), "names no version");
    refuse(AGN_ERR_FORMAT, make_results("columns.sqlite", "ALTER TABLE runs DROP COLUMN alpha"),
           "no such column: alpha");
    refuse(AGN_ERR_FORMAT, make_results("curves.sqlite", "DROP TABLE curves"), "no such table: curves");
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_int_equal(agn_file_read(make_results("whole.sqlite", ""), MOST_BYTES, &bytes, &size), AGN_OK);
    assert_true(size > 20000);
    refuse(AGN_ERR_FORMAT, temp_file("cut.sqlite", bytes, 20000), "cut.sqlite");
    agn_free(bytes);
}

static void test_results_without_runs(void **state)
{
    (void)state;
    char *page = page_of(make_results("a.sqlite", "DELETE FROM runs; DELETE FROM plans; DELETE FROM curves"),
                         temp_path("page"), true);
    assert_has(page, "The results files hold no runs.");
    assert_has(page, "The runs say nothing yet");
    assert_has(page, "class=\"number paper\"");
    free(page);
}

/* 10,000 runs of as many designs: a page of bounded size. */
static void test_many_runs(void **state)
{
    (void)state;
    const char *many =
        make_results("a.sqlite", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
                                 "10000) INSERT INTO runs (plan, id, place, dataset, "
                                 "preset, system, design, settings, seed, state, split, images, accuracy) "
                                 "SELECT 'many', printf('%016x', i), i, 'cifar10', "
                                 "'p', 'agilenn', 'joint.lambda=' || i, json_object('joint.lambda', i), 1, "
                                 "'done', 'test', 1000, 0.5 FROM n;"
                                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
                                 "10000) INSERT INTO curves SELECT 'many', "
                                 "printf('%016x', i), 'loss', '', 1, 'accuracy', 0.5 FROM n");
    char *page = page_of(many, temp_path("page"), true);
    assert_in_range(strlen(page), 100000, 3 << 20);
    assert_has(page, "9800 more rows are left out here");
    free(page);
}

/* ---- parts ---------------------------------------------------------------------------------------- */

static void test_intervals(void **state)
{
    (void)state;
    const double values[] = {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0};
    struct agn__value two = agn__report_mean(values, 2), many = agn__report_mean(values, 13),
                      none = agn__report_mean(values, 0), one = agn__report_mean(values, 1);
    assert_true(fabs(two.mean - 1.5) < 1e-12 && fabs(two.high - two.mean - 12.7062 * 0.5) < 1e-9);
    /* s = 3.8944, t of 12 degrees of freedom = 2.1788 */
    assert_true(fabs(many.mean - 7.0) < 1e-12 &&
                fabs(many.high - 7.0 - 2.1788 * 3.894440 / sqrt(13.0)) < 1e-4);
    assert_true(isnan(none.mean) && one.mean == 1.0 && isnan(one.low));
}

static void test_paper_is_whole(void **state)
{
    (void)state;
    struct agn__paper paper = {0};
    assert_int_equal(agn__paper_read(&paper), AGN_OK);
    const struct agn__paper_row like = {
        .table = "systems", .dataset = "cifar100", .system = "agilenn", .setting = ""};
    const struct agn__paper_row clock = {
        .table = "clock", .dataset = "cifar100", .system = "local-only", .setting = ""};
    assert_true(agn__paper_value(&paper, &like, "network_ms") == 5.4);
    assert_true(agn__paper_value(&paper, &like, "accuracy") == 73.7);
    assert_true(agn__paper_value(&paper, &clock, "latency_64_ms") == 1049.0);
    assert_true(isnan(agn__paper_value(&paper, &clock, "accuracy")));
    for (int i = 0; i < paper.count; i++) /* no figure twice */
        for (int k = 0; k < i; k++)
            assert_false(strcmp(paper.rows[i].table, paper.rows[k].table) == 0 &&
                         strcmp(paper.rows[i].dataset, paper.rows[k].dataset) == 0 &&
                         strcmp(paper.rows[i].system, paper.rows[k].system) == 0 &&
                         strcmp(paper.rows[i].setting, paper.rows[k].setting) == 0 &&
                         strcmp(paper.rows[i].figure, paper.rows[k].figure) == 0);
    agn__paper_free(&paper);
}

static void test_datasets_by_name(void **state)
{
    (void)state;
    assert_string_equal(agn__dataset_key("cifar-100-binary"), "cifar100");
    assert_string_equal(agn__dataset_key("CIFAR-10-batches-bin"), "cifar10");
    assert_string_equal(agn__dataset_key("tiny-imagenet-200"), "imagenet200");
    assert_string_equal(agn__dataset_key("fashion-mnist"), "fashion-mnist");
    assert_string_equal(agn__dataset_key(""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_holds_results_beside_the_paper, temp_folder_setup,
                                        temp_folder_teardown),
        cmocka_unit_test_setup_teardown(test_one_seed_has_wilsons_interval, temp_folder_setup,
                                        temp_folder_teardown),
        cmocka_unit_test_setup_teardown(test_hostile_text_stays_text, temp_folder_setup,
                                        temp_folder_teardown),
        cmocka_unit_test_setup_teardown(test_same_results_give_the_same_bytes, temp_folder_setup,
                                        temp_folder_teardown),
        cmocka_unit_test_setup_teardown(test_files_are_joined, temp_folder_setup, temp_folder_teardown),
        cmocka_unit_test_setup_teardown(test_refuses_other_files, temp_folder_setup, temp_folder_teardown),
        cmocka_unit_test_setup_teardown(test_results_without_runs, temp_folder_setup, temp_folder_teardown),
        cmocka_unit_test_setup_teardown(test_many_runs, temp_folder_setup, temp_folder_teardown),
        cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_paper_is_whole),
        cmocka_unit_test(test_datasets_by_name),
    };
    setenv("AGILENN_PROFILES", source_file("profiles"), 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
