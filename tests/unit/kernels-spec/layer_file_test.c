/* spec/layer_file: composites, their parameters and expansion. */
#include "expect.h"

#include <stdlib.h>

#include "base/mem.h"
#include "kernels/spec/layer_file.h"
#include "kernels/spec/model.h"

static const char conv_block[] =
    "{\"format\": \"trainyard.layer/1\", \"name\": \"conv_block\", \"description\": \"conv, relu\",\n"
    " \"parameters\": [{\"name\": \"filters\", \"type\": \"integer\", \"default\": 32, \"min\": 1, \"max\": "
    "512},\n"
    "                {\"name\": \"padding\", \"type\": \"choice\", \"choices\": [\"valid\", \"same\"], "
    "\"default\": \"same\"},\n"
    "                {\"name\": \"rate\", \"type\": \"real\", \"default\": 0.5, \"min\": 0, \"max\": 0.9}],\n"
    " \"composite\": {\"inputs\": [\"x\"],\n"
    "  \"layers\": [{\"name\": \"conv\", \"type\": \"conv2d\", \"inputs\": [\"x\"], \"config\": "
    "{\"filters\": \"=filters*2\", \"kernel\": [\"=1+2\", 3], \"padding\": \"=padding\"}},\n"
    "             {\"name\": \"drop\", \"type\": \"dropout\", \"config\": {\"rate\": \"=rate/2\"}},\n"
    "             {\"name\": \"act\", \"type\": \"relu\", \"inputs\": [\"drop\"]}],\n"
    "  \"outputs\": [\"act\"]}}\n";

static const char two_blocks[] =
    "{\"format\": \"trainyard.layer/1\", \"name\": \"two_blocks\",\n"
    " \"parameters\": [{\"name\": \"n\", \"type\": \"integer\", \"default\": 4, \"min\": 1, \"max\": 64}],\n"
    " \"composite\": {\"inputs\": [{\"name\": \"x\", \"shape\": [3, 16, 16]}],\n"
    "  \"layers\": [{\"name\": \"a\", \"type\": \"conv_block\", \"inputs\": [\"x\"], \"config\": "
    "{\"filters\": \"=n\"}},\n"
    "             {\"name\": \"b\", \"type\": \"conv_block\", \"inputs\": [\"a\"], \"config\": {\"filters\": "
    "\"=n\"}},\n"
    "             {\"name\": \"sum\", \"type\": \"add\", \"inputs\": [\"a\", \"b\"]}],\n"
    "  \"outputs\": [\"sum\"]}}\n";

static const char model[] = "{\"format\": \"trainyard.model/1\", \"name\": \"m\", \"inputs\": [{\"name\": "
                            "\"image\", \"shape\": [3, 16, 16]}],\n"
                            " \"layers\": [{\"name\": \"stage\", \"type\": \"two_blocks\", \"inputs\": "
                            "[\"image\"], \"config\": {\"n\": 8}},\n"
                            "  {\"name\": \"tail\", \"type\": \"conv_block\", \"inputs\": [\"stage\"], "
                            "\"config\": {\"padding\": \"valid\"}},\n"
                            "  {\"name\": \"flat\", \"type\": \"flatten\", \"inputs\": [\"tail\"]}],\n"
                            " \"outputs\": [\"flat\"]}\n";

static struct layer_library *library(const char *first, const char *second)
{
    struct layer_library *l = layer_library_create();
    const char *texts[] = {first, second};
    for (int i = 0; i < 2; i++) {
        struct findings f = {0};
        if (texts[i] && !layer_library_add(l, texts[i], strlen(texts[i]), &f)) {
            print_findings(&f);
            fail_msg("a layer file was refused");
        }
        findings_free(&f);
    }
    return l;
}

static const struct spec_layer *find(const struct model_spec *m, const char *name)
{
    for (size_t i = 0; i < m->layer_count; i++)
        if (!strcmp(m->layers[i].name, name))
            return &m->layers[i];
    fail_msg("there is no layer %s", name);
    return NULL;
}

static void composites_are_expanded_with_their_values(void **state)
{
    (void)state;
    struct layer_library *l = library(two_blocks, conv_block); /* in any order */
    struct findings f = {0};
    struct model_spec *m = model_parse(model, strlen(model), l, &f);
    if (!m)
        print_findings(&f);
    assert_non_null(m);
    assert_int_equal(m->layer_count, 7 + 3 + 1);
    const struct spec_layer *conv = find(m, "stage/b/conv");
    assert_true(conv->params[0].num[0] == 16);
    assert_true(conv->params[1].num[0] == 3 && conv->params[1].num[1] == 3);
    assert_string_equal(conv->params[3].text, "same");
    assert_string_equal(conv->inputs[0], "stage/a/act");
    assert_string_equal(conv->pointer, "/layers/0");
    assert_string_equal(conv->within, "conv_block");
    assert_true(find(m, "stage/a/drop")->params[0].num[0] == 0.25);
    assert_string_equal(find(m, "stage/sum")->inputs[1], "stage/b/act");
    assert_string_equal(find(m, "tail/conv")->inputs[0], "stage/sum");
    assert_true(find(m, "tail/conv")->params[0].num[0] == 64);
    assert_string_equal(find(m, "tail/conv")->params[3].text, "valid");
    assert_string_equal(find(m, "flat")->inputs[0], "tail/act");
    model_spec_destroy(m);
    layer_library_destroy(l);
}

static void a_wrong_value_is_shown_in_the_models_own_place(void **state)
{
    (void)state;
    struct layer_library *l = library(two_blocks, conv_block);
    static const struct {
        const char *from, *to, *check, *pointer, *says;
    } cases[] = {
        {"\"n\": 8", "\"n\": 65", "model.config", "/layers/0/config/n", "from 1 to 64"},
        {"\"n\": 8", "\"m\": 8", "model.config", "/layers/0/config/m", "\"n\""},
        {"\"valid\"", "\"vald\"", "model.config", "/layers/1/config/padding", "did you mean \"valid\""},
        {"\"conv_block\"", "\"conv_blok\"", "model.types", "/layers/1/type", "did you mean \"conv_block\""},
        {"[\"stage\"]", "[\"stage\", \"image\"]", "model.inputs", "/layers/1/inputs", "takes 1 input"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *at = strstr(model, cases[i].from);
        char *text = xasprintf("%.*s%s%s", (int)(at - model), model, cases[i].to, at + strlen(cases[i].from));
        struct findings f = {0};
        assert_null(model_parse(text, strlen(text), l, &f));
        expect_finding(&f, cases[i].check, cases[i].pointer, cases[i].says);
        findings_free(&f);
        free(text);
    }
    layer_library_destroy(l);
}

static void refuse(const char *from, const char *to, const char *check, const char *pointer, const char *says)
{
    const char *at = strstr(conv_block, from);
    assert_non_null(at);
    char *text = xasprintf("%.*s%s%s", (int)(at - conv_block), conv_block, to, at + strlen(from));
    struct layer_library *l = layer_library_create();
    struct findings f = {0};
    const struct layer_file *file = layer_library_add(l, text, strlen(text), &f);
    /* Structure fails when it is added, the body when it is built. */
    if (file) {
        struct shape shape = {3, {3, 8, 8}};
        assert_null(layer_file_model(l, file, &shape, &f));
    }
    expect_finding(&f, check, pointer, says);
    findings_free(&f);
    layer_library_destroy(l);
    free(text);
}

static void mistakes_in_a_layer_file(void **state)
{
    (void)state;
    refuse("\"name\": \"conv_block\"", "\"name\": \"dense\"", "layer.names", "/name", "built-in");
    refuse("\"integer\"", "\"int\"", "layer.parameters", "/parameters/0/type", "integer");
    refuse("\"default\": 32", "\"default\": 0", "layer.parameters", "/parameters/0/default", "from 1 to 512");
    refuse("\"default\": 32, ", "", "layer.parameters", "/parameters/0", "no default");
    refuse("\"min\": 1, \"max\": 512", "\"min\": 512, \"max\": 1", "layer.parameters", "/parameters/0",
           "min is above max");
    refuse("\"name\": \"rate\"", "\"name\": \"filters\"", "layer.names", "/parameters/2/name",
           "second parameter");
    refuse("\"default\": \"same\"", "\"default\": \"sam\"", "layer.parameters", "/parameters/1/default",
           "same");
    refuse("\"outputs\": [\"act\"]", "\"outputs\": [\"nothing\"]", "layer.outputs", "/composite/outputs/0",
           "no layer");
    refuse("\"outputs\": [\"act\"]", "\"outputs\": [\"act\", \"conv\"]", "layer.outputs",
           "/composite/outputs", "exactly one");
    refuse("=filters*2", "=filter*2", "layer.expressions", "/composite/layers/0/config/filters",
           "did you mean \"filters\"");
    refuse("=filters*2", "=filters/0", "layer.expressions", "/composite/layers/0/config/filters",
           "division by zero");
    refuse("=filters*2", "=filters/3", "layer.config", "/composite/layers/0/config/filters",
           "an integer from 1");
    refuse("\"type\": \"relu\"", "\"type\": \"conv_block\"", "layer.recursion", "/composite/layers/2",
           "conv_block -> conv_block");
    refuse("\"composite\"", "\"kernel\": {\"forward\": \"\"}, \"composite\"", "layer.body", "/kernel",
           "one body");
    refuse("\"composite\"", "\"composit\"", "layer.members", "/composit", "did you mean \"composite\"");
}

static void nesting_is_bounded_in_count(void **state)
{
    (void)state;
    /* Each layer uses the one before it twelve times: without a bound 12^8 layers. */
    struct layer_library *l = layer_library_create();
    struct findings f = {0};
    for (int i = 0; i < 8; i++) {
        struct buf b = {0};
        buf_printf(&b,
                   "{\"format\":\"trainyard.layer/"
                   "1\",\"name\":\"n%d\",\"composite\":{\"inputs\":[\"x\"],\"layers\":[",
                   i);
        for (int k = 0; k < 12; k++)
            buf_printf(&b,
                       i ? "%s{\"name\":\"l%d\",\"type\":\"n%d\"}" : "%s{\"name\":\"l%d\",\"type\":\"relu\"}",
                       k ? "," : "", k, i - 1);
        buf_puts(&b, "],\"outputs\":[\"l11\"]}}");
        if (!layer_library_add(l, b.data, b.len, &f))
            print_findings(&f);
        buf_free(&b);
    }
    assert_int_equal(f.count, 0);
    const char *bomb =
        "{\"format\":\"trainyard.model/1\",\"name\":\"bomb\",\"inputs\":[{\"name\":\"x\",\"shape\":[4]}],"
        "\"layers\":[{\"name\":\"boom\",\"type\":\"n7\"}],\"outputs\":[\"boom\"]}";
    assert_null(model_parse(bomb, strlen(bomb), l, &f));
    expect_finding(&f, "model.size", "/layers/0", "more than 20000 layers");
    findings_free(&f);
    layer_library_destroy(l);
}

static void mutual_recursion_is_named(void **state)
{
    (void)state;
    static const char pattern[] =
        "{\"format\":\"trainyard.layer/1\",\"name\":\"%s\",\"composite\":{\"inputs\":[\"x\"],"
        "\"layers\":[{\"name\":\"l\",\"type\":\"%s\"}],\"outputs\":[\"l\"]}}";
    char *a = xasprintf(pattern, "ping", "pong"), *b = xasprintf(pattern, "pong", "ping");
    struct layer_library *l = library(a, b);
    struct findings f = {0};
    const char *text =
        "{\"format\":\"trainyard.model/1\",\"name\":\"m\",\"inputs\":[{\"name\":\"x\",\"shape\":[4]}],"
        "\"layers\":[{\"name\":\"p\",\"type\":\"ping\"}],\"outputs\":[\"p\"]}";
    assert_null(model_parse(text, strlen(text), l, &f));
    expect_finding(&f, "model.recursion", "/layers/0", "ping -> pong -> ping");
    findings_free(&f);
    layer_library_destroy(l);
    free(a);
    free(b);
}

static void a_layer_alone_is_a_model(void **state)
{
    (void)state;
    struct layer_library *l = library(conv_block, two_blocks);
    struct findings f = {0};
    const struct layer_file *file = layer_library_find(l, "two_blocks");
    assert_true(layer_file_has_shapes(file));
    struct model_spec *m = layer_file_model(l, file, NULL, &f);
    assert_non_null(m);
    assert_int_equal(m->inputs[0].shape.dim[0], 3);
    assert_string_equal(find(m, "a/conv")->pointer, "/composite/layers/0");
    assert_string_equal(m->outputs[0].name, "sum");
    struct buf out = {0};
    layer_file_write_json(layer_library_find(l, "conv_block"), &out);
    assert_non_null(strstr(buf_str(&out), "\"default\":32,\"min\":1,\"max\":512"));
    buf_free(&out);
    model_spec_destroy(m);
    layer_library_destroy(l);
}

static void damaged_files_never_crash(void **state)
{
    (void)state;
    uint32_t x = 99;
    size_t n = strlen(conv_block);
    struct shape shape = {3, {3, 8, 8}};
    for (int round = 0; round < 3000; round++) {
        char *text = xstrdup(conv_block);
        for (int k = 0; k < 1 + round % 4; k++) {
            x = x * 1664525 + 1013904223;
            text[(x >> 8) % n] = "{}[]\",:0-=()*/rx"[(x >> 3) % 16];
        }
        struct layer_library *l = layer_library_create();
        struct findings f = {0};
        const struct layer_file *file = layer_library_add(l, text, n, &f);
        struct model_spec *m = file ? layer_file_model(l, file, &shape, &f) : NULL;
        assert_true(m || findings_failed(&f));
        model_spec_destroy(m);
        findings_free(&f);
        layer_library_destroy(l);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(composites_are_expanded_with_their_values),
        cmocka_unit_test(a_wrong_value_is_shown_in_the_models_own_place),
        cmocka_unit_test(mistakes_in_a_layer_file),
        cmocka_unit_test(nesting_is_bounded_in_count),
        cmocka_unit_test(mutual_recursion_is_named),
        cmocka_unit_test(a_layer_alone_is_a_model),
        cmocka_unit_test(damaged_files_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
