/* spec/algorithm: algorithm files and overrides. */
#include "expect.h"

#include <stdlib.h>

#include "base/mem.h"
#include "kernels/spec/algorithm.h"

static const char good[] = "{\"format\": \"trainyard.algorithm/1\", \"name\": \"adamw-cosine\",\n"
                           " \"loss\": {\"type\": \"softmax_cross_entropy\", \"label_smoothing\": 0.1},\n"
                           " \"optimizer\": {\"type\": \"adamw\", \"learning_rate\": 0.002},\n"
                           " \"schedule\": {\"type\": \"cosine\", \"warmup_steps\": 100},\n"
                           " \"batch_size\": 128, \"epochs\": 5, \"precision\": \"float32\", \"seed\": 7,\n"
                           " \"gradient_clip_norm\": 1.0, \"metrics\": [\"accuracy\"],\n"
                           " \"early_stopping\": {\"metric\": \"accuracy\", \"patience_epochs\": 3}, "
                           "\"checkpoint\": {\"every_steps\": 500, \"keep\": 2}}\n";

static int parse(const char *text, struct algorithm *a, struct findings *f)
{
    *f = (struct findings){0};
    return algorithm_parse(text, strlen(text), NULL, 0, a, f);
}

static void reads_what_the_file_says(void **state)
{
    (void)state;
    struct algorithm a;
    struct findings f;
    if (parse(good, &a, &f))
        print_findings(&f);
    assert_int_equal(f.count, 0);
    assert_string_equal(a.name, "adamw-cosine");
    assert_int_equal(a.optimizer.type, OPTIMIZER_ADAMW);
    assert_true(a.optimizer.learning_rate == 0.002 && a.optimizer.weight_decay == 0.01 &&
                a.optimizer.beta2 == 0.999);
    assert_true(a.loss.label_smoothing == 0.1);
    assert_int_equal(a.schedule.type, SCHEDULE_COSINE);
    assert_int_equal(a.schedule.warmup_steps, 100);
    assert_int_equal(a.batch_size, 128);
    assert_int_equal(a.seed, 7);
    assert_true(a.early_stopping.on && !a.early_stopping.watch.by_loss &&
                a.early_stopping.watch.metric == METRIC_ACCURACY);
    assert_int_equal(a.early_stopping.patience_epochs, 3);
    assert_int_equal(a.checkpoint.every_steps, 500);
}

static void the_least_file_has_defaults(void **state)
{
    (void)state;
    struct algorithm a;
    struct findings f;
    assert_int_equal(
        parse(
            "{\"format\":\"trainyard.algorithm/1\",\"name\":\"x\",\"loss\":{\"type\":\"mean_squared_error\"},"
            "\"optimizer\":{\"type\":\"sgd\"},\"batch_size\":1,\"epochs\":1}",
            &a, &f),
        0);
    assert_int_equal(a.schedule.type, SCHEDULE_CONSTANT);
    assert_true(a.optimizer.learning_rate == 0.01 && a.optimizer.momentum == 0 && a.gradient_clip_norm == 0);
    assert_int_equal(a.metric_count, 1);
    assert_int_equal(a.metrics[0], METRIC_MEAN_ABSOLUTE_ERROR);
    assert_false(a.early_stopping.on);
    assert_int_equal(a.checkpoint.keep, 2);
    assert_int_equal(a.seed, 1);
}

static void what_is_written_reads_back_the_same(void **state)
{
    (void)state;
    static const char *const schedules[] = {
        "{\"type\": \"constant\"}", "{\"type\": \"step\", \"every_epochs\": 3, \"gamma\": 0.5}",
        "{\"type\": \"multistep\", \"milestones\": [2, 5, 9]}", "{\"type\": \"exponential\", \"gamma\": 0.9}",
        "{\"type\": \"cosine\", \"minimum\": 1e-6}"};
    for (size_t i = 0; i < ARRAY_LEN(schedules); i++) {
        char *set = xasprintf("/schedule=%s", schedules[i]);
        const char *overrides[] = {set};
        struct algorithm a, b;
        struct findings f = {0};
        struct buf once = {0}, twice = {0};
        if (algorithm_parse(good, strlen(good), overrides, 1, &a, &f))
            print_findings(&f);
        algorithm_write_json(&a, &once);
        assert_int_equal(parse(buf_str(&once), &b, &f), 0);
        algorithm_write_json(&b, &twice);
        assert_string_equal(buf_str(&once), buf_str(&twice));
        assert_int_equal(a.schedule.milestone_count, b.schedule.milestone_count);
        assert_true(a.schedule.gamma == b.schedule.gamma && a.schedule.minimum == b.schedule.minimum);
        buf_free(&once);
        buf_free(&twice);
        free(set);
    }
}

static void one_mistake_is_named_at_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *check, *pointer, *says;
        int line;
    } cases[] = {
        {"\"adamw\"", "\"adaamw\"", "algorithm.types", "/optimizer/type", "did you mean \"adamw\"", 3},
        {"\"softmax_cross_entropy\"", "\"cross_entropy\"", "algorithm.types", "/loss/type",
         "did you mean \"softmax_cross_entropy\"", 2},
        {"{\"type\": \"adamw\", \"learning_rate\": 0.002}", "\"adamw\"", "algorithm.members", "/optimizer",
         "{\"type\": \"adamw\"}", 3},
        {"\"learning_rate\"", "\"lr\"", "algorithm.members", "/optimizer/lr", "unknown member", 3},
        {"\"learning_rate\"", "\"learning_rat\"", "algorithm.members", "/optimizer/learning_rat",
         "did you mean \"learning_rate\"", 3},
        {"0.002", "0", "algorithm.values", "/optimizer/learning_rate", "above 0", 3},
        {"0.002", "-1", "algorithm.values", "/optimizer/learning_rate", "above 0", 3},
        {"0.002", "1e300", "algorithm.values", "/optimizer/learning_rate", "at most 1000", 3},
        {"0.002", "\"0.002\"", "algorithm.values", "/optimizer/learning_rate", "a number", 3},
        {"0.002", "0.002, \"momentum\": 0.9", "algorithm.members", "/optimizer/momentum", "unknown member",
         3},
        {"\"batch_size\": 128", "\"batch_size\": 0", "algorithm.values", "/batch_size", "from 1 to", 5},
        {"\"batch_size\": 128, ", "", "algorithm.members", "", "\"batch_size\" is missing", 1},
        {"\"batch_size\": 128", "\"batchsize\": 128", "algorithm.members", "/batchsize",
         "did you mean \"batch_size\"", 5},
        {"\"epochs\": 5", "\"epochs\": 1.5", "algorithm.values", "/epochs", "an integer", 5},
        {"\"seed\": 7", "\"seed\": -1", "algorithm.values", "/seed", "of at least 0", 5},
        {"\"float32\"", "\"float16\"", "algorithm.values", "/precision", "float32", 5},
        {"[\"accuracy\"]", "[\"acuracy\"]", "algorithm.types", "/metrics/0", "did you mean \"accuracy\"", 6},
        {"[\"accuracy\"]", "[\"r2\"]", "algorithm.values", "/metrics/0", "no meaning", 6},
        {"\"metric\": \"accuracy\"", "\"metric\": \"r2\"", "algorithm.values", "/early_stopping/metric",
         "not among", 7},
        {"\"keep\": 2", "\"keep\": 0", "algorithm.values", "/checkpoint/keep", "from 1", 7},
        {"\"every_steps\"", "\"every_step\"", "algorithm.members", "/checkpoint/every_step",
         "did you mean \"every_steps\"", 7},
        {"\"warmup_steps\": 100", "\"warmup_steps\": 100, \"minimum\": 1", "algorithm.values",
         "/schedule/minimum", "above the learning rate", 4},
        {"\"seed\": 7", "\"augmented\": []", "algorithm.members", "/augmented", "unknown member", 5},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *at = strstr(good, cases[i].from);
        assert_non_null(at);
        char *text = xasprintf("%.*s%s%s", (int)(at - good), good, cases[i].to, at + strlen(cases[i].from));
        struct algorithm a;
        struct findings f;
        assert_int_equal(parse(text, &a, &f), -1);
        const struct finding *it = expect_finding(&f, cases[i].check, cases[i].pointer, cases[i].says);
        if (it->line != cases[i].line)
            fail_msg("\"%s\": line %d, expected %d", cases[i].to, it->line, cases[i].line);
        findings_free(&f);
        free(text);
    }
}

static void combinations_that_make_no_sense(void **state)
{
    (void)state;
    struct algorithm a;
    struct findings f;
    const char *o[] = {"/optimizer={\"type\":\"sgd\",\"nesterov\":true}"};
    f = (struct findings){0};
    assert_int_equal(algorithm_parse(good, strlen(good), o, 1, &a, &f), -1);
    expect_finding(&f, "algorithm.values", "/optimizer/nesterov", "momentum");
    findings_free(&f);
    const char *m[] = {"/schedule={\"type\":\"multistep\",\"milestones\":[5,5]}"};
    f = (struct findings){0};
    assert_int_equal(algorithm_parse(good, strlen(good), m, 1, &a, &f), -1);
    expect_finding(&f, "algorithm.values", "/schedule/milestones/1", "must rise");
    findings_free(&f);
}

static void overrides_apply_before_the_checks(void **state)
{
    (void)state;
    struct algorithm a;
    struct findings f = {0};
    const char *o[] = {"/epochs=3", "/optimizer/learning_rate=0.5", "/schedule/type=constant",
                       "/metrics/0=accuracy", "/checkpoint/keep=9"};
    assert_int_equal(algorithm_parse(good, strlen(good), o, 5, &a, &f), 0);
    assert_int_equal(a.epochs, 3);
    assert_true(a.optimizer.learning_rate == 0.5);
    assert_int_equal(a.schedule.type, SCHEDULE_CONSTANT);
    assert_int_equal(a.checkpoint.keep, 9);
    static const struct {
        const char *set, *check, *says;
    } bad[] = {
        {"epochs=3", "algorithm.overrides", "not an override"},
        {"/epochs", "algorithm.overrides", "not an override"},
        {"/epoch=3", "algorithm.members", "did you mean \"epochs\""},
        {"/epochs=many", "algorithm.values", "an integer"},
        {"/metrics/7=accuracy", "algorithm.overrides", "no place"},
        {"/epochs/x=1", "algorithm.overrides", "no place"},
        {"/=1", "algorithm.members", "unknown member"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        f = (struct findings){0};
        assert_int_equal(algorithm_parse(good, strlen(good), &bad[i].set, 1, &a, &f), -1);
        expect_finding(&f, bad[i].check, NULL, bad[i].says);
        findings_free(&f);
    }
}

static void damaged_files_never_crash(void **state)
{
    (void)state;
    uint32_t x = 5;
    size_t n = strlen(good);
    for (int round = 0; round < 3000; round++) {
        char *text = xstrdup(good);
        for (int k = 0; k < 1 + round % 4; k++) {
            x = x * 1664525 + 1013904223;
            text[(x >> 8) % n] = "{}[]\",:0-e/x"[(x >> 3) % 12];
        }
        struct algorithm a;
        struct findings f = {0};
        int rc = algorithm_parse(text, round % 3 ? n : (x >> 8) % n, NULL, 0, &a, &f);
        assert_true((rc == 0) == !findings_failed(&f));
        findings_free(&f);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_file_says),
        cmocka_unit_test(the_least_file_has_defaults),
        cmocka_unit_test(what_is_written_reads_back_the_same),
        cmocka_unit_test(one_mistake_is_named_at_its_place),
        cmocka_unit_test(combinations_that_make_no_sense),
        cmocka_unit_test(overrides_apply_before_the_checks),
        cmocka_unit_test(damaged_files_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
