#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/capture.h"
#include "base/json.h"
#include "base/mem.h"

/* Every line of out parsed, as an array. */
static json_t *records(const struct buf *out)
{
    json_t *list = json_array();
    for (size_t at = 0; at < out->len;) {
        const char *nl = memchr(out->data + at, '\n', out->len - at);
        assert_non_null(nl);
        struct err err = {0};
        json_t *o = json_parse(out->data + at, (size_t)(nl - out->data) - at, NULL, NULL, &err);
        if (!o)
            fail_msg("%s", err.text);
        json_array_append_new(list, o);
        at = (size_t)(nl - out->data) + 1;
    }
    return list;
}

static const char *text_of(const json_t *list, size_t i)
{
    return json_string_value(json_object_get(json_array_get(list, i), "text"));
}

static void lines_become_records_however_they_are_cut(void **state)
{
    (void)state;
    struct capture c;
    struct buf out = {0};
    const char *text = "one\ntwo\r\n\nthr\"ee";
    capture_init(&c, NULL, 10);
    for (size_t i = 0; i < strlen(text); i++)
        capture_feed(&c, CAPTURE_STDOUT, text + i, 1, 11.5, &out);
    capture_finish(&c, 12, &out);
    json_t *list = records(&out);
    assert_int_equal(json_array_size(list), 4);
    assert_string_equal(text_of(list, 0), "one");
    assert_string_equal(text_of(list, 1), "two");
    assert_string_equal(text_of(list, 2), "");
    assert_string_equal(text_of(list, 3), "thr\"ee");
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "stream")), "stdout");
    json_decref(list);
    buf_free(&out);
    capture_free(&c);
}

static void hostile_bytes_stay_valid_json(void **state)
{
    (void)state;
    struct capture c;
    struct buf out = {0};
    const char text[] = "a\0b\xff\xfe\x80\x1b[31m\xc3\n";
    capture_init(&c, NULL, 0);
    capture_feed(&c, CAPTURE_STDERR, text, sizeof(text) - 1, 1, &out);
    json_t *list = records(&out);
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(text_of(list, 0), "a\xef\xbf\xbd"
                                          "b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\x1b[31m\xef\xbf\xbd");
    json_decref(list);
    buf_free(&out);
    capture_free(&c);
}

static void long_lines_are_split_without_tearing_a_character(void **state)
{
    (void)state;
    struct capture c;
    struct buf out = {0}, in = {0};
    buf_puts(&in, "x"); /* so that the 3-byte characters do not fit evenly */
    for (int i = 0; i < 10000; i++)
        buf_puts(&in, "\xe2\x82\xac");
    capture_init(&c, NULL, 0);
    capture_feed(&c, CAPTURE_STDOUT, in.data, in.len, 1, &out);
    capture_finish(&c, 1, &out);
    json_t *list = records(&out);
    struct buf joined = {0};
    for (size_t i = 0; i < json_array_size(list); i++) {
        assert_true(strlen(text_of(list, i)) <= CAPTURE_LINE_MAX);
        buf_puts(&joined, text_of(list, i));
    }
    assert_int_equal(joined.len, in.len);
    assert_memory_equal(joined.data, in.data, in.len);
    json_decref(list);
    buf_free(&joined);
    buf_free(&out);
    buf_free(&in);
    capture_free(&c);
}

static void a_line_of_exactly_the_limit_is_one_record(void **state)
{
    (void)state;
    struct capture c;
    struct buf out = {0};
    char line[CAPTURE_LINE_MAX + 1];
    memset(line, 'a', CAPTURE_LINE_MAX);
    line[CAPTURE_LINE_MAX] = '\n';
    capture_init(&c, NULL, 0);
    capture_feed(&c, CAPTURE_STDOUT, line, sizeof(line), 1, &out);
    json_t *list = records(&out);
    assert_int_equal(json_array_size(list), 1);
    json_decref(list);
    buf_free(&out);
    capture_free(&c);
}

static void a_flood_is_bounded_and_says_how_much_was_dropped(void **state)
{
    (void)state;
    struct capture c;
    struct buf out = {0};
    const struct capture_limits limits = {
        .total_bytes = 1 << 20, .burst_bytes = 20000, .bytes_per_second = 1000};
    capture_init(&c, &limits, 0);
    for (int i = 0; i < 10000; i++)
        capture_feed(&c, CAPTURE_STDOUT, "0123456789012345678901234567890123456789\n", 41, 0.001 * i, &out);
    capture_finish(&c, 20, &out);
    json_t *list = records(&out);
    size_t kept = 0;
    long long dropped = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        long long n;
        if (sscanf(text_of(list, i), "[trainyard: %lld lines", &n) == 1)
            dropped += n;
        else
            kept++;
    }
    assert_int_equal(kept + (size_t)dropped, 10000); /* nothing vanishes unsaid */
    assert_true(kept < 400 && kept > 100);
    json_decref(list);
    buf_free(&out);
    capture_free(&c);
}

static void the_tail_holds_the_last_lines_of_stderr(void **state)
{
    (void)state;
    struct capture c;
    struct buf out = {0}, tail = {0};
    char line[32];
    capture_init(&c, NULL, 0);
    capture_feed(&c, CAPTURE_STDOUT, "not this\n", 9, 0, &out);
    for (int i = 0; i < 50; i++) {
        snprintf(line, sizeof(line), "line %d\n", i);
        capture_feed(&c, CAPTURE_STDERR, line, strlen(line), 0, &out);
    }
    capture_tail_json(&c, &tail);
    json_t *list = json_parse(tail.data, tail.len, NULL, NULL, NULL);
    assert_int_equal(json_array_size(list), CAPTURE_TAIL_LINES);
    assert_string_equal(json_string_value(json_array_get(list, 0)), "line 10");
    assert_string_equal(json_string_value(json_array_get(list, CAPTURE_TAIL_LINES - 1)), "line 49");
    json_decref(list);
    buf_free(&out);
    buf_free(&tail);
    capture_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_become_records_however_they_are_cut),
        cmocka_unit_test(hostile_bytes_stay_valid_json),
        cmocka_unit_test(long_lines_are_split_without_tearing_a_character),
        cmocka_unit_test(a_line_of_exactly_the_limit_is_one_record),
        cmocka_unit_test(a_flood_is_bounded_and_says_how_much_was_dropped),
        cmocka_unit_test(the_tail_holds_the_last_lines_of_stderr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
