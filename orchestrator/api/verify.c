#include "orchestrator/api/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/json.h"
#include "base/mem.h"
#include "orchestrator/api/assets.h"
#include "orchestrator/api/tasks.h"
#include "orchestrator/blob/blob.h"
#include "orchestrator/store/asset.h"
#include "orchestrator/store/task.h"
#include "orchestrator/verify/verifier.h"

#define RANKS_MAX 1024

static void on_verified(const struct verify_outcome *o, const struct err *err, void *arg)
{
    struct call *c = arg;
    if (err)
        call_reply_err(c, err);
    else
        call_reply_text(c, 200, o->text);
}

/* --- one file ------------------------------------------------------------------------------------------- */

struct check {
    struct call *call;
    const char *kind, *task, *metadata;
    struct blob_writer *writer;
    struct verify_file *layers;
    int layer_count;
};

static void release(void *p)
{
    struct check *k = p;
    blob_writer_discard(k->writer);
    free(k);
}

static int on_data(struct http_req *req, const void *p, size_t n, void *arg)
{
    (void)req;
    struct check *k = arg;
    struct err err = {0};
    if (blob_writer_add(k->writer, p, n, &err) == 0)
        return 0;
    call_reply_err(k->call, &err);
    return -1;
}

static void on_end(struct http_req *req, const struct err *error, void *arg)
{
    (void)req;
    struct check *k = arg;
    struct call *c = k->call;
    if (error) {
        call_reply_err(c, error);
        return;
    }
    char digest[SHA256_HEX];
    struct verify_request r = {.kind = k->kind,
                               .user_id = c->user.id,
                               .layers = k->layers,
                               .layer_count = k->layer_count,
                               .options = k->metadata};
    r.file.path = blob_writer_seal(k->writer, digest, &r.file.size);
    r.file.digest = digest;
    if (r.file.size == 0)
        call_fail(c, ERR_INVALID, "the file is empty; send its bytes as the body of the request");
    else
        verifier_run(c->orch->verifier, &r, on_verified, c);
}

static void stream_body(struct call *c)
{
    struct check *k = c->data;
    struct err err = {0};
    int64_t max = strcmp(k->kind, "dataset") ? ASSET_JSON_MAX : conf_int(c->orch->conf, "dataset-max");
    k->writer = blob_writer_create(c->orch->blobs, &err);
    if (k->writer)
        http_req_stream_body(c->req, max > 0 ? max : INT64_MAX, on_data, on_end, k);
    else
        call_reply_err(c, &err);
}

static struct verify_file *files_of_layers(struct call *c, const struct db_results *r, int statement)
{
    int n = db_rows(r, statement);
    struct verify_file *layers = arena_alloc(&c->arena, ((size_t)n + 1) * sizeof(*layers));
    for (int i = 0; i < n; i++) {
        const char *digest = arena_strdup(&c->arena, db_str(r, statement, i, 2));
        char *path = blob_path(c->orch->blobs, digest);
        arena_keep(&c->arena, path, free);
        layers[i] = (struct verify_file){.path = path, .digest = digest};
    }
    return layers;
}

static void on_layers(struct call *c, const struct db_results *r)
{
    struct check *k = c->data;
    if (db_rows(r, 1) == 0) {
        task_not_found(c, k->task);
        return;
    }
    /* A layer being written is not checked against what it will replace, if it says so by ?name=. */
    const char *own = call_query_param(c, "name");
    int n = db_rows(r, 0);
    struct verify_file *all = files_of_layers(c, r, 0);
    k->layers = arena_alloc(&c->arena, ((size_t)n + 1) * sizeof(*k->layers));
    for (int i = 0; i < n; i++)
        if (strcmp(k->kind, "layer") != 0 || !own || strcmp(own, db_str(r, 0, i, 0)) != 0)
            k->layers[k->layer_count++] = all[i];
    stream_body(c);
}

static int read_metadata(struct call *c, struct check *k, struct err *err)
{
    const char *metadata = call_query_param(c, "metadata");
    if (!metadata || !*metadata)
        return 0;
    json_t *m = strlen(metadata) > 16384 ? NULL : json_parse(metadata, strlen(metadata), NULL, NULL, err);
    if (!json_is_object(m)) {
        json_decref(m);
        return err_set(err, ERR_INVALID, "?metadata= must be a JSON object of at most 16384 bytes");
    }
    if (!strcmp(k->kind, "dataset") && json_object_size(m) > 0) {
        char *text = json_text(m);
        arena_keep(&c->arena, text, free);
        k->metadata = text;
    }
    json_decref(m);
    return 0;
}

void verify_post(struct call *c)
{
    struct err err = {0};
    struct check *k = xcalloc(1, sizeof(*k));
    arena_keep(&c->arena, k, release);
    k->call = c;
    k->kind = asset_kind_singular(c->params[0]);
    k->task = call_query_param(c, "task");
    c->data = k;
    if (!k->kind) {
        call_fail(c, ERR_NOT_FOUND, "\"%.40s\" is not dataset, algorithm, layer, model or fit", c->params[0]);
    } else if (read_metadata(c, k, &err) < 0) {
        call_reply_err(c, &err);
    } else if (!k->task) {
        stream_body(c);
    } else {
        struct db_batch *b = layer_list(c->orch->db, call_owner(c), k->task);
        task_id_add(b, call_owner(c), k->task);
        call_query(c, b, on_layers, NULL);
    }
}

/* --- the fit of several --------------------------------------------------------------------------------- */

struct fit {
    const char *task, *refs[3], *overrides;
    char names[3][65];
    int64_t ranks;
};
static const char *const fit_kinds[3] = {"dataset", "algorithm", "model"};

static void on_assets(struct call *c, const struct db_results *r)
{
    const struct fit *f = c->data;
    for (int i = 0; i < 3; i++)
        if (db_rows(r, i) == 0) {
            asset_not_found(c, f->task, fit_kinds[i], f->names[i]);
            return;
        }
    int n = db_rows(r, 3);
    const char **layers = arena_alloc(&c->arena, ((size_t)n + 1) * sizeof(*layers));
    for (int i = 0; i < n; i++)
        layers[i] = db_str(r, 3, i, 2);
    struct verify_fit fit = {
        .user_id = c->user.id,
        .packed_digest = db_str(r, 0, 0, ASSET_PACKED_DIGEST),
        .algorithm_digest = db_str(r, 1, 0, ASSET_DIGEST),
        .model_digest = db_str(r, 2, 0, ASSET_DIGEST),
        .layer_digests = layers,
        .layer_count = n,
        .ranks = (int)f->ranks,
        .overrides = f->overrides,
    };
    verify_fit(c->orch->verifier, &fit, on_verified, c);
}

static void check_fit(struct call *c)
{
    static const char *const members[] = {"task",  "dataset",   "algorithm", "model",
                                          "ranks", "overrides", NULL};
    struct err err = {0};
    struct fit *f = arena_alloc(&c->arena, sizeof(*f));
    const json_t *overrides = json_object_get(c->body, "overrides");
    f->ranks = 1;
    int64_t versions[3];
    int rc = json_only_members(c->body, members, &err);
    if (rc == 0)
        rc = json_get_str(c->body, "task", true, &f->task, &err);
    if (rc == 0)
        rc = json_get_int(c->body, "ranks", false, &f->ranks, &err);
    for (int i = 0; rc == 0 && i < 3; i++)
        if ((rc = json_get_str(c->body, fit_kinds[i], true, &f->refs[i], &err)) == 0 &&
            (rc = asset_ref_parse(f->refs[i], f->names[i], &versions[i], &err)) < 0)
            err_prefix(&err, "\"%s\"", fit_kinds[i]);
    if (rc == 0 && (f->ranks < 1 || f->ranks > RANKS_MAX))
        rc = err_set(&err, ERR_INVALID, "\"ranks\" must be from 1 to %d", RANKS_MAX);
    if (rc == 0 && overrides && !json_is_object(overrides))
        rc = err_set(&err, ERR_INVALID, "\"overrides\" must be an object of pointers and values");
    if (rc < 0) {
        call_reply_err(c, &err);
        return;
    }
    if (overrides && json_object_size(overrides) > 0) {
        char *text = json_text(overrides);
        arena_keep(&c->arena, text, free);
        f->overrides = text;
    }
    c->data = f;
    struct db_batch *b = db_batch_create(c->orch->db, DB_READ);
    for (int i = 0; i < 3; i++)
        asset_select_add(b, call_owner(c), f->task, fit_kinds[i], f->names[i], versions[i]);
    layer_list_add(b, call_owner(c), f->task);
    call_query(c, b, on_assets, NULL);
}

void verify_fit_post(struct call *c)
{
    call_read_json(c, 65536, check_fit);
}
