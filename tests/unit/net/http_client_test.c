#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "net/http_client.h"

static struct fixture F;
static struct event_base *base;

static int start(void **state)
{
    (void)state;
    fixture_start(&F, NULL, false);
    base = event_base_new();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    event_base_free(base);
    fixture_stop(&F);
    return 0;
}

static struct http_client *client(const char *origin)
{
    struct err e = {0};
    struct http_client *c = http_client_create(base, origin, "secret", NULL, &e);
    if (!c)
        fail_msg("%s", e.text);
    return c;
}

static void one_client_does_many_calls(void **state)
{
    (void)state;
    char unix_origin[160];
    snprintf(unix_origin, sizeof unix_origin, "unix:%s", F.socket);
    const char *origins[] = {F.origin, unix_origin};
    for (size_t o = 0; o < 2; o++) {
        struct http_client *c = client(origins[o]);
        for (int i = 0; i < 50; i++) {
            struct http_response r;
            struct err e = {0};
            struct http_call call = {.method = HTTP_M_POST,
                                     .path = "/echo",
                                     .body = "abc",
                                     .body_len = 3,
                                     .content_type = "text/plain"};
            if (http_client_do(c, &call, &r, &e))
                fail_msg("%s", e.text);
            assert_int_equal(r.status, 200);
            assert_string_equal(r.body.data, "abc");
            assert_string_equal(http_headers_get(&r.headers, "content-length"), "3");
            http_response_free(&r);
        }
        http_client_destroy(c);
    }
}

static int64_t last_sent, body_at;

static void on_progress(int64_t sent, int64_t total, void *arg)
{
    (void)arg;
    assert_true(sent > last_sent && sent <= total);
    last_sent = sent;
}

static ssize_t make_body(void *p, size_t n, void *arg, struct err *err)
{
    (void)arg;
    (void)err;
    n = n > 10000 ? 10000 : n;
    for (size_t i = 0; i < n; i++)
        ((unsigned char *)p)[i] = fixture_byte(body_at + (int64_t)i);
    body_at += (int64_t)n;
    return (ssize_t)n;
}

static void bodies_come_from_files_and_functions(void **state)
{
    (void)state;
    const int64_t n = 20000000;
    uint32_t sum = 0, file_sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum = sum * 31 + fixture_byte(i);
    for (int64_t i = 100; i < FIXTURE_FILE_SIZE; i++)
        file_sum = file_sum * 31 + fixture_byte(i);
    char want[64];
    struct http_client *c = client(F.origin);
    struct http_response r;
    struct err e = {0};
    struct http_call call = {.method = HTTP_M_PUT,
                             .path = "/stream?pause=1",
                             .body_read = make_body,
                             .body_total = n,
                             .on_progress = on_progress};
    last_sent = body_at = 0;
    assert_int_equal(http_client_do(c, &call, &r, &e), 0);
    snprintf(want, sizeof want, "%lld %u\n", (long long)n, sum);
    assert_string_equal(r.body.data, want);
    assert_true(last_sent > n / 2);
    http_response_free(&r);
    char *path = path_join(F.dir, "file.bin");
    int fd = open(path, O_RDONLY);
    struct http_call from_file = {.method = HTTP_M_PUT,
                                  .path = "/stream",
                                  .body_fd = fd,
                                  .body_from_fd = true,
                                  .body_offset = 100,
                                  .body_len_fd = FIXTURE_FILE_SIZE - 100};
    assert_int_equal(http_client_do(c, &from_file, &r, &e), 0);
    snprintf(want, sizeof want, "%d %u\n", FIXTURE_FILE_SIZE - 100, file_sum);
    assert_string_equal(r.body.data, want);
    http_response_free(&r);
    from_file.body_len_fd = FIXTURE_FILE_SIZE; /* more than there is */
    assert_int_equal(http_client_do(c, &from_file, &r, &e), -1);
    assert_non_null(strstr(e.text, "shorter"));
    close(fd);
    free(path);
    http_client_destroy(c);
}

static int64_t got_bytes;

static int on_data(const void *p, size_t n, int64_t total, void *arg)
{
    const unsigned char *b = p;
    assert_int_equal(total, FIXTURE_FILE_SIZE);
    for (size_t i = 0; i < n; i++)
        if (b[i] != fixture_byte(got_bytes + (int64_t)i))
            fail_msg("byte %lld differs", (long long)got_bytes + (long long)i);
    got_bytes += (int64_t)n;
    return arg && got_bytes > 100000;
}

static void downloads_stream_and_can_be_given_up(void **state)
{
    (void)state;
    struct http_client *c = client(F.origin);
    struct http_response r;
    struct err e = {0};
    struct http_call call = {.method = HTTP_M_GET, .path = "/file", .on_data = on_data};
    got_bytes = 0;
    assert_int_equal(http_client_do(c, &call, &r, &e), 0);
    assert_int_equal(got_bytes, FIXTURE_FILE_SIZE);
    assert_int_equal(r.body.len, 0);
    http_response_free(&r);
    call.arg = &call;
    got_bytes = 0;
    assert_int_equal(http_client_do(c, &call, &r, &e), -1);
    call = (struct http_call){.method = HTTP_M_HEAD, .path = "/file"};
    assert_int_equal(http_client_do(c, &call, &r, &e), 0); /* and the client goes on */
    assert_int_equal(r.status, 200);
    http_response_free(&r);
    call = (struct http_call){.method = HTTP_M_GET, .path = "/file", .max_response = 1000};
    assert_int_equal(http_client_do(c, &call, &r, &e), -1);
    assert_int_equal(e.code, ERR_TOO_LARGE);
    http_client_destroy(c);
}

static void a_refusal_in_mid_upload_is_heard(void **state)
{
    (void)state;
    struct http_client *c = client(F.origin);
    static const char *const PATHS[] = {"/refuse", "/stream?max=5000000", "/stream?stop=1", "/refuse"};
    static const int STATUS[] = {401, 413, 409, 401};
    for (int i = 0; i < 4; i++) {
        struct http_response r;
        struct err e = {0};
        struct http_call call = {
            .method = HTTP_M_POST, .path = PATHS[i], .body_read = make_body, .body_total = 80 << 20};
        if (http_client_do(c, &call, &r, &e))
            fail_msg("%s", e.text);
        assert_int_equal(r.status, STATUS[i]);
        http_response_free(&r);
    }
    http_client_destroy(c);
}

static int answers, failures;

static void on_answer(const struct http_response *r, const struct err *error, void *arg)
{
    (void)arg;
    answers += r && r->status == 200;
    failures += error != NULL;
}

static void on_answer_destroy(const struct http_response *r, const struct err *error, void *arg)
{
    on_answer(r, error, NULL);
    http_client_destroy(*(struct http_client **)arg);
    event_base_loopbreak(base);
}

static void calls_queue_and_destroy_drops_them(void **state)
{
    (void)state;
    struct http_client *c = client(F.origin);
    answers = failures = 0;
    struct http_call call = {.method = HTTP_M_GET, .path = "/hello", .done = on_answer};
    for (int i = 0; i < 20; i++)
        http_client_send(c, &call);
    struct http_call last = {.method = HTTP_M_GET, .path = "/hello", .done = on_answer_destroy, .arg = &c};
    http_client_send(c, &last);
    http_client_send(c, &call); /* never answered: the client is gone */
    event_base_dispatch(base);
    assert_int_equal(answers, 21);
    assert_int_equal(failures, 0);
}

/* A server of a few lines that misbehaves: reads a request on each of `count` connections and answers `text`.
 */
static int misbehave(const char *text, int count)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(fd, 5), 0);
    getsockname(fd, (struct sockaddr *)&sa, &len);
    fflush(NULL);
    if (fork() == 0) {
        for (int i = 0; i < count; i++) {
            char in[4096];
            int peer = accept(fd, NULL, NULL);
            if (read(peer, in, sizeof in) > 0)
                file_write_all(peer, text, strlen(text));
            close(peer);
        }
        _exit(0);
    }
    close(fd);
    return ntohs(sa.sin_port);
}

static void broken_answers_are_errors(void **state)
{
    (void)state;
    static const char *const BROKEN[] = {
        "", "nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 200 OK\r\nX"};
    for (size_t i = 0; i < ARRAY_LEN(BROKEN); i++) {
        char origin[64];
        snprintf(origin, sizeof origin, "http://127.0.0.1:%d", misbehave(BROKEN[i], 1));
        struct http_client *c = client(origin);
        struct http_response r;
        struct err e = {0};
        struct http_call call = {.method = HTTP_M_GET, .path = "/"};
        assert_int_equal(http_client_do(c, &call, &r, &e), -1);
        assert_true(e.code == ERR_IO || e.code == ERR_UNAVAILABLE);
        http_client_destroy(c);
    }
}

static void answers_may_end_with_the_connection(void **state)
{
    (void)state;
    char origin[64];
    snprintf(origin, sizeof origin, "http://127.0.0.1:%d",
             misbehave("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nto the end", 1));
    struct http_client *c = client(origin);
    struct http_response r;
    struct http_call call = {.method = HTTP_M_GET, .path = "/"};
    struct err e = {0};
    if (http_client_do(c, &call, &r, &e))
        fail_msg("%s", e.text);
    assert_string_equal(r.body.data, "to the end");
    http_response_free(&r);
    http_client_destroy(c);
}

/* A server that closes kept connections without a word: a GET is sent again, a POST is not. */
static void stale_connections_are_replaced(void **state)
{
    (void)state;
    char origin[64];
    snprintf(origin, sizeof origin, "http://127.0.0.1:%d",
             misbehave("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 3));
    struct http_client *c = client(origin);
    for (int i = 0; i < 3; i++) {
        struct http_response r;
        struct err e = {0};
        struct http_call call = {.method = HTTP_M_GET, .path = "/"};
        if (http_client_do(c, &call, &r, &e))
            fail_msg("%s", e.text);
        assert_string_equal(r.body.data, "ok");
        http_response_free(&r);
    }
    http_client_destroy(c);
}

static void nobody_there_is_a_sentence(void **state)
{
    (void)state;
    struct http_client *c = client("http://127.0.0.1:1");
    struct http_response r;
    struct err e = {0};
    struct http_call call = {.method = HTTP_M_GET, .path = "/x"};
    assert_int_equal(http_client_do(c, &call, &r, &e), -1);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(e.text, "Connection refused"));
    assert_non_null(strstr(e.text, "http://127.0.0.1:1/x"));
    http_client_destroy(c);
}

static void silence_times_out(void **state)
{
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    bind(fd, (struct sockaddr *)&sa, sizeof sa);
    listen(fd, 5);
    getsockname(fd, (struct sockaddr *)&sa, &len);
    char origin[64];
    snprintf(origin, sizeof origin, "http://127.0.0.1:%d", ntohs(sa.sin_port));
    struct http_client *c = client(origin);
    struct http_response r;
    struct err e = {0};
    struct http_call call = {.method = HTTP_M_GET, .path = "/", .timeout_seconds = 1};
    assert_int_equal(http_client_do(c, &call, &r, &e), -1);
    assert_int_equal(e.code, ERR_TIMEOUT);
    http_client_destroy(c);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_client_does_many_calls),
        cmocka_unit_test(bodies_come_from_files_and_functions),
        cmocka_unit_test(downloads_stream_and_can_be_given_up),
        cmocka_unit_test(a_refusal_in_mid_upload_is_heard),
        cmocka_unit_test(calls_queue_and_destroy_drops_them),
        cmocka_unit_test(broken_answers_are_errors),
        cmocka_unit_test(answers_may_end_with_the_connection),
        cmocka_unit_test(stale_connections_are_replaced),
        cmocka_unit_test(nobody_there_is_a_sentence),
        cmocka_unit_test(silence_times_out),
    };
    return cmocka_run_group_tests_name("http_client", tests, start, stop);
}
