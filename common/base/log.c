#include "base/log.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/units.h"

/* The one process-wide setting of this library, made by main before anything else runs. */
static struct {
    enum log_level least;
    bool json;
} sink = {LOG_LEVEL_INFO, false};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(enum log_level least, bool json)
{
    sink.least = least;
    sink.json = json;
}

int log_level_parse(const char *name, enum log_level *out)
{
    for (int i = 0; i < 4; i++) {
        if (!strcasecmp(name, level_names[i])) {
            *out = (enum log_level)i;
            return 0;
        }
    }
    return -1;
}

static bool is_plain(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++)
        if ((unsigned char)*s <= ' ' || *s == '"' || *s == '=' || *s == '\\' || (unsigned char)*s >= 0x7f)
            return false;
    return true;
}

static void put_value(struct buf *b, const struct log_kv *kv)
{
    if (kv->kind == LOG_KV_INT)
        buf_printf(b, "%lld", (long long)kv->i);
    else if (kv->kind == LOG_KV_REAL)
        buf_json_num(b, kv->d);
    else if (!sink.json && kv->s && is_plain(kv->s))
        buf_puts(b, kv->s);
    else
        buf_json_str(b, kv->s);
}

void log_write(enum log_level level, const char *area, const char *msg, const struct log_kv *kv)
{
    if (level < sink.least)
        return;
    char when[40];
    time_format_rfc3339(time_now(), when, sizeof(when));
    struct buf b = {0};
    if (sink.json) {
        buf_printf(&b, "{\"time\":\"%s\",\"level\":\"%s\",\"area\":\"%s\",\"message\":", when,
                   level_names[level], area);
        buf_json_str(&b, msg);
        for (; kv && kv->kind != LOG_KV_END; kv++) {
            buf_printf(&b, ",\"%s\":", kv->key);
            put_value(&b, kv);
        }
        buf_puts(&b, "}\n");
    } else {
        buf_printf(&b, "%s %-5s %s: %s", when, level_names[level], area, msg);
        for (; kv && kv->kind != LOG_KV_END; kv++) {
            buf_printf(&b, " %s=", kv->key);
            put_value(&b, kv);
        }
        buf_putc(&b, '\n');
    }
    /* A log that can't be written has nowhere to say so. */
    ssize_t n = write(STDERR_FILENO, b.data, b.len);
    (void)n;
    buf_free(&b);
}
