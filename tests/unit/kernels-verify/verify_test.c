/* verify: what `trainyard-train verify` answers, run in this process with its output in a file. */
#include "../kernels-data/temporary.h"

#include <sys/wait.h>
#include <time.h>

#include "base/json.h"
#include "base/units.h"
#include "kernels/data/digits.h"
#include "kernels/verify/verify.h"

#define EXAMPLE(name) EXAMPLES "/" name

/* Run with these arguments in a child of limited memory; the parsed answer (NULL when there is none) and the
 * exit code. */
static json_t *verify(int *code, const char *const *arguments)
{
    char *argv[32] = {xstrdup("verify")}, *out = path_join(folder, "out");
    int argc = 1;
    for (; arguments[argc - 1]; argc++)
        argv[argc] = xstrdup(arguments[argc - 1]);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        dup2(fd, 1);
        int rc = verify_main(argc, argv);
        fflush(NULL);
        _exit(rc); /* not exit: cmocka's own handlers are the parent's */
    }
    int status;
    waitpid(pid, &status, 0);
    if (!WIFEXITED(status))
        fail_msg("verify died of signal %d", WTERMSIG(status));
    *code = WEXITSTATUS(status);
    struct err err = {0};
    struct buf text = {0};
    json_t *answer = NULL;
    assert_int_equal(file_read(out, 1 << 26, &text, &err), 0);
    if (text.len && !(answer = json_parse(text.data, text.len, NULL, NULL, &err)))
        fail_msg("%s\n%s", err.text, text.data);
    buf_free(&text);
    free(out);
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    return answer;
}
#define VERIFY(code, ...) verify(code, (const char *const[]){__VA_ARGS__, NULL})

static void print_answer(const json_t *answer)
{
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(answer, "checks"), i, c)
    {
        char *text = json_text(c);
        print_message("  %s\n", text);
        free(text);
    }
}

/* The check of this name and status; fails the test when there is none. */
static const json_t *check_of(const json_t *answer, const char *name, const char *status)
{
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(answer, "checks"), i,
                       c) if (!strcmp(json_string_value(json_object_get(c, "name")), name) &&
                              !strcmp(json_string_value(json_object_get(c, "status")), status)) return c;
    print_answer(answer);
    fail_msg("there is no %s check %s", status, name);
    return NULL;
}

static void expect_good(json_t *answer, int code, const char *kind)
{
    if (code != 0)
        print_answer(answer);
    assert_int_equal(code, 0);
    assert_true(json_is_true(json_object_get(answer, "ok")));
    assert_string_equal(json_string_value(json_object_get(answer, "format")), "trainyard.verification/1");
    assert_string_equal(json_string_value(json_object_get(answer, "kind")), kind);
    assert_true(json_array_size(json_object_get(answer, "checks")) > 3);
}

static void the_examples_are_good(void **state)
{
    (void)state;
    int code;
    json_t *a = VERIFY(&code, "model", EXAMPLE("mnist/model.json"));
    expect_good(a, code, "model");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(a, "summary"), "parameters")),
                     320 + 18496 + 12 * 12 * 64 * 128 + 128 + 1290);
    check_of(a, "model.run", "passed");
    check_of(a, "model.gradients", "passed");
    json_decref(a);
    a = VERIFY(&code, "layer", EXAMPLE("digits/conv_block.json"));
    expect_good(a, code, "layer");
    check_of(a, "layer.run", "passed");
    json_decref(a);
    a = VERIFY(&code, EXAMPLE("digits/model.json"), "--layer",
               EXAMPLE("digits/conv_block.json")); /* the file says what it is */
    expect_good(a, code, "model");
    json_decref(a);
    static const char *const algorithms[] = {
        EXAMPLE("mnist/algorithm.json"), EXAMPLE("digits/algorithm.json"), EXAMPLE("iris/algorithm.json")};
    for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
        a = VERIFY(&code, "algorithm", algorithms[i]);
        expect_good(a, code, "algorithm");
        check_of(a, "algorithm.converges", "passed");
        assert_true(json_array_size(json_object_get(json_object_get(json_object_get(a, "summary"), "curve"),
                                                    "points")) > 10);
        json_decref(a);
    }
    a = VERIFY(&code, "model", EXAMPLE("iris/model.json"));
    expect_good(a, code, "model");
    json_decref(a);
}

static void a_missing_layer_file_is_said(void **state)
{
    (void)state;
    int code;
    json_t *a = VERIFY(&code, "model", EXAMPLE("digits/model.json"));
    assert_int_equal(code, 3);
    const json_t *c = check_of(a, "model.types", "failed");
    assert_string_equal(json_string_value(json_object_get(c, "pointer")), "/layers/1/type");
    assert_int_equal(json_integer_value(json_object_get(c, "line")), 7);
    json_decref(a);
}

/* An example with the first `from` replaced; its path. */
static const char *changed(const char *example, const char *from, const char *to)
{
    struct buf text = {0}, out = {0};
    struct err err = {0};
    assert_int_equal(file_read(example, 1 << 20, &text, &err), 0);
    char *at = strstr(text.data, from);
    if (!at)
        fail_msg("%s has no %s", example, from);
    buf_printf(&out, "%.*s%s%s", (int)(at - text.data), text.data, to, at + strlen(from));
    const char *path = write_file("changed.json", out.data, out.len);
    buf_free(&text);
    buf_free(&out);
    return path;
}

static void planted_mistakes_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *example, *from, *to, *check, *pointer;
    } cases[] = {
        {"model", EXAMPLE("mnist/model.json"), "\"type\": \"flatten\"", "\"type\": \"relu\"", "model.shapes",
         "/layers/8"},
        {"model", EXAMPLE("mnist/model.json"), "[\"scale\"]", "[\"relu2\"]", "model.cycles", NULL},
        {"model", EXAMPLE("mnist/model.json"), "\"pool\": 2", "\"pool\": 0", "model.config",
         "/layers/5/config/pool"},
        {"model", EXAMPLE("mnist/model.json"), "[1, 28, 28]", "[1, 2, 2]", "model.shapes", "/layers/1"},
        {"model", EXAMPLE("mnist/model.json"), "\"units\": 128", "\"units\": 16777216", "model.cost",
         "/layers/8"},
        {"model", EXAMPLE("mnist/model.json"), "trainyard.model/1", "trainyard.algorithm/1", "model.format",
         "/format"},
        {"algorithm", EXAMPLE("mnist/algorithm.json"), "0.001", "900", "algorithm.run",
         "/optimizer/learning_rate"},
        {"algorithm", EXAMPLE("mnist/algorithm.json"), "\"adamw\"", "\"adamx\"", "algorithm.types",
         "/optimizer/type"},
        {"layer", EXAMPLE("digits/conv_block.json"), "[\"conv\"]", "[\"con\"]", "layer.inputs",
         "/composite/layers/1/inputs/0"},
        {"layer", EXAMPLE("digits/conv_block.json"), "=filters", "=filters/0", "layer.expressions",
         "/composite/layers/0/config/filters"},
        {"layer", EXAMPLE("digits/conv_block.json"), "\"default\": 2", "\"default\": 9", "layer.parameters",
         "/parameters/3/default"},
        {"layer", EXAMPLE("digits/conv_block.json"), "\"type\": \"max_pool2d\"", "\"type\": \"dense\"",
         "layer.config", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int code;
        double start = time_monotonic();
        json_t *a = VERIFY(&code, cases[i].kind, changed(cases[i].example, cases[i].from, cases[i].to));
        if (code != 3) {
            print_answer(a);
            fail_msg("%s -> %s: exit code %d", cases[i].from, cases[i].to, code);
        }
        assert_true(json_is_false(json_object_get(a, "ok")));
        const json_t *c = check_of(a, cases[i].check, "failed");
        if (cases[i].pointer)
            assert_string_equal(json_string_value(json_object_get(c, "pointer")), cases[i].pointer);
        if (json_is_string(json_object_get(c, "pointer")))
            assert_true(json_integer_value(json_object_get(c, "line")) > 0);
        assert_true(time_monotonic() - start < 20);
        json_decref(a);
    }
}

static void a_trillion_parameters_are_refused_at_once(void **state)
{
    (void)state;
    const char text[] = "{\"format\":\"trainyard.model/"
                        "1\",\"name\":\"huge\",\"inputs\":[{\"name\":\"x\",\"shape\":[1000000]}],"
                        "\"layers\":[{\"name\":\"a\",\"type\":\"dense\",\"config\":{\"units\":1000000}}],"
                        "\"outputs\":[\"a\"]}";
    int code;
    double start = time_monotonic();
    json_t *a = VERIFY(&code, "model", write_file("huge.json", text, strlen(text)));
    assert_int_equal(code, 3);
    const json_t *c = check_of(a, "model.cost", "failed");
    assert_non_null(strstr(json_string_value(json_object_get(c, "message")), "1e+12 parameters"));
    assert_true(json_real_value(json_object_get(a, "seconds")) < 1);
    assert_true(time_monotonic() - start < 10);
    json_decref(a);
}

static void a_dataset_is_packed_and_shown(void **state)
{
    (void)state;
    int code;
    struct err err = {0};
    char *digits = path_join(folder, "digits"), *pack = path_join(folder, "digits.pack");
    assert_int_equal(digits_write(digits, 200, 50, 1, &err), 0);
    json_t *a =
        VERIFY(&code, "dataset", digits, "--pack", pack, "--options", "{\"seed\": 3, \"notes\": \"mine\"}");
    expect_good(a, code, "dataset");
    const json_t *s = json_object_get(a, "summary"), *info = json_object_get(s, "dataset_info");
    assert_int_equal(json_integer_value(json_object_get(info, "classes")), 10);
    assert_int_equal(json_array_size(json_object_get(json_object_get(s, "preview"), "samples")), 40);
    assert_true(file_exists(pack));
    json_decref(a);
    a = VERIFY(&code, "dataset", pack);
    expect_good(a, code, "dataset");
    json_decref(a);
    a = VERIFY(&code, "dataset", digits, "--options", "{\"test_fraction\": 7, \"targt\": \"x\"}");
    assert_int_equal(code, 3);
    check_of(a, "dataset.options", "failed");
    check_of(a, "dataset.options", "warned");
    json_decref(a);
    a = VERIFY(&code, "dataset", EXAMPLE("mnist/model.json"));
    assert_int_equal(code, 3);
    check_of(a, "dataset.format", "failed");
    json_decref(a);
    free(digits);
    free(pack);
}

static void a_fit_says_what_does_not_belong_together(void **state)
{
    (void)state;
    int code;
    struct err err = {0};
    char *digits = path_join(folder, "fit");
    assert_int_equal(digits_write(digits, 200, 50, 1, &err), 0);
#define FIT(model, algorithm, ...)                                                                           \
    VERIFY(&code, "fit", "--model", model, "--algorithm", algorithm, "--data", digits, "--layer",            \
           EXAMPLE("digits/conv_block.json"), __VA_ARGS__)
    json_t *a = FIT(EXAMPLE("digits/model.json"), EXAMPLE("digits/algorithm.json"), "--ranks", "2");
    expect_good(a, code, "fit");
    const json_t *s = json_object_get(a, "summary");
    assert_int_equal(json_integer_value(json_object_get(s, "steps")), 3 * 4);
    assert_int_equal(json_integer_value(json_object_get(s, "batch_per_rank")), 32);
    assert_true(json_number_value(json_object_get(s, "memory_bytes")) > 1e5);
    json_decref(a);
    a = FIT(changed(EXAMPLE("digits/model.json"), "[1, 28, 28]", "[1, 20, 20]"),
            EXAMPLE("digits/algorithm.json"), "--ranks", "1");
    assert_int_equal(code, 3);
    const json_t *c = check_of(a, "fit.input", "failed");
    const char *message = json_string_value(json_object_get(c, "message"));
    assert_true(strstr(message, "(1, 28, 28)") && strstr(message, "(1, 20, 20)"));
    assert_int_equal(json_integer_value(json_object_get(c, "line")), 4);
    json_decref(a);
    a = FIT(changed(EXAMPLE("digits/model.json"), "\"units\": 10", "\"units\": 9"),
            EXAMPLE("digits/algorithm.json"), "--ranks", "1");
    assert_int_equal(code, 3);
    check_of(a, "fit.output", "failed");
    json_decref(a);
    a = FIT(EXAMPLE("digits/model.json"), EXAMPLE("digits/algorithm.json"), "--ranks", "65");
    assert_int_equal(code, 3);
    check_of(a, "fit.batch", "failed");
    json_decref(a);
    a = FIT(EXAMPLE("digits/model.json"), EXAMPLE("digits/algorithm.json"), "--set",
            "/loss={\"type\":\"mean_squared_error\"}", "--set", "/metrics=[]");
    assert_int_equal(code, 3);
    check_of(a, "fit.loss", "failed");
    json_decref(a);
    a = FIT(EXAMPLE("digits/model.json"), EXAMPLE("digits/algorithm.json"), "--set", "/batch_size=1000");
    assert_int_equal(code, 0);
    check_of(a, "fit.batch", "warned");
    json_decref(a);
    free(digits);
}

static void what_could_not_run_says_so_by_its_exit_code(void **state)
{
    (void)state;
    int code;
    assert_null(VERIFY(&code, "model", "/nonexistent/model.json"));
    assert_int_equal(code, 1);
    assert_null(VERIFY(&code, "fit", "--model", "x"));
    assert_int_equal(code, 2);
    assert_null(VERIFY(&code, "model", EXAMPLE("mnist/model.json"), "--nonsense", "x"));
    assert_int_equal(code, 2);
    json_t *a = VERIFY(&code, "model", write_file("empty", "", 0));
    assert_int_equal(code, 3);
    check_of(a, "model.syntax", "failed");
    json_decref(a);
}

static void every_layer_type_is_documented(void **state)
{
    (void)state;
    struct buf out = {0};
    struct err err = {0};
    layer_types_write_json(&out);
    json_t *table = json_parse(out.data, out.len, NULL, NULL, &err), *t, *p;
    assert_non_null(table);
    size_t i, k;
    assert_true(json_array_size(json_object_get(table, "layers")) >= 16);
    json_array_foreach(json_object_get(table, "layers"), i, t)
    {
        static const char *const texts[] = {"name", "group", "summary", "formula"};
        for (size_t j = 0; j < ARRAY_LEN(texts); j++)
            if (!json_string_value(json_object_get(t, texts[j])))
                fail_msg("a layer type has no %s", texts[j]);
        json_array_foreach(json_object_get(t, "params"), k,
                           p) if (!json_string_value(json_object_get(p, "help")))
            fail_msg("a parameter of %s has no help", json_string_value(json_object_get(t, "name")));
    }
    json_decref(table);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_are_good),
        cmocka_unit_test(a_missing_layer_file_is_said),
        cmocka_unit_test(planted_mistakes_are_found),
        cmocka_unit_test(a_trillion_parameters_are_refused_at_once),
        cmocka_unit_test(a_dataset_is_packed_and_shown),
        cmocka_unit_test(a_fit_says_what_does_not_belong_together),
        cmocka_unit_test(what_could_not_run_says_so_by_its_exit_code),
        cmocka_unit_test(every_layer_type_is_documented),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
