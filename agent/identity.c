#include "agent/identity.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/agent.h"
#include "agent/backoff.h"
#include "agent/transfer.h"
#include "base/conf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

struct identity {
    struct agent *agent;
    void (*on_ready)(void *arg);
    void *arg;
    char *path, *token;
    struct transfer *transfer;
    struct event *retry;
    struct backoff backoff;
};

/* One line of a secret file, without the newline. */
static char *secret_read(const char *path, struct err *err)
{
    struct buf b = {0};
    if (file_read(path, 4096, &b, err) < 0) {
        buf_free(&b);
        return NULL;
    }
    char *text = buf_steal(&b);
    text[strcspn(text, "\r\n")] = '\0';
    if (!*text) {
        err_set(err, ERR_INVALID, "%s is empty: a token is expected in its first line", path);
        free(text);
        return NULL;
    }
    return text;
}

static void try_again(struct identity *id)
{
    struct timeval wait = backoff_next(&id->backoff);
    evtimer_add(id->retry, &wait);
}

static int answer_take(struct identity *id, const struct http_response *response, struct err *err)
{
    const char *token = NULL, *node = NULL;
    json_t *doc = json_parse(buf_str(&response->body), response->body.len, NULL, NULL, err);
    if (!doc)
        return -1;
    int rc = json_get_str(doc, "token", true, &token, err);
    if (rc == 0)
        rc = json_get_str(doc, "node", true, &node, err);
    if (rc == 0 && strcmp(node, id->agent->node) != 0)
        rc = err_set(err, ERR_INVALID, "registered as \"%s\" but answered as \"%.64s\"", id->agent->node,
                     node);
    if (rc == 0) {
        char *text = xasprintf("%s\n", token);
        rc = file_write_atomic(id->path, text, strlen(text), 0600, err);
        free(text);
    }
    if (rc == 0) {
        free(id->token);
        id->token = xstrdup(token);
    }
    json_decref(doc);
    return rc;
}

static void on_registered(const struct http_response *response, const struct err *error, void *arg)
{
    struct identity *id = arg;
    struct err err = {0};
    id->transfer = NULL;
    if (!response)
        log_warn("identity", "cannot register", KV_E(error));
    else if (response->status != 201 && response->status != 200)
        log_warn("identity", "registration refused", KV_I("status", response->status),
                 KV_S("answer", buf_str(&response->body)));
    else if (answer_take(id, response, &err) < 0)
        log_warn("identity", "registration went wrong", KV_E(&err));
    if (!id->token) {
        try_again(id);
        return;
    }
    log_info("identity", "registered", KV_S("node", id->agent->node));
    backoff_reset(&id->backoff);
    id->on_ready(id->arg);
}

static void register_now(struct identity *id)
{
    struct err err = {0};
    const char *file = conf_str(id->agent->conf, "join-token-file");
    char *join = file ? secret_read(file, &err) : NULL;
    if (!file)
        err_set(&err, ERR_INVALID, "no token yet and no --join-token-file to register with");
    if (join) {
        json_t *body = json_pack("{s:s}", "node", id->agent->node);
        char *text = json_text(body);
        struct http_call call = {.method = HTTP_M_POST,
                                 .path = "/agent/v1/register",
                                 .body = text,
                                 .body_len = strlen(text),
                                 .content_type = "application/json",
                                 .max_response = 65536,
                                 .done = on_registered,
                                 .arg = id};
        id->transfer = transfer_start(id->agent, join, &call, &err);
        free(text);
        json_decref(body);
    }
    if (!id->transfer) {
        log_warn("identity", "cannot register", KV_E(&err));
        try_again(id);
    }
    free(join);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct identity *id = arg;
    (void)fd;
    (void)what;
    if (!id->transfer && !id->token)
        register_now(id);
}

struct identity *identity_create(struct agent *agent, void (*on_ready)(void *arg), void *arg, struct err *err)
{
    struct identity *id = xcalloc(1, sizeof(*id));
    struct err read_err = {0};
    id->agent = agent;
    id->on_ready = on_ready;
    id->arg = arg;
    id->backoff = (struct backoff){.least = 0.2, .most = 5};
    id->path = path_join(agent->state_dir, "token");
    id->retry = evtimer_new(agent->base, on_retry, id);
    if (file_exists(id->path) && !(id->token = secret_read(id->path, &read_err)) &&
        read_err.code != ERR_INVALID) {
        err_set(err, read_err.code, "%s", read_err.text);
        identity_destroy(id);
        return NULL;
    }
    return id;
}

void identity_destroy(struct identity *id)
{
    if (!id)
        return;
    transfer_cancel(id->transfer);
    event_free(id->retry);
    free(id->path);
    free(id->token);
    free(id);
}

void identity_start(struct identity *id)
{
    if (id->token)
        id->on_ready(id->arg);
    else if (!id->transfer)
        register_now(id);
}

const char *identity_token(const struct identity *id)
{
    return id->token;
}

void identity_refused(struct identity *id)
{
    if (!id->token)
        return; /* several requests were refused at once */
    log_warn("identity", "the orchestrator does not know our token any more, registering again");
    free(id->token);
    id->token = NULL;
    unlink(id->path);
    try_again(id);
}
