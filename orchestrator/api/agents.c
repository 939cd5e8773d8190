/* What agents call: registering with the join token, their WebSocket, blobs by digest. */
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/json.h"
#include "base/mem.h"
#include "orchestrator/api/nodes.h"
#include "orchestrator/blob/blob.h"
#include "orchestrator/dispatch/dispatch.h"
#include "orchestrator/store/blob_row.h"
#include "orchestrator/store/record.h"

/* --- registering ---------------------------------------------------------------------------------------- */

static void on_issued(const struct auth_token *token, const struct err *err, void *arg)
{
    struct call *c = arg;
    if (err)
        call_reply_err(c, err);
    else
        call_reply_json(c, 201, json_pack("{s:s, s:s}", "node", (const char *)c->data, "token", token->text));
}

static void register_node(struct call *c)
{
    static const char *const members[] = {"node", NULL};
    struct err err = {0};
    const char *node = NULL;
    if (json_only_members(c->body, members, &err) < 0 ||
        json_get_str(c->body, "node", true, &node, &err) < 0 || name_check("a node", node, &err) < 0) {
        call_reply_err(c, &err);
        return;
    }
    c->data = arena_strdup(&c->arena, node);
    auth_issue_token(c->orch->auth, "agent", node, 0, node, 0, on_issued, c);
}

void agent_register(struct call *c)
{
    call_read_json(c, 4096, register_node);
}

void agent_connect(struct call *c)
{
    /* Security: the session may speak only for the node of its token. */
    dispatch_accept(c->orch->dispatch, c->req, c->user.node);
}

/* --- blobs ---------------------------------------------------------------------------------------------- */

static bool known_digest(struct call *c)
{
    if (sha256_is_hex(c->params[0]))
        return true;
    call_fail(c, ERR_INVALID, "a blob's name is 64 lower-case hex digits");
    return false;
}

static void send_blob(struct call *c)
{
    struct err err = {0};
    int64_t size;
    int fd = blob_open(c->orch->blobs, c->params[0], &size, &err);
    if (fd < 0) {
        call_reply_err(c, &err);
        return;
    }
    http_reply_file(c->req, fd, size, "application/octet-stream",
                    arena_printf(&c->arena, "\"%s\"", c->params[0]));
}

static void on_wanted(struct call *c, const struct db_results *r)
{
    if (db_rows(r, 0) == 0)
        call_fail(c, ERR_NOT_FOUND, "no job on this node needs blob %s", c->params[0]);
    else
        send_blob(c);
}

void agent_blob_get(struct call *c)
{
    if (!known_digest(c))
        return;
    if (http_req_method(c->req) == HTTP_M_HEAD) {
        /* Whether an artifact's bytes are here already: says no more than that. */
        if (blob_exists(c->orch->blobs, c->params[0], NULL))
            send_blob(c);
        else
            call_fail(c, ERR_NOT_FOUND, "blob %s is not here", c->params[0]);
        return;
    }
    /* Security: an agent reads only what a job placed on its node needs. */
    call_query(c, blob_for_node(c->orch->db, c->user.node, c->params[0]), on_wanted, NULL);
}

struct receiving {
    struct call *call;
    struct blob_writer *writer;
};

static void release(void *p)
{
    struct receiving *in = p;
    if (in->writer)
        blob_writer_discard(in->writer);
    free(in);
}

static int on_data(struct http_req *req, const void *p, size_t n, void *arg)
{
    struct receiving *in = arg;
    struct err err = {0};
    (void)req;
    if (blob_writer_add(in->writer, p, n, &err) == 0)
        return 0;
    call_reply_err(in->call, &err);
    return -1;
}

static void on_noted(struct call *c, const struct db_results *r)
{
    (void)r;
    call_reply_json(c, 201, json_pack("{s:s}", "digest", c->params[0]));
}

static void on_end(struct http_req *req, const struct err *error, void *arg)
{
    struct receiving *in = arg;
    struct call *c = in->call;
    struct err err = {0};
    char digest[SHA256_HEX];
    int64_t size;
    (void)req;
    if (error) {
        call_reply_err(c, error);
        return;
    }
    struct blob_writer *w = in->writer;
    in->writer = NULL;
    if (blob_writer_finish(w, c->params[0], digest, &size, &err) < 0) {
        call_reply_err(c, &err);
        return;
    }
    /* The row keeps it fresh until the artifact that refers to it is noted. */
    struct db_batch *b = db_batch_create(c->orch->db, DB_WRITE);
    blob_row_add(b, digest, size);
    call_query(c, b, on_noted, NULL);
}

void agent_blob_put(struct call *c)
{
    struct err err = {0};
    if (!known_digest(c))
        return;
    struct receiving *in = xcalloc(1, sizeof(*in));
    arena_keep(&c->arena, in, release);
    in->call = c;
    in->writer = blob_writer_create(c->orch->blobs, &err);
    if (in->writer)
        http_req_stream_body(c->req, INT64_MAX, on_data, on_end, in);
    else
        call_reply_err(c, &err);
}
