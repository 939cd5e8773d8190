/* The lines of docs/architecture.md 4.1, as another program would read them. */
#include "kernels/train/report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

struct fixture {
    char dir[64];
    char *metrics, *report;
    struct algorithm algorithm;
    struct dataset_info data;
    struct report *r;
};

static struct fixture *make(void)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    struct err err = {0};
    strcpy(f->dir, "/tmp/trainyard-report-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->metrics = path_join(f->dir, "metrics.jsonl");
    f->report = path_join(f->dir, "report.json");
    algorithm_default(&f->algorithm);
    f->algorithm.metric_count = 1;
    f->algorithm.metrics[0] = METRIC_ACCURACY;
    f->algorithm.report_every_steps = 5;
    f->data.samples[SPLIT_TRAIN] = 60000;
    f->data.classes = 2;
    struct report_run run = {.algorithm = &f->algorithm,
                             .data = &f->data,
                             .model_name = "m\"",
                             .backend = "cpu",
                             .collectives = "single",
                             .ranks = 2,
                             .threads = 1,
                             .steps = 100,
                             .epochs = 2,
                             .steps_per_epoch = 50,
                             .parameters = 421642};
    f->r = report_open(&run, f->metrics, false, &err);
    assert_non_null(f->r);
    return f;
}

static void drop(struct fixture *f)
{
    report_close(f->r);
    dir_remove(f->dir, NULL);
    free(f->metrics);
    free(f->report);
    free(f);
}

static json_t *line(struct fixture *f, int n)
{
    struct buf b = {0};
    struct err err = {0};
    assert_int_equal(file_read(f->metrics, 1 << 20, &b, &err), 0);
    char *p = b.data;
    for (int i = 0; i < n; i++)
        p = strchr(p, '\n') + 1;
    json_t *o = json_parse(p, (size_t)(strchr(p, '\n') - p), NULL, NULL, &err);
    assert_non_null(o);
    buf_free(&b);
    return o;
}

static void every_event_is_one_line(void **state)
{
    struct report_values v = {0};
    (void)state;
    struct fixture *f = make();
    report_start(f->r);
    report_values_add(&v, "loss", 2.5);
    report_values_add(&v, "accuracy", 0.25);
    report_resume(f->r, 10);
    report_train(f->r, 11, 0, &v);
    report_eval(f->r, 50, 1, &v);
    report_checkpoint(f->r, 50, 1, "checkpoints/step-000050.ckpt");
    v.items[0].value = NAN;
    report_end(f->r, 60, 1, &v, 1.5, REPORT_DIVERGED);
    const char *const kinds[] = {"start", "resume", "train", "eval", "checkpoint", "end"};
    for (int i = 0; i < 6; i++) {
        json_t *o = line(f, i);
        assert_string_equal(json_string_value(json_object_get(o, "kind")), kinds[i]);
        assert_true(json_real_value(json_object_get(o, "t")) > 1.6e9);
        json_decref(o);
    }
    json_t *start = line(f, 0), *train = line(f, 2), *end = line(f, 5);
    assert_int_equal(json_integer_value(json_object_get(start, "parameters")), 421642);
    assert_int_equal(json_integer_value(json_object_get(start, "samples")), 60000);
    assert_true(json_real_value(json_object_get(json_object_get(train, "values"), "accuracy")) == 0.25);
    assert_true(json_is_true(json_object_get(end, "diverged")));
    assert_true(json_is_null(json_object_get(json_object_get(end, "values"), "loss")));
    json_decref(start);
    json_decref(train);
    json_decref(end);
    drop(f);
}

static void lines_are_asked_for_at_most_so_often(void **state)
{
    struct report_values v = {0};
    (void)state;
    struct fixture *f = make();
    int wanted = 0;
    assert_true(report_wants(f->r, 1));
    assert_true(report_wants(f->r, 5));
    assert_false(report_wants(f->r, 7));
    for (int64_t s = 1; s <= 1000; s++)
        if (report_wants(f->r, s)) {
            report_train(f->r, s, 0, &v);
            wanted++;
        }
    assert_true(wanted < 20); /* a thousand steps in no time: 20 lines a second are the limit */
    assert_false(report_wants(NULL, 1));
    drop(f);
}

static void the_report_is_json_with_all_epochs_and_the_confusion_matrix(void **state)
{
    struct report_values v = {0};
    struct err err = {0};
    struct metrics m;
    const float scores[] = {1, 0, 0, 1, 1, 0};
    const int32_t classes[] = {0, 1, 1};
    struct report_epoch rows[2] = {
        {.epoch = 1,
         .step = 50,
         .train_loss = 1,
         .eval_loss = 0.5,
         .train_metrics = {0.5},
         .eval_metrics = {0.75}},
        {.epoch = 2, .step = 100, .train_loss = 0.5, .eval_loss = NAN, .eval_metrics = {NAN}}};
    (void)state;
    struct fixture *f = make();
    struct algorithm a;
    algorithm_default(&a);
    metrics_init(&m, &a, 2, true);
    metrics_add(&m, &(struct loss_batch){scores, 3, 2, classes, NULL, NULL, 1},
                &(struct loss_sums){1, 3, -1, 3});
    report_values_add(&v, "loss", 0.5);
    assert_int_equal(report_write(f->r, f->report, 100, 2, &v, rows, 2, &m, 3.25, REPORT_FINISHED, &err), 0);
    json_t *o = json_parse_file(f->report, 1 << 20, &err);
    assert_non_null(o);
    json_t *epochs = json_object_get(o, "epochs"),
           *matrix = json_object_get(json_object_get(o, "confusion_matrix"), "rows");
    assert_int_equal(json_array_size(epochs), 2);
    assert_true(json_real_value(
                    json_object_get(json_object_get(json_array_get(epochs, 0), "eval"), "accuracy")) == 0.75);
    assert_null(json_object_get(json_array_get(epochs, 1), "eval"));
    assert_int_equal(json_integer_value(json_array_get(json_array_get(matrix, 1), 0)), 1);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(matrix, 1), 1)), 1);
    assert_string_equal(json_string_value(json_object_get(o, "model")), "m\"");
    assert_string_equal(json_string_value(json_object_get(o, "outcome")), "finished");
    json_decref(o);
    metrics_free(&m);
    drop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_is_one_line),
        cmocka_unit_test(lines_are_asked_for_at_most_so_often),
        cmocka_unit_test(the_report_is_json_with_all_epochs_and_the_confusion_matrix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
