#include "cli/batch.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/nearest.h"

enum how {
    TEXT,
    COUNT,
    TIME,
    MEMORY,
    GRES,
    GPUS,
    FLAG,
    PRIORITY,
    NICE,
    EXPORT,
    IGNORED,
    IGNORED_FLAG,
    REFUSED
};

#define AT(member) offsetof(struct batch, member)

// clang-format off
static const struct row {
    const char *name;
    char letter;
    enum how how;
    size_t at;
} table[] = {
    {"job-name",        'J', TEXT,     AT(name)},
    {"partition",       'p', TEXT,     AT(partition)},
    {"nodes",           'N', COUNT,    AT(nodes)},
    {"ntasks",          'n', COUNT,    AT(tasks)},
    {"ntasks-per-node", 0,   COUNT,    AT(tasks_per_node)},
    {"cpus-per-task",   'c', COUNT,    AT(cores_per_task)},
    {"mem",             0,   MEMORY,   AT(memory_per_node)},
    {"mem-per-cpu",     0,   MEMORY,   AT(memory_per_core)},
    {"gpus",            'G', GPUS,     AT(gpus)},
    {"gpus-per-node",   0,   GPUS,     AT(gpus_per_node)},
    {"gpus-per-task",   0,   GPUS,     AT(gpus_per_task)},
    {"gres",            0,   GRES,     AT(gpus_per_node)},
    {"time",            't', TIME,     AT(time_limit)},
    {"priority",        0,   PRIORITY, AT(priority)},
    {"nice",            0,   NICE,     AT(priority)},
    {"hold",            'H', FLAG,     AT(hold)},
    {"export",          0,   EXPORT,   0},
    /* What they ask for is done by other means, or not needed: said, and left out. */
    {"output",          'o', IGNORED, 0},      {"error",           'e', IGNORED, 0},      {"open-mode",  0, IGNORED, 0},
    {"mail-type",       0,   IGNORED, 0},      {"mail-user",       0,   IGNORED, 0},      {"comment",    0, IGNORED, 0},
    {"account",         'A', IGNORED, 0},      {"qos",             'q', IGNORED, 0},      {"hint",       0, IGNORED, 0},
    {"wckey",           0,   IGNORED, 0},      {"chdir",           'D', IGNORED, 0},      {"requeue",    0, IGNORED_FLAG, 0},
    {"get-user-env",    0,   IGNORED_FLAG, 0}, {"no-requeue",      0,   IGNORED_FLAG, 0},
    /* A job that ran without heeding them would do the wrong thing. */
    {"array",           'a', REFUSED, 0},      {"dependency",      'd', REFUSED, 0},      {"begin",      'b', REFUSED, 0},
    {"constraint",      'C', REFUSED, 0},      {"nodelist",        'w', REFUSED, 0},      {"exclude",    'x', REFUSED, 0},
    {"exclusive",       0,   REFUSED, 0},      {"deadline",        0,   REFUSED, 0},      {"signal",     0, REFUSED, 0},
    {"reservation",     0,   REFUSED, 0},      {"input",           'i', REFUSED, 0},      {"mem-per-gpu", 0, REFUSED, 0},
    {"cpus-per-gpu",    0,   REFUSED, 0},      {"hetjob",          0,   REFUSED, 0},
};
// clang-format on

void batch_init(struct batch *b)
{
    *b = (struct batch){.environment = json_object(), .ignored = json_array()};
}

void batch_free(struct batch *b)
{
    free(b->name);
    free(b->partition);
    json_decref(b->environment);
    json_decref(b->ignored);
    *b = (struct batch){0};
}

/* --- values --------------------------------------------------------------------------------------------- */

/* Digits at *p, at most `max`; moves p behind them. */
static int digits(const char **p, int64_t max, int64_t *out)
{
    if (!isdigit((unsigned char)**p))
        return -1;
    for (*out = 0; isdigit((unsigned char)**p); (*p)++) {
        *out = *out * 10 + (**p - '0');
        if (*out > max)
            return -1;
    }
    return 0;
}

int batch_time(const char *text, int64_t *seconds, struct err *err)
{
    int64_t part[4] = {0}, days = 0;
    int n = 0;
    const char *p = text;
    if (!strcasecmp(text, "unlimited") || !strcasecmp(text, "infinite")) {
        *seconds = 0;
        return 0;
    }
    bool good = digits(&p, 10000000, &part[n++]) == 0, dashed = good && *p == '-';
    if (dashed) {
        p++;
        days = part[0];
        n = 0;
        good = digits(&p, 10000000, &part[n++]) == 0;
    }
    while (good && *p == ':' && n < 3) {
        p++;
        good = digits(&p, 10000000, &part[n++]) == 0;
    }
    if (!good || *p)
        return err_set(err, ERR_INVALID,
                       "\"%.40s\" is no time; expected minutes, m:s, h:m:s, d-h, d-h:m or d-h:m:s", text);
    /* One number is minutes, two are minutes and seconds; after days they are hours, minutes, seconds. */
    int64_t unit = dashed || n == 3 ? 3600 : 60;
    *seconds = days * 86400;
    for (int i = 0; i < n; i++, unit /= 60)
        *seconds += part[i] * unit;
    return 0;
}

int batch_memory(const char *text, int64_t *bytes, struct err *err)
{
    static const char units[] = "KMGT";
    int64_t n;
    const char *p = text, *unit = NULL;
    bool good = digits(&p, (int64_t)1 << 40, &n) == 0;
    int shift = 20;
    if (good && *p && (unit = strchr(units, toupper((unsigned char)*p)))) {
        shift = 10 * (int)(unit - units + 1);
        p++;
        if (*p == 'B' || *p == 'b')
            p++;
    }
    if (!good || *p || n > INT64_MAX >> shift || n << shift > (int64_t)1 << 50)
        return err_set(err, ERR_INVALID, "\"%.40s\" is no size of memory; expected 500 (MiB), 500M or 16G",
                       text);
    *bytes = n << shift;
    return 0;
}

static int set_count(const char *text, int64_t min, int64_t max, int64_t *out, struct err *err)
{
    const char *p = text;
    int64_t v;
    int rc = digits(&p, max, &v);
    if (!rc && *p == '-' && p[1]) { /* --nodes=1-4: the least is enough */
        p++;
        int64_t most;
        rc = digits(&p, max, &most);
    }
    if (rc || *p || v < min)
        return err_set(err, ERR_INVALID, "\"%.40s\" is not a number from %lld to %lld", text, (long long)min,
                       (long long)max);
    *out = v;
    return 0;
}

/* "4" or "h200:4"; a kind cannot be chosen here. */
static int set_gpus(const char *text, int64_t *out, struct err *err)
{
    if (strchr(text, ':') || !isdigit((unsigned char)*text))
        return err_set(err, ERR_INVALID, "\"%.40s\": a kind of GPU cannot be chosen here; expected a number",
                       text);
    return set_count(text, 0, 1 << 20, out, err);
}

static int set_gres(const char *text, int64_t *out, struct err *err)
{
    if (!strcmp(text, "none"))
        return 0;
    if (strncmp(text, "gpu", 3) != 0 || (text[3] && text[3] != ':'))
        return err_set(err, ERR_INVALID, "\"%.40s\": the only generic resource here is gpu, as gpu:2", text);
    return set_gpus(text[3] ? text + 4 : "1", out, err);
}

static int set_priority(const char *text, bool nice, int64_t *out, struct err *err)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (!*text || *end || errno || v < -1000000 || v > 1000000)
        return err_set(err, ERR_INVALID, "\"%.40s\" is not a number from -1000000 to 1000000", text);
    *out = nice ? -v : v;
    return 0;
}

/* NONE, or names and assignments; ALL takes everything, except what opens this server to who reads the job. */
static int set_export(struct batch *b, const char *text, struct err *err)
{
    extern char **environ;
    char *copy = xstrdup(text), *save = NULL;
    for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        char *eq = strchr(word, '=');
        const char *value = eq ? eq + 1 : getenv(word);
        if (!strcmp(word, "ALL")) {
            for (char **e = environ; *e; e++) {
                const char *is = strchr(*e, '=');
                if (!is || is == *e || !strncmp(*e, "TRAINYARD_", 10))
                    continue;
                json_object_setn_new(b->environment, *e, (size_t)(is - *e), json_string(is + 1));
            }
        } else if (strcmp(word, "NONE") != 0 && strcmp(word, "NIL") != 0) {
            if (eq == word) {
                free(copy);
                return err_set(err, ERR_INVALID, "an assignment without a name");
            }
            if (eq)
                *eq = 0;
            if (value)
                json_object_set_new(b->environment, word, json_string(value));
        }
    }
    free(copy);
    return 0;
}

static int set(struct batch *b, const struct row *r, const char *value, struct err *err)
{
    char *at = (char *)b + r->at;
    int64_t *number = (int64_t *)(void *)at;
    switch (r->how) {
    case TEXT:
        free(*(char **)(void *)at);
        *(char **)(void *)at = xstrdup(value);
        return 0;
    case COUNT:
        return set_count(value, 1, 1 << 20, number, err);
    case TIME:
        return batch_time(value, number, err);
    case MEMORY:
        return batch_memory(value, number, err);
    case GPUS:
        return set_gpus(value, number, err);
    case GRES:
        return set_gres(value, number, err);
    case PRIORITY:
    case NICE:
        return set_priority(value, r->how == NICE, number, err);
    case FLAG:
        *(bool *)at = true;
        return 0;
    case EXPORT:
        return set_export(b, value, err);
    case IGNORED:
    case IGNORED_FLAG:
        json_array_append_new(b->ignored, json_string(r->name));
        return 0;
    default:
        return err_set(err, ERR_INVALID, "is not supported here, and the job would go wrong without it");
    }
}

/* --- options -------------------------------------------------------------------------------------------- */

static const struct row *find(const char *name, size_t n, char letter)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct row *r = &table[i];
        if (letter ? r->letter == letter : strlen(r->name) == n && !memcmp(r->name, name, n))
            return r;
    }
    return NULL;
}

static int unknown(const char *word, size_t n, struct err *err)
{
    const char *names[ARRAY_LEN(table) + 1];
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        names[i] = table[i].name;
    names[ARRAY_LEN(table)] = NULL;
    char *bare = xstrndup(word + strspn(word, "-"), n - strspn(word, "-"));
    const char *near = n > 2 && n < 40 ? nearest_name(bare, names) : NULL;
    free(bare);
    return err_set(err, ERR_INVALID, "there is no option \"%.*s\"%s%s%s", (int)(n < 60 ? n : 60), word,
                   near ? "; did you mean \"--" : "", near ? near : "", near ? "\"?" : "");
}

int batch_option(struct batch *b, int count, char *const *words, int i, struct err *err)
{
    const char *word = words[i];
    if (!strcmp(word, "hetjob"))
        word = "--hetjob";
    if (word[0] != '-' || !word[1])
        return 0;
    bool is_long = word[1] == '-';
    size_t n = is_long ? strcspn(word, "=") : 2;
    const struct row *r = is_long ? find(word + 2, n - 2, 0) : find(NULL, 0, word[1]);
    if (!r)
        return unknown(word, n, err);
    const char *value = !word[n] ? NULL : is_long ? word + n + 1 : word + n + (word[n] == '=');
    bool flag = r->how == FLAG || r->how == IGNORED_FLAG || r->how == REFUSED;
    int took = 1;
    if (r->how == NICE && !value)
        value = "100"; /* as with sbatch, it may stand alone */
    if (flag && r->how != REFUSED && value)
        return err_set(err, ERR_INVALID, "--%s takes no value", r->name);
    if (!flag && !value) {
        if (i + 1 >= count)
            return err_set(err, ERR_INVALID, "--%s wants a value", r->name);
        value = words[i + 1];
        took = 2;
    }
    if (set(b, r, value, err))
        return err_prefix(err, "--%s", r->name);
    return took;
}

int batch_directives(struct batch *b, const struct directives *d, struct err *err)
{
    for (int i = 0; i < d->count;) {
        int line = d->lines[i], end = i;
        while (end < d->count && d->lines[end] == line)
            end++;
        int took = batch_option(b, end, d->words, i, err);
        if (took == 0)
            err_set(err, ERR_INVALID, "\"%.60s\" is no option", d->words[i]);
        if (took <= 0)
            return err_prefix(err, "line %d", line);
        i += took;
    }
    return 0;
}

/* --- the body ------------------------------------------------------------------------------------------- */

/* Tasks as sbatch counts them. */
static int64_t ranks_of(const struct batch *b)
{
    int64_t nodes = b->nodes ? b->nodes : 1;
    if (b->tasks)
        return b->tasks;
    return b->tasks_per_node ? nodes * b->tasks_per_node : nodes;
}

static int add_gpus(const struct batch *b, int64_t ranks, json_t *resources, struct err *err)
{
    int64_t nodes = b->nodes ? b->nodes : 1;
    int64_t all = b->gpus_per_task ? b->gpus_per_task * ranks : b->gpus ? b->gpus : b->gpus_per_node * nodes;
    if (all % ranks)
        return err_set(err, ERR_INVALID,
                       "%lld GPUs cannot be divided among %lld tasks; ask for as many tasks", (long long)all,
                       (long long)ranks);
    if (all)
        json_object_set_new(resources, "gpus_per_rank", json_integer(all / ranks));
    return 0;
}

int batch_body(const struct batch *b, json_t *body, struct err *err)
{
    int64_t ranks = ranks_of(b), cores = b->cores_per_task ? b->cores_per_task : 1;
    int64_t nodes = b->nodes ? b->nodes : 1, memory = b->memory_per_node;
    if (ranks > 1 << 20 || cores > 4096)
        return err_set(err, ERR_INVALID, "%lld tasks of %lld cores are too many", (long long)ranks,
                       (long long)cores);
    if (memory > ((int64_t)1 << 50) / nodes || b->memory_per_core > ((int64_t)1 << 50) / (ranks * cores))
        return err_set(err, ERR_INVALID, "that much memory on each of so many is more than 1 PiB");
    json_t *r = json_pack("{s:I, s:I}", "ranks", (json_int_t)ranks, "cores_per_rank", (json_int_t)cores);
    json_object_set_new(body, "resources", r);
    if (memory || b->memory_per_core)
        json_object_set_new(
            r, "memory_bytes",
            json_integer(b->memory_per_core ? b->memory_per_core * ranks * cores : memory * nodes));
    if (b->partition)
        json_object_set_new(r, "partition", json_string(b->partition));
    if (b->name)
        json_object_set_new(body, "name", json_string(b->name));
    if (b->time_limit)
        json_object_set_new(body, "time_limit_seconds", json_integer(b->time_limit));
    if (b->priority)
        json_object_set_new(body, "priority", json_integer(b->priority));
    if (b->hold)
        json_object_set_new(body, "held", json_true());
    if (json_object_size(b->environment))
        json_object_set(body, "environment", b->environment);
    return add_gpus(b, ranks, r, err);
}
