/* src/eval/fonts.c: DejaVu, which the plots use, and what no font has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plot/fonts.h"

static void characters_of_dejavu_are_known(void **state)
{
    (void)state;
    static const uint32_t known[] = {' ', 'a', '~', 0xe9, 0x3b1, 0x416, 0x2019, 0x2026, 0x2192, 0x2713};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!agn__font_has(known[i]))
            fail_msg("U+%04X is unknown", (unsigned)known[i]);
}

static void what_is_no_character_is_unknown(void **state)
{
    (void)state;
    static const uint32_t unknown[] = {0x378, 0xffff, 0xe0fff, 0x10ffff, 0xffffffff};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        if (agn__font_has(unknown[i]))
            fail_msg("U+%04X is known", (unsigned)unknown[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_of_dejavu_are_known),
        cmocka_unit_test(what_is_no_character_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
