#include "fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"

/* Memory that the sanitizer keeps back would count as the server's. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=1:thread_local_quarantine_size_kb=64";
}

unsigned char fixture_byte(int64_t at)
{
    return (unsigned char)((at * 2654435761u) >> 13);
}

static void on_stopped(void *arg)
{
    event_base_loopbreak(arg);
}

static void on_term(evutil_socket_t sig, short what, void *arg)
{
    (void)sig;
    (void)what;
    http_server_shutdown(*(struct http_server **)arg, 3, on_stopped, ((void **)arg)[1]);
}

static int serve(const struct fixture *f, const struct http_server_limits *limits, bool tls, int ready)
{
    struct err err = {0};
    struct event_base *base = event_base_new();
    struct routes *routes = routes_create(base, f->dir);
    struct http_server *s = http_server_create(base, limits, routes_on_request, routes);
    SSL_CTX *ctx = NULL;
    if (tls) {
        char *cert = path_join(f->dir, "cert.pem"), *key = path_join(f->dir, "key.pem");
        ctx = http_tls_load(cert, key, &err);
        free(cert);
        free(key);
    }
    char *unix_address = xasprintf("unix:%s", f->socket);
    if (err.code || http_server_listen(s, "127.0.0.1:0", ctx, &err) ||
        http_server_listen(s, unix_address, NULL, &err)) {
        fprintf(stderr, "fixture: %s\n", err.text);
        return 1;
    }
    free(unix_address);
    SSL_CTX_free(ctx);
    int port = http_server_port(s);
    if (write(ready, &port, sizeof port) != sizeof port)
        return 1;
    close(ready);
    void *stop[2] = {s, base};
    struct event *term = evsignal_new(base, SIGTERM, on_term, stop);
    event_add(term, NULL);
    event_base_dispatch(base);
    event_free(term);
    http_server_destroy(s);
    event_base_loop(base, EVLOOP_NONBLOCK);
    routes_destroy(routes);
    event_base_free(base);
    return 0;
}

void fixture_start(struct fixture *f, const struct http_server_limits *limits, bool tls)
{
    *f = (struct fixture){0};
    signal(SIGPIPE, SIG_IGN);
    snprintf(f->dir, sizeof f->dir, "/tmp/net-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->socket, sizeof f->socket, "%s/s", f->dir);
    if (tls)
        fixture_make_certificate(f->dir);
    char *path = path_join(f->dir, "file.bin"), *bytes = xmalloc(FIXTURE_FILE_SIZE);
    for (int i = 0; i < FIXTURE_FILE_SIZE; i++)
        bytes[i] = (char)fixture_byte(i);
    assert_int_equal(file_write_atomic(path, bytes, FIXTURE_FILE_SIZE, 0600, NULL), 0);
    free(path);
    free(bytes);
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    fflush(NULL);
    f->pid = fork();
    assert_true(f->pid >= 0);
    if (f->pid == 0) {
        close(pipe_fds[0]);
        exit(serve(f, limits, tls, pipe_fds[1]));
    }
    close(pipe_fds[1]);
    assert_int_equal(read(pipe_fds[0], &f->port, sizeof f->port), sizeof f->port);
    close(pipe_fds[0]);
    snprintf(f->origin, sizeof f->origin, "%s://127.0.0.1:%d", tls ? "https" : "http", f->port);
}

void fixture_stop(struct fixture *f)
{
    int status = -1;
    kill(f->pid, SIGTERM);
    for (int i = 0; i < 1500 && waitpid(f->pid, &status, WNOHANG) == 0; i++)
        usleep(10000);
    if (status == -1) {
        kill(f->pid, SIGKILL);
        waitpid(f->pid, &status, 0);
    }
    dir_remove(f->dir, NULL);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

long fixture_rss_kib(const struct fixture *f)
{
    char path[64];
    long pages = 0, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)f->pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", &pages, &resident), 2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

int dial(const struct fixture *f)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f->port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval wait = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

void send_text(int fd, const char *text)
{
    assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
}

int read_all(int fd, struct buf *out)
{
    char piece[16384];
    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n == 0)
            return 0;
        if (n < 0 || out->len > (64u << 20))
            return -1;
        buf_add(out, piece, (size_t)n);
    }
}

static bool read_byte(int fd, char *c)
{
    return read(fd, c, 1) == 1;
}

/* A line without its CRLF. */
static bool read_line(int fd, struct buf *line)
{
    char c;
    buf_clear(line);
    while (read_byte(fd, &c)) {
        if (c == '\n')
            return true;
        if (c != '\r')
            buf_putc(line, c);
    }
    return false;
}

static bool read_exactly(int fd, struct buf *out, size_t n)
{
    char piece[16384];
    while (n > 0) {
        ssize_t got = read(fd, piece, n < sizeof piece ? n : sizeof piece);
        if (got <= 0)
            return false;
        if (out)
            buf_add(out, piece, (size_t)got);
        n -= (size_t)got;
    }
    return true;
}

static bool read_chunks(int fd, struct buf *body)
{
    struct buf line = {0};
    bool ok = true, more = true;
    while (ok && more) {
        ok = read_line(fd, &line);
        size_t n = strtoul(buf_str(&line), NULL, 16);
        more = n > 0;
        ok = ok && (!more || read_exactly(fd, body, n)) && read_line(fd, &line);
    }
    buf_free(&line);
    return ok;
}

int read_response(int fd, bool head_only, struct buf *head, struct buf *body)
{
    struct buf line = {0};
    int status = 0;
    long length = 0;
    bool chunked = false, ok = read_line(fd, &line);
    if (ok)
        sscanf(line.data, "HTTP/1.1 %d", &status);
    while (ok && line.len) {
        if (head)
            buf_printf(head, "%s\n", line.data);
        ok = read_line(fd, &line);
        if (strncasecmp(buf_str(&line), "content-length:", 15) == 0)
            length = atol(line.data + 15);
        chunked = chunked || strncasecmp(buf_str(&line), "transfer-encoding: chunked", 26) == 0;
    }
    buf_free(&line);
    if (ok && !head_only && status != 304 && status != 204 && status / 100 != 1)
        ok = chunked ? read_chunks(fd, body) : read_exactly(fd, body, (size_t)length);
    return ok ? status : 0;
}

int ask(const struct fixture *f, const char *text, struct buf *body)
{
    int fd = dial(f);
    send_text(fd, text);
    int status = read_response(fd, false, NULL, body);
    close(fd);
    return status;
}

int64_t stat_of(const struct fixture *f, const char *name)
{
    struct buf body = {0};
    char key[64];
    assert_int_equal(ask(f, "GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &body), 200);
    snprintf(key, sizeof key, "\"%s\":", name);
    char *at = strstr(body.data, key);
    assert_non_null(at);
    int64_t v = atoll(at + strlen(key));
    buf_free(&body);
    return v;
}

void wait_for_stat(const struct fixture *f, const char *name, int64_t value)
{
    int64_t got = -1;
    for (int i = 0; i < 300 && (got = stat_of(f, name)) != value; i++)
        usleep(10000);
    assert_int_equal(got, value);
}
