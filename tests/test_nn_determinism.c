/* Training a small net: the same bits every time, the same results within float tolerance on any
 * number of threads and from any calling thread, and a loss that goes down. */
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/nn.h"
#include "net_check.h"

enum { BATCH = 12, SIDE = 10, CLASSES = 4, PIXELS = SIDE * SIDE * 3, STEPS = 5, LONG_STEPS = 40 };

struct trainer {
    struct agn_graph graph;
    struct agn_params *params;
    struct agn_net *net;
    int32_t labels[BATCH];
    float prob[BATCH * CLASSES], losses[LONG_STEPS];
};

/* A toy problem: each class is a brighter quarter of the picture, under noise. */
static void draw_batch(struct trainer *trainer, uint64_t seed)
{
    float *input = agn_net_write(trainer->net, AGN_BORDER_INPUT);
    net_check_fill(input, (size_t)BATCH * PIXELS, seed);
    for (int n = 0; n < BATCH; n++) {
        trainer->labels[n] = n % CLASSES;
        for (int i = 0; i < PIXELS; i++) {
            int y = i / 3 / SIDE, x = i / 3 % SIDE;
            int quarter = (y >= SIDE / 2) * 2 + (x >= SIDE / 2);
            input[n * PIXELS + i] += quarter == trainer->labels[n] ? 1.5F : 0.0F;
        }
    }
}

static void trainer_init(struct trainer *trainer, uint64_t seed)
{
    int op = agn_graph_init(&trainer->graph, (struct agn_shape){SIDE, SIDE, 3});
    op = agn_graph_parse(&trainer->graph, op, "net", "conv:c16:k3:s2 mb:c16:e3 mb:c24:e3:s2 pool:g2");
    op = agn_graph_dense(&trainer->graph, op, "fc", CLASSES);
    assert_true(op > 0);
    assert_int_equal(agn_params_create(&trainer->graph, seed, &trainer->params), AGN_OK);
    struct agn_net_config config = {.graph = &trainer->graph,
                                    .params = trainer->params,
                                    .batch = BATCH,
                                    .mode = AGN_NET_TRAIN,
                                    .passes = AGN_PASS_BACKWARD};
    assert_int_equal(agn_net_create(&config, &trainer->net), AGN_OK);
}

static void trainer_release(struct trainer *trainer)
{
    agn_net_free(trainer->net);
    agn_params_free(trainer->params);
}

static void train_step(struct trainer *trainer, int step)
{
    const struct agn_sgd sgd = {.rate = 0.1F, .momentum = 0.9F, .decay = 1e-3F, .nesterov = true};
    float loss[BATCH], mean = 0.0F;
    draw_batch(trainer, 50 + (uint64_t)step);
    assert_int_equal(agn_net_forward(trainer->net), AGN_OK);
    agn_softmax_ce_forward(agn_net_read(trainer->net, AGN_BORDER_OUTPUT), trainer->labels, BATCH, CLASSES,
                           trainer->prob, loss);
    agn_softmax_ce_backward(trainer->prob, trainer->labels, BATCH, CLASSES, 1.0F / BATCH,
                            agn_net_write(trainer->net, AGN_BORDER_DIFF_OUTPUT));
    assert_int_equal(agn_net_backward(trainer->net), AGN_OK);
    agn_sgd_step(trainer->params, &sgd);
    for (int i = 0; i < BATCH; i++)
        mean += loss[i] / BATCH;
    trainer->losses[step] = mean;
}

static void train(struct trainer *trainer, uint64_t seed, int steps)
{
    trainer_init(trainer, seed);
    for (int step = 0; step < steps; step++)
        train_step(trainer, step);
}

static void expect_same_bits(const struct trainer *a, const struct trainer *b)
{
    size_t bytes = a->params->total * sizeof(float);
    assert_int_equal(a->params->total, b->params->total);
    assert_memory_equal(a->losses, b->losses, STEPS * sizeof(float));
    assert_memory_equal(a->params->value, b->params->value, bytes);
    assert_memory_equal(a->params->grad, b->params->grad, bytes);
    assert_memory_equal(a->params->momentum, b->params->momentum, bytes);
}

static void same_seed_same_bits(void **state)
{
    (void)state;
    static struct trainer first, second, other;
    agn_nn_set_threads(2);
    train(&first, 1, STEPS);
    train(&second, 1, STEPS);
    train(&other, 2, STEPS);
    expect_same_bits(&first, &second);
    assert_memory_not_equal(first.params->value, other.params->value, first.params->total * sizeof(float));
    trainer_release(&first);
    trainer_release(&second);
    trainer_release(&other);
}

/* Parameters after some steps on any number of threads; rounding differs, results hardly. */
static void threads_agree(void **state)
{
    (void)state;
    static struct trainer trainers[3];
    for (int i = 0; i < 3; i++) {
        agn_nn_set_threads(i + 1);
        assert_int_equal(agn_nn_threads(), i + 1);
        train(&trainers[i], 1, STEPS);
    }
    agn_nn_set_threads(0);
    assert_true(agn_nn_threads() >= 1);
    for (int i = 1; i < 3; i++) {
        for (int s = 0; s < STEPS; s++)
            assert_true(fabsf(trainers[i].losses[s] - trainers[0].losses[s]) < 1e-3F);
        for (size_t p = 0; p < trainers[0].params->total; p++) {
            float a = trainers[0].params->value[p], b = trainers[i].params->value[p];
            assert_true(fabsf(a - b) < 5e-3F * fmaxf(1.0F, fabsf(a)));
        }
    }
    for (int i = 0; i < 3; i++)
        trainer_release(&trainers[i]);
}

static void *train_elsewhere(void *trainer)
{
    for (int step = 0; step < STEPS; step++)
        train_step(trainer, step);
    return NULL;
}

/* A net belongs to the number of threads that it was made for, whoever runs it and whatever is set later. */
static void any_calling_thread(void **state)
{
    (void)state;
    static struct trainer here, there;
    pthread_t thread;
    agn_nn_set_threads(2);
    train(&here, 1, STEPS);
    trainer_init(&there, 1);
    agn_nn_set_threads(1);
    assert_int_equal(pthread_create(&thread, NULL, train_elsewhere, &there), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    expect_same_bits(&here, &there);
    trainer_release(&here);
    trainer_release(&there);
    agn_nn_set_threads(2);
}

/* On a busy machine fewer threads compute, and which ones may change from step to step: the bits stay. */
static void workers_change_no_bit(void **state)
{
    (void)state;
    static struct trainer all, fewer;
    for (int threads = 2; threads <= 3; threads++) {
        agn_nn_set_threads(threads);
        train(&all, 1, STEPS);
        trainer_init(&fewer, 1);
        for (int step = 0; step < STEPS; step++) {
            agn_nn_set_workers(1 + step % threads);
            assert_int_equal(agn_nn_workers(), 1 + step % threads);
            assert_int_equal(agn_nn_threads(), threads);
            train_step(&fewer, step);
        }
        agn_nn_set_workers(0);
        assert_int_equal(agn_nn_workers(), threads);
        expect_same_bits(&all, &fewer);
        trainer_release(&all);
        trainer_release(&fewer);
    }
    agn_nn_set_threads(2);
}

enum { FROZEN_BATCH = 32, FROZEN_SIDE = 6, FROZEN_FLOATS = FROZEN_BATCH * FROZEN_SIDE * FROZEN_SIDE * 4 };

struct frozen_results {
    float output[FROZEN_BATCH * CLASSES], tangent_output[FROZEN_BATCH * CLASSES];
    float diff_input[FROZEN_FLOATS], tangent_diff_input[FROZEN_FLOATS];
};

static void run_frozen(struct agn_net *net, struct frozen_results *results)
{
    net_check_fill(agn_net_write(net, AGN_BORDER_INPUT), FROZEN_FLOATS, 3);
    assert_int_equal(agn_net_forward(net), AGN_OK);
    memcpy(results->output, agn_net_read(net, AGN_BORDER_OUTPUT), sizeof(results->output));
    net_check_fill(agn_net_write(net, AGN_BORDER_DIFF_OUTPUT), (size_t)FROZEN_BATCH * CLASSES, 4);
    assert_int_equal(agn_net_backward(net), AGN_OK);
    memcpy(results->diff_input, agn_net_read(net, AGN_BORDER_DIFF_INPUT), sizeof(results->diff_input));
    net_check_fill(agn_net_write(net, AGN_BORDER_TANGENT_INPUT), FROZEN_FLOATS, 5);
    assert_int_equal(agn_net_tangent(net), AGN_OK);
    memcpy(results->tangent_output, agn_net_read(net, AGN_BORDER_TANGENT_OUTPUT),
           sizeof(results->tangent_output));
    net_check_fill(agn_net_write(net, AGN_BORDER_TANGENT_DIFF_OUTPUT), (size_t)FROZEN_BATCH * CLASSES, 6);
    assert_int_equal(agn_net_tangent_backward(net), AGN_OK);
    memcpy(results->tangent_diff_input, agn_net_read(net, AGN_BORDER_TANGENT_DIFF_INPUT),
           sizeof(results->tangent_diff_input));
}

static struct agn_net *make_frozen(const struct agn_graph *graph, struct agn_params *params)
{
    struct agn_net *net = NULL;
    struct agn_net_config config = {.graph = graph,
                                    .params = params,
                                    .batch = FROZEN_BATCH,
                                    .mode = AGN_NET_FROZEN,
                                    .passes = AGN_PASS_BACKWARD | AGN_PASS_INPUT_GRADIENT | AGN_PASS_TANGENT};
    assert_int_equal(agn_net_create(&config, &net), AGN_OK);
    return net;
}

/* Parts of a frozen net's batch, whoever computes them, and after the parameters that they share changed. */
static void frozen_parts(void **state)
{
    (void)state;
    static struct frozen_results all, fewer, changed, fresh;
    struct agn_graph graph;
    struct agn_params *params = NULL;
    int op = agn_graph_init(&graph, (struct agn_shape){FROZEN_SIDE, FROZEN_SIDE, 4});
    op = agn_graph_parse(&graph, op, "net", "conv:c48 fused:c48:e1 mbse:c48:e2 conv:c16:s2");
    assert_true(agn_graph_dense(&graph, op, "fc", CLASSES) > 0);
    assert_int_equal(agn_params_create(&graph, 1, &params), AGN_OK);
    for (int threads = 2; threads <= 4; threads += 2) {
        agn_nn_set_threads(threads);
        struct agn_net *net = make_frozen(&graph, params);
        run_frozen(net, &all);
        agn_nn_set_workers(1);
        run_frozen(net, &fewer);
        agn_nn_set_workers(0);
        assert_memory_equal(&all, &fewer, sizeof(all));

        net_check_randomise(params, 9 + (uint64_t)threads);
        params->version++;
        run_frozen(net, &changed);
        agn_net_free(net);
        net = make_frozen(&graph, params);
        run_frozen(net, &fresh);
        assert_memory_not_equal(&all, &fresh, sizeof(all));
        assert_memory_equal(&changed, &fresh, sizeof(fresh));
        agn_net_free(net);
    }
    agn_params_free(params);
    agn_nn_set_threads(2);
}

/* A batch that does not divide by the threads has no lanes: its net goes on with all of them. */
static void workers_and_odd_batches(void **state)
{
    (void)state;
    static struct trainer all, fewer;
    agn_nn_set_threads(5);
    train(&all, 1, STEPS);
    trainer_init(&fewer, 1);
    agn_nn_set_workers(1);
    for (int step = 0; step < STEPS; step++)
        train_step(&fewer, step);
    expect_same_bits(&all, &fewer);
    trainer_release(&all);
    trainer_release(&fewer);
    agn_nn_set_threads(2);
}

/* With the default number of threads, too, they come and go. */
static void workers_return(void **state)
{
    (void)state;
    agn_nn_set_threads(0);
    omp_set_num_threads(3);
    for (int i = 0; i < 2; i++) {
        agn_nn_set_workers(1);
        assert_int_equal(omp_get_max_threads(), 1);
        assert_int_equal(agn_nn_threads(), 3);
        agn_nn_set_workers(0);
        assert_int_equal(omp_get_max_threads(), 3);
        assert_int_equal(agn_nn_threads(), 3);
    }
    agn_nn_set_threads(2);
}

/* A wrong sign anywhere, or a gradient that does not reach the first layer, fails here. */
static void loss_goes_down(void **state)
{
    (void)state;
    static struct trainer trainer;
    agn_nn_set_threads(2);
    trainer_init(&trainer, 3);
    float *stem = agn_params_values(trainer.params, "net.0.weight");
    float before = stem[0];
    for (int step = 0; step < LONG_STEPS; step++)
        train_step(&trainer, step);
    float first = 0.0F, last = 0.0F;
    for (int i = 0; i < 3; i++) {
        first += trainer.losses[i] / 3.0F;
        last += trainer.losses[LONG_STEPS - 1 - i] / 3.0F;
    }
    if (!(last < 0.2F * first))
        fail_msg("the loss went from %g to %g", (double)first, (double)last);
    assert_true(stem[0] != before);
    trainer_release(&trainer);
}

/* A small step along the gradient lowers the batch's loss; with the loss's sign turned round it raises it. */
static void one_small_step_down(void **state)
{
    (void)state;
    for (int direction = -1; direction <= 1; direction += 2) {
        static struct trainer trainer;
        float loss[BATCH], before = 0.0F, after = 0.0F;
        trainer_init(&trainer, 5);
        draw_batch(&trainer, 9);
        for (int pass = 0; pass < 2; pass++) {
            assert_int_equal(agn_net_forward(trainer.net), AGN_OK);
            agn_softmax_ce_forward(agn_net_read(trainer.net, AGN_BORDER_OUTPUT), trainer.labels, BATCH,
                                   CLASSES, trainer.prob, loss);
            for (int i = 0; i < BATCH; i++)
                *(pass == 0 ? &before : &after) += loss[i];
            if (pass == 1)
                break;
            agn_softmax_ce_backward(trainer.prob, trainer.labels, BATCH, CLASSES, (float)direction,
                                    agn_net_write(trainer.net, AGN_BORDER_DIFF_OUTPUT));
            assert_int_equal(agn_net_backward(trainer.net), AGN_OK);
            agn_sgd_step(trainer.params, &(struct agn_sgd){.rate = 1e-4F});
        }
        assert_true(direction > 0 ? after < before : after > before);
        trainer_release(&trainer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_same_bits), cmocka_unit_test(threads_agree),
        cmocka_unit_test(any_calling_thread),  cmocka_unit_test(workers_change_no_bit),
        cmocka_unit_test(frozen_parts),        cmocka_unit_test(workers_and_odd_batches),
        cmocka_unit_test(workers_return),      cmocka_unit_test(loss_goes_down),
        cmocka_unit_test(one_small_step_down)};
    return cmocka_run_group_tests_name("nn determinism", tests, NULL, NULL);
}
