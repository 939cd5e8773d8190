#include "orchestrator/api/password.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "orchestrator/verify/child.h"

#define AT_ONCE   2
#define QUEUE_MAX 64
/* About a quarter of a second and 64 MiB: dear for who tries many, bearable for who signs in. */
#define OPSLIMIT 3
#define MEMLIMIT (64u << 20)

struct work {
    struct passwords *all;
    struct work *next;
    char *input;
    size_t input_len;
    auth_hash_f hash_done;
    auth_password_f check_done;
    void *arg;
    bool unknown_user;
};

struct passwords {
    struct children *children;
    struct work *first, **last;
    int waiting, running;
};

struct passwords *passwords_create(struct children *children)
{
    struct passwords *p = xcalloc(1, sizeof(*p));
    p->children = children;
    p->last = &p->first;
    return p;
}

static void work_free(struct work *w)
{
    sodium_memzero(w->input, w->input_len);
    free(w->input);
    free(w);
}

void passwords_destroy(struct passwords *p)
{
    if (!p)
        return;
    while (p->first) {
        struct work *w = p->first;
        p->first = w->next;
        work_free(w);
    }
    free(p);
}

static void pump(struct passwords *p);

static void finish(struct work *w, const char *output, const struct err *err)
{
    if (w->hash_done)
        w->hash_done(err ? NULL : output, err, w->arg);
    else
        w->check_done(!err && !strcmp(output, "right") && !w->unknown_user, err, w->arg);
    work_free(w);
}

static void on_child(const struct child_result *r, void *arg)
{
    struct work *w = arg;
    struct passwords *p = w->all;
    struct err err = {0};
    p->running--;
    if (r->exit_code != 0)
        err_set(&err, ERR_INTERNAL, "the password helper ended with %d, signal %d: %s", r->exit_code,
                r->signal, buf_str(&r->errors));
    finish(w, buf_str(&r->output), err.code ? &err : NULL);
    pump(p);
}

static void pump(struct passwords *p)
{
    while (p->first && p->running < AT_ONCE) {
        struct work *w = p->first;
        p->first = w->next;
        if (!p->first)
            p->last = &p->first;
        p->waiting--;
        struct err err = {0};
        const char *const argv[] = {child_self(), "internal-password", NULL};
        struct child_spec spec = {
            .argv = argv, .input = w->input, .input_len = w->input_len, .max_output = 1024, .seconds = 30};
        if (child_start(p->children, &spec, on_child, w, &err))
            p->running++;
        else
            finish(w, "", &err);
    }
}

static void add(struct passwords *p, struct work *w, const char *password, const char *hash)
{
    size_t n = strlen(password);
    w->all = p;
    w->input_len = n + 1 + strlen(hash);
    w->input = xcalloc(1, w->input_len + 1);
    memcpy(w->input, password, n);
    memcpy(w->input + n + 1, hash, strlen(hash));
    if (p->waiting >= QUEUE_MAX) {
        struct err err;
        err_set(&err, ERR_LIMIT, "too many sign-ins at once; try again");
        finish(w, "", &err);
        return;
    }
    *p->last = w;
    p->last = &w->next;
    p->waiting++;
    pump(p);
}

void passwords_hash(struct passwords *p, const char *password, auth_hash_f done, void *arg)
{
    struct work *w = xcalloc(1, sizeof(*w));
    w->hash_done = done;
    w->arg = arg;
    add(p, w, password, "");
}

void passwords_check(struct passwords *p, const char *password, const char *hash, auth_password_f done,
                     void *arg)
{
    /* Security: a name that nobody has takes as long as a wrong password: this is a hash of random bytes. */
    static const char nobody[] =
        "$argon2id$v=19$m=65536,t=3,p=1$k0hWFqfbLoCmIAWnxFqUdA$GXtkzQwrXOTJpMqz0VJ7GCw0CFGFPSTjM7uYVZuhBgk";
    struct work *w = xcalloc(1, sizeof(*w));
    w->check_done = done;
    w->arg = arg;
    w->unknown_user = !hash;
    add(p, w, password, hash ? hash : nobody);
}

/* --- the child's side ----------------------------------------------------------------------------------- */

int password_main(void)
{
    static char input[PASSWORD_MAX + 1 + crypto_pwhash_STRBYTES + 2];
    size_t n = 0;
    for (ssize_t got; (got = read(0, input + n, sizeof(input) - 1 - n)) > 0;)
        n += (size_t)got;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    size_t password_len = strlen(input);
    if (sodium_init() < 0 || password_len == 0 || password_len >= n)
        return 1;
    const char *hash = input + password_len + 1;
    char made[crypto_pwhash_STRBYTES];
    if (*hash) {
        fputs(crypto_pwhash_str_verify(hash, input, password_len) == 0 ? "right" : "wrong", stdout);
    } else {
        if (crypto_pwhash_str_alg(made, input, password_len, OPSLIMIT, MEMLIMIT,
                                  crypto_pwhash_ALG_ARGON2ID13) < 0)
            return 1;
        fputs(made, stdout);
    }
    sodium_memzero(input, sizeof(input));
    return fflush(stdout) == 0 ? 0 : 1;
}
