/* Profiles of boards and radios: each that is committed loads and is sane; damaged ones are refused with
 * file, line, key and what is expected, and leave what they would have filled as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "agilenn/cost.h"
#include "agilenn/targets.h"
#include "temp_folder.h"

static const char *path_of(const char *sort, const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/profiles/%s/%s.ini", getenv("AGN_SOURCE_DIR"), sort, name);
    return path;
}

static int find_committed(void **state)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s/profiles", getenv("AGN_SOURCE_DIR"));
    return setenv("AGILENN_PROFILES", folder, 1) == 0 ? temp_folder_setup(state) : -1;
}

static void all_committed_load(void **state)
{
    static const char *const wanted[2][10] = {{"stm32f746", "stm32h7a3", "stm32h743", "stm32l4r5",
                                               "stm32u575", "nrf52840", "rp2040", "esp32-s3", "m55"},
                                              {"esp8266", "esp8266-uart-115200", "esp8266-uart-3m",
                                               "esp32-uart-921600", "esp32-wifi", "ble", "802154", "lora",
                                               "nb-iot", "ethernet"}};
    char names[AGN_MOST_PROFILES][AGN_PROFILE_NAME];
    struct agn_board board;
    struct agn_radio radio;
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        int count = agn_profile_names((enum agn_profile_kind)kind, names, AGN_MOST_PROFILES), found = 0;
        for (int i = 0; i < count; i++) {
            int status = kind == AGN_PROFILE_BOARD ? agn_board_load(names[i], &board)
                                                   : agn_radio_load(names[i], &radio);
            if (status < 0)
                fail_msg("%s: %s", names[i], agn_error_message());
            assert_string_equal(kind == AGN_PROFILE_BOARD ? board.name : radio.name, names[i]);
            if (kind == AGN_PROFILE_BOARD)
                assert_non_null(agn_target_find(board.target));
            for (int w = 0; w < 10; w++)
                found += wanted[kind][w] != NULL && strcmp(wanted[kind][w], names[i]) == 0;
        }
        assert_int_equal(found, kind == AGN_PROFILE_BOARD ? 9 : 10);
    }
}

static void inputs_have_sources(void **state)
{
    struct agn_profile_input inputs[AGN_MOST_PROFILE_INPUTS];
    struct agn_board board;
    bool seen = false;
    (void)state;
    int count = agn_profile_inputs(AGN_PROFILE_BOARD, "stm32f746", inputs, AGN_MOST_PROFILE_INPUTS);
    assert_int_equal(count, 11);
    assert_int_equal(agn_board_load("stm32f746", &board), AGN_OK);
    for (int i = 0; i < count; i++) {
        assert_true(inputs[i].source[0] != '\0' && inputs[i].sure != NULL);
        if (strcmp(inputs[i].key, "run_ma") == 0) {
            seen = true;
            assert_memory_equal(&inputs[i].value, &board.run_ma, sizeof board.run_ma);
            assert_string_equal(inputs[i].sure, "memory");
        }
    }
    assert_true(seen);
    assert_int_equal((int)board.run_ma.typical, 120);
}

/* The text of a committed profile, with its line `line` (from 1) replaced; NULL leaves it out. */
static char *damaged(const char *sort, const char *name, int line, const char *by)
{
    uint8_t *text = NULL;
    size_t size = 0, used = 0;
    assert_int_equal(agn_file_read(path_of(sort, name), 65536, &text, &size), AGN_OK);
    char *copy = malloc(size + 512);
    const char *at = (const char *)text;
    for (int i = 1; *at != '\0'; i++) {
        size_t length = strcspn(at, "\n") + 1;
        if (i != line)
            used += (size_t)sprintf(copy + used, "%.*s", (int)length, at);
        else if (by != NULL)
            used += (size_t)sprintf(copy + used, "%s\n", by);
        at += length;
    }
    agn_free(text);
    return copy;
}

static int line_of(const char *sort, const char *name, const char *beginning)
{
    uint8_t *text = NULL;
    size_t size = 0;
    int line = 1, found = 0;
    assert_int_equal(agn_file_read(path_of(sort, name), 65536, &text, &size), AGN_OK);
    for (const char *at = (const char *)text; *at != '\0'; at += strcspn(at, "\n") + 1, line++)
        if (strncmp(at, beginning, strlen(beginning)) == 0 && found == 0)
            found = line;
    agn_free(text);
    assert_true(found > 0);
    return found;
}

/* Faster than agn_file_write, which waits for the disk. */
static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
}

static void expect_refused(const char *text, int line, const char *key, const char *expectation)
{
    const char *path = temp_path("bad.ini");
    struct agn_board board, before;
    char where[600];
    memset(&board, 0x5a, sizeof board);
    before = board;
    write_text(path, text);
    assert_true(agn_board_load(path, &board) < 0);
    assert_memory_equal(&board, &before, sizeof board);
    snprintf(where, sizeof where, "profile %s, line %d: ", path, line);
    const char *message = agn_error_message();
    if (strstr(message, where) == NULL || strstr(message, key) == NULL ||
        strstr(message, expectation) == NULL)
        fail_msg("'%s' lacks '%s', '%s' or '%s'", message, where, key, expectation);
}

static void bad_values_are_refused(void **state)
{
    static const struct {
        const char *key, *by, *expectation;
    } cases[] = {
        {"run_ma =", "run_ma = 130 120 178", "low <= typical <= high"},
        {"run_ma =", "run_ma = 102 120", "three numbers"},
        {"run_ma =", "run_ma = 102 120 178 200", "three numbers"},
        {"run_ma =", "run_ma = 102 120 1e9", "each from"},
        {"run_ma =", "run_ma = -1 120 178", "each from"},
        {"run_ma =", "run_ma = 102 nan 178", "each from"},
        {"run_ma =", "run_ma = 102 120 inf", "each from"},
        {"run_ma =", "run_ma = a lot", "three numbers"},
        {"run_ma =", "run_ma = 102 120 178mA", "three numbers"},
        {"run_ma =", "run_ma =", "three numbers"},
        {"clock_mhz =", "clock_mhz = 0", "each from"},
        {"clock_mhz =", "clock_mhz = 1 2 3", "one number"},
        {"target =", "target = z80", "one of cortex-m0plus"},
        {"run_ma.sure", "run_ma.sure = perhaps", "known, computed, memory or guess"},
        {"run_ma.source", "run_ma.source =", "characters"},
        {"run_ma.source", "run_ma.why = so", "expected a key"},
        {"volts =", "clock_mhz = 100", "twice"},
        {"volts =", "wait_ma", "expected [section]"},
        {"rest_mw =", "run_ma = 1 2 3", "expected a key"}, /* of another section */
    };
    (void)state;
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        char key[64];
        int line = line_of("boards", "stm32f746", cases[i].key);
        char *text = damaged("boards", "stm32f746", line, cases[i].by);
        snprintf(key, sizeof key, "%.*s", (int)strcspn(cases[i].by, " ="), cases[i].by);
        expect_refused(text, line, strcmp(key, "wait_ma") == 0 ? "" : key, cases[i].expectation);
        free(text);
    }
}

static void missing_inputs_are_refused(void **state)
{
    int line = line_of("boards", "stm32f746", "run_ma ="),
        last = line_of("boards", "stm32f746", "rest_mw.sure");
    char *text = damaged("boards", "stm32f746", line, NULL);
    (void)state;
    expect_refused(text, last - 1, "[processor] run_ma", "three numbers");
    free(text);
    text = damaged("boards", "stm32f746", line + 2, NULL);
    expect_refused(text, line, "run_ma.sure", "known, computed, memory or guess");
    free(text);
    text = damaged("boards", "stm32f746", line + 1, NULL);
    expect_refused(text, line, "run_ma.source", "where it is from");
    free(text);
}

/* Each line of a profile left out, cut short or filled with rubbish: no crash, and a refusal or a sound
 * board. */
static void damage_never_passes_unsound(void **state)
{
    static const char *const rubbish[] = {NULL,
                                          "",
                                          "[",
                                          "]=",
                                          "= 1",
                                          "x",
                                          "\xff\xfe",
                                          "[board",
                                          "run_ma = 1e999 2 3",
                                          "volts = 0x10",
                                          "clock_mhz = 00",
                                          "rest_mw = 1 1 1"};
    const char *path = temp_path("damaged.ini");
    int lines = line_of("radios", "lora", "receive_ma.sure"), refused = 0;
    struct agn_radio radio;
    (void)state;
    for (int line = 1; line <= lines; line++) {
        for (size_t i = 0; i < AGN_COUNT_OF(rubbish); i++) {
            char *text = damaged("radios", "lora", line, rubbish[i]);
            write_text(path, text);
            free(text);
            int status = agn_radio_load(path, &radio);
            refused += status < 0;
            if (status < 0)
                assert_non_null(strstr(agn_error_message(), "line "));
            else
                assert_true(radio.rate_kbps > 0.0 && radio.volts > 0.0 &&
                            radio.air_ms.low <= radio.air_ms.high);
        }
    }
    assert_true(refused > lines * 8);
}

static void unknown_names_list_what_there_is(void **state)
{
    struct agn_board board;
    struct agn_radio radio;
    (void)state;
    assert_int_equal(agn_board_load("stm32f999", &board), AGN_ERR_IO);
    assert_non_null(strstr(agn_error_message(), " rp2040"));
    assert_int_equal(agn_radio_load("smoke", &radio), AGN_ERR_IO);
    assert_non_null(strstr(agn_error_message(), " lora"));
    assert_int_equal(agn_radio_load("/nonexistent/x.ini", &radio), AGN_ERR_IO);
    assert_int_equal(agn_radio_load(path_of("radios", "lora"), &radio), AGN_OK);
    assert_string_equal(radio.name, "lora");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_committed_load),          cmocka_unit_test(inputs_have_sources),
        cmocka_unit_test(bad_values_are_refused),      cmocka_unit_test(missing_inputs_are_refused),
        cmocka_unit_test(damage_never_passes_unsound), cmocka_unit_test(unknown_names_list_what_there_is),
    };
    return cmocka_run_group_tests(tests, find_committed, temp_folder_teardown);
}
