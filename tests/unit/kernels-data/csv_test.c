/* data: CSV tables: types, headers, targets, missing values, mistakes. */
#include "temporary.h"

#include <math.h>

#include "kernels/data/dataset.h"

static struct dataset *read_table(const char *text, const struct dataset_options *o, struct findings *f)
{
    struct dataset_options none = {0};
    struct dataset_info info;
    struct err err = {0};
    char *to = path_join(folder, "pack");
    struct dataset *d = NULL;
    *f = (struct findings){0};
    if (dataset_pack(write_file("table.csv", text, strlen(text)), o ? o : &none, to, f, &info) == 0) {
        d = dataset_open(to, true, &err);
        if (!d)
            fail_msg("%s", err.text);
    }
    dataset_info_free(&info);
    free(to);
    return d;
}

/* Rows come in the file's order within a split; find the one whose feature `column` is v. */
static const float *row_with(const struct dataset *d, int column, float v, int *split, int64_t *index)
{
    for (*split = 0; *split < 2; ++*split)
        for (*index = 0; *index < d->info.samples[*split]; ++*index) {
            const float *row = (const float *)d->features[*split] + *index * d->info.column_count;
            if (row[column] == v)
                return row;
        }
    fail_msg("no row with %g in column %d", (double)v, column);
    return NULL;
}

static void types_header_and_classes_are_found(void **state)
{
    (void)state;
    struct findings f;
    struct dataset *d = read_table("\xef\xbb\xbfsize,colour,weight,kind\n1,red,0.5,cat\n2,blue,1.5,dog\n3,"
                                   "red,?,cat\n4,,3.5,dog\n5,green,4.5,cat\n",
                                   NULL, &f);
    if (!d)
        print_findings(&f);
    assert_non_null(d);
    assert_int_equal(d->info.column_count, 6);
    static const char *const names[] = {"size",       "colour=blue", "colour=green",
                                        "colour=red", "weight",      "weight is missing"};
    for (int i = 0; i < 6; i++)
        assert_string_equal(d->info.columns[i], names[i]);
    assert_int_equal(d->info.classes, 2);
    assert_string_equal(d->info.class_names[0], "cat");
    assert_string_equal(d->info.target_name, "kind");
    assert_int_equal(d->info.samples[0] + d->info.samples[1], 5);
    assert_int_equal(d->info.samples[1], 1);
    int split;
    int64_t i;
    const float *row = row_with(d, 0, 2, &split, &i);
    assert_true(row[1] == 1 && row[2] == 0 && row[3] == 0 && row[4] == 1.5f);
    assert_int_equal(((const int32_t *)d->targets[split])[i], 1);
    row = row_with(d, 0, 3, &split, &i);
    float sum = 0;
    int numbers = 0;
    for (int64_t k = 0; k < d->info.samples[SPLIT_TRAIN]; k++) {
        const float *r = (const float *)d->features[SPLIT_TRAIN] + 6 * k;
        sum += r[5] == 0 ? r[4] : 0;
        numbers += r[5] == 0;
    }
    assert_true(fabsf(row[4] - sum / (float)numbers) < 1e-6f); /* the mean of the train split */
    assert_true(row[5] == 1);
    row = row_with(d, 0, 4, &split, &i);
    assert_true(row[1] == 0 && row[2] == 0 && row[3] == 0);
    expect_finding(&f, "dataset.missing", NULL,
                   "\"weight\": 1 missing values become the column's mean, and a feature says where");
    expect_finding(&f, "dataset.missing", NULL, "\"colour\": 1 missing values become no category");
    assert_true(d->info.column_std[1] == 1 && d->info.column_mean[1] == 0);
    findings_free(&f);
    dataset_close(d);
}

static void a_table_of_text_and_classes_becomes_bytes(void **state)
{
    (void)state;
    struct findings f;
    struct buf b = {0};
    buf_puts(&b, "review,id,mood\n");
    for (int i = 0; i < 100; i++)
        buf_printf(&b, "\"text number %d, quite\",a%d,%s\n", i, i, i % 2 ? "bad" : "good");
    struct dataset *d = read_table(buf_str(&b), NULL, &f);
    if (!d)
        print_findings(&f);
    assert_non_null(d);
    assert_int_equal(d->info.token_unit, TOKENS_BYTES);
    assert_int_equal(d->info.vocabulary, 257);
    assert_int_equal(d->info.padding, 0);
    assert_int_equal(d->info.classes, 2);
    assert_true(shape_equal(&d->info.feature_shape, &(struct shape){1, {21}}));
    assert_null(d->info.columns);
    for (int s = 0; s < 2; s++)
        for (int64_t i = 0; i < d->info.samples[s]; i++) {
            const int32_t *row = (const int32_t *)d->features[s] + 21 * i;
            char text[22] = "";
            for (int k = 0; k < 21; k++)
                text[k] = (char)(row[k] > 0 ? row[k] - 1 : 0);
            int number = -1;
            assert_int_equal(sscanf(text, "text number %d, quite", &number), 1);
            assert_int_equal(((const int32_t *)d->targets[s])[i], number % 2 == 0); /* bad, good */
            assert_int_equal(row[20], number < 10 ? 0 : 'e' + 1);
        }
    expect_finding(&f, "dataset.columns", NULL, "column \"id\" is left out");
    dataset_close(d);
    findings_free(&f);
    d = read_table(buf_str(&b), &(struct dataset_options){.length = 4}, &f);
    assert_int_equal(d->info.feature_shape.dim[0], 4);
    expect_finding(&f, "dataset.content", NULL, "the first 4 are used");
    dataset_close(d);
    findings_free(&f);
    buf_free(&b);
}

static void a_table_without_names_keeps_its_first_row(void **state)
{
    (void)state;
    struct findings f;
    struct buf b = {0};
    for (int i = 0; i < 30; i++)
        buf_printf(&b, "%d.5,%d,%s\r\n", i, i % 4, i % 3 ? "Iris-b" : "Iris-a");
    struct dataset *d = read_table(buf_str(&b), NULL, &f);
    assert_non_null(d);
    assert_int_equal(d->info.samples[0] + d->info.samples[1], 30);
    assert_int_equal(d->info.samples[1], 6);
    assert_string_equal(d->info.columns[0], "column 0");
    int split;
    int64_t i;
    row_with(d, 0, 0.5f, &split, &i); /* the first row is there */
    assert_int_equal(f.count, 0);
    dataset_close(d);
    buf_free(&b);
}

static void statistics_are_of_the_train_split(void **state)
{
    (void)state;
    struct findings f;
    struct buf b = {0};
    for (int i = 0; i < 100; i++)
        buf_printf(&b, "%d,7,%d\n", i, i % 2);
    struct dataset *d = read_table(buf_str(&b), NULL, &f);
    assert_non_null(d);
    const float *p = d->features[SPLIT_TRAIN];
    double mean = 0, square = 0;
    int64_t n = d->info.samples[SPLIT_TRAIN];
    for (int64_t i = 0; i < n; i++)
        mean += (double)p[2 * i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        square += ((double)p[2 * i] - mean) * ((double)p[2 * i] - mean) / (double)n;
    assert_true(fabs((double)d->info.column_mean[0] - mean) < 1e-4);
    assert_true(fabs((double)d->info.column_std[0] - sqrt(square)) < 1e-4);
    assert_true(d->info.column_std[1] == 1); /* constant: nothing to divide by */
    expect_finding(&f, "dataset.columns", NULL, "same value in every row");
    findings_free(&f);
    dataset_close(d);
    d = read_table(buf_str(&b), &(struct dataset_options){.no_standardise = true}, &f);
    assert_true(d->info.column_mean[0] == 0 && d->info.column_std[0] == 1);
    findings_free(&f);
    dataset_close(d);
    buf_free(&b);
}

static void the_target_is_chosen_by_name_or_number(void **state)
{
    (void)state;
    static const struct {
        const char *target, *name;
    } cases[] = {{NULL, "c"}, {"a", "a"}, {"0", "a"}, {"1", "b"}, {"-1", "c"}, {"-3", "a"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct findings f;
        struct dataset *d = read_table("a,b,c\n1.5,2.5,3.5\n4,5,6\n7,8,9\n",
                                       &(struct dataset_options){.target = cases[i].target}, &f);
        if (!d)
            print_findings(&f);
        assert_non_null(d);
        assert_string_equal(d->info.target_name, cases[i].name);
        assert_int_equal(d->info.target, TARGET_VALUE);
        assert_int_equal(d->info.target_width, 1);
        findings_free(&f);
        dataset_close(d);
    }
    struct findings f;
    assert_null(read_table("size,b,c\n1,2,3\n4,5,6\n", &(struct dataset_options){.target = "sise"}, &f));
    expect_finding(&f, "dataset.target", "/target", "did you mean \"size\"");
    findings_free(&f);
    assert_null(read_table("size,b,c\n1,2,3\n4,5,6\n", &(struct dataset_options){.target = "3"}, &f));
    expect_finding(&f, "dataset.target", "/target", "3 columns");
    findings_free(&f);
}

static void integers_may_be_classes_or_values(void **state)
{
    (void)state;
    struct findings f;
    struct buf b = {0};
    for (int i = 0; i < 60; i++)
        buf_printf(&b, "%d;%d\n", i, i % 5 == 0 ? 10 : i % 5);
    struct dataset *d = read_table(buf_str(&b), NULL, &f);
    assert_int_equal(d->info.target, TARGET_CLASS);
    assert_int_equal(d->info.classes, 5);
    assert_string_equal(d->info.class_names[4], "10"); /* by value, not by text */
    expect_finding(&f, "dataset.target", NULL, "taken as classes");
    findings_free(&f);
    dataset_close(d);
    d = read_table(buf_str(&b), &(struct dataset_options){.task_type = "regression"}, &f);
    assert_int_equal(d->info.target, TARGET_VALUE);
    assert_int_equal(f.count, 0);
    dataset_close(d);
    buf_free(&b);
}

static void quotes_and_delimiters(void **state)
{
    (void)state;
    struct findings f;
    struct dataset *d = read_table(
        "name;note;y\n\"a;b\";\"says \"\"hi\"\"\nthere\";1.5\n c ; d ;2.5\n\"\";\"x\";3.5\n\n", NULL, &f);
    if (!d)
        print_findings(&f);
    assert_non_null(d);
    assert_int_equal(d->info.samples[0] + d->info.samples[1], 3);
    assert_int_equal(d->info.column_count, 2 + 3);
    assert_string_equal(d->info.columns[0], "name=a;b");
    assert_string_equal(d->info.columns[1], "name=c");
    assert_string_equal(d->info.columns[3], "note=says \"hi\"\nthere");
    findings_free(&f);
    dataset_close(d);
}

static void mistakes_are_named_by_line_and_column(void **state)
{
    (void)state;
    struct findings f;
    struct buf b = {0};
    for (int i = 0; i < 40; i++)
        buf_printf(&b, i == 17 ? "%d,oops,%d\n" : "%d,2,%d\n", i, i % 2);
    assert_null(read_table(buf_str(&b), NULL, &f));
    expect_finding(&f, "dataset.values", NULL, "line 18, column \"column 1\": \"oops\" is not a number");
    findings_free(&f);
    static const struct {
        const char *text, *check, *says;
    } cases[] = {
        {"1,2,3\n4,5\n6,7,8\n", "dataset.columns", "line 2 has 2 cells; the first row has 3"},
        {"1,2\n3,inf\n5,6\n", "dataset.values", "line 2, column 1: \"inf\""},
        {"1,2\n1e39,4\n5,6\n", "dataset.values", "line 2, column 0: \"1e39\""},
        {"1,\"2\n3,4\n", "dataset.content", "opened in line 1 is never closed"},
        {"1,a\n2,a\n3,a\n", "dataset.target", "one value only"},
        {"1\n2\n3\n", "dataset.columns", "only one column"},
        {"a,b\n", "dataset.content", "only 0 rows"},
        {"1,?\n2,\n3,NA\n", "dataset.content", "rows have a target"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (read_table(cases[i].text, NULL, &f))
            fail_msg("taken: %s", cases[i].text);
        expect_finding(&f, cases[i].check, NULL, cases[i].says);
        findings_free(&f);
    }
    buf_free(&b);
}

static void rows_without_a_target_are_left_out(void **state)
{
    (void)state;
    struct findings f;
    struct dataset *d = read_table("1,a\n2,b\n3,\n4,a\n5,?\n6,b\n", NULL, &f);
    assert_non_null(d);
    assert_int_equal(d->info.samples[0] + d->info.samples[1], 4);
    expect_finding(&f, "dataset.missing", NULL, "2 rows have no target");
    findings_free(&f);
    dataset_close(d);
}

static void columns_of_too_many_texts_are_left_out(void **state)
{
    (void)state;
    struct findings f;
    struct buf b = {0};
    buf_puts(&b, "id,x,y\n");
    for (int i = 0; i < 200; i++)
        buf_printf(&b, "u%d,%d,%s\n", i, i, i % 2 ? "a" : "b");
    struct dataset *d = read_table(buf_str(&b), NULL, &f);
    assert_non_null(d);
    assert_int_equal(d->info.column_count, 1);
    expect_finding(&f, "dataset.columns", NULL, "\"id\" is left out");
    findings_free(&f);
    dataset_close(d);
    buf_free(&b);
}

static void the_split_is_seeded_and_exact(void **state)
{
    (void)state;
    struct buf b = {0};
    struct findings f;
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,%s\n", i, i % 2 ? "a" : "b");
    struct dataset *one =
        read_table(buf_str(&b), &(struct dataset_options){.seed = 1, .test_fraction = 0.25}, &f);
    assert_int_equal(one->info.samples[SPLIT_TEST], 250);
    float first[250];
    memcpy(first, one->features[SPLIT_TEST], sizeof(first));
    dataset_close(one);
    struct dataset *same =
        read_table(buf_str(&b), &(struct dataset_options){.seed = 1, .test_fraction = 0.25}, &f);
    assert_memory_equal(first, same->features[SPLIT_TEST], sizeof(first));
    dataset_close(same);
    struct dataset *other =
        read_table(buf_str(&b), &(struct dataset_options){.seed = 2, .test_fraction = 0.25}, &f);
    assert_memory_not_equal(first, other->features[SPLIT_TEST], sizeof(first));
    dataset_close(other);
    buf_free(&b);
}

static void every_class_has_its_share_of_the_test_split(void **state)
{
    (void)state;
    struct buf b = {0};
    struct findings f;
    for (int i = 0; i < 200; i++)
        buf_printf(&b, "%d,%s\n", i, i < 150 ? "often" : i < 199 ? "seldom" : "once");
    struct dataset *d = read_table(buf_str(&b), &(struct dataset_options){.test_fraction = 0.3}, &f);
    assert_non_null(d);
    int counts[2][3] = {{0}};
    for (int s = 0; s < 2; s++)
        for (int64_t i = 0; i < d->info.samples[s]; i++)
            counts[s][((const int32_t *)d->targets[s])[i]]++;
    assert_int_equal(counts[SPLIT_TEST][0], 45); /* "often" */
    assert_int_equal(counts[SPLIT_TRAIN][1], 1); /* "once" is trained on */
    assert_true(counts[SPLIT_TEST][2] >= 14 && counts[SPLIT_TEST][2] <= 15);
    dataset_close(d);
    buf_free(&b);
}

static void damaged_tables_never_crash(void **state)
{
    (void)state;
    static const char good[] = "size,colour,weight,kind\n1,red,0.5,cat\n2,blue,1.5,dog\n3,\"red\",?,cat\n4,,"
                               "3.5,dog\n5,green,4.5,cat\n";
    uint32_t x = 17;
    for (int round = 0; round < 1500; round++) {
        char *text = xstrdup(good);
        for (int k = 0; k < 1 + round % 5; k++) {
            x = x * 1664525 + 1013904223;
            text[(x >> 8) % (sizeof(good) - 1)] = "\",\n;?e-9x\r \t"[(x >> 3) % 12];
        }
        struct findings f;
        struct dataset *d = read_table(text, NULL, &f);
        assert_true(d || findings_failed(&f));
        dataset_close(d);
        findings_free(&f);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_header_and_classes_are_found),
        cmocka_unit_test(a_table_of_text_and_classes_becomes_bytes),
        cmocka_unit_test(a_table_without_names_keeps_its_first_row),
        cmocka_unit_test(statistics_are_of_the_train_split),
        cmocka_unit_test(the_target_is_chosen_by_name_or_number),
        cmocka_unit_test(integers_may_be_classes_or_values),
        cmocka_unit_test(quotes_and_delimiters),
        cmocka_unit_test(mistakes_are_named_by_line_and_column),
        cmocka_unit_test(rows_without_a_target_are_left_out),
        cmocka_unit_test(columns_of_too_many_texts_are_left_out),
        cmocka_unit_test(the_split_is_seeded_and_exact),
        cmocka_unit_test(every_class_has_its_share_of_the_test_split),
        cmocka_unit_test(damaged_tables_never_crash),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
