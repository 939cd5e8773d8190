#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "net/http_client.h"
#include "net/ws.h"

static struct fixture F;
static struct event_base *base;
static char *ca;

static int start(void **state)
{
    (void)state;
    fixture_start(&F, NULL, true);
    base = event_base_new();
    ca = path_join(F.dir, "cert.pem");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    event_base_free(base);
    free(ca);
    fixture_stop(&F);
    return 0;
}

static int64_t got_bytes;

static int on_data(const void *p, size_t n, int64_t total, void *arg)
{
    (void)total;
    (void)arg;
    for (size_t i = 0; i < n; i++)
        if (((const unsigned char *)p)[i] != fixture_byte(got_bytes + (int64_t)i))
            fail_msg("byte %lld differs", (long long)got_bytes + (long long)i);
    got_bytes += (int64_t)n;
    return 0;
}

static void requests_files_and_uploads_work_over_tls(void **state)
{
    (void)state;
    struct err e = {0};
    struct http_client *c = http_client_create(base, F.origin, NULL, ca, &e);
    struct http_response r;
    struct http_call hello = {.method = HTTP_M_GET, .path = "/hello"};
    for (int i = 0; i < 3; i++) {
        if (http_client_do(c, &hello, &r, &e))
            fail_msg("%s", e.text);
        assert_string_equal(r.body.data, "hello\n");
        http_response_free(&r);
        struct http_call file = {.method = HTTP_M_GET, .path = "/file", .on_data = on_data};
        got_bytes = 0;
        if (http_client_do(c, &file, &r, &e))
            fail_msg("%s", e.text);
        assert_int_equal(got_bytes, FIXTURE_FILE_SIZE);
        http_response_free(&r);
        size_t n = 10 << 20;
        char *body = xcalloc(n, 1);
        struct http_call up = {.method = HTTP_M_PUT, .path = "/stream?pause=1", .body = body, .body_len = n};
        if (http_client_do(c, &up, &r, &e))
            fail_msg("%s", e.text);
        assert_string_equal(r.body.data, "10485760 0\n");
        http_response_free(&r);
        free(body);
        struct http_call refuse = {.method = HTTP_M_POST, .path = "/refuse", .body = "x", .body_len = 1};
        if (http_client_do(c, &refuse, &r, &e)) /* the server closes after it: the next round connects anew */
            fail_msg("%s", e.text);
        assert_int_equal(r.status, 401);
        http_response_free(&r);
    }
    http_client_destroy(c);
}

static void strangers_are_not_trusted(void **state)
{
    (void)state;
    struct err e = {0};
    struct http_client *c =
        http_client_create(base, F.origin, NULL, NULL, &e); /* the system's store does not know it */
    struct http_response r;
    struct http_call call = {.method = HTTP_M_GET, .path = "/hello"};
    assert_int_equal(http_client_do(c, &call, &r, &e), -1);
    assert_non_null(strstr(e.text, "certificate is not trusted"));
    http_client_destroy(c);
}

static void plain_clients_do_no_harm(void **state)
{
    (void)state;
    struct buf out = {0};
    int fd = dial(&F);
    send_text(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    read_all(fd, &out);
    assert_null(strstr(buf_str(&out), "200 OK"));
    buf_free(&out);
}

static int messages, code;

static void on_open(struct ws *ws, void *arg)
{
    (void)arg;
    ws_send_text(ws, "secret", 6);
}

static void on_text(struct ws *ws, const char *text, size_t n, void *arg)
{
    (void)arg;
    messages++;
    assert_int_equal(n, 6);
    assert_memory_equal(text, "secret", 6);
    ws_close(ws, 1000, "");
}

static void on_close(struct ws *ws, int c, const char *reason, void *arg)
{
    (void)ws;
    (void)arg;
    (void)reason;
    code = c;
    event_base_loopexit(base, &(struct timeval){.tv_usec = 100000});
}

static void websockets_work_over_tls(void **state)
{
    (void)state;
    static const struct ws_handlers H = {.on_open = on_open, .on_text = on_text, .on_close = on_close};
    struct err e;
    char *url = xasprintf("%s/ws", F.origin);
    assert_non_null(ws_connect(base, url, "echo.v1", NULL, ca, &H, NULL, &e));
    event_base_dispatch(base);
    assert_int_equal(messages, 1);
    assert_int_equal(code, 1000);
    assert_non_null(ws_connect(base, url, "echo.v1", NULL, NULL, &H, NULL, &e));
    event_base_dispatch(base);
    assert_int_equal(code, 1006);
    free(url);
}

static void bad_certificates_are_named(void **state)
{
    (void)state;
    struct err e = {0};
    char *key = path_join(F.dir, "key.pem"), *junk = path_join(F.dir, "file.bin");
    assert_null(http_tls_load(junk, key, &e));
    assert_non_null(strstr(e.text, "file.bin"));
    assert_null(http_tls_load(ca, junk, &e));
    assert_null(http_tls_load("/nonexistent.pem", key, &e));
    free(key);
    free(junk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_files_and_uploads_work_over_tls),
        cmocka_unit_test(strangers_are_not_trusted),
        cmocka_unit_test(plain_clients_do_no_harm),
        cmocka_unit_test(websockets_work_over_tls),
        cmocka_unit_test(bad_certificates_are_named),
    };
    return cmocka_run_group_tests_name("tls", tests, start, stop);
}
