/* What must be refused, and how: a table of requests and statuses. After each the server must still answer.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/units.h"

static const struct {
    const char *name, *request;
    int status;
} REFUSED[] = {
    {"both framings",
     "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400},
    {"framings the other way",
     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
    {"two lengths", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
     400},
    {"two equal lengths",
     "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400},
    {"length list", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nhello", 400},
    {"negative length", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nhello", 400},
    {"hex length", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\nhello", 400},
    {"plus length", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello", 400},
    {"overflowing length",
     "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400},
    {"length beyond files", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999999\r\n\r\n",
     413},
    {"unknown coding", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
     501},
    {"coding not chunked", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", 400},
    {"disguised coding", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
     400},
    {"two codings",
     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
     "chunked\r\n\r\n0\r\n\r\n",
     400},
    {"coding in 1.0", "POST /echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {"blank before colon", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nhello", 400},
    {"blank in name", "GET /hello HTTP/1.1\r\nHost: x\r\nX Y: 5\r\n\r\n", 400},
    {"folded line", "GET /hello HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", 400},
    {"folded coding", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", 400},
    {"bare line feeds", "GET /hello HTTP/1.1\nHost: x\n\n", 400},
    {"bare line feed in fields", "GET /hello HTTP/1.1\r\nHost: x\nContent-Length: 5\r\n\r\n", 400},
    {"bare carriage return", "GET /hello HTTP/1.1\r\nHost: x\rY: z\r\n\r\n", 400},
    {"control character", "GET /hello HTTP/1.1\r\nHost: x\r\nX: a\x01z\r\n\r\n", 400},
    {"no colon", "GET /hello HTTP/1.1\r\nHost x\r\n\r\n", 400},
    {"empty name", "GET /hello HTTP/1.1\r\nHost: x\r\n: v\r\n\r\n", 400},
    {"no host", "GET /hello HTTP/1.1\r\n\r\n", 400},
    {"two hosts", "GET /hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
    {"http/2", "GET /hello HTTP/2.0\r\nHost: x\r\n\r\n", 505},
    {"http/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 501},
    {"no version", "GET /hello\r\n\r\n", 505},
    {"bad version", "GET /hello HTTP/1.x\r\nHost: x\r\n\r\n", 505},
    {"unknown method", "BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n", 501},
    {"lower-case method", "get /hello HTTP/1.1\r\nHost: x\r\n\r\n", 501},
    {"connect", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
    {"relative target", "GET hello HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"blank in target", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"tls hello", "\x16\x03\x01\x02", 400},
    {"binary noise", "\xff\xfe\xfd", 400},
    {"expectation", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: wonders\r\n\r\n", 417},
    {"bad chunk size", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
    {"negative chunk", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400},
    {"huge chunk",
     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400},
    {"chunk without end",
     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 400},
    {"bad streamed chunk",
     "POST /stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nqq\r\n", 400},
    {"body over the limit", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", 413},
    {"stream over the limit", "POST /stream?max=4 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
     413},
    {"chunks over the limit",
     "POST /stream?max=4 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
     413},
};

static struct fixture F;

static int start(void **state)
{
    (void)state;
    struct http_server_limits limits = {
        .header_seconds = 1, .idle_seconds = 2, .body_min_rate = 1000, .body_window_seconds = 2};
    fixture_start(&F, &limits, false);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fixture_stop(&F);
    return 0;
}

static void malformed_requests_are_refused_and_closed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(REFUSED); i++) {
        int fd = dial(&F);
        struct buf head = {0}, body = {0}, rest = {0};
        send_text(fd, REFUSED[i].request);
        int status = read_response(fd, false, &head, &body);
        if (status != REFUSED[i].status)
            print_error("%s: got %d, expected %d: %s\n", REFUSED[i].name, status, REFUSED[i].status,
                        buf_str(&body));
        assert_int_equal(status, REFUSED[i].status);
        assert_non_null(strstr(head.data, "application/problem+json"));
        assert_non_null(strstr(head.data, "Connection: close"));
        assert_non_null(strstr(body.data, "\"detail\":"));
        assert_int_equal(read_all(fd, &rest),
                         0); /* it is closed, and nothing follows: no smuggled second answer */
        assert_int_equal(rest.len, 0);
        close(fd);
        buf_free(&head);
        buf_free(&body);
        buf_free(&rest);
    }
    wait_for_stat(&F, "live", 0);
}

static void byte_by_byte_requests_are_read(void **state)
{
    (void)state;
    int fd = dial(&F);
    const char *text = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
                       "chunked\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n";
    for (const char *p = text; *p; p++) {
        assert_int_equal(send(fd, p, 1, MSG_NOSIGNAL), 1);
        usleep(500);
    }
    struct buf body = {0};
    assert_int_equal(read_response(fd, false, NULL, &body), 200);
    assert_string_equal(body.data, "abcde");
    buf_free(&body);
    close(fd);
}

static void oversized_heads_are_refused(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_puts(&b, "GET /");
    for (int i = 0; i < 9000; i++)
        buf_putc(&b, 'a');
    buf_puts(&b, " HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(ask(&F, b.data, NULL), 414);
    buf_clear(&b);
    buf_puts(&b, "GET /hello HTTP/1.1\r\nHost: x\r\nX: ");
    for (int i = 0; i < 40000; i++)
        buf_putc(&b, 'a');
    assert_int_equal(ask(&F, b.data, NULL), 431); /* without an end: refused as soon as it is too large */
    buf_puts(&b, "\r\n\r\n");
    assert_int_equal(ask(&F, b.data, NULL), 431);
    buf_clear(&b);
    buf_puts(&b, "GET /hello HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 300; i++)
        buf_printf(&b, "X%d: y\r\n", i);
    buf_puts(&b, "\r\n");
    assert_int_equal(ask(&F, b.data, NULL), 431);
    buf_free(&b);
}

static void slow_headers_end_in_408(void **state)
{
    (void)state;
    int fd = dial(&F);
    double began = time_monotonic();
    send_text(fd, "GET /hello HTTP/1.1\r\nHost: ");
    assert_int_equal(read_response(fd, false, NULL, NULL), 408);
    assert_true(time_monotonic() - began < 4);
    close(fd);
}

static void idle_connections_are_closed_in_silence(void **state)
{
    (void)state;
    int fd = dial(&F);
    struct buf b = {0};
    assert_int_equal(read_all(fd, &b), 0);
    assert_int_equal(b.len, 0);
    close(fd);
}

static void slow_bodies_end_in_408(void **state)
{
    (void)state;
    static const char *const PATHS[] = {"/echo", "/stream"};
    for (size_t i = 0; i < ARRAY_LEN(PATHS); i++) {
        int fd = dial(&F);
        char *text = xasprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc", PATHS[i]);
        send_text(fd, text);
        free(text);
        assert_int_equal(read_response(fd, false, NULL, NULL), 408);
        close(fd);
    }
    wait_for_stat(&F, "live", 0);
}

/* Random bytes, and valid requests with random bytes changed: nothing may crash, hang or leak. */
static void noise_does_no_harm(void **state)
{
    (void)state;
    static const char SEED[] =
        "POST /stream?pause=1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5\r\nhello\r\n0\r\n\r\nGET /file HTTP/1.1\r\nHost: x\r\nRange: bytes=1-5\r\n\r\n";
    srand(7);
    for (int round = 0; round < 1500; round++) {
        char text[sizeof SEED];
        memcpy(text, SEED, sizeof SEED);
        int changes = 1 + rand() % 4;
        for (int i = 0; i < changes; i++)
            text[(size_t)rand() % (sizeof SEED - 1)] = (char)(rand() % 256);
        int fd = dial(&F);
        send(fd, text, sizeof SEED - 1 - (size_t)(rand() % 20), MSG_NOSIGNAL);
        if (round % 3 == 0)
            shutdown(fd, SHUT_WR);
        close(fd);
    }
    assert_int_equal(ask(&F, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", NULL), 200);
    wait_for_stat(&F, "live", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_requests_are_refused_and_closed),
        cmocka_unit_test(byte_by_byte_requests_are_read),
        cmocka_unit_test(oversized_heads_are_refused),
        cmocka_unit_test(slow_headers_end_in_408),
        cmocka_unit_test(idle_connections_are_closed_in_silence),
        cmocka_unit_test(slow_bodies_end_in_408),
        cmocka_unit_test(noise_does_no_harm),
    };
    return cmocka_run_group_tests_name("http_malformed", tests, start, stop);
}
