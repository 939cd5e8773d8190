/* conf: a program's settings as one table. Sources in rising order of strength: default, configuration file
 * (JSON object, keys are option names), environment (TRAINYARD_ + upper-case name, or .env), flags (--name
 * value,
 * --name=value, --flag, --no-flag). --help prints the table. */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

enum conf_type {
    CONF_STR,
    CONF_INT,
    CONF_BOOL,
    CONF_SIZE /* bytes: 64M, 2G */,
    CONF_DURATION /* seconds: 90, 5m, 1h */,
    CONF_CHOICE /* a|b|c */
};

struct conf_option {
    const char *name; /* "state-dir"; the flag is --state-dir, the environment TRAINYARD_STATE_DIR */
    enum conf_type type;
    const char *fallback; /* default as text; NULL: unset (strings stay NULL) */
    int64_t min, max;     /* for INT, SIZE, DURATION; both 0: no limits */
    const char *choices;  /* CONF_CHOICE: "debug|info|warn|error" */
    const char *help;     /* one sentence */
    const char *env;      /* overrides the environment name; NULL: derived */
    bool secret;          /* never printed */
};

struct conf; /* values; owns its strings */

/* Read all sources. argc/argv without the program name. Stops at the first word that is not a flag or after
 * "--"; *rest is its index. The option "config" (if in the table) names the file. Returns NULL and sets err;
 * a --help request returns NULL with err->code == ERR_NONE after printing. Caller must conf_destroy(). */
struct conf *conf_load(const char *program, const char *about, const struct conf_option *table, int count,
                       int argc, char **argv, int *rest, struct err *err);
void conf_destroy(struct conf *c);

const char *conf_str(const struct conf *c,
                     const char *name); /* NULL when unset; aborts on a name not in the table */
int64_t conf_int(const struct conf *c, const char *name); /* INT, SIZE (bytes), DURATION (seconds) */
bool conf_bool(const struct conf *c, const char *name);

#endif
