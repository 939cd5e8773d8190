#include "fixture.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "net/ws.h"

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

/* ---- our client against our server ---- */

struct peer {
    int opened, closed, code, messages, target;
    char reason[128];
    struct buf last;
    size_t bytes;
};

static void on_open(struct ws *ws, void *arg)
{
    (void)ws;
    ((struct peer *)arg)->opened++;
}

static void on_message(struct ws *ws, const void *p, size_t n, void *arg)
{
    struct peer *me = arg;
    buf_clear(&me->last);
    buf_add(&me->last, p, n);
    me->bytes += n;
    if (++me->messages == me->target)
        ws_close(ws, 1000, "enough");
}

static void on_text(struct ws *ws, const char *p, size_t n, void *arg)
{
    on_message(ws, p, n, arg);
}

static void on_close(struct ws *ws, int code, const char *reason, void *arg)
{
    (void)ws;
    struct peer *me = arg;
    me->closed++;
    me->code = code;
    snprintf(me->reason, sizeof me->reason, "%s", reason);
    event_base_loopbreak(base);
}

static const struct ws_handlers HANDLERS = {.on_open = on_open,
                                            .on_text = on_text,
                                            .on_binary = on_message,
                                            .on_close = on_close,
                                            .max_message = 8 << 20};

static struct ws *connect_ws(struct peer *p, const char *path, const char *protocol)
{
    struct err e = {0};
    char *url = xasprintf("%s%s", F.origin, path);
    struct ws *ws = ws_connect(base, url, protocol, NULL, NULL, &HANDLERS, p, &e);
    free(url);
    if (!ws)
        fail_msg("%s", e.text);
    return ws;
}

static void drain_loop(void)
{
    for (int i = 0; i < 50; i++) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        usleep(1000);
    }
}

static void run_until_open(struct peer *p)
{
    while (!p->opened && !p->closed)
        event_base_loop(base, EVLOOP_ONCE);
    if (p->closed)
        fail_msg("closed: %d %s", p->code, p->reason);
}

static void messages_come_back(void **state)
{
    (void)state;
    struct peer p = {.target = 3};
    struct ws *ws = connect_ws(&p, "/ws", "echo.v1");
    run_until_open(&p);
    size_t n = 1900000;
    char *big = xmalloc(n);
    for (size_t i = 0; i < n; i++)
        big[i] = (char)fixture_byte((int64_t)i);
    ws_send_text(ws, "hall\xc3\xb6", 6);
    ws_send_binary(ws, big, n);
    ws_send_text(ws, "", 0);
    event_base_dispatch(base);
    assert_int_equal(p.messages, 3);
    assert_int_equal(p.bytes, 6 + n);
    assert_int_equal(p.code, 1000);
    drain_loop();
    wait_for_stat(&F, "ws_closed", stat_of(&F, "ws_open"));
    assert_int_equal(stat_of(&F, "ws_code"), 1000);
    free(big);
    buf_free(&p.last);
}

static void the_server_closes_with_its_code(void **state)
{
    (void)state;
    struct peer p = {0};
    struct ws *ws = connect_ws(&p, "/ws", NULL);
    run_until_open(&p);
    ws_send_text(ws, "close 4001", 10);
    event_base_dispatch(base);
    assert_int_equal(p.code, 4001);
    assert_string_equal(p.reason, "as asked");
    drain_loop();
    wait_for_stat(&F, "ws_closed", stat_of(&F, "ws_open"));
}

static void ends_without_a_close_frame_are_1006(void **state)
{
    (void)state;
    struct peer p = {0};
    struct ws *ws = connect_ws(&p, "/ws", NULL);
    run_until_open(&p);
    ws_send_text(ws, "abort", 5);
    event_base_dispatch(base);
    assert_int_equal(p.code, 1006);
    assert_int_equal(p.closed, 1);
}

static void too_large_messages_are_1009(void **state)
{
    (void)state;
    struct peer p = {0};
    struct ws *ws = connect_ws(&p, "/ws", NULL);
    run_until_open(&p);
    size_t n = (2 << 20) + 1;
    char *big = xcalloc(n, 1);
    ws_send_binary(ws, big, n);
    event_base_dispatch(base);
    assert_int_equal(p.code, 1009);
    free(big);
    drain_loop();
}

static void unwanted_kinds_are_1003(void **state)
{
    (void)state;
    struct peer p = {0};
    struct ws *ws = connect_ws(&p, "/ws?text", NULL);
    run_until_open(&p);
    ws_send_binary(ws, "x", 1);
    event_base_dispatch(base);
    assert_int_equal(p.code, 1003);
    drain_loop();
}

static void refused_handshakes_say_why(void **state)
{
    (void)state;
    static const struct {
        const char *path, *protocol, *why;
    } CASES[] = {{"/nothing", NULL, "404"}, {"/refuse", NULL, "401"}, {"/ws", "other.v1", "other.v1"}};
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct peer p = {0};
        connect_ws(&p, CASES[i].path, CASES[i].protocol);
        event_base_dispatch(base);
        assert_int_equal(p.opened, 0);
        assert_int_equal(p.code, 1006);
        assert_non_null(strstr(p.reason, CASES[i].why));
    }
    struct peer p = {0};
    struct err e;
    assert_non_null(ws_connect(base, "ws://127.0.0.1:1/x", NULL, NULL, NULL, &HANDLERS, &p, &e));
    event_base_dispatch(base);
    assert_non_null(strstr(p.reason, "refused"));
    assert_null(ws_connect(base, "nonsense", NULL, NULL, NULL, &HANDLERS, &p, &e));
}

static void abort_is_silent_in_every_phase(void **state)
{
    (void)state;
    struct peer p = {0};
    ws_abort(connect_ws(&p, "/ws", NULL)); /* before the loop ran */
    struct ws *ws = connect_ws(&p, "/ws", NULL);
    event_base_loop(base, EVLOOP_ONCE);
    if (!p.opened)
        ws_abort(ws); /* in the handshake */
    ws = connect_ws(&p, "/ws", NULL);
    p.opened = 0;
    run_until_open(&p);
    ws_send_text(ws, "x", 1);
    ws_abort(ws); /* with something queued */
    ws_abort(NULL);
    drain_loop();
    assert_int_equal(p.closed, 0);
    wait_for_stat(&F, "ws_closed", stat_of(&F, "ws_open"));
}

static void pings_keep_a_silent_connection(void **state)
{
    (void)state;
    struct peer p = {0};
    struct ws *ws = connect_ws(&p, "/ws?fast", NULL);
    run_until_open(&p);
    event_base_loopexit(base, &(struct timeval){.tv_sec = 5});
    event_base_dispatch(base);
    assert_int_equal(p.closed, 0); /* five pings went unnoticed by us and were answered */
    ws_abort(ws);
    drain_loop();
}

static void slow_readers_can_be_told(void **state)
{
    (void)state;
    struct peer p = {.target = 5000};
    struct ws *ws = connect_ws(&p, "/ws", NULL);
    run_until_open(&p);
    assert_int_equal(ws_queued(ws), 0);
    ws_send_text(ws, "flood 5000", 10);
    assert_true(ws_queued(ws) > 0);
    event_base_dispatch(base);
    assert_int_equal(p.messages, 5000);
    assert_int_equal(p.code, 1000);
    buf_free(&p.last);
    drain_loop();
}

/* ---- raw frames ---- */

#define UPGRADE                                                                                              \
    "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"               \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

static void the_handshake_is_that_of_the_rfc(void **state)
{
    (void)state;
    struct buf head = {0};
    int fd = dial(&F);
    send_text(fd, UPGRADE);
    assert_int_equal(read_response(fd, true, &head, NULL), 101);
    assert_non_null(strstr(head.data, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n"));
    assert_non_null(strstr(head.data, "Sec-WebSocket-Protocol: echo.v1\n"));
    close(fd);
    buf_free(&head);
    static const struct {
        const char *request;
        int status;
    } BAD[] = {
        {"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
         "12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         426},
        {"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
         "13\r\nSec-WebSocket-Key: short\r\n\r\n",
         400},
        {"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
         "13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         400},
        {"POST /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: "
         "1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nx",
         400},
        {"GET /ws HTTP/1.0\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
         "13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         400},
    };
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_int_equal(ask(&F, BAD[i].request, NULL), BAD[i].status);
}

/* A masked frame; mask 0 keeps payloads readable in the table below. */
static void put_frame(struct buf *b, int first, const char *payload, size_t n, bool masked)
{
    buf_putc(b, (char)first);
    assert_true(n < 126);
    buf_putc(b, (char)((masked ? 0x80 : 0) | (int)n));
    if (masked)
        buf_add(b, "\x11\x22\x33\x44", 4);
    for (size_t i = 0; i < n; i++)
        buf_putc(b, masked ? (char)(payload[i] ^ "\x11\x22\x33\x44"[i % 4]) : payload[i]);
}

static int open_raw(void)
{
    int fd = dial(&F);
    send_text(fd, UPGRADE);
    assert_int_equal(read_response(fd, true, NULL, NULL), 101);
    return fd;
}

/* Send frames, read until the end; the close code of the answer, or -1. */
static int close_code_of(const struct buf *frames)
{
    int fd = open_raw();
    struct buf out = {0};
    assert_int_equal(file_write_all(fd, frames->data, frames->len), 0);
    shutdown(fd, SHUT_WR);
    read_all(fd, &out);
    close(fd);
    int code = -1;
    for (size_t i = 0; i + 1 < out.len; i += 2 + (unsigned char)out.data[i + 1])
        if ((out.data[i] & 0x0f) == 8)
            code = out.data[i + 1] >= 2 ? (unsigned char)out.data[i + 2] << 8 | (unsigned char)out.data[i + 3]
                                        : 1005;
    buf_free(&out);
    return code;
}

static void bad_frames_are_closed_with_the_right_code(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int first;
        const char *payload;
        size_t n;
        bool masked;
        int code;
    } CASES[] = {
        {"not masked", 0x81, "x", 1, false, 1002},
        {"reserved bit", 0xc1, "x", 1, true, 1002},
        {"unknown opcode", 0x83, "x", 1, true, 1002},
        {"continuation of nothing", 0x80, "x", 1, true, 1002},
        {"bad UTF-8", 0x81, "\xff\xfe", 2, true, 1007},
        {"cut UTF-8", 0x81, "\xc3", 1, true, 1007},
        {"surrogate", 0x81, "\xed\xa0\x80", 3, true, 1007},
        {"bad close code", 0x88, "\x03\xec", 2, true, 1002},
        {"close", 0x88, "\x03\xe8", 2, true, 1000},
        {"close without code", 0x88, "", 0, true, 1005},
        {"fragmented ping", 0x09, "x", 1, true, 1002},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct buf b = {0};
        put_frame(&b, CASES[i].first, CASES[i].payload, CASES[i].n, CASES[i].masked);
        int code = close_code_of(&b);
        if (code != CASES[i].code)
            print_error("%s: %d instead of %d\n", CASES[i].name, code, CASES[i].code);
        assert_int_equal(code, CASES[i].code);
        buf_free(&b);
    }
    wait_for_stat(&F, "ws_closed", stat_of(&F, "ws_open"));
}

static void fragments_are_joined_around_control_frames(void **state)
{
    (void)state;
    struct buf b = {0}, out = {0};
    put_frame(&b, 0x01, "one \xc3", 5, true); /* a character cut in two */
    put_frame(&b, 0x89, "ping", 4, true);
    put_frame(&b, 0x00, "\xa4", 1, true);
    put_frame(&b, 0x00, "", 0, true);
    put_frame(&b, 0x80, " two", 4, true);
    put_frame(&b, 0x82, "\x00\x01", 2, true);
    int fd = open_raw();
    for (size_t i = 0; i < b.len; i++) /* byte by byte */
        assert_int_equal(send(fd, b.data + i, 1, MSG_NOSIGNAL), 1);
    static const char WANT[] = "\x8a\x04ping\x81\x0aone \xc3\xa4 two\x82\x02\x00\x01";
    char got[sizeof WANT] = {0};
    assert_int_equal(recv(fd, got, sizeof WANT - 1, MSG_WAITALL), sizeof WANT - 1);
    assert_memory_equal(got, WANT, sizeof WANT - 1);
    close(fd);
    buf_free(&b);
    buf_free(&out);
}

/* One byte a fragment: memory follows the bytes, not the number of fragments. */
static void tiny_fragments_cost_little(void **state)
{
    (void)state;
    int fd = open_raw();
    long before = fixture_rss_kib(&F);
    struct buf b = {0};
    put_frame(&b, 0x01, "a", 1, true);
    for (int i = 0; i < 300000; i++)
        put_frame(&b, 0x00, "a", 1, true);
    assert_int_equal(file_write_all(fd, b.data, b.len), 0);
    usleep(200000);
    assert_int_equal(stat_of(&F, "live"), 0);
    assert_true(fixture_rss_kib(&F) - before < 8192);
    close(fd);
    buf_free(&b);
}

static void ping_floods_do_not_fill_memory(void **state)
{
    (void)state;
    int fd = open_raw();
    long before = fixture_rss_kib(&F);
    struct buf b = {0};
    char payload[125] = {0};
    for (int i = 0; i < 1000; i++)
        put_frame(&b, 0x89, payload, sizeof payload, true);
    for (int i = 0; i < 1000; i++) /* 130 MB of pings, nothing read */
        if (file_write_all(fd, b.data, b.len))
            break;
    assert_true(fixture_rss_kib(&F) - before < 16384);
    close(fd);
    buf_free(&b);
    wait_for_stat(&F, "ws_closed", stat_of(&F, "ws_open"));
}

static void noise_does_no_harm(void **state)
{
    (void)state;
    srand(11);
    for (int i = 0; i < 300; i++) {
        int fd = open_raw();
        char noise[200];
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (char)(rand() % 256);
        if (i % 2)
            noise[0] = (char)0x81, noise[1] = (char)(0x80 | (rand() % 127));
        send(fd, noise, sizeof noise, MSG_NOSIGNAL);
        close(fd);
    }
    wait_for_stat(&F, "ws_closed", stat_of(&F, "ws_open"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_back),
        cmocka_unit_test(the_server_closes_with_its_code),
        cmocka_unit_test(ends_without_a_close_frame_are_1006),
        cmocka_unit_test(too_large_messages_are_1009),
        cmocka_unit_test(unwanted_kinds_are_1003),
        cmocka_unit_test(refused_handshakes_say_why),
        cmocka_unit_test(abort_is_silent_in_every_phase),
        cmocka_unit_test(pings_keep_a_silent_connection),
        cmocka_unit_test(slow_readers_can_be_told),
        cmocka_unit_test(the_handshake_is_that_of_the_rfc),
        cmocka_unit_test(bad_frames_are_closed_with_the_right_code),
        cmocka_unit_test(fragments_are_joined_around_control_frames),
        cmocka_unit_test(tiny_fragments_cost_little),
        cmocka_unit_test(ping_floods_do_not_fill_memory),
        cmocka_unit_test(noise_does_no_harm),
    };
    return cmocka_run_group_tests_name("ws", tests, start, stop);
}
