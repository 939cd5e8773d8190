/* json_span finds the very text of a member. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "orchestrator/api/span.h"

static void expect(const char *text, const char *value)
{
    size_t start = 0, end = 0;
    json_t *v = json_loads(text, 0, NULL);
    assert_non_null(v); /* the function's condition */
    json_decref(v);
    int rc = json_span(text, strlen(text), "content", &start, &end);
    if (!value) {
        assert_int_equal(rc, -1);
        return;
    }
    assert_int_equal(rc, 0);
    assert_int_equal(end - start, strlen(value));
    assert_memory_equal(text + start, value, end - start);
}

static void the_text_is_found_whatever_stands_around_it(void **state)
{
    (void)state;
    expect("{\"content\":{\"a\":1}}", "{\"a\":1}");
    expect("{ \"name\" : \"content\" ,\n \"content\" :\t{ \"a\" : [ 1, {} ] }\n , \"z\": 0}",
           "{ \"a\" : [ 1, {} ] }");
    expect("{\"x\":{\"content\":1},\"content\":{\"y\":\"}\"}}", "{\"y\":\"}\"}");
    expect("{\"x\":\"\\\"content\\\":{}\",\"content\":{\"k\":\"\\\\\"}}", "{\"k\":\"\\\\\"}");
    expect("{\"x\":[[],[{}]],\"n\":-1.5e3,\"t\":true,\"content\":null}", "null");
    expect("{\"content\":12 ,\"a\":1}", "12");
    expect("{\"content\":\"a\\\"b\"}", "\"a\\\"b\"");
}

static void what_is_not_there_is_not_found(void **state)
{
    (void)state;
    expect("{}", NULL);
    expect("{\"contents\":1,\"conten\":2}", NULL);
    expect("{\"a\":{\"content\":1}}", NULL);
}

static void deep_nesting_needs_no_stack(void **state)
{
    (void)state;
    size_t depth = 200000, n = 0, start, end;
    char *text = xmalloc(2 * depth + 64);
    n += (size_t)sprintf(text, "{\"content\":");
    memset(text + n, '[', depth);
    memset(text + n + depth, ']', depth);
    n += 2 * depth;
    text[n++] = '}';
    assert_int_equal(json_span(text, n, "content", &start, &end), 0);
    assert_int_equal(end - start, 2 * depth);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_found_whatever_stands_around_it),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(deep_nesting_needs_no_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
