#include "orchestrator/verify/verifier.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "orchestrator/blob/blob.h"
#include "orchestrator/store/db.h"
#include "orchestrator/store/verification.h"
#include "orchestrator/verify/cage.h"
#include "orchestrator/verify/child.h"
#include "orchestrator/verify/result.h"

#define WAITING_MAX      1000
#define WAITING_MAX_USER 100
#define LAYER_TYPES_MAX  (1 << 20)
#define SEAL_SECONDS     3600
#define OUTPUT_FACTOR    200 /* a packed dataset is at most this many times its file, plus 1 GiB */
#define ARGS_FIXED       24
#define OVERRIDES_MAX    64

/* One verification under way. */
struct job {
    struct verifier *v;
    struct job *next;
    struct verify_request r; /* texts owned by `texts` */
    char **texts;
    size_t text_count, text_cap;
    char context[SHA256_HEX];
    char *folder; /* scratch */
    json_t *doc;
    char *text;
    char packed[SHA256_HEX];
    int64_t packed_size;
    verify_done_f done;
    void *arg;
};

struct verifier {
    struct orch *orch;
    char *trainer;
    char identity[160]; /* of the trainer's file: what is remembered holds for this one only */
    int max_running;
    struct job *waiting, **waiting_last;
    struct job *running;
    char *layer_types;
    uint64_t turn; /* counts those served */
    struct turn {
        int64_t user;
        uint64_t at;
    } turns[256]; /* who was served when, lately */
    struct verifier_counters counters;
};

const char *verifier_trainer(const struct verifier *v)
{
    return v->trainer;
}

const struct verifier_counters *verifier_counters(const struct verifier *v)
{
    return &v->counters;
}

/* --- a job's memory ------------------------------------------------------------------------------------- */

static const char *keep(struct job *j, char *text)
{
    j->texts = vec_grow(j->texts, &j->text_cap, j->text_count + 1, sizeof(*j->texts));
    j->texts[j->text_count++] = text;
    return text;
}

static const char *keep_copy(struct job *j, const char *text)
{
    return text ? keep(j, xstrdup(text)) : NULL;
}

static void copy_file(struct job *j, struct verify_file *f)
{
    f->path = keep_copy(j, f->path);
    f->digest = keep_copy(j, f->digest);
}

static struct job *job_create(struct verifier *v, const struct verify_request *r, verify_done_f done,
                              void *arg)
{
    struct job *j = xcalloc(1, sizeof(*j));
    j->v = v;
    j->r = *r;
    j->done = done;
    j->arg = arg;
    j->r.kind = keep_copy(j, r->kind);
    j->r.options = keep_copy(j, r->options);
    j->r.overrides = keep_copy(j, r->overrides);
    copy_file(j, &j->r.file);
    copy_file(j, &j->r.algorithm);
    copy_file(j, &j->r.data);
    struct verify_file *layers = xcalloc((size_t)r->layer_count + 1, sizeof(*layers));
    for (int i = 0; i < r->layer_count; i++) {
        layers[i] = r->layers[i];
        copy_file(j, &layers[i]);
    }
    j->r.layers = layers;
    return j;
}

static void job_free(struct job *j)
{
    if (j->folder)
        dir_remove(j->folder, NULL);
    for (size_t i = 0; i < j->text_count; i++)
        free(j->texts[i]);
    free(j->texts);
    free((void *)(uintptr_t)j->r.layers);
    free(j->folder);
    json_decref(j->doc);
    free(j->text);
    free(j);
}

/* --- ending --------------------------------------------------------------------------------------------- */

static void finish(struct job *j, const struct err *err)
{
    struct verifier *v = j->v;
    struct verify_outcome o = {.doc = j->doc, .text = j->text};
    if (err) {
        v->counters.broken++;
        log_error("verify", "a verification could not be done", KV_S("kind", j->r.kind), KV_E(err));
    } else {
        o.ok = json_is_true(json_object_get(j->doc, "ok"));
        o.packed_digest = j->packed[0] ? j->packed : NULL;
        o.packed_size = j->packed_size;
        if (o.ok)
            v->counters.passed++;
        else
            v->counters.failed++;
    }
    j->done(err ? NULL : &o, err, j->arg);
    job_free(j);
}

static void set_doc(struct job *j, json_t *doc)
{
    j->doc = doc;
    j->text = json_text(doc);
}

/* --- remembering ---------------------------------------------------------------------------------------- */

static void hash_text(struct sha256 *h, const char *text)
{
    /* With its end, so that two texts can't be taken for one. */
    sha256_update(h, text ? text : "", text ? strlen(text) + 1 : 0);
    sha256_update(h, "|", 1);
}

static void hash_context(struct job *j)
{
    struct sha256 h;
    char number[40];
    sha256_init(&h);
    hash_text(&h, j->r.options);
    hash_text(&h, j->r.overrides);
    hash_text(&h, j->r.algorithm.digest);
    hash_text(&h, j->r.data.digest);
    snprintf(number, sizeof(number), "%d ranks, %d pack", j->r.ranks, j->r.pack);
    hash_text(&h, number);
    for (int i = 0; i < j->r.layer_count; i++)
        hash_text(&h, j->r.layers[i].digest);
    sha256_hex(&h, j->context);
}

static struct verification_key key_of(const struct job *j)
{
    return (struct verification_key){j->r.file.digest, j->r.kind, j->context, j->v->identity};
}

static void remember(struct job *j)
{
    if (!j->r.remember || !json_is_true(json_object_get(j->doc, "ok")))
        return;
    struct verification_key key = key_of(j);
    /* A dataset that came packed is its own packed form; its blob may not be stored yet, so it is not
     * referred to. */
    bool other = j->packed[0] && strcmp(j->packed, j->r.file.digest) != 0;
    if (j->packed[0] && !other)
        return;
    db_submit(verification_insert(j->v->orch->db, &key, j->text, other ? j->packed : NULL, j->packed_size),
              NULL, NULL);
}

/* --- running -------------------------------------------------------------------------------------------- */

static void pump(struct verifier *v);

static void leave_running(struct job *j)
{
    for (struct job **p = &j->v->running; *p; p = &(*p)->next)
        if (*p == j) {
            *p = j->next;
            break;
        }
    j->v->counters.running--;
}

static void end_running(struct job *j, const struct err *err)
{
    struct verifier *v = j->v;
    leave_running(j);
    if (!err)
        remember(j);
    finish(j, err);
    pump(v);
}

static void on_sealed(const struct child_result *r, void *arg)
{
    struct job *j = arg;
    struct err err = {0};
    long long size = 0;
    char *pack = path_join(j->folder, "out/pack");
    if (r->exit_code != 0 || sscanf(buf_str(&r->output), "%64[0-9a-f] %lld", j->packed, &size) != 2) {
        err_set(&err, ERR_INTERNAL, "the packed dataset could not be sealed: %s", buf_str(&r->errors));
        j->packed[0] = 0;
    } else if (blob_adopt_sealed(j->v->orch->blobs, pack, j->packed, &err) == 0) {
        j->packed_size = size;
        blob_pin(j->v->orch->blobs, j->packed);
    }
    free(pack);
    end_running(j, err.code ? &err : NULL);
}

/* Hash and sync the packed form in a helper: it may be large. */
static void seal(struct job *j)
{
    struct err err = {0};
    char *pack = path_join(j->folder, "out/pack");
    struct stat st;
    if (lstat(pack, &st) < 0) {
        /* The trainer writes none when the file is one already. */
        memcpy(j->packed, j->r.file.digest, SHA256_HEX);
        j->packed_size = j->r.file.size;
        blob_pin(j->v->orch->blobs, j->packed);
        free(pack);
        end_running(j, NULL);
        return;
    }
    const char *const argv[] = {child_self(), "internal-seal", pack, NULL};
    struct child_spec spec = {.argv = argv, .max_output = 200, .seconds = SEAL_SECONDS};
    struct child *c = child_start(j->v->orch->children, &spec, on_sealed, j, &err);
    free(pack);
    if (!c)
        end_running(j, &err);
}

static void on_verified(const struct child_result *r, void *arg)
{
    struct job *j = arg;
    struct err err = {0};
    if (r->timed_out || r->overflowed || r->signal) {
        char message[200];
        if (r->timed_out)
            snprintf(message, sizeof(message), "the verification was stopped after its time limit");
        else if (r->overflowed)
            snprintf(message, sizeof(message), "the verification found more than can be reported");
        else
            snprintf(
                message, sizeof(message),
                "the verification was ended by signal %d (%s): too much time, memory or disk, or it crashed",
                r->signal, strsignal(r->signal));
        set_doc(j, verify_result_stopped(j->r.kind, message,
                                         "make the file smaller or simpler; limits are the operator's"));
        log_warn("verify", "stopped", KV_S("kind", j->r.kind), KV_I("signal", r->signal),
                 KV_I("user", j->r.user_id));
        end_running(j, NULL);
        return;
    }
    json_t *doc = verify_result_parse(buf_str(&r->output), r->output.len, j->r.kind, r->exit_code, &err);
    if (!doc) {
        log_error("verify", "the trainer said", KV_S("stderr", buf_str(&r->errors)));
        end_running(j, &err);
        return;
    }
    set_doc(j, doc);
    if (j->r.pack && json_is_true(json_object_get(doc, "ok")))
        seal(j);
    else
        end_running(j, NULL);
}

/* Link everything into the scratch folder; the names under which the trainer sees it are fixed. */
static int fill_folder(struct job *j, struct err *err)
{
    j->folder = cage_folder(blob_tmp_dir(j->v->orch->blobs), err);
    if (!j->folder || cage_put(j->folder, j->r.file.path, "file", err) < 0)
        return -1;
    if (j->r.algorithm.path && cage_put(j->folder, j->r.algorithm.path, "algorithm.json", err) < 0)
        return -1;
    if (j->r.data.path && cage_put(j->folder, j->r.data.path, "data", err) < 0)
        return -1;
    for (int i = 0; i < j->r.layer_count; i++) {
        char name[40];
        snprintf(name, sizeof(name), "layer-%d.json", i);
        if (cage_put(j->folder, j->r.layers[i].path, name, err) < 0)
            return -1;
    }
    return 0;
}

struct args {
    const char **items;
    size_t count;
};

static void arg_add(struct args *a, const char *text)
{
    a->items[a->count++] = text;
}

/* --set /pointer=value for every override; the form the trainer takes. */
static void add_overrides(struct job *j, struct args *a)
{
    json_t *o = j->r.overrides ? json_loads(j->r.overrides, 0, NULL) : NULL;
    const char *pointer;
    json_t *value;
    int n = 0;
    json_object_foreach(o, pointer, value)
    {
        if (n++ == OVERRIDES_MAX)
            break;
        char *text = json_text(value);
        arg_add(a, "--set");
        arg_add(a, keep(j, xasprintf("%s=%s", pointer, text)));
        free(text);
    }
    json_decref(o);
}

static void add_what(struct job *j, struct args *a)
{
    if (!strcmp(j->r.kind, "fit")) {
        char ranks[16];
        snprintf(ranks, sizeof(ranks), "%d", j->r.ranks);
        const char *const words[] = {"--model", "in/file", "--algorithm", "in/algorithm.json",
                                     "--data",  "in/data", "--ranks"};
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            arg_add(a, words[i]);
        arg_add(a, keep_copy(j, ranks));
        add_overrides(j, a);
    } else {
        arg_add(a, "in/file");
    }
    for (int i = 0; i < j->r.layer_count; i++) {
        arg_add(a, "--layer");
        arg_add(a, keep(j, xasprintf("in/layer-%d.json", i)));
    }
    if (j->r.options) {
        arg_add(a, "--options");
        arg_add(a, j->r.options);
    }
    if (j->r.pack) {
        arg_add(a, "--pack");
        arg_add(a, "out/pack");
    }
}

static int start_child(struct job *j, struct err *err)
{
    const struct conf *conf = j->v->orch->conf;
    bool dataset = !strcmp(j->r.kind, "dataset");
    int64_t seconds = conf_int(conf, dataset ? "verify-dataset-seconds" : "verify-seconds");
    int64_t most = conf_int(conf, "verify-disk"), fair = (1ll << 30) + OUTPUT_FACTOR * j->r.file.size;
    struct args a = {xcalloc((size_t)(ARGS_FIXED + 2 * j->r.layer_count + 2 * OVERRIDES_MAX), sizeof(char *)),
                     0};
    arg_add(&a, child_self());
    arg_add(&a, "internal-cage");
    arg_add(&a, keep(j, xasprintf("%d", (int)getpid())));
    arg_add(&a, keep(j, xasprintf("%lld", (long long)seconds)));
    arg_add(&a, keep(j, xasprintf("%lld", (long long)conf_int(conf, "verify-memory"))));
    arg_add(&a, keep(j, xasprintf("%lld", (long long)(fair < most ? fair : most))));
    arg_add(&a, j->v->trainer);
    arg_add(&a, "verify");
    arg_add(&a, j->r.kind);
    add_what(j, &a);
    /* Twice the processor time by the clock: a busy machine is not the file's fault. */
    struct child_spec spec = {
        .argv = a.items, .cwd = j->folder, .max_output = VERIFY_RESULT_MAX, .seconds = 2.0 * (double)seconds};
    struct child *c = child_start(j->v->orch->children, &spec, on_verified, j, err);
    free(a.items);
    return c ? 0 : -1;
}

static void start(struct job *j)
{
    struct err err = {0};
    struct verifier *v = j->v;
    j->next = v->running;
    v->running = j;
    v->counters.running++;
    if (!v->trainer)
        err_set(&err, ERR_UNAVAILABLE,
                "this server has no trainer to verify with (trainyard-train was not found)");
    if (err.code || fill_folder(j, &err) < 0 || start_child(j, &err) < 0) {
        leave_running(j);
        finish(j, &err);
    }
}

static int running_of(const struct verifier *v, int64_t user)
{
    int n = 0;
    for (const struct job *j = v->running; j; j = j->next)
        n += j->r.user_id == user;
    return n;
}

/* When the user was last served; 0: not lately. */
static uint64_t *last_turn(struct verifier *v, int64_t user)
{
    struct turn *oldest = &v->turns[0];
    for (size_t i = 0; i < ARRAY_LEN(v->turns); i++) {
        if (v->turns[i].user == user)
            return &v->turns[i].at;
        if (v->turns[i].at < oldest->at)
            oldest = &v->turns[i];
    }
    *oldest = (struct turn){.user = user};
    return &oldest->at;
}

/* The next to run: of those whose user has the fewest running, and was served longest ago, the one who waits longest. */
static struct job *take_next(struct verifier *v)
{
    struct job **best = NULL;
    int best_running = INT_MAX;
    uint64_t best_turn = 0;
    for (struct job **p = &v->waiting; *p; p = &(*p)->next) {
        int n = running_of(v, (*p)->r.user_id);
        uint64_t turn = *last_turn(v, (*p)->r.user_id);
        if (n < best_running || (n == best_running && turn < best_turn)) {
            best = p;
            best_running = n;
            best_turn = turn;
        }
    }
    if (!best)
        return NULL;
    struct job *j = *best;
    *last_turn(v, j->r.user_id) = ++v->turn;
    *best = j->next;
    if (!j->next)
        v->waiting_last = best;
    v->counters.waiting--;
    return j;
}

static void pump(struct verifier *v)
{
    while (v->counters.running < v->max_running) {
        struct job *j = take_next(v);
        if (!j)
            return;
        start(j);
    }
}

static void enqueue(struct job *j)
{
    struct verifier *v = j->v;
    j->next = NULL;
    *v->waiting_last = j;
    v->waiting_last = &j->next;
    v->counters.waiting++;
    pump(v);
}

/* --- asking --------------------------------------------------------------------------------------------- */

static void on_remembered(const struct db_results *r, const struct err *err, void *arg)
{
    struct job *j = arg;
    struct verifier *v = j->v;
    const char *result = err ? NULL : db_str(r, 0, 0, 0), *packed = err ? NULL : db_str(r, 0, 0, 1);
    bool whole = result && (!j->r.pack || (packed && blob_exists(v->orch->blobs, packed, NULL)));
    json_t *doc = whole ? json_parse(result, strlen(result), NULL, NULL, NULL) : NULL;
    if (!doc) {
        enqueue(j); /* not known, or the database is away: then it is found out again */
        return;
    }
    v->counters.remembered++;
    if (j->r.pack) {
        memcpy(j->packed, packed, SHA256_HEX);
        j->packed_size = db_int(r, 0, 0, 2);
        blob_pin(v->orch->blobs, j->packed);
    }
    set_doc(j, doc);
    finish(j, NULL);
}

struct refusal {
    struct job *job;
    struct err err;
};

static void on_refused(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct refusal *r = arg;
    finish(r->job, &r->err);
    free(r);
}

/* From the loop: the caller has not returned yet. */
static void refuse(struct job *j, const struct err *err)
{
    struct refusal *r = xcalloc(1, sizeof(*r));
    *r = (struct refusal){j, *err};
    event_base_once(j->v->orch->base, -1, EV_TIMEOUT, on_refused, r, &(struct timeval){0, 0});
}

static void on_enqueue(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    enqueue(arg);
}

void verifier_run(struct verifier *v, const struct verify_request *r, verify_done_f done, void *arg)
{
    struct job *j = job_create(v, r, done, arg);
    int mine = 0;
    for (const struct job *w = v->waiting; w; w = w->next)
        mine += w->r.user_id == r->user_id;
    struct err err = {0};
    if (v->counters.waiting >= WAITING_MAX || mine >= WAITING_MAX_USER) {
        err_set(&err, ERR_LIMIT, "too many verifications wait already; try again in a moment");
        refuse(j, &err);
    } else if (j->r.remember && j->r.file.digest) {
        hash_context(j);
        struct verification_key key = key_of(j);
        db_submit(verification_select(v->orch->db, &key), on_remembered, j);
    } else {
        event_base_once(v->orch->base, -1, EV_TIMEOUT, on_enqueue, j, &(struct timeval){0, 0});
    }
}

void verify_fit(struct verifier *v, const struct verify_fit *f, verify_done_f done, void *arg)
{
    struct blob_store *blobs = v->orch->blobs;
    struct verify_file *layers = xcalloc((size_t)f->layer_count + 1, sizeof(*layers));
    char **paths = xcalloc((size_t)f->layer_count + 3, sizeof(*paths));
    int n = 0;
    for (; n < f->layer_count; n++) {
        paths[n] = blob_path(blobs, f->layer_digests[n]);
        layers[n] = (struct verify_file){.path = paths[n], .digest = f->layer_digests[n]};
    }
    const char *const digests[] = {f->model_digest, f->algorithm_digest, f->packed_digest};
    for (int i = 0; i < 3; i++)
        paths[n + i] = blob_path(blobs, digests[i]);
    struct verify_request r = {
        .kind = "fit",
        .user_id = f->user_id,
        .file = {.path = paths[n], .digest = digests[0]},
        .algorithm = {.path = paths[n + 1], .digest = digests[1]},
        .data = {.path = paths[n + 2], .digest = digests[2]},
        .layers = layers,
        .layer_count = f->layer_count,
        .overrides = f->overrides,
        .ranks = f->ranks,
        .remember = true,
    };
    verifier_run(v, &r, done, arg);
    for (int i = 0; i < n + 3; i++)
        free(paths[i]);
    free(paths);
    free(layers);
}

/* --- layer types ---------------------------------------------------------------------------------------- */

struct layers_ask {
    struct verifier *v;
    verify_layers_f done;
    void *arg;
};

static void on_layer_types(const struct child_result *r, void *arg)
{
    struct layers_ask *ask = arg;
    struct err err = {0};
    json_t *doc = r->exit_code == 0 ? json_parse(buf_str(&r->output), r->output.len, NULL, NULL, &err) : NULL;
    if (doc) {
        free(ask->v->layer_types);
        ask->v->layer_types = json_text(doc);
        json_decref(doc);
    } else if (!err.code) {
        err_set(&err, ERR_INTERNAL, "`trainyard-train layers` ended with %d: %s", r->exit_code,
                buf_str(&r->errors));
    }
    ask->done(err.code ? NULL : ask->v->layer_types, err.code ? &err : NULL, ask->arg);
    free(ask);
}

void verifier_layer_types(struct verifier *v, verify_layers_f done, void *arg)
{
    struct err err = {0};
    if (v->layer_types) {
        done(v->layer_types, NULL, arg);
        return;
    }
    if (!v->trainer) {
        err_set(&err, ERR_UNAVAILABLE, "this server has no trainer (trainyard-train was not found)");
        done(NULL, &err, arg);
        return;
    }
    struct layers_ask *ask = xcalloc(1, sizeof(*ask));
    *ask = (struct layers_ask){v, done, arg};
    const char *const argv[] = {v->trainer, "layers", NULL};
    struct child_spec spec = {.argv = argv, .max_output = LAYER_TYPES_MAX, .seconds = 20};
    if (!child_start(v->orch->children, &spec, on_layer_types, ask, &err)) {
        free(ask);
        done(NULL, &err, arg);
    }
}

/* --- life ----------------------------------------------------------------------------------------------- */

static char *search_trainer(const struct conf *conf)
{
    if (conf_str(conf, "trainer"))
        return xstrdup(conf_str(conf, "trainer"));
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n < 0 ? 0 : n] = 0;
    char *slash = strrchr(self, '/');
    char *path = slash ? xasprintf("%.*s/trainyard-train", (int)(slash - self), self) : NULL;
    if (path && access(path, X_OK) == 0)
        return path;
    free(path);
    const char *list = getenv("PATH");
    for (const char *p = list ? list : ""; *p;) {
        size_t len = strcspn(p, ":");
        path = xasprintf("%.*s/trainyard-train", (int)len, p);
        if (path[0] == '/' && access(path, X_OK) == 0)
            return path;
        free(path);
        p += len + (p[len] == ':');
    }
    return NULL;
}

/* Where it really lies: the cage opens the folder of the file, not that of a link to it. */
static char *find_trainer(const struct conf *conf)
{
    char *found = search_trainer(conf), *real = found ? realpath(found, NULL) : NULL;
    free(found);
    return real;
}

struct verifier *verifier_create(struct orch *orch, struct err *err)
{
    (void)err;
    struct verifier *v = xcalloc(1, sizeof(*v));
    struct stat st;
    v->orch = orch;
    v->waiting_last = &v->waiting;
    v->max_running = (int)conf_int(orch->conf, "verify-children");
    v->trainer = find_trainer(orch->conf);
    if (!v->trainer || stat(v->trainer, &st) < 0) {
        log_warn("verify", "no trainer found: nothing can be verified; use --trainer PATH");
        free(v->trainer);
        v->trainer = NULL;
        return v;
    }
    snprintf(v->identity, sizeof(v->identity), "%s %lld %lld.%09ld", TRAINYARD_VERSION, (long long)st.st_size,
             (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    log_info("verify", "trainer", KV_S("path", v->trainer));
    return v;
}

void verifier_destroy(struct verifier *v)
{
    if (!v)
        return;
    struct job *lists[] = {v->waiting, v->running};
    for (int i = 0; i < 2; i++)
        while (lists[i]) {
            struct job *j = lists[i];
            lists[i] = j->next;
            job_free(j);
        }
    free(v->trainer);
    free(v->layer_types);
    free(v);
}
