/* graph: order, shapes, what is wrong with a structure. */
#include "../kernels-spec/expect.h"

#include <stdlib.h>

#include "base/mem.h"
#include "kernels/graph/graph.h"
#include "kernels/spec/model.h"

static struct model_spec *image_model(void)
{
    struct model_spec *m = model_spec_create("m");
    model_spec_input(m, "image", &(struct shape){3, {1, 28, 28}}, DTYPE_U8);
    return m;
}

static struct spec_layer *conv(struct model_spec *m, const char *name, const char *input, int filters)
{
    struct spec_layer *l = model_spec_add(m, name, "conv2d", input);
    model_spec_set(l, "filters", 0, filters);
    return model_spec_set(l, "kernel", 0, 3);
}

static void dense(struct model_spec *m, const char *name, const char *input, int units)
{
    model_spec_set(model_spec_add(m, name, "dense", input), "units", 0, units);
}

static void order_has_inputs_before_users(void **state)
{
    (void)state;
    struct model_spec *m = image_model();
    dense(m, "logits", "flat", 10); /* in the wrong order on purpose */
    model_spec_add(m, "flat", "flatten", "sum");
    model_spec_add(m, "sum", "add", "b,a");
    model_spec_set_text(conv(m, "b", "a", 4), "padding", "same");
    conv(m, "a", "image", 4);
    model_spec_output(m, "logits");
    struct findings f = {0};
    struct graph *g = graph_build(m, &f);
    assert_non_null(g);
    assert_int_equal(f.count, 0);
    assert_int_equal(g->node_count, 6);
    for (int i = 0; i < g->node_count; i++)
        for (int k = 0; k < g->nodes[i].input_count; k++)
            assert_true(g->nodes[i].inputs[k] < i);
    const struct layer_node *sum = &g->nodes[graph_find(g, "sum")];
    assert_int_equal(sum->inputs[0], graph_find(g, "b"));
    assert_int_equal(sum->inputs[1], graph_find(g, "a"));
    assert_int_equal(sum->shape.dim[1], 26);
    assert_int_equal(g->nodes[graph_find(g, "flat")].shape.dim[0], 4 * 26 * 26);
    assert_int_equal(g->outputs[0], graph_find(g, "logits"));
    struct graph_cost cost;
    graph_cost(g, &cost);
    assert_int_equal(cost.parameters, 4 * 9 + 4 * 4 * 9 + 10 * 4 * 26 * 26 + 10);
    assert_int_equal(cost.weight_bytes, 4 * cost.parameters);
    graph_destroy(g);
    model_spec_destroy(m);
}

static void a_cycle_is_named_with_its_path(void **state)
{
    (void)state;
    struct model_spec *m = image_model();
    model_spec_add(m, "a", "add", "image,c");
    model_spec_add(m, "b", "relu", "a");
    model_spec_add(m, "c", "relu", "b");
    model_spec_add(m, "d", "relu", "c");
    model_spec_output(m, "d");
    struct findings f = {0};
    assert_null(graph_build(m, &f));
    const struct finding *it = expect_finding(&f, "model.cycles", NULL, "->");
    /* From wherever it is told, it is this circle, and it closes. */
    assert_true(strstr(it->message, "a -> b -> c -> a") || strstr(it->message, "b -> c -> a -> b") ||
                strstr(it->message, "c -> a -> b -> c"));
    findings_free(&f);
    model_spec_destroy(m);
}

static void a_layer_may_not_feed_itself(void **state)
{
    (void)state;
    struct model_spec *m = image_model();
    model_spec_add(m, "a", "relu", "image");
    model_spec_add(m, "loop", "relu", "loop"); /* and no output needs it */
    model_spec_output(m, "a");
    struct findings f = {0};
    assert_null(graph_build(m, &f));
    expect_finding(&f, "model.cycles", "/layers/1", "loop -> loop");
    findings_free(&f);
    model_spec_destroy(m);
}

static void unused_layers_are_warned_of_and_left_out(void **state)
{
    (void)state;
    struct model_spec *m = image_model();
    model_spec_input(m, "other", &(struct shape){1, {3}}, DTYPE_F32);
    model_spec_add(m, "a", "relu", "image");
    model_spec_add(m, "dead", "relu", "a");
    model_spec_add(m, "deader", "relu", "dead");
    model_spec_output(m, "a");
    struct findings f = {0};
    struct graph *g = graph_build(m, &f);
    assert_non_null(g);
    expect_finding(&f, "model.unused", "/layers/1", "\"dead\" leads to no output");
    expect_finding(&f, "model.unused", "/layers/2", "\"deader\" leads to no output");
    expect_finding(&f, "model.unused", "/inputs/1", "\"other\"");
    assert_int_equal(graph_find(g, "dead"), -1);
    findings_free(&f);
    graph_destroy(g);
    model_spec_destroy(m);
}

static void unknown_names_and_doubles(void **state)
{
    (void)state;
    struct model_spec *m = image_model();
    model_spec_add(m, "act", "relu", "imag");
    model_spec_add(m, "act", "relu", "image");
    model_spec_output(m, "nothing");
    struct findings f = {0};
    assert_null(graph_build(m, &f));
    expect_finding(&f, "model.inputs", "/layers/0", "\"imag\"");
    expect_finding(&f, "model.names", "/layers/1", "second layer or input named \"act\"");
    expect_finding(&f, "model.outputs", "/outputs/0", "\"nothing\"");
    findings_free(&f);
    model_spec_destroy(m);
}

static void a_shape_that_breaks_shows_the_chain(void **state)
{
    (void)state;
    struct model_spec *m = image_model();
    conv(m, "conv1", "image", 8);
    conv(m, "conv2", "conv1", 8);
    dense(m, "logits", "conv2", 10);
    conv(m, "far", "logits", 4); /* not reported: it hangs on what failed */
    dense(m, "other", "image", 4);
    model_spec_output(m, "far");
    model_spec_output(m, "other");
    struct findings f = {0};
    assert_null(graph_build(m, &f));
    const struct finding *it =
        expect_finding(&f, "model.shapes", "/layers/2", "dense expects a flat input (n), got (8, 24, 24)");
    assert_non_null(strstr(it->message, "image gives (1, 28, 28)"));
    assert_non_null(strstr(
        it->message, "conv2 (conv2d: filters 8, kernel 3, stride 1, padding \"valid\") gives (8, 24, 24)"));
    expect_finding(&f, "model.shapes", "/layers/4", "(1, 28, 28)");
    assert_int_equal(failed_count(&f), 2);
    findings_free(&f);
    model_spec_destroy(m);
}

static void numbers_that_overflow_are_refused(void **state)
{
    (void)state;
    struct model_spec *m = model_spec_create("huge");
    model_spec_input(m, "x", &(struct shape){1, {INT32_MAX}}, DTYPE_F32);
    dense(m, "wide", "x", 16777216); /* 3.6e16 weights */
    model_spec_output(m, "wide");
    struct findings f = {0};
    assert_null(graph_build(m, &f));
    expect_finding(&f, "model.cost", "/layers/0", "too large");
    findings_free(&f);
    model_spec_destroy(m);
}

static void a_chain_of_twenty_thousand_layers_is_ordered(void **state)
{
    (void)state;
    struct model_spec *m = model_spec_create("long");
    model_spec_input(m, "x", &(struct shape){1, {4}}, DTYPE_F32);
    char name[16], before[16] = "x";
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "l%d", i);
        model_spec_add(m, name, "relu", before);
        memcpy(before, name, sizeof(name));
    }
    model_spec_output(m, before);
    struct findings f = {0};
    struct graph *g = graph_build(m, &f);
    assert_non_null(g);
    assert_int_equal(g->node_count, 20001);
    assert_string_equal(g->nodes[20000].name, "l19999");
    graph_destroy(g);
    model_spec_destroy(m);
}

static void json_names_every_node_and_edge(void **state)
{
    (void)state;
    struct model_spec *m = image_model();
    conv(m, "conv1", "image", 8);
    model_spec_add(m, "flat", "flatten", "conv1");
    model_spec_output(m, "flat");
    struct findings f = {0};
    struct graph *g = graph_build(m, &f);
    struct buf out = {0};
    graph_write_json(g, &out);
    assert_non_null(strstr(buf_str(&out), "{\"name\":\"conv1\",\"type\":\"conv2d\""));
    assert_non_null(strstr(buf_str(&out), "\"shape\":[8,26,26],\"dtype\":\"float32\",\"parameters\":72"));
    assert_non_null(strstr(
        buf_str(&out),
        "\"config\":{\"filters\":8,\"kernel\":3,\"stride\":1,\"padding\":\"valid\"},\"inputs\":[\"image\"]"));
    assert_non_null(strstr(buf_str(&out), "{\"from\":\"image\",\"to\":\"conv1\",\"shape\":[1,28,28]}"));
    assert_non_null(strstr(buf_str(&out), "\"outputs\":[\"flat\"],\"parameters\":72"));
    buf_free(&out);
    graph_destroy(g);
    model_spec_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_has_inputs_before_users),
        cmocka_unit_test(a_cycle_is_named_with_its_path),
        cmocka_unit_test(a_layer_may_not_feed_itself),
        cmocka_unit_test(unused_layers_are_warned_of_and_left_out),
        cmocka_unit_test(unknown_names_and_doubles),
        cmocka_unit_test(a_shape_that_breaks_shows_the_chain),
        cmocka_unit_test(numbers_that_overflow_are_refused),
        cmocka_unit_test(a_chain_of_twenty_thousand_layers_is_ordered),
        cmocka_unit_test(json_names_every_node_and_edge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
