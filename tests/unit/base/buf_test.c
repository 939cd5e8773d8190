#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <math.h>
#include "base/buf.h"

static void a_buf_grows_and_stays_terminated(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_string_equal(buf_str(&b), "");
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,", i % 10);
    assert_int_equal(b.len, 2000);
    assert_int_equal(strlen(b.data), 2000);
    buf_drop_front(&b, 1998);
    assert_string_equal(b.data, "9,");
    buf_drop_front(&b, 99);
    assert_string_equal(b.data, "");
    char *s = buf_steal(&b);
    assert_string_equal(s, "");
    free(s);
    buf_free(&b);
}

static void strings_are_escaped_and_bad_utf8_is_replaced(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "\"plain\""},
        {"a\"b\\c\n\t\r\x01", "\"a\\\"b\\\\c\\n\\t\\r\\u0001\""},
        {"\xc3\xa9\xe4\xb8\xad\xf0\x9f\x9a\x82", "\"\xc3\xa9\xe4\xb8\xad\xf0\x9f\x9a\x82\""},
        {"\xff", "\"\xef\xbf\xbd\""},
        {"\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong */
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* surrogate */
        {"\xe4\xb8", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* cut */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf b = {0};
        buf_json_str(&b, cases[i].in);
        assert_string_equal(b.data, cases[i].out);
        buf_free(&b);
    }
}

static void numbers_round_trip_in_their_shortest_form(void **state)
{
    (void)state;
    static const double values[] = {
        0, 1, -1, 0.1, 1.0 / 3, 1e300, 5e-324, 1763900000.123456, 0.00392156862745098};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct buf b = {0};
        buf_json_num(&b, values[i]);
        assert_true(strtod(b.data, NULL) == values[i]);
        buf_free(&b);
    }
    struct buf b = {0};
    buf_json_num(&b, 0.1);
    buf_putc(&b, ' ');
    buf_json_num(&b, NAN);
    buf_putc(&b, ' ');
    buf_json_num(&b, -INFINITY);
    assert_string_equal(b.data, "0.1 null null");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buf_grows_and_stays_terminated),
        cmocka_unit_test(strings_are_escaped_and_bad_utf8_is_replaced),
        cmocka_unit_test(numbers_round_trip_in_their_shortest_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
