#include "base/finding.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/mem.h"

struct finding *findings_add(struct findings *f, enum finding_status status, const char *check,
                             const char *pointer, const char *fmt, ...)
{
    struct buf message = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&message, fmt, ap);
    va_end(ap);
    f->items = vec_grow(f->items, &f->cap, f->count + 1, sizeof(*f->items));
    struct finding *it = &f->items[f->count++];
    *it = (struct finding){.check = xstrdup(check),
                           .status = status,
                           .message = buf_steal(&message),
                           .pointer = xstrdup(pointer)};
    return it;
}

bool findings_failed(const struct findings *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->items[i].status == FINDING_FAILED)
            return true;
    return false;
}

static void write_one(const struct finding *it, struct buf *out)
{
    static const char *const names[] = {"passed", "warned", "failed"};
    buf_puts(out, "{\"name\":");
    buf_json_str(out, it->check);
    buf_printf(out, ",\"status\":\"%s\",\"message\":", names[it->status]);
    buf_json_str(out, it->message);
    if (it->subject)
        buf_printf(out, ",\"subject\":\"%s\"", it->subject);
    buf_puts(out, ",\"pointer\":");
    buf_json_str(out, it->pointer);
    buf_printf(out, ",\"line\":%d,\"column\":%d,\"expected\":", it->line, it->column);
    buf_json_str(out, it->expected);
    buf_puts(out, ",\"actual\":");
    buf_json_str(out, it->actual);
    buf_puts(out, ",\"hint\":");
    buf_json_str(out, it->hint);
    buf_puts(out, ",\"seconds\":");
    buf_json_num(out, it->seconds);
    buf_putc(out, '}');
}

void findings_write_json(const struct findings *f, struct buf *out)
{
    buf_putc(out, '[');
    for (size_t i = 0; i < f->count; i++) {
        if (i)
            buf_putc(out, ',');
        write_one(&f->items[i], out);
    }
    buf_putc(out, ']');
}

void findings_free(struct findings *f)
{
    for (size_t i = 0; i < f->count; i++) {
        struct finding *it = &f->items[i];
        free(it->check);
        free(it->message);
        free(it->pointer);
        free(it->hint);
        free(it->expected);
        free(it->actual);
    }
    free(f->items);
    *f = (struct findings){0};
}
