/* An upload's way: is there such a task (of this caller's)? -> the bytes to a temporary file, hashed as they
 * arrive -> known already?
 * -> the task's layers -> verification in a child -> the blob store -> one transaction -> the reply. What
 * fails on the way leaves nothing behind. */
#include "orchestrator/api/assets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/mem.h"
#include "orchestrator/api/span.h"
#include "orchestrator/api/tasks.h"
#include "orchestrator/api/uploads.h"
#include "orchestrator/blob/blob.h"
#include "orchestrator/store/asset.h"
#include "orchestrator/store/task.h"
#include "orchestrator/stream/stream.h"
#include "orchestrator/verify/child.h"
#include "orchestrator/verify/result.h"
#include "orchestrator/verify/verifier.h"

#define METADATA_MAX 16384

struct ingest {
    struct call *call;
    const char *task, *kind, *name, *description, *metadata;
    struct blob_writer *writer; /* the bytes came in this request */
    const char *upload;         /* or in an upload */
    char *path;
    char digest[SHA256_HEX];
    int64_t size;
    const struct verify_file *layers;
    int layer_count;
    const char *verification;
    char packed[SHA256_HEX];
    int64_t packed_size;
    bool pinned;
    int statement;
};

static void release(void *p)
{
    struct ingest *in = p;
    struct blob_store *blobs = in->call->orch->blobs;
    blob_writer_discard(in->writer);
    if (in->packed[0])
        blob_unpin(blobs, in->packed);
    if (in->pinned)
        blob_unpin(blobs, in->digest);
    free(in->path);
    free(in);
}

/* --- what is said about it ------------------------------------------------------------------------------ */

static int check_description(const char *text, struct err *err)
{
    return text && strlen(text) > 10000
               ? err_set(err, ERR_INVALID, "the description may have 10000 characters")
               : 0;
}

static int take_metadata(struct ingest *in, const json_t *metadata, struct err *err)
{
    if (!metadata || json_is_null(metadata)) {
        in->metadata = "{}";
        return 0;
    }
    if (!json_is_object(metadata))
        return err_set(err, ERR_INVALID, "the metadata must be a JSON object");
    char *text = json_text(metadata);
    arena_keep(&in->call->arena, text, free);
    if (strlen(text) > METADATA_MAX)
        return err_set(err, ERR_INVALID, "the metadata may have %d bytes as JSON", METADATA_MAX);
    in->metadata = text;
    return 0;
}

/* ?name= ?description= ?metadata= */
static int read_query(struct ingest *in, struct err *err)
{
    struct call *c = in->call;
    in->name = call_query_param(c, "name");
    in->description = call_query_param(c, "description");
    const char *metadata = call_query_param(c, "metadata");
    if (name_check(arena_printf(&c->arena, "a %s", in->kind), in->name, err) < 0 ||
        check_description(in->description, err) < 0)
        return -1;
    if (metadata && strlen(metadata) > METADATA_MAX)
        return err_set(err, ERR_INVALID, "?metadata= may have %d bytes", METADATA_MAX);
    json_t *m = metadata ? json_parse(metadata, strlen(metadata), NULL, NULL, err) : NULL;
    if (metadata && !m)
        return err_prefix(err, "?metadata=");
    int rc = take_metadata(in, m, err);
    json_decref(m);
    return rc;
}

/* --- the end: keep it ----------------------------------------------------------------------------------- */

static void on_kept(struct call *c, const struct db_results *r)
{
    struct ingest *in = c->data;
    if (db_rows(r, in->statement) == 0) {
        task_not_found(c, in->task); /* deleted meanwhile */
        return;
    }
    if (in->upload)
        upload_done(c, in->upload);
    const char *json = db_str(r, in->statement, 0, 0);
    if (!db_bool(r, in->statement, 0, 1)) {
        call_reply_text(c, 200, json);
        return;
    }
    task_publish(c, in->task, r, in->statement, 3);
    call_reply_created(c,
                       arena_printf(&c->arena, "/api/v1/tasks/%s/%ss/%s@%lld", in->task, in->kind, in->name,
                                    (long long)db_int(r, in->statement, 0, 2)),
                       json);
}

static void keep(struct ingest *in)
{
    struct call *c = in->call;
    struct err err = {0};
    int rc;
    if (in->writer) {
        rc = blob_writer_finish(in->writer, NULL, in->digest, &in->size, &err);
        in->writer = NULL;
    } else {
        rc = blob_adopt_sealed(c->orch->blobs, in->path, in->digest, &err);
    }
    if (rc < 0) {
        call_reply_err(c, &err);
        return;
    }
    /* Until the row that refers to it is committed; unpinned when the call ends. */
    blob_pin(c->orch->blobs, in->digest);
    in->pinned = true;
    struct asset_row row = {
        .task = in->task,
        .kind = in->kind,
        .name = in->name,
        .description = in->description ? in->description : "",
        .metadata = in->metadata,
        .digest = in->digest,
        .size = in->size,
        .packed_digest = in->packed[0] ? in->packed : NULL,
        .packed_size = in->packed_size,
        .verification = in->verification,
        .user_id = c->user.id,
    };
    struct db_batch *b = asset_insert(c->orch->db, call_owner(c), &row, &in->statement);
    call_query(c, b, on_kept, NULL);
}

/* --- verification --------------------------------------------------------------------------------------- */

static void refuse(struct ingest *in, const json_t *doc)
{
    struct err err = {0};
    json_t *errors = verify_result_errors(doc);
    size_t more = json_array_size(errors);
    const char *first = verify_result_first_failure(doc);
    if (more > 1)
        err_set(&err, ERR_UNPROCESSABLE, "%s \"%s\": %.300s (and %zu more)", in->kind, in->name, first,
                more - 1);
    else
        err_set(&err, ERR_UNPROCESSABLE, "%s \"%s\": %.300s", in->kind, in->name, first);
    call_reply_problem(in->call, &err,
                       json_pack("{s:o, s:O}", "errors", errors, "verification", (json_t *)(uintptr_t)doc));
}

static void on_verified(const struct verify_outcome *o, const struct err *err, void *arg)
{
    struct ingest *in = arg;
    if (err) {
        call_reply_err(in->call, err);
        return;
    }
    if (o->packed_digest) {
        memcpy(in->packed, o->packed_digest, SHA256_HEX); /* its pin is ours now */
        in->packed_size = o->packed_size;
    }
    if (!o->ok) {
        refuse(in, o->doc);
        return;
    }
    in->verification = arena_strdup(&in->call->arena, o->text);
    keep(in);
}

static void verify(struct ingest *in)
{
    struct call *c = in->call;
    char digest[SHA256_HEX];
    int64_t size;
    bool dataset = !strcmp(in->kind, "dataset");
    struct verify_request r = {
        .kind = in->kind,
        .user_id = c->user.id,
        .file = {.path = in->writer ? blob_writer_seal(in->writer, digest, &size) : in->path,
                 .digest = in->digest,
                 .size = in->size},
        .layers = in->layers,
        .layer_count = in->layer_count,
        .options = dataset && strcmp(in->metadata, "{}") != 0 ? in->metadata : NULL,
        .pack = dataset,
        .remember = true,
    };
    verifier_run(c->orch->verifier, &r, on_verified, in);
}

static void on_layers(struct call *c, const struct db_results *r)
{
    struct ingest *in = c->data;
    int n = db_rows(r, 0);
    struct verify_file *layers = arena_alloc(&c->arena, ((size_t)n + 1) * sizeof(*layers));
    for (int i = 0; i < n; i++) {
        /* A new version of a layer is not checked against its old one. */
        if (!strcmp(in->kind, "layer") && !strcmp(in->name, db_str(r, 0, i, 0)))
            continue;
        char *path = blob_path(c->orch->blobs, db_str(r, 0, i, 2));
        arena_keep(&c->arena, path, free);
        layers[in->layer_count++] =
            (struct verify_file){.path = path, .digest = arena_strdup(&c->arena, db_str(r, 0, i, 2))};
    }
    in->layers = layers;
    verify(in);
}

static void on_same(struct call *c, const struct db_results *r)
{
    struct ingest *in = c->data;
    if (db_rows(r, 0) > 0) {
        /* The same bytes under the same name: there already. */
        if (in->upload)
            upload_done(c, in->upload);
        call_reply_text(c, 200, db_str(r, 0, 0, 0));
    } else if (!strcmp(in->kind, "layer") || !strcmp(in->kind, "model")) {
        call_query(c, layer_list(c->orch->db, call_owner(c), in->task), on_layers, NULL);
    } else {
        verify(in);
    }
}

static void received(struct ingest *in)
{
    struct call *c = in->call;
    if (in->size == 0) {
        call_fail(c, ERR_INVALID, "the file is empty; send its bytes as the body of the request");
        return;
    }
    if (strcmp(in->kind, "dataset") != 0 && in->size > ASSET_JSON_MAX) {
        call_fail(c, ERR_TOO_LARGE, "a %s file may have %d bytes", in->kind, ASSET_JSON_MAX);
        return;
    }
    call_query(c,
               asset_same(c->orch->db, call_owner(c), in->task, in->kind, in->name, in->digest, in->metadata),
               on_same, NULL);
}

/* --- the bytes: as the body ----------------------------------------------------------------------------- */

static int on_data(struct http_req *req, const void *p, size_t n, void *arg)
{
    (void)req;
    struct ingest *in = arg;
    struct err err = {0};
    if (blob_writer_add(in->writer, p, n, &err) == 0)
        return 0;
    call_reply_err(in->call, &err);
    return -1;
}

static void on_end(struct http_req *req, const struct err *error, void *arg)
{
    (void)req;
    struct ingest *in = arg;
    if (error) {
        call_reply_err(in->call, error);
        return;
    }
    blob_writer_seal(in->writer, in->digest, &in->size);
    received(in);
}

static void stream_body(struct call *c)
{
    struct ingest *in = c->data;
    struct err err = {0};
    int64_t max = strcmp(in->kind, "dataset") ? ASSET_JSON_MAX : conf_int(c->orch->conf, "dataset-max");
    in->writer = blob_writer_create(c->orch->blobs, &err);
    if (in->writer)
        http_req_stream_body(c->req, max > 0 ? max : INT64_MAX, on_data, on_end, in);
    else
        call_reply_err(c, &err);
}

static void on_task_for_body(struct call *c, const struct db_results *r)
{
    if (db_rows(r, 0) == 0)
        task_not_found(c, ((struct ingest *)c->data)->task);
    else
        call_claim(c, stream_body);
}

/* --- the bytes: in JSON, or uploaded before ------------------------------------------------------------- */

static void on_sealed(const struct child_result *r, void *arg)
{
    struct ingest *in = arg;
    long long size;
    if (r->exit_code != 0 || sscanf(buf_str(&r->output), "%64[0-9a-f] %lld", in->digest, &size) != 2) {
        call_fail(in->call, ERR_INTERNAL, "sealing the upload failed: %s", buf_str(&r->errors));
        return;
    }
    in->size = size;
    received(in);
}

static void on_upload(char *path, int64_t size, const struct err *err, void *arg)
{
    struct ingest *in = arg;
    struct call *c = in->call;
    struct err why = {0};
    (void)size;
    if (err) {
        call_reply_err(c, err);
        return;
    }
    in->path = path;
    const char *const argv[] = {child_self(), "internal-seal", path, NULL};
    struct child_spec spec = {.argv = argv, .max_output = 200, .seconds = 3600};
    if (!child_start(c->orch->children, &spec, on_sealed, in, &why))
        call_reply_err(c, &why);
}

static void take_content(struct ingest *in)
{
    struct call *c = in->call;
    struct err err = {0};
    size_t start, end;
    /* The very text that was sent, not a rewriting of it: its digest is of what the sender has. */
    if (json_span(c->body_text, c->body_len, "content", &start, &end) < 0) {
        call_fail(c, ERR_INVALID, "\"content\" could not be found in the body");
        return;
    }
    in->writer = blob_writer_create(c->orch->blobs, &err);
    if (!in->writer || blob_writer_add(in->writer, c->body_text + start, end - start, &err) < 0) {
        call_reply_err(c, &err);
        return;
    }
    blob_writer_seal(in->writer, in->digest, &in->size);
    received(in);
}

static void take_json(struct call *c)
{
    static const char *const members[] = {"name", "description", "metadata", "content", "upload", NULL};
    struct ingest *in = c->data;
    struct err err = {0};
    const json_t *content = json_object_get(c->body, "content");
    if (json_only_members(c->body, members, &err) < 0 ||
        json_get_str(c->body, "name", true, &in->name, &err) < 0 ||
        json_get_str(c->body, "description", false, &in->description, &err) < 0 ||
        json_get_str(c->body, "upload", false, &in->upload, &err) < 0 ||
        name_check(arena_printf(&c->arena, "a %s", in->kind), in->name, &err) < 0 ||
        check_description(in->description, &err) < 0 ||
        take_metadata(in, json_object_get(c->body, "metadata"), &err) < 0) {
        call_reply_err(c, &err);
        return;
    }
    if ((content != NULL) == (in->upload != NULL))
        call_fail(c, ERR_INVALID, "send either \"content\" or \"upload\" (or the raw bytes, with ?name=)");
    else if (content && !strcmp(in->kind, "dataset"))
        call_fail(c, ERR_INVALID, "a dataset is sent as raw bytes with ?name=, or as an \"upload\"");
    else if (content && !json_is_object(content))
        call_fail(c, ERR_INVALID, "\"content\" must be a JSON object: the %s file itself", in->kind);
    else if (content)
        take_content(in);
    else
        upload_take(c, in->upload, on_upload, in);
}

static void on_task_for_json(struct call *c, const struct db_results *r)
{
    if (db_rows(r, 0) == 0)
        task_not_found(c, ((struct ingest *)c->data)->task);
    else
        call_read_json(c, ASSET_JSON_MAX + METADATA_MAX + 65536, take_json);
}

/* --- the route ------------------------------------------------------------------------------------------ */

void asset_create(struct call *c)
{
    struct err err = {0};
    const char *kind = asset_kind_of(c->params[1]), *type = http_req_header(c->req, "Content-Type");
    if (!kind) {
        call_fail(c, ERR_NOT_FOUND, "\"%.40s\" is not datasets, algorithms, layers, models or instances",
                  c->params[1]);
        return;
    }
    struct ingest *in = xcalloc(1, sizeof(*in));
    arena_keep(&c->arena, in, release);
    in->call = c;
    in->task = c->params[0];
    in->kind = kind;
    c->data = in;
    bool raw = call_query_param(c, "name") != NULL;
    if (!raw && !(type && !strncasecmp(type, "application/json", 16))) {
        call_fail(c, ERR_INVALID,
                  "send the raw bytes with ?name=NAME, or application/json with \"name\" and \"content\" or "
                  "\"upload\"");
        return;
    }
    if (raw && read_query(in, &err) < 0) {
        call_reply_err(c, &err);
        return;
    }
    call_query(c, task_id(c->orch->db, call_owner(c), in->task), raw ? on_task_for_body : on_task_for_json,
               NULL);
}
