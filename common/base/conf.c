#include "base/conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"

struct value {
    char *text; /* as given; NULL: unset */
    int64_t number;
};

struct conf {
    const struct conf_option *table;
    int count;
    struct value *values;
};

static int find(const struct conf *c, const char *name, size_t n)
{
    for (int i = 0; i < c->count; i++)
        if (strlen(c->table[i].name) == n && !memcmp(c->table[i].name, name, n))
            return i;
    return -1;
}

static int parse_bool(const char *text, int64_t *out)
{
    static const char *const yes[] = {"1", "true", "yes", "on"}, *const no[] = {"0", "false", "no", "off"};
    for (int i = 0; i < 4; i++) {
        if (!strcasecmp(text, yes[i]) || !strcasecmp(text, no[i])) {
            *out = !strcasecmp(text, yes[i]);
            return 0;
        }
    }
    return -1;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *p = choices; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
        if (strcspn(p, "|") == n && !memcmp(p, text, n))
            return true;
    return false;
}

static int set(struct conf *c, int i, const char *text, const char *from, struct err *err)
{
    const struct conf_option *o = &c->table[i];
    struct value v = {0};
    char *end;
    struct err why = {0};
    int rc = 0;
    errno = 0;
    switch (o->type) {
    case CONF_STR:
        break;
    case CONF_INT:
        v.number = strtoll(text, &end, 10);
        if (end == text || *end || errno)
            rc = err_set(&why, ERR_INVALID, "\"%s\" is not an integer", text);
        break;
    case CONF_BOOL:
        if (parse_bool(text, &v.number) < 0)
            rc = err_set(&why, ERR_INVALID, "\"%s\" is neither true nor false", text);
        break;
    case CONF_SIZE:
        rc = units_parse_size(text, &v.number, &why);
        break;
    case CONF_DURATION:
        rc = units_parse_duration(text, &v.number, &why);
        break;
    case CONF_CHOICE:
        if (!is_choice(o->choices, text))
            rc = err_set(&why, ERR_INVALID, "\"%s\" is not one of %s", text, o->choices);
        break;
    }
    if (rc == 0 && (o->min || o->max) && o->type != CONF_STR && o->type != CONF_CHOICE &&
        (v.number < o->min || v.number > o->max))
        rc = err_set(&why, ERR_INVALID, "%s is outside %lld..%lld", text, (long long)o->min,
                     (long long)o->max);
    if (rc < 0)
        return err_set(err, ERR_INVALID, "%s (option \"%s\"): %s", from, o->name, why.text);
    v.text = xstrdup(text);
    free(c->values[i].text);
    c->values[i] = v;
    return 0;
}

static char *env_name(const struct conf_option *o)
{
    if (o->env)
        return xstrdup(o->env);
    char *s = xasprintf("TRAINYARD_%s", o->name);
    for (char *p = s; *p; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    return s;
}

static int from_environment(struct conf *c, struct err *err)
{
    for (int i = 0; i < c->count; i++) {
        char *name = env_name(&c->table[i]);
        const char *text = getenv(name);
        int rc = text && *text ? set(c, i, text, name, err) : 0;
        free(name);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int file_member(struct conf *c, const char *path, const char *key, json_t *value, struct err *err)
{
    int i = find(c, key, strlen(key));
    if (i < 0) {
        const char **names = xcalloc((size_t)c->count + 1, sizeof(*names));
        for (int k = 0; k < c->count; k++)
            names[k] = c->table[k].name;
        const char *near = nearest_name(key, names);
        free(names);
        return err_set(err, ERR_INVALID, "%s: unknown option \"%s\"%s%s%s", path, key,
                       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    char *text = json_is_string(value) ? xstrdup(json_string_value(value)) : json_text(value);
    int rc = json_is_object(value) || json_is_array(value)
                 ? err_set(err, ERR_INVALID, "%s: option \"%s\" must be a single value", path, key)
                 : set(c, i, text, path, err);
    free(text);
    return rc;
}

static int from_file(struct conf *c, const char *path, struct err *err)
{
    json_t *doc = json_parse_file(path, 1 << 20, err);
    if (!doc)
        return err_prefix(err, "configuration file");
    int rc = json_is_object(doc)
                 ? 0
                 : err_set(err, ERR_INVALID, "configuration file %s: expected a JSON object", path);
    const char *key;
    json_t *value;
    if (rc == 0) {
        json_object_foreach(doc, key, value)
        {
            rc = file_member(c, path, key, value, err);
            if (rc < 0)
                break;
        }
    }
    json_decref(doc);
    return rc;
}

/* One flag at argv[i]; returns how many words it took, or -1. */
static int one_flag(struct conf *c, int argc, char **argv, int i, struct err *err)
{
    const char *flag = argv[i] + 2;
    size_t n = strcspn(flag, "=");
    int k = find(c, flag, n);
    bool negated = false;
    if (k < 0 && n > 3 && !strncmp(flag, "no-", 3)) {
        k = find(c, flag + 3, n - 3);
        negated = k >= 0 && c->table[k].type == CONF_BOOL;
        k = negated ? k : -1;
    }
    if (k < 0) {
        const char **names = xcalloc((size_t)c->count + 1, sizeof(*names));
        for (int j = 0; j < c->count; j++)
            names[j] = c->table[j].name;
        char *asked = xstrndup(flag, n);
        const char *near = nearest_name(asked, names);
        err_set(err, ERR_INVALID, "unknown option --%s%s%s%s; --help lists all", asked,
                near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
        free(asked);
        free(names);
        return -1;
    }
    char from[80];
    snprintf(from, sizeof(from), "--%s", c->table[k].name);
    if (flag[n] == '=')
        return set(c, k, flag + n + 1, from, err) < 0 ? -1 : 1;
    if (c->table[k].type == CONF_BOOL)
        return set(c, k, negated ? "false" : "true", from, err) < 0 ? -1 : 1;
    if (i + 1 >= argc)
        return err_set(err, ERR_INVALID, "option %s needs a value", from);
    return set(c, k, argv[i + 1], from, err) < 0 ? -1 : 2;
}

static int from_flags(struct conf *c, int argc, char **argv, int *rest, struct err *err)
{
    int i = 0;
    while (i < argc && argv[i][0] == '-' && argv[i][1] == '-') {
        if (!argv[i][2]) {
            i++;
            break;
        }
        int took = one_flag(c, argc, argv, i, err);
        if (took < 0)
            return -1;
        i += took;
    }
    if (rest)
        *rest = i;
    return 0;
}

static void print_help(const char *program, const char *about, const struct conf *c)
{
    static const char *const words[] = {"TEXT", "N", "", "SIZE", "TIME", ""};
    printf("Usage: %s [options]\n\n%s\n\nOptions (flag, then environment, then configuration file, then "
           "default):\n",
           program, about);
    for (int i = 0; i < c->count; i++) {
        const struct conf_option *o = &c->table[i];
        char *env = env_name(o);
        printf("  --%s %s\n        %s", o->name, o->type == CONF_CHOICE ? o->choices : words[o->type],
               o->help);
        if (o->fallback && *o->fallback)
            printf(" Default: %s.", o->fallback);
        printf(" [%s]\n", env);
        free(env);
    }
    printf("  --help\n        Say this.\n");
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    return false;
}

/* Flags are read twice: first only to know where the configuration file is, last because they are strongest.
 */
static int load_all(struct conf *c, int argc, char **argv, int *rest, struct err *err)
{
    for (int i = 0; i < c->count; i++)
        if (c->table[i].fallback && set(c, i, c->table[i].fallback, "default", err) < 0)
            return -1;
    if (from_environment(c, err) < 0 || from_flags(c, argc, argv, rest, err) < 0)
        return -1;
    int k = find(c, "config", 6);
    if (k < 0 || !c->values[k].text || !*c->values[k].text)
        return 0;
    char *path = xstrdup(c->values[k].text);
    int rc = from_file(c, path, err);
    free(path);
    if (rc < 0 || from_environment(c, err) < 0)
        return -1;
    return from_flags(c, argc, argv, rest, err);
}

struct conf *conf_load(const char *program, const char *about, const struct conf_option *table, int count,
                       int argc, char **argv, int *rest, struct err *err)
{
    struct conf *c = xcalloc(1, sizeof(*c));
    c->table = table;
    c->count = count;
    c->values = xcalloc((size_t)count, sizeof(*c->values));
    if (wants_help(argc, argv)) {
        print_help(program, about, c);
        if (err)
            *err = (struct err){0};
        conf_destroy(c);
        return NULL;
    }
    if (load_all(c, argc, argv, rest, err) < 0) {
        conf_destroy(c);
        return NULL;
    }
    return c;
}

void conf_destroy(struct conf *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->count; i++)
        free(c->values[i].text);
    free(c->values);
    free(c);
}

static const struct value *must(const struct conf *c, const char *name)
{
    int i = find(c, name, strlen(name));
    if (i < 0) {
        fprintf(stderr, "fatal: the program asks for option \"%s\", which is not in its table\n", name);
        abort();
    }
    return &c->values[i];
}

const char *conf_str(const struct conf *c, const char *name)
{
    return must(c, name)->text;
}

int64_t conf_int(const struct conf *c, const char *name)
{
    return must(c, name)->number;
}

bool conf_bool(const struct conf *c, const char *name)
{
    return must(c, name)->number != 0;
}
