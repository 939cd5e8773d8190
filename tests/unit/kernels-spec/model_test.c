/* spec/model: model files, what is wrong in them and where. */
#include "expect.h"

#include <stdlib.h>

#include "base/mem.h"
#include "kernels/spec/layer_file.h"
#include "kernels/spec/model.h"

static const char good[] =
    "{\"format\": \"trainyard.model/1\", \"name\": \"cnn\",\n"
    " \"inputs\": [{\"name\": \"image\", \"shape\": [1, 28, 28], \"dtype\": \"uint8\"}],\n"
    " \"layers\": [\n"
    "  {\"name\": \"conv\", \"type\": \"conv2d\", \"inputs\": [\"image\"], \"config\": {\"filters\": 8, "
    "\"kernel\": [3, 5], \"padding\": \"same\"}},\n"
    "  {\"name\": \"act\", \"type\": \"relu\"},\n"
    "  {\"name\": \"flat\", \"type\": \"flatten\"},\n"
    "  {\"name\": \"logits\", \"type\": \"dense\", \"inputs\": [\"flat\"], \"config\": {\"units\": 10}}],\n"
    " \"outputs\": [\"logits\"]}\n";

static struct model_spec *parse(const char *text, struct findings *f)
{
    *f = (struct findings){0};
    return model_parse(text, strlen(text), NULL, f);
}

/* The good file with the first `from` replaced. */
static char *changed(const char *from, const char *to)
{
    const char *at = strstr(good, from);
    assert_non_null(at);
    return xasprintf("%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
}

static void reads_what_the_file_says(void **state)
{
    (void)state;
    struct findings f;
    struct model_spec *m = parse(good, &f);
    if (!m)
        print_findings(&f);
    assert_non_null(m);
    assert_int_equal(f.count, 0);
    assert_string_equal(m->name, "cnn");
    assert_int_equal(m->input_count, 1);
    assert_int_equal(m->inputs[0].dtype, DTYPE_U8);
    assert_int_equal(m->layer_count, 4);
    const struct spec_layer *conv = &m->layers[0];
    assert_string_equal(conv->pointer, "/layers/0");
    assert_true(conv->params[0].num[0] == 8 && conv->params[1].num[0] == 3 && conv->params[1].num[1] == 5);
    assert_true(conv->params[2].num[0] == 1 && conv->params[2].num[1] == 1 && !conv->params[2].given);
    assert_string_equal(conv->params[3].text, "same");
    assert_string_equal(m->layers[1].inputs[0], "conv"); /* absent inputs: the layer before */
    assert_string_equal(m->outputs[0].name, "logits");
    model_spec_destroy(m);
}

static void what_is_written_reads_back_the_same(void **state)
{
    (void)state;
    struct findings f;
    struct buf once = {0}, twice = {0};
    struct model_spec *m = parse(good, &f);
    model_spec_write_json(m, &once);
    struct model_spec *again = parse(buf_str(&once), &f);
    assert_non_null(again);
    model_spec_write_json(again, &twice);
    assert_string_equal(buf_str(&once), buf_str(&twice));
    model_spec_destroy(m);
    model_spec_destroy(again);
    buf_free(&once);
    buf_free(&twice);
}

static void one_mistake_is_named_at_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *check, *pointer, *says;
        int line;
    } cases[] = {
        {"\"dense\"", "\"dens\"", "model.types", "/layers/3/type", "did you mean \"dense\"", 7},
        {"\"dense\"", "\"Linear\"", "model.types", "/layers/3/type", "did you mean \"dense\"", 7},
        {"\"units\": 10", "\"unit\": 10", "model.config", "/layers/3/config/unit", "did you mean \"units\"",
         7},
        {"\"units\": 10", "\"unit\": 10", "model.config", "/layers/3/config", "dense needs \"units\"", 7},
        {"\"units\": 10", "\"units\": 0", "model.config", "/layers/3/config/units", "an integer from 1 to",
         7},
        {"\"units\": 10", "\"units\": 1e300", "model.config", "/layers/3/config/units", "integer", 7},
        {"\"units\": 10", "\"units\": 2.5", "model.config", "/layers/3/config/units", "integer", 7},
        {"\"units\": 10", "\"units\": \"ten\"", "model.config", "/layers/3/config/units", "integer", 7},
        {"\"units\": 10", "\"units\": 10, \"bias\": 1", "model.config", "/layers/3/config/bias",
         "true or false", 7},
        {"\"same\"", "\"sane\"", "model.config", "/layers/0/config/padding", "did you mean \"same\"", 4},
        {"[3, 5]", "[3, 5, 7]", "model.config", "/layers/0/config/kernel", "two of them", 4},
        {"[3, 5]", "[3, 0]", "model.config", "/layers/0/config/kernel/1", "from 1 to", 4},
        {"[\"flat\"]", "[\"flet\"]", "model.inputs", "/layers/3/inputs/0", "did you mean \"flat\"", 7},
        {"[\"flat\"]", "[\"flat\", \"act\"]", "model.inputs", "/layers/3/inputs", "takes 1 input", 7},
        {"[\"flat\"]", "[]", "model.inputs", "/layers/3/inputs", "takes 1 input", 7},
        {"[\"flat\"]", "\"flat\"", "model.members", "/layers/3/inputs", "an array", 7},
        {"[\"flat\"]", "[7]", "model.inputs", "/layers/3/inputs/0", "the name of a layer", 7},
        {"\"name\": \"act\"", "\"name\": \"conv\"", "model.names", "/layers/1/name", "second layer named", 5},
        {"\"name\": \"act\"", "\"name\": \"image\"", "model.names", "/layers/1/name", "name of an input", 5},
        {"\"name\": \"act\"", "\"name\": \"a b\"", "model.names", "/layers/1/name", "is not a name", 5},
        {"\"name\": \"act\"", "\"nam\": \"act\"", "model.members", "/layers/1/nam", "did you mean \"name\"",
         5},
        {"\"outputs\": [\"logits\"]", "\"outputs\": [\"logit\"]", "model.outputs", "/outputs/0",
         "did you mean \"logits\"", 8},
        {"\"outputs\": [\"logits\"]", "\"outputs\": []", "model.outputs", "/outputs", "1 to", 8},
        {"\"outputs\": [\"logits\"]", "\"outputs\": [\"image\"]", "model.outputs", "/outputs/0",
         "of an input", 8},
        {"\"outputs\": [\"logits\"]", "\"output\": [\"logits\"]", "model.members", "/output",
         "did you mean \"outputs\"", 8},
        {"\"uint8\"", "\"uint\"", "model.values", "/inputs/0/dtype", "did you mean \"uint8\"", 2},
        {"[1, 28, 28]", "[1, 28, -28]", "model.values", "/inputs/0/shape/2", "an integer from 1", 2},
        {"[1, 28, 28]", "[]", "model.values", "/inputs/0/shape", "array of 1 to", 2},
        {"[1, 28, 28]", "[2000000000, 2000000000]", "model.values", "/inputs/0/shape", "more than", 2},
        {"trainyard.model/1", "trainyard.model/2", "model.format", "/format", "trainyard.model/1", 1},
        {"trainyard.model/1", "trainyard.layer/1", "model.format", "/format", "wrong kind", 1},
        {"\"name\": \"cnn\"", "\"name\": \"c n n\"", "model.names", "/name", "1 to 64", 1},
        {"\"name\": \"cnn\"", "\"name\": \"cnn\", \"name\": \"x\"", "model.syntax", NULL, "duplicate", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *text = changed(cases[i].from, cases[i].to);
        struct findings f;
        assert_null(parse(text, &f));
        const struct finding *it = expect_finding(&f, cases[i].check, cases[i].pointer, cases[i].says);
        if (it->line != cases[i].line) {
            print_findings(&f);
            fail_msg("\"%s\": line %d, expected %d", cases[i].to, it->line, cases[i].line);
        }
        if (failed_count(&f) > 3) {
            print_findings(&f);
            fail_msg("one mistake made %zu findings", failed_count(&f));
        }
        findings_free(&f);
        free(text);
    }
}

static void all_mistakes_are_listed_at_once(void **state)
{
    (void)state;
    struct findings f;
    assert_null(parse("{\"format\": \"trainyard.model/1\", \"name\": \"x\", \"inputs\": [{\"name\": \"i\", "
                      "\"shape\": [0]}],\n"
                      " \"layers\": [{\"name\": \"a\", \"type\": \"rely\"}, {\"name\": \"b\", \"type\": "
                      "\"dense\", \"inputs\": [\"zzzzzz\"], \"config\": {\"units\": -1}},\n"
                      "  {\"type\": \"relu\"}, 5], \"outputs\": [\"b\", \"q\"], \"extra\": 1}",
                      &f));
    expect_finding(&f, "model.values", "/inputs/0/shape/0", "from 1");
    expect_finding(&f, "model.types", "/layers/0/type", "relu");
    expect_finding(&f, "model.inputs", "/layers/1/inputs/0", "zzzzzz");
    expect_finding(&f, "model.members", "/layers/2", "\"name\" is missing");
    expect_finding(&f, "model.members", "/layers/3", "a layer is an object");
    expect_finding(&f, "model.outputs", "/outputs/1", "no layer");
    expect_finding(&f, "model.members", "/extra", "unknown member");
    findings_free(&f);
}

static void not_a_model_at_all(void **state)
{
    (void)state;
    static const struct {
        const char *text, *check, *says;
    } cases[] = {
        {"", "model.syntax", "not valid JSON"},
        {"{", "model.syntax", "not valid JSON"},
        {"[]", "model.format", "must be a JSON object"},
        {"null", "model.format", "not null"},
        {"{}", "model.format", "\"format\" is missing"},
        {"{\"class_name\": \"Sequential\"}", "model.format", "Keras"},
        {"{\"a\": 1e999}", "model.syntax", "not valid JSON"},
        {"{\"a\": NaN}", "model.syntax", "not valid JSON"},
        {"{} x", "model.syntax", "not valid JSON"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct findings f;
        assert_null(parse(cases[i].text, &f));
        expect_finding(&f, cases[i].check, NULL, cases[i].says);
        findings_free(&f);
    }
}

static void thousands_of_mistakes_are_counted(void **state)
{
    (void)state;
    struct buf b = {0};
    struct findings f = {0};
    buf_puts(&b, "{\"format\":\"trainyard.model/"
                 "1\",\"name\":\"x\",\"inputs\":[{\"name\":\"i\",\"shape\":[4]}],\"layers\":[");
    for (int i = 0; i < 5000; i++)
        buf_printf(&b, "%s{\"name\":\"l%d\",\"type\":\"nope\",\"inputs\":[\"i\"]}", i ? "," : "", i);
    buf_puts(&b, "],\"outputs\":[\"l1\"]}");
    assert_null(model_parse(b.data, b.len, NULL, &f));
    assert_int_equal(f.count, SPEC_MAX_FINDINGS + 1);
    expect_finding(&f, "model.more", NULL, "more mistakes");
    findings_free(&f);
    buf_free(&b);
}

static void too_many_layers(void **state)
{
    (void)state;
    struct buf b = {0};
    struct findings f = {0};
    buf_puts(&b, "{\"format\":\"trainyard.model/"
                 "1\",\"name\":\"x\",\"inputs\":[{\"name\":\"i\",\"shape\":[4]}],\"layers\":[");
    for (int i = 0; i <= MODEL_MAX_LAYERS; i++)
        buf_printf(&b, "%s{\"name\":\"l%d\",\"type\":\"relu\"}", i ? "," : "", i);
    buf_puts(&b, "],\"outputs\":[\"l1\"]}");
    assert_null(model_parse(b.data, b.len, NULL, &f));
    expect_finding(&f, "model.size", NULL, "more than 20000 layers");
    findings_free(&f);
    buf_free(&b);
}

static void damaged_files_never_crash(void **state)
{
    (void)state;
    uint32_t x = 7;
    size_t n = strlen(good);
    for (int round = 0; round < 3000; round++) {
        char *text = xstrdup(good);
        size_t len = n;
        for (int k = 0; k < 1 + round % 5; k++) {
            x = x * 1664525 + 1013904223;
            text[(x >> 8) % n] = "{}[]\",:0-e/\\ax"[(x >> 3) % 14];
        }
        x = x * 1664525 + 1013904223;
        if (round % 3 == 0)
            len = (x >> 8) % n;
        struct findings f = {0};
        struct model_spec *m = model_parse(text, len, NULL, &f);
        assert_true(m || findings_failed(&f));
        model_spec_destroy(m);
        findings_free(&f);
        free(text);
    }
}

static void built_in_c_is_the_same_as_from_a_file(void **state)
{
    (void)state;
    struct findings f;
    struct buf a = {0}, b = {0};
    struct model_spec *from_file = parse(good, &f), *m = model_spec_create("cnn");
    model_spec_input(m, "image", &(struct shape){3, {1, 28, 28}}, DTYPE_U8);
    struct spec_layer *conv = model_spec_set(model_spec_add(m, "conv", "conv2d", "image"), "filters", 0, 8);
    model_spec_set(model_spec_set(conv, "kernel", 0, 3), "kernel", 1, 5);
    model_spec_set_text(conv, "padding", "same");
    model_spec_add(m, "act", "relu", "conv");
    model_spec_add(m, "flat", "flatten", "act");
    model_spec_set(model_spec_add(m, "logits", "dense", "flat"), "units", 0, 10);
    model_spec_output(m, "logits");
    model_spec_write_json(from_file, &a);
    model_spec_write_json(m, &b);
    assert_string_equal(buf_str(&a), buf_str(&b));
    model_spec_destroy(from_file);
    model_spec_destroy(m);
    buf_free(&a);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_file_says),
        cmocka_unit_test(what_is_written_reads_back_the_same),
        cmocka_unit_test(one_mistake_is_named_at_its_place),
        cmocka_unit_test(all_mistakes_are_listed_at_once),
        cmocka_unit_test(not_a_model_at_all),
        cmocka_unit_test(thousands_of_mistakes_are_counted),
        cmocka_unit_test(too_many_layers),
        cmocka_unit_test(damaged_files_never_crash),
        cmocka_unit_test(built_in_c_is_the_same_as_from_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
