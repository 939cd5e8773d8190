/* log: structured lines on standard error: time, level, area, message, key=value pairs; or one JSON object a
 * line.
 *
 *     log_info("agent", "job started", KV_I("job", id), KV_S("node", name));
 *
 * Never log a secret. The destination and level are process settings made by main with log_init(); safe from
 * any thread (one write(2) a line). */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log_kv {
    const char *key;
    enum { LOG_KV_END, LOG_KV_INT, LOG_KV_REAL, LOG_KV_STR } kind;
    int64_t i;
    double d;
    const char *s;
};
#define KV_I(k, v) ((struct log_kv){.key = (k), .kind = LOG_KV_INT, .i = (int64_t)(v)})
#define KV_F(k, v) ((struct log_kv){.key = (k), .kind = LOG_KV_REAL, .d = (v)})
#define KV_S(k, v) ((struct log_kv){.key = (k), .kind = LOG_KV_STR, .s = (v)})
/* an err as the pair error="..." */
#define KV_E(e) KV_S("error", (e)->text)

void log_init(enum log_level least, bool json);
int log_level_parse(const char *name, enum log_level *out); /* debug info warn error; -1 if unknown */
void log_write(enum log_level level, const char *area, const char *msg, const struct log_kv *kv);

#define log_at(level, area, msg, ...)                                                                        \
    log_write((level), (area), (msg), (const struct log_kv[]){__VA_ARGS__ __VA_OPT__(, ){.kind = LOG_KV_END}})
#define log_debug(area, msg, ...) log_at(LOG_LEVEL_DEBUG, area, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_info(area, msg, ...)  log_at(LOG_LEVEL_INFO, area, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_warn(area, msg, ...)  log_at(LOG_LEVEL_WARN, area, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_error(area, msg, ...) log_at(LOG_LEVEL_ERROR, area, msg __VA_OPT__(, ) __VA_ARGS__)

#endif
