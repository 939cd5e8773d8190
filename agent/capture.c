#include "agent/capture.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

static const char *const stream_names[CAPTURE_STREAMS] = {"stdout", "stderr"};

void capture_init(struct capture *c, const struct capture_limits *limits, double now)
{
    memset(c, 0, sizeof(*c));
    if (limits)
        c->limits = *limits;
    if (c->limits.total_bytes <= 0)
        c->limits.total_bytes = 256LL << 20;
    if (c->limits.burst_bytes <= 0)
        c->limits.burst_bytes = 8 << 20;
    if (c->limits.bytes_per_second <= 0)
        c->limits.bytes_per_second = 1 << 20;
    c->bucket = (double)c->limits.burst_bytes;
    c->filled_at = now;
}

void capture_free(struct capture *c)
{
    for (int i = 0; i < CAPTURE_STREAMS; i++)
        buf_free(&c->part[i]);
    for (int i = 0; i < CAPTURE_TAIL_LINES; i++)
        free(c->tail[i]);
    memset(c, 0, sizeof(*c));
}

static void record_add(struct buf *out, enum capture_stream stream, const char *p, size_t n, double now)
{
    buf_printf(out, "{\"t\":%.6f,\"stream\":\"%s\",\"text\":", now, stream_names[stream]);
    buf_json_strn(out, p, n);
    buf_puts(out, "}\n");
}

void capture_note(struct capture *c, const char *text, double now, struct buf *out)
{
    (void)c;
    record_add(out, CAPTURE_STDERR, text, strlen(text), now);
}

static void dropped_tell(struct capture *c, double now, struct buf *out)
{
    char text[160];
    if (!c->dropped_lines)
        return;
    snprintf(
        text, sizeof(text),
        "[trainyard: %lld lines (%lld bytes) of output were dropped here: more than %lld bytes %s]",
        (long long)c->dropped_lines, (long long)c->dropped_bytes,
        (long long)(c->total >= c->limits.total_bytes ? c->limits.total_bytes : c->limits.bytes_per_second),
        c->total >= c->limits.total_bytes ? "in all" : "a second");
    capture_note(c, text, now, out);
    c->dropped_lines = c->dropped_bytes = 0;
}

static bool room_take(struct capture *c, size_t n, double now)
{
    double most = (double)c->limits.burst_bytes;
    if (now > c->filled_at)
        c->bucket += (now - c->filled_at) * (double)c->limits.bytes_per_second;
    if (c->bucket > most)
        c->bucket = most;
    c->filled_at = now;
    /* 64: an empty line costs a record too */
    double cost = (double)n + 64;
    /* After dropping, wait for some room, else every other line would be a note about the one before. */
    double needed = c->dropped_lines ? most / 8 + cost : cost;
    if (c->total >= c->limits.total_bytes || c->bucket < needed)
        return false;
    c->bucket -= cost;
    c->total += (int64_t)n + 64;
    return true;
}

static void tail_keep(struct capture *c, const char *p, size_t n)
{
    char **slot = &c->tail[c->tail_next++ % CAPTURE_TAIL_LINES];
    free(*slot);
    *slot = xstrndup(p, n < 1024 ? n : 1024);
}

/* NUL is legal in JSON but not in PostgreSQL's text. 0xff is no UTF-8, so the encoder makes it U+FFFD. */
static void nul_replace(char *p, size_t n)
{
    for (char *z = memchr(p, 0, n); z; z = memchr(z, 0, n - (size_t)(z - p)))
        *z = (char)0xff;
}

static void line_take(struct capture *c, enum capture_stream stream, double now, struct buf *out)
{
    struct buf *b = &c->part[stream];
    size_t n = b->len;
    if (n > 0 && b->data[n - 1] == '\r')
        n--;
    if (n > 0)
        nul_replace(b->data, n);
    if (stream == CAPTURE_STDERR && n > 0)
        tail_keep(c, b->data, n);
    if (room_take(c, n, now)) {
        dropped_tell(c, now, out);
        record_add(out, stream, buf_str(b), n, now);
    } else {
        c->dropped_lines++;
        c->dropped_bytes += (int64_t)n + 1;
    }
    buf_clear(b);
}

/* Where to split a long line so that no UTF-8 sequence is torn: at most 3 bytes before the limit. */
static size_t split_place(const char *p, size_t n)
{
    for (size_t back = 0; back < 4 && back < n; back++) {
        unsigned char c = (unsigned char)p[n - 1 - back];
        if (c < 0x80)
            return n - back;
        if (c >= 0xc0) {
            size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
            return need == back + 1 ? n : n - 1 - back;
        }
    }
    return n;
}

void capture_feed(struct capture *c, enum capture_stream stream, const char *p, size_t n, double now,
                  struct buf *out)
{
    struct buf *b = &c->part[stream];
    while (n > 0) {
        size_t room = CAPTURE_LINE_MAX - b->len, part = n < room ? n : room;
        const char *nl = memchr(p, '\n', part < n ? part + 1 : part); /* a full line's newline too */
        if (nl)
            part = (size_t)(nl - p);
        buf_add(b, p, part);
        p += part + (nl ? 1 : 0);
        n -= part + (nl ? 1 : 0);
        if (nl) {
            line_take(c, stream, now, out);
        } else if (b->len == CAPTURE_LINE_MAX && !(n > 0 && *p == '\n')) {
            size_t at = split_place(b->data, b->len), rest = b->len - at;
            char carry[4];
            memcpy(carry, b->data + at, rest);
            b->len = at;
            line_take(c, stream, now, out);
            buf_add(b, carry, rest);
        }
    }
}

void capture_finish(struct capture *c, double now, struct buf *out)
{
    for (int i = 0; i < CAPTURE_STREAMS; i++) {
        if (c->part[i].len)
            line_take(c, (enum capture_stream)i, now, out);
    }
    dropped_tell(c, now, out);
}

void capture_tail_json(const struct capture *c, struct buf *out)
{
    size_t first = c->tail_next > CAPTURE_TAIL_LINES ? c->tail_next - CAPTURE_TAIL_LINES : 0;
    buf_putc(out, '[');
    for (size_t i = first; i < c->tail_next; i++) {
        if (i > first)
            buf_putc(out, ',');
        buf_json_str(out, c->tail[i % CAPTURE_TAIL_LINES]);
    }
    buf_putc(out, ']');
}
