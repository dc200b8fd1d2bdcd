/* src/base/text.c: UTF-8 and what is none, widths, cutting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/base.h"

static void characters_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
        uint32_t code;
    } good[] = {{"a", 1, 'a'},
                {"~x", 1, '~'},
                {"\xc2\xa0", 2, 0xa0},
                {"é", 2, 0xe9},
                {"\xe0\xa0\x80", 3, 0x800},
                {"→a", 3, 0x2192},
                {"\xf0\x90\x80\x80", 4, 0x10000},
                {"\xf4\x8f\xbf\xbf", 4, 0x10ffff}};
    for (size_t i = 0; i < AGN_COUNT_OF(good); i++) {
        uint32_t code = 0;
        assert_int_equal(agn_utf8_read(good[i].text, &code), good[i].bytes);
        assert_int_equal(code, good[i].code);
    }
}

static void what_is_no_character_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "\x01",
        "\x1b[2J",
        "\x7f",
        "\x80",
        "\xff",
        "\xc0\xaf",         /* overlong */
        "\xe0\x80\xaf",     /* overlong */
        "\xf0\x80\x80\xaf", /* overlong */
        "\xc2\x9b",         /* control sequence introducer of C1 */
        "\xc3",             /* cut */
        "\xe2\x86",
        "\xf0\x9f\x98",
        "\xc3(",
        "\xed\xa0\x80",     /* surrogate */
        "\xf4\x90\x80\x80", /* beyond Unicode */
        "\xf5\x80\x80\x80",
    };
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++) {
        uint32_t code = 77;
        assert_int_equal(agn_utf8_read(bad[i], &code), 0);
        assert_int_equal(code, 77);
    }
}

static void text_is_cut_at_characters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int columns, width; /* asked for, used */
        const char *expected;
    } cases[] = {{"", 5, 0, ""},
                 {"cat", 3, 3, "cat"},
                 {"cats", 3, 3, "ca…"},
                 {"cats", 1, 1, "…"},
                 {"é→ü", 3, 3, "é→ü"},
                 {"é→ü!", 3, 3, "é→…"},
                 {"犬猫", 4, 4, "犬猫"},
                 {"犬猫鳥", 4, 3, "犬…"},
                 {"犬猫鳥", 5, 5, "犬猫…"},
                 {"犬", 1, 1, "…"},
                 {"a\nb\xff\x1b[1m", 20, 8, "a?b??[1m"},
                 {"\xe2\x86", 20, 2, "??"}};
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        char out[64];
        memset(out, 'x', sizeof out);
        assert_int_equal(agn_text_clip(out, sizeof out, cases[i].text, cases[i].columns), cases[i].width);
        assert_string_equal(out, cases[i].expected);
    }
    assert_int_equal(agn_text_columns("犬 dog\x01"), 7);
    assert_int_equal(agn_text_columns(""), 0);
}

/* Whatever the room, what comes out ends within it, and is whole characters. */
static void bytes_are_limited(void **state)
{
    (void)state;
    static const char text[] = "aé犬\xff\xf0\x9f\x98\x80 and more of it";
    for (size_t cap = 4; cap <= sizeof text + 2; cap++) {
        char out[sizeof text + 8];
        memset(out, 0x55, sizeof out);
        agn_text_clip(out, cap, text, 100);
        assert_true(strlen(out) < cap);
        for (size_t i = cap; i < sizeof out; i++)
            assert_int_equal(out[i], 0x55);
        uint32_t code;
        for (const char *at = out; *at; at += agn_utf8_read(at, &code))
            assert_true(agn_utf8_read(at, &code) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_are_read),
        cmocka_unit_test(what_is_no_character_is_refused),
        cmocka_unit_test(text_is_cut_at_characters),
        cmocka_unit_test(bytes_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
