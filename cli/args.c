#include "cli/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/nearest.h"

static const struct verb *find_verb(const struct verb *table, const char *name)
{
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

static const struct opt *find_in(const struct opt *o, const char *name, size_t n, char letter)
{
    for (; o && o->name; o++)
        if (letter ? o->letter == letter : strlen(o->name) == n && memcmp(o->name, name, n) == 0)
            return o;
    return NULL;
}

static const struct opt *find_opt(const struct args *a, const char *name, size_t n, char letter)
{
    const struct opt *o = a->verb ? find_in(a->verb->opts, name, n, letter) : NULL;
    return o ? o : find_in(global_opts, name, n, letter);
}

static int unknown_verb(const struct verb *table, const char *parent, const char *name, struct err *err)
{
    const char *names[64];
    int n = 0;
    for (const struct verb *v = table; v->name && n < 63; v++)
        names[n++] = v->name;
    names[n] = NULL;
    const char *near = nearest_name(name, names);
    return err_set(err, ERR_INVALID, "there is no command \"%s%s%.60s\"%s%s%s; see trainyard help %s",
                   parent ? parent : "", parent ? " " : "", name, near ? "; did you mean \"" : "",
                   near ? near : "", near ? "\"?" : "", parent ? parent : "");
}

static int unknown_opt(const struct args *a, const char *arg, size_t n, struct err *err)
{
    const char *names[64];
    int count = 0;
    for (const struct opt *o = a->verb ? a->verb->opts : NULL; o && o->name && count < 40; o++)
        names[count++] = o->name;
    for (const struct opt *o = global_opts; o->name && count < 63; o++)
        names[count++] = o->name;
    names[count] = NULL;
    char *bare = xstrndup(arg + strspn(arg, "-"), n - strspn(arg, "-"));
    const char *near = nearest_name(bare, names);
    free(bare);
    return err_set(err, ERR_INVALID, "there is no option \"%.*s\" here%s%s%s; see --help",
                   (int)(n > 60 ? 60 : n), arg, near ? "; did you mean \"--" : "", near ? near : "",
                   near ? "\"?" : "");
}

static void give(struct args *a, const struct opt *o, const char *value)
{
    a->given = xreallocarray(a->given, (size_t)a->given_count + 1, sizeof *a->given);
    a->given[a->given_count++] = (struct given){o, value};
}

/* One option at argv[i]; returns how many arguments it took, -1 on error. */
static int take_opt(struct args *a, int argc, char **argv, int i, struct err *err)
{
    const char *arg = argv[i];
    if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
        a->help = true;
        return 1;
    }
    bool is_long = arg[1] == '-';
    const char *eq = is_long ? strchr(arg, '=') : NULL;
    size_t n = eq ? (size_t)(eq - arg) : strlen(arg);
    const struct opt *o = is_long ? find_opt(a, arg + 2, n - 2, 0) : find_opt(a, NULL, 0, arg[1]);
    if (!o)
        return unknown_opt(a, arg, n, err);
    if (o->kind == OPT_FLAG) {
        if (eq || (!is_long && arg[2]))
            return err_set(err, ERR_INVALID, "--%s takes no value", o->name);
        give(a, o, "");
        return 1;
    }
    if (eq || (!is_long && arg[2])) {
        give(a, o, eq ? eq + 1 : arg + 2);
        return 1;
    }
    if (i + 1 >= argc)
        return err_set(err, ERR_INVALID, "--%s wants a value: --%s %s", o->name, o->name, o->value);
    give(a, o, argv[i + 1]);
    return 2;
}

/* A word is the verb, its sub-verb, or an argument. */
static int take_word(const struct verb *table, struct args *a, const char *word, struct err *err)
{
    if (!a->verb || a->verb->subs) {
        const struct verb *in = a->verb ? a->verb->subs : table;
        const struct verb *v = find_verb(in, word);
        if (!v)
            return unknown_verb(in, a->path[0], word, err);
        a->path[a->path[0] ? 1 : 0] = v->name;
        a->verb = v;
        return 0;
    }
    a->words[a->count++] = word;
    return 0;
}

static int check_words(const struct args *a, struct err *err)
{
    const struct verb *v = a->verb;
    const char *sub = a->path[1] ? a->path[1] : "";
    if (!v)
        return err_set(err, ERR_INVALID, "which command? See trainyard help");
    if (v->subs)
        return err_set(err, ERR_INVALID, "trainyard %s what? See trainyard help %s", v->name, v->name);
    if (a->count < v->min_words)
        return err_set(err, ERR_INVALID, "something is missing: trainyard %s%s%s %s", a->path[0],
                       *sub ? " " : "", sub, v->words);
    if (v->max_words >= 0 && a->count > v->max_words)
        return err_set(err, ERR_INVALID, "\"%.60s\" is one argument too many: trainyard %s%s%s %s",
                       a->words[v->max_words], a->path[0], *sub ? " " : "", sub, v->words);
    return 0;
}

int args_parse(const struct verb *table, int argc, char **argv, struct args *out, struct err *err)
{
    *out = (struct args){0};
    out->words = xcalloc((size_t)argc + 1, sizeof *out->words);
    bool options = true;
    for (int i = 0; i < argc;) {
        int took = 1;
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && argv[i][0] == '-' && argv[i][1])
            took = take_opt(out, argc, argv, i, err);
        else if (take_word(table, out, argv[i], err))
            took = -1;
        if (took < 0)
            return -1;
        i += took;
    }
    return out->help ? 0 : check_words(out, err);
}

void args_free(struct args *a)
{
    free(a->words);
    free(a->given);
    *a = (struct args){0};
}

const char *args_str(const struct args *a, const char *name)
{
    for (int i = a->given_count - 1; i >= 0; i--)
        if (strcmp(a->given[i].opt->name, name) == 0)
            return a->given[i].value;
    return NULL;
}

bool args_flag(const struct args *a, const char *name)
{
    return args_str(a, name) != NULL;
}

const char *args_next(const struct args *a, const char *name, int *at)
{
    for (; *at < a->given_count; (*at)++)
        if (strcmp(a->given[*at].opt->name, name) == 0)
            return a->given[(*at)++].value;
    return NULL;
}

static int parse_int(const char *what, const char *text, int64_t min, int64_t max, int64_t *out,
                     struct err *err)
{
    char *end;
    long long v = strtoll(text, &end, 10);
    if (!*text || *end || v < min || v > max)
        return err_set(err, ERR_INVALID, "%s must be a whole number from %lld to %lld, not \"%.60s\"", what,
                       (long long)min, (long long)max, text);
    *out = v;
    return 0;
}

int args_int(const struct args *a, const char *name, int64_t min, int64_t max, int64_t *out, struct err *err)
{
    const char *text = args_str(a, name);
    if (!text)
        return 0;
    char what[64];
    snprintf(what, sizeof what, "--%s", name);
    return parse_int(what, text, min, max, out, err);
}

int args_job(const struct args *a, int64_t *job, struct err *err)
{
    return parse_int("a job's number", a->words[0], 1, INT64_MAX, job, err);
}
