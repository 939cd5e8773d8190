#include "fixture.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "net/http.h"

static void headers_compare_without_case_and_hold_no_line_breaks(void **state)
{
    (void)state;
    struct http_headers h = {0};
    http_headers_add(&h, "Content-Type", "text/plain");
    http_headers_addf(&h, "X", "%d\r\nSet-Cookie: a", 7);
    assert_string_equal(http_headers_get(&h, "content-TYPE"), "text/plain");
    assert_string_equal(http_headers_get(&h, "x"), "7  Set-Cookie: a");
    assert_null(http_headers_get(&h, "Set-Cookie"));
    http_headers_free(&h);
}

static void percent_coding_round_trips_and_refuses_the_malformed(void **state)
{
    (void)state;
    struct buf b = {0};
    http_percent_encode(&b, "a b/ä~+%");
    assert_string_equal(b.data, "a%20b%2F%C3%A4~%2B%25");
    char *back = http_percent_decode(b.data, b.len, false);
    assert_string_equal(back, "a b/ä~+%");
    free(back);
    buf_free(&b);
    static const char *const BAD[] = {"%", "%4", "%zz", "abc%0", "%00", "a%2"};
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_null(http_percent_decode(BAD[i], strlen(BAD[i]), false));
    char *last = http_percent_decode("x%41", 4, false);
    assert_string_equal(last, "xA");
    free(last);
}

static void query_parameters_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *query, *name, *value;
    } CASES[] = {
        {"a=1&b=x%20y", "b", "x y"}, {"a=1&b=x+y", "b", "x y"}, {"a&b", "a", ""},    {"", "a", NULL},
        {"aa=1", "a", NULL},         {"a=1&a=2", "a", "1"},     {"%61=7", "a", "7"}, {"&&a=", "a", ""}};
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        char *v = http_query_get(CASES[i].query, CASES[i].name);
        if (CASES[i].value) {
            assert_non_null(v);
            assert_string_equal(v, CASES[i].value);
        } else {
            assert_null(v);
        }
        free(v);
    }
}

static void urls_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *path;
        int port;
        bool tls;
    } GOOD[] = {{"http://a.b:81/c?d", "a.b", "/c?d", 81, false},
                {"https://x", "x", "/", 443, true},
                {"ws://[::1]:9/z", "::1", "/z", 9, false},
                {"http://h?q=1#f", "h", "/?q=1", 80, false}};
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        struct http_url u;
        assert_int_equal(http_url_parse(GOOD[i].url, &u, NULL), 0);
        assert_string_equal(u.host, GOOD[i].host);
        assert_string_equal(u.path, GOOD[i].path);
        assert_int_equal(u.port, GOOD[i].port);
        assert_int_equal(u.tls, GOOD[i].tls);
        http_url_free(&u);
    }
    static const char *const BAD[] = {
        "ftp://x",     "http://",      "http://:80",  "http://h:0", "http://h:65536",     "http://u:p@h/",
        "http://[::1", "http://h/a b", "http://h:8x", "",           "http://h/a\r\nX: y", "http://a b/"};
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct http_url u;
        struct err e = {0};
        assert_int_equal(http_url_parse(BAD[i], &u, &e), -1);
        assert_int_equal(e.code, ERR_INVALID);
    }
}

static void ranges_follow_rfc_9110(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t size;
        int rc;
        int64_t first, last;
    } CASES[] = {
        {"bytes=0-0", 10, 1, 0, 0},
        {"bytes=2-", 10, 1, 2, 9},
        {"bytes=-3", 10, 1, 7, 9},
        {"bytes=-30", 10, 1, 0, 9},
        {"bytes=5-100", 10, 1, 5, 9},
        {"bytes=10-", 10, -1, 0, 0},
        {"bytes=-0", 10, -1, 0, 0},
        {"bytes=0-", 0, -1, 0, 0},
        {"bytes=3-2", 10, 0, 0, 0},
        {"bytes=0-1,4-5", 10, 0, 0, 0},
        {"bytes=a-b", 10, 0, 0, 0},
        {"items=0-1", 10, 0, 0, 0},
        {"bytes=99999999999999999999-", 10, -1, 0, 0},
        {"bytes=0-99999999999999999999", 10, 1, 0, 9},
        {"bytes=-", 10, 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        int64_t first = -9, last = -9;
        assert_int_equal(http_range_parse(CASES[i].value, CASES[i].size, &first, &last), CASES[i].rc);
        if (CASES[i].rc == 1) {
            assert_int_equal(first, CASES[i].first);
            assert_int_equal(last, CASES[i].last);
        }
    }
    assert_int_equal(http_range_parse(NULL, 10, NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_compare_without_case_and_hold_no_line_breaks),
        cmocka_unit_test(percent_coding_round_trips_and_refuses_the_malformed),
        cmocka_unit_test(query_parameters_are_found),
        cmocka_unit_test(urls_are_split),
        cmocka_unit_test(ranges_follow_rfc_9110),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
