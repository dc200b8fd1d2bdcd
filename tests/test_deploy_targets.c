/* What a model takes of a processor: sums, limits to the byte, and what the refusal says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agilenn/base.h"
#include "agilenn/targets.h"
#include "cli/target_table.h"
#include "support/small_model.h"

static uint8_t *file;
static size_t file_bytes;
static struct agn_dev_model model;

static int write_small(void **state)
{
    (void)state;
    struct small_model small;
    small_model_make(&small);
    if (agn_model_agn_write(&small.model, &file, &file_bytes) < 0)
        return -1;
    return agn_dev_model_open(&model, file, file_bytes);
}

static int free_small(void **state)
{
    (void)state;
    agn_free(file);
    return 0;
}

static void every_target_has_sane_figures(void **state)
{
    (void)state;
    int count = 0;
    const struct agn_target *targets = agn_targets(&count);
    assert_true(count >= 8);
    for (int i = 0; i < count; i++) {
        const struct agn_target *target = &targets[i];
        assert_ptr_equal(agn_target_find(target->name), target);
        assert_in_range(target->state_bytes, 256, 1024);
        for (int how = 0; how < AGN_OPTIMISE_COUNT; how++) {
            for (int part = 0; part < AGN_RUNTIME_COUNT; part++) {
                assert_in_range(target->sizes[how][part].code_bytes, 4096, 40 * 1024);
                assert_in_range(target->sizes[how][part].stack_bytes, 200, 2304);
                assert_true(part == 0 ||
                            target->sizes[how][0].code_bytes < target->sizes[how][part].code_bytes);
            }
        }
        assert_true(target->sizes[AGN_OPTIMISE_SIZE][0].code_bytes <
                    target->sizes[AGN_OPTIMISE_SPEED][0].code_bytes);
    }
    assert_null(agn_target_find("cortex-m8"));
    assert_null(agn_target_find(""));
    assert_string_equal(agn_target_find("cortex-m0plus")->kernels, "plain");
    assert_string_equal(agn_target_find("cortex-m7")->kernels, "dsp");
}

/* This machine lays the struct out as riscv64 does where pointers have 8 bytes; a field that is added changes
 * both. */
static void the_state_is_that_of_the_processor(void **state)
{
    (void)state;
    if (sizeof(void *) != 8)
        skip();
    assert_int_equal(agn_target_find("riscv64")->state_bytes, sizeof(struct agn_dev));
    assert_true(agn_target_find("riscv32")->state_bytes < sizeof(struct agn_dev));
}

static void needs_add_up(void **state)
{
    (void)state;
    struct agn_target_needs needs;
    const struct agn_target *m0 = agn_target_find("cortex-m0plus");
    agn_target_needs(m0, AGN_OPTIMISE_SIZE, &model, &needs);
    assert_int_equal(needs.arena_bytes, agn_dev_arena_bytes(&model));
    assert_int_equal(needs.model_bytes, file_bytes);
    assert_int_equal(needs.stack_bytes, m0->sizes[AGN_OPTIMISE_SIZE][0].stack_bytes);
    assert_int_equal(needs.code_bytes, m0->sizes[AGN_OPTIMISE_SIZE][0].code_bytes);
    assert_int_equal(needs.ram_bytes,
                     needs.arena_bytes + m0->state_bytes + AGN_WIRE_MAX_PACKET + needs.stack_bytes);
    assert_int_equal(needs.flash_bytes, needs.code_bytes + file_bytes);
}

static void limits_hold_to_the_byte(void **state)
{
    (void)state;
    struct agn_target_needs needs;
    const struct agn_target *m7 = agn_target_find("cortex-m7");
    agn_target_needs(m7, AGN_OPTIMISE_SPEED, &model, &needs);
    assert_int_equal(agn_target_check(m7, AGN_OPTIMISE_SPEED, &model, 0, 0), AGN_OK);
    assert_int_equal(agn_target_check(m7, AGN_OPTIMISE_SPEED, &model, needs.ram_bytes, needs.flash_bytes),
                     AGN_OK);
    assert_int_equal(agn_target_check(m7, AGN_OPTIMISE_SPEED, &model, needs.ram_bytes - 1, 0), AGN_ERR_SPACE);
    assert_non_null(strstr(agn_error_message(), "cortex-m7"));
    assert_non_null(strstr(agn_error_message(), "bytes of RAM"));
    assert_non_null(strstr(agn_error_message(), ", 1 more than"));
    assert_null(strstr(agn_error_message(), "flash"));
    assert_int_equal(agn_target_check(m7, AGN_OPTIMISE_SPEED, &model, 0, needs.flash_bytes - 7),
                     AGN_ERR_SPACE);
    assert_non_null(strstr(agn_error_message(), "bytes of flash"));
    assert_non_null(strstr(agn_error_message(), ", 7 more than"));
    assert_non_null(strstr(agn_error_message(), "-Os"));
    assert_null(strstr(agn_error_message(), "RAM"));
    /* What fits with -Os is taken with -Os. */
    assert_int_equal(agn_target_check(m7, AGN_OPTIMISE_SIZE, &model, 0, needs.flash_bytes - 7), AGN_OK);
    assert_int_equal(agn_target_check(m7, AGN_OPTIMISE_SIZE, &model, 1, 1), AGN_ERR_SPACE);
    assert_null(strstr(agn_error_message(), "-Os"));
    assert_non_null(strstr(agn_error_message(), "flash"));
}

/* The advice about the codec is the truth: taking it saves as many bytes. */
static void the_codec_saves_what_is_said(void **state)
{
    (void)state;
    const struct agn_target *m7 = agn_target_find("cortex-m7");
    struct agn_dev_model lzw = model, raw = model;
    lzw.codec = AGN_CODEC_LZW;
    raw.codec = AGN_CODEC_RAW3;
    char said[64];
    snprintf(said, sizeof said, "raw3 instead of lzw saves %lu bytes",
             (unsigned long)(agn_dev_arena_bytes(&lzw) - agn_dev_arena_bytes(&raw)));
    assert_true(agn_dev_arena_bytes(&lzw) > agn_dev_arena_bytes(&raw));
    assert_int_equal(agn_target_check(m7, AGN_OPTIMISE_SPEED, &lzw, 1, 0), AGN_ERR_SPACE);
    assert_non_null(strstr(agn_error_message(), said));
    assert_int_equal(agn_target_check(m7, AGN_OPTIMISE_SPEED, &raw, 1, 0), AGN_ERR_SPACE);
    assert_null(strstr(agn_error_message(), "raw3"));
}

static void bytes_are_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t bytes; /* 0: refused */
    } cases[] = {{"1", 1},
                 {"4096", 4096},
                 {"24K", 24576},
                 {"320k", 327680},
                 {"1M", 1048576},
                 {"4095M", 4293918720U},
                 {"4294967295", 4294967295U},
                 {"4294967296", 0},
                 {"4096M", 0},
                 {"4194304K", 0},
                 {"", 0},
                 {"K", 0},
                 {"0", 0},
                 {"0K", 0},
                 {"-1", 0},
                 {"24KB", 0},
                 {" 24", 0},
                 {"24 ", 0},
                 {"2.5K", 0},
                 {"0x10", 0},
                 {"99999999999999999999999", 0}};
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        uint32_t bytes = 77;
        bool good = agn__cli_parse_bytes(cases[i].text, &bytes);
        if (good != (cases[i].bytes != 0) || bytes != (good ? cases[i].bytes : 77))
            fail_msg("'%s' is read as %lu", cases[i].text, (unsigned long)bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_target_has_sane_figures),
        cmocka_unit_test(the_state_is_that_of_the_processor),
        cmocka_unit_test(needs_add_up),
        cmocka_unit_test(limits_hold_to_the_byte),
        cmocka_unit_test(the_codec_saves_what_is_said),
        cmocka_unit_test(bytes_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, write_small, free_small);
}
