#include "fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/units.h"

static struct fixture F;

static int start(void **state)
{
    (void)state;
    fixture_start(&F, NULL, false);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fixture_stop(&F);
    return 0;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static void keep_alive_serves_many_requests(void **state)
{
    (void)state;
    int fd = dial(&F);
    for (int i = 0; i < 100; i++) {
        struct buf body = {0};
        send_text(fd, GET("/hello"));
        assert_int_equal(read_response(fd, false, NULL, &body), 200);
        assert_string_equal(body.data, "hello\n");
        buf_free(&body);
    }
    close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    int fd = dial(&F);
    struct buf a = {0}, b = {0}, c = {0}, d = {0};
    send_text(fd,
              GET("/slow") "\r\n" GET(
                  "/hello") "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" GET("/nothing"));
    assert_int_equal(read_response(fd, false, NULL, &a), 200);
    assert_int_equal(read_response(fd, false, NULL, &b), 200);
    assert_int_equal(read_response(fd, false, NULL, &c), 200);
    assert_int_equal(read_response(fd, false, NULL, &d), 404);
    assert_string_equal(a.data, "slow\n");
    assert_string_equal(b.data, "hello\n");
    assert_string_equal(c.data, "abc");
    assert_non_null(strstr(d.data, "there is no /nothing"));
    buf_free(&a);
    buf_free(&b);
    buf_free(&c);
    buf_free(&d);
    close(fd);
}

static void http_1_0_closes_unless_asked(void **state)
{
    (void)state;
    struct buf out = {0};
    int fd = dial(&F);
    send_text(fd, "GET /hello HTTP/1.0\r\n\r\n");
    assert_int_equal(read_all(fd, &out), 0);
    assert_non_null(strstr(out.data, "\r\n\r\nhello\n"));
    close(fd);
    fd = dial(&F);
    send_text(fd, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_int_equal(read_response(fd, false, NULL, NULL), 200);
    send_text(fd, "GET /chunks?n=100 HTTP/1.0\r\n\r\n");
    buf_clear(&out);
    assert_int_equal(read_all(fd, &out), 0); /* no chunked coding for 1.0: ends with the connection */
    assert_null(strstr(out.data, "chunked"));
    assert_int_equal(strlen(strstr(out.data, "\r\n\r\n") + 4), 100 * 1024);
    close(fd);
    buf_free(&out);
}

static void headers_cookies_and_queries_arrive(void **state)
{
    (void)state;
    struct buf head = {0}, body = {0};
    int fd = dial(&F);
    send_text(fd, "GET http://any.where/headers?q=%31 HTTP/1.1\r\nHost: x\r\nX-Test:  spaced \r\n"
                  "Cookie: one=1; two=2=2; three=\r\n\r\n");
    assert_int_equal(read_response(fd, false, &head, &body), 200);
    assert_non_null(strstr(body.data, "x=spaced cookie=2=2 query=q=%31 peer=127.0.0.1:"));
    assert_null(strstr(head.data, "\nInjected:"));
    close(fd);
    buf_free(&head);
    buf_free(&body);
}

static void head_has_the_same_fields_and_no_body(void **state)
{
    (void)state;
    static const char *const PATHS[] = {"/hello", "/file", "/chunks?n=10"};
    int fd = dial(&F);
    for (size_t i = 0; i < ARRAY_LEN(PATHS); i++) {
        struct buf head = {0};
        char *text = xasprintf("HEAD %s HTTP/1.1\r\nHost: x\r\n\r\n", PATHS[i]);
        send_text(fd, text);
        assert_int_equal(read_response(fd, true, &head, NULL), 200);
        if (i == 1)
            assert_non_null(strstr(head.data, "Content-Length: 3145728"));
        free(text);
        buf_free(&head);
    }
    send_text(fd, GET("/hello"));
    assert_int_equal(read_response(fd, false, NULL, NULL), 200);
    close(fd);
}

static void files_answer_ranges_and_etags(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        int status;
        int64_t first, n;
    } CASES[] = {
        {"", 200, 0, FIXTURE_FILE_SIZE},
        {"Range: bytes=5-9\r\n", 206, 5, 5},
        {"Range: bytes=-7\r\n", 206, FIXTURE_FILE_SIZE - 7, 7},
        {"Range: bytes=3145727-\r\n", 206, FIXTURE_FILE_SIZE - 1, 1},
        {"Range: bytes=3145728-\r\n", 416, 0, -1},
        {"Range: bytes=0-1,5-6\r\n", 200, 0, FIXTURE_FILE_SIZE},
        {"Range: bytes=5-9\r\nIf-Range: \"v1\"\r\n", 206, 5, 5},
        {"Range: bytes=5-9\r\nIf-Range: \"v0\"\r\n", 200, 0, FIXTURE_FILE_SIZE},
        {"If-None-Match: \"v1\"\r\n", 304, 0, 0},
        {"If-None-Match: \"v0\", W/\"v1\"\r\n", 304, 0, 0},
        {"If-None-Match: *\r\n", 304, 0, 0},
        {"If-None-Match: \"v0\"\r\n", 200, 0, FIXTURE_FILE_SIZE},
    };
    int fd = dial(&F);
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct buf head = {0}, body = {0};
        char *text = xasprintf("GET /file HTTP/1.1\r\nHost: x\r\n%s\r\n", CASES[i].fields);
        send_text(fd, text);
        assert_int_equal(read_response(fd, false, &head, &body), CASES[i].status);
        assert_non_null(strstr(head.data, "ETag: \"v1\""));
        if (CASES[i].n >= 0)
            assert_int_equal(body.len, CASES[i].n);
        for (int64_t k = 0; k < CASES[i].n; k++)
            if ((unsigned char)body.data[k] != fixture_byte(CASES[i].first + k))
                fail_msg("%s: byte %lld differs", CASES[i].fields, (long long)k);
        free(text);
        buf_free(&head);
        buf_free(&body);
    }
    close(fd);
}

/* Send a body of n bytes made on the fly; returns the checksum the server must find. */
static uint32_t send_body(int fd, int64_t n, bool chunked)
{
    static char piece[60000];
    uint32_t sum = 0;
    int64_t at = 0;
    while (at < n) {
        size_t len = n - at < (int64_t)sizeof piece ? (size_t)(n - at) : sizeof piece;
        for (size_t i = 0; i < len; i++) {
            piece[i] = (char)fixture_byte(at + (int64_t)i);
            sum = sum * 31 + (unsigned char)piece[i];
        }
        char size[16];
        snprintf(size, sizeof size, "%zx\r\n", len);
        if (chunked)
            send_text(fd, size);
        assert_int_equal(file_write_all(fd, piece, len), 0);
        if (chunked)
            send_text(fd, "\r\n");
        at += (int64_t)len;
    }
    if (chunked)
        send_text(fd, "0\r\n\r\n");
    return sum;
}

static void large_bodies_stream_in_bounded_memory(void **state)
{
    (void)state;
    const int64_t n = 50 << 20;
    static const char *const QUERIES[] = {"", "?pause=1"};
    long before = fixture_rss_kib(&F);
    for (int i = 0; i < 4; i++) {
        bool chunked = i & 1;
        int fd = dial(&F);
        struct buf body = {0};
        char length[64];
        snprintf(length, sizeof length, "Content-Length: %lld", (long long)n);
        char *text = xasprintf("PUT /stream%s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", QUERIES[i / 2],
                               chunked ? "Transfer-Encoding: chunked" : length);
        send_text(fd, text);
        uint32_t sum = send_body(fd, n, chunked);
        assert_int_equal(read_response(fd, false, NULL, &body), 200);
        char want[64];
        snprintf(want, sizeof want, "%lld %u\n", (long long)n, sum);
        assert_string_equal(body.data, want);
        buf_free(&body);
        send_text(fd, GET("/hello")); /* the connection is in order afterwards */
        assert_int_equal(read_response(fd, false, NULL, NULL), 200);
        close(fd);
        free(text);
    }
    long grown = fixture_rss_kib(&F) - before;
    if (grown > 12 * 1024)
        fail_msg("the server grew by %ld KiB", grown);
}

/* A paused stream must stop the sender by TCP, not fill memory: the socket takes only what kernel buffers
 * hold. */
static void unasked_bodies_are_not_read(void **state)
{
    (void)state;
    int fd = dial(&F);
    long before = fixture_rss_kib(&F);
    send_text(fd, "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n");
    static char piece[65536];
    int64_t sent = 0;
    for (int i = 0; i < 1600; i++) {
        ssize_t n = send(fd, piece, sizeof piece, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            break;
        sent += n;
    }
    assert_true(sent < 50 << 20);
    assert_true(fixture_rss_kib(&F) - before < 4096);
    assert_int_equal(read_response(fd, false, NULL, NULL), 200);
    close(fd);
}

static void expect_continue_is_answered_when_the_body_is_wanted(void **state)
{
    (void)state;
    int fd = dial(&F);
    struct buf body = {0};
    send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(read_response(fd, false, NULL, NULL), 100);
    send_text(fd, "abc");
    assert_int_equal(read_response(fd, false, NULL, &body), 200);
    assert_string_equal(body.data, "abc");
    close(fd);
    fd = dial(&F);
    send_text(fd, "POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(read_response(fd, false, NULL, NULL), 401);
    close(fd);
    fd = dial(&F);
    send_text(fd,
              "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(read_response(fd, false, NULL, NULL), 413);
    close(fd);
    buf_free(&body);
}

/* A refusal must reach a client that is still sending. */
static void refused_uploads_get_their_answer(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        int fd = dial(&F);
        struct buf body = {0};
        send_text(fd, "POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n");
        static char piece[65536];
        for (int k = 0; k < 46; k++)
            if (file_write_all(fd, piece, sizeof piece))
                break;
        assert_int_equal(read_response(fd, false, NULL, &body), 401);
        assert_non_null(strstr(body.data, "who are you?"));
        buf_free(&body);
        close(fd);
    }
}

static void a_handler_may_reply_in_mid_stream(void **state)
{
    (void)state;
    int fd = dial(&F);
    struct buf head = {0};
    send_text(fd, "POST /stream?stop=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc");
    assert_int_equal(read_response(fd, false, &head, NULL), 409);
    assert_non_null(strstr(head.data, "Connection: close"));
    close(fd);
    buf_free(&head);
    wait_for_stat(&F, "live", 0);
}

static void reset(int fd)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

/* The peer goes in every phase, politely and by reset; each request is freed exactly once. */
static void peers_may_go_in_every_phase(void **state)
{
    (void)state;
    static const char *const PHASES[] = {
        "",
        "GET /hel",
        "GET /hello HTTP/1.1\r\nHost: x\r\n",
        GET("/slow"),
        GET("/file"),
        GET("/chunks?n=20000"),
        GET("/slow") GET("/slow") GET("/file"),
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
        "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
        "POST /stream?pause=1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
    };
    for (size_t i = 0; i < ARRAY_LEN(PHASES); i++) {
        for (int how = 0; how < 4; how++) {
            int fd = dial(&F);
            send_text(fd, PHASES[i]);
            if (how & 1)
                usleep(20000);
            if (how & 2)
                reset(fd);
            else
                close(fd);
        }
    }
    wait_for_stat(&F, "live", 0);
    int64_t requests = stat_of(&F, "requests"), freed = stat_of(&F, "freed");
    assert_int_equal(freed, requests); /* both count /stats: the second question saw one more of each */
    assert_true(stat_of(&F, "stream_errors") >= 4);
    assert_true(stat_of(&F, "gone") >= 2);
}

static void half_closed_clients_get_their_answer(void **state)
{
    (void)state;
    struct buf out = {0};
    int fd = dial(&F);
    send_text(fd, GET("/slow"));
    shutdown(fd, SHUT_WR);
    assert_int_equal(read_all(fd, &out), 0);
    assert_non_null(strstr(out.data, "slow\n"));
    buf_free(&out);
    close(fd);
}

static void streamed_replies_follow_the_reader(void **state)
{
    (void)state;
    struct buf body = {0};
    long before = fixture_rss_kib(&F);
    int fd = dial(&F);
    send_text(fd, GET("/chunks?n=40000"));
    usleep(300000); /* the server must not run ahead */
    assert_true(fixture_rss_kib(&F) - before < 8192);
    assert_int_equal(read_response(fd, false, NULL, &body), 200);
    assert_int_equal(body.len, 40000 * 1024);
    buf_free(&body);
    close(fd);
}

static void unix_sockets_are_served(void **state)
{
    (void)state;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct buf body = {0};
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", F.socket);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    send_text(fd, GET("/headers"));
    assert_int_equal(read_response(fd, false, NULL, &body), 200);
    assert_non_null(strstr(body.data, "peer=unix"));
    buf_free(&body);
    close(fd);
}

static void thousands_of_idle_connections_are_held(void **state)
{
    (void)state;
    enum { MANY = 800 };
    static int fds[MANY];
    for (int i = 0; i < MANY; i++) {
        fds[i] = dial(&F);
        if (i % 2) { /* half of them after a request */
            send_text(fds[i], GET("/hello"));
            assert_int_equal(read_response(fds[i], false, NULL, NULL), 200);
        }
    }
    double began = time_monotonic();
    for (int i = 0; i < 100; i++)
        assert_int_equal(ask(&F, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL), 200);
    assert_true(time_monotonic() - began < 5);
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
}

static void a_full_server_says_so(void **state)
{
    (void)state;
    struct fixture f;
    struct http_server_limits limits = {.max_connections = 4};
    fixture_start(&f, &limits, false);
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = dial(&f);
        send_text(fds[i], GET("/hello"));
        assert_int_equal(read_response(fds[i], false, NULL, NULL), 200);
    }
    struct buf out = {0};
    int fd = dial(&f);
    read_all(fd, &out);
    assert_non_null(strstr(buf_str(&out), "HTTP/1.1 503"));
    close(fd);
    buf_free(&out);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    fixture_stop(&f);
}

static void shutdown_lets_requests_end(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL, false);
    int idle = dial(&f), slow = dial(&f);
    struct buf head = {0}, body = {0}, rest = {0};
    send_text(slow, GET("/slow"));
    usleep(50000);
    kill(f.pid, SIGTERM);
    assert_int_equal(read_all(idle, &rest), 0); /* closed at once */
    assert_int_equal(read_response(slow, false, &head, &body), 200);
    assert_string_equal(body.data, "slow\n");
    assert_non_null(strstr(head.data, "Connection: close"));
    close(idle);
    close(slow);
    fixture_stop(&f);
    buf_free(&head);
    buf_free(&body);
    buf_free(&rest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keep_alive_serves_many_requests),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(http_1_0_closes_unless_asked),
        cmocka_unit_test(headers_cookies_and_queries_arrive),
        cmocka_unit_test(head_has_the_same_fields_and_no_body),
        cmocka_unit_test(files_answer_ranges_and_etags),
        cmocka_unit_test(large_bodies_stream_in_bounded_memory),
        cmocka_unit_test(unasked_bodies_are_not_read),
        cmocka_unit_test(expect_continue_is_answered_when_the_body_is_wanted),
        cmocka_unit_test(refused_uploads_get_their_answer),
        cmocka_unit_test(a_handler_may_reply_in_mid_stream),
        cmocka_unit_test(peers_may_go_in_every_phase),
        cmocka_unit_test(half_closed_clients_get_their_answer),
        cmocka_unit_test(streamed_replies_follow_the_reader),
        cmocka_unit_test(unix_sockets_are_served),
        cmocka_unit_test(thousands_of_idle_connections_are_held),
        cmocka_unit_test(a_full_server_says_so),
        cmocka_unit_test(shutdown_lets_requests_end),
    };
    return cmocka_run_group_tests_name("http_server", tests, start, stop);
}
