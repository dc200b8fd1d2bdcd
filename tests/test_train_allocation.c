/* A training step allocates nothing: twice the steps make no more calls of agn_alloc, nor any of malloc for
 * more than a few bytes. (oneDNN keeps the arguments of a call in small lists of its own.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "nn/net_internal.h"
#include "tiny_training.h"

/* Sanitizers bring an allocator of their own, and other C libraries do not have these names. */
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CAN_COUNT 1

static atomic_long calls;
enum { FEW_BYTES = 512 };

static void count(size_t size)
{
    calls += size > FEW_BYTES;
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t number, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    count(size);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    count(number * size);
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
    count(size);
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    calls++;
    return __libc_memalign(alignment, size);
}
#else
#define CAN_COUNT 0
static long calls;
#endif

static long count_calls(double epochs, enum agn_compute compute)
{
    struct tiny_dataset train, test;
    struct agn_train_report report;
    struct agn_model *model = NULL;
    tiny_dataset_make(&train, 320, 1);
    tiny_dataset_make(&test, 30, 2);
    struct agn_train_config config = {.train = &train.set, .test = &test.set};
    tiny_preset_make(&config.preset);
    config.preset.reference.epochs = config.preset.joint.epochs = epochs;
    config.preset.joint.soft_temperature = 1.0;
    config.preset.train.label_smoothing = 0.1;
    config.preset.train.mixup = 0.3;
    config.preset.train.cutout = 3;
    config.preset.train.ema = 0.9;
    config.preset.joint.distill = 0.5;
    config.preset.train.compute = compute;
    long before = calls;
    if (agn_train_run(&config, &model, &report) < 0)
        fail_msg("%s", agn_error_message());
    long made = calls - before;
    agn_model_free(model);
    tiny_dataset_free(&train);
    tiny_dataset_free(&test);
    return made;
}

static void a_step_allocates_nothing(void **state)
{
    (void)state;
    if (!CAN_COUNT)
        skip();
    agn_nn_set_threads(1);
    static const struct {
        enum agn_compute compute;
        const char *name;
    } ways[] = {{AGN_COMPUTE_F32, "f32"}, {AGN_COMPUTE_BF16_EMULATED, "bf16-emulated"}};
    for (size_t i = 0; i < AGN_COUNT_OF(ways); i++) {
        if (agn__compute_check(ways[i].compute) < 0) {
            print_message("not in %s: %s\n", ways[i].name, agn_error_message());
            continue;
        }
        count_calls(1.0, ways[i].compute); /* whatever libraries set up once */
        long few = count_calls(1.0, ways[i].compute), many = count_calls(2.0, ways[i].compute);
        print_message("%ld calls for 20 steps in %s, %ld for 40\n", few, ways[i].name, many);
        assert_true(few > 100);
        assert_int_equal(few, many);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_step_allocates_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
