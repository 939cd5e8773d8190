#include "agent/transfer.h"

#include <stdlib.h>
#include "agent/agent.h"
#include "agent/identity.h"
#include "base/mem.h"

struct transfer {
    struct agent *agent;
    struct transfer *next, **prev; /* in agent->transfers */
    struct http_client *client;
    struct event *bury; /* a client must not be destroyed inside its own callback */
    bool own_token;
    struct http_call call; /* the caller's functions */
};

static void transfer_free(struct transfer *t)
{
    *t->prev = t->next;
    if (t->next)
        t->next->prev = t->prev;
    http_client_destroy(t->client);
    event_free(t->bury);
    free(t);
}

static void on_bury(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    transfer_free(arg);
}

static void on_done(const struct http_response *response, const struct err *error, void *arg)
{
    struct transfer *t = arg;
    event_active(t->bury, EV_TIMEOUT, 0);
    if (t->own_token && response && response->status == 401)
        identity_refused(t->agent->identity);
    t->call.done(response, error, t->call.arg);
}

static int on_data(const void *p, size_t n, int64_t total, void *arg)
{
    struct transfer *t = arg;
    return t->call.on_data(p, n, total, t->call.arg);
}

struct transfer *transfer_start(struct agent *agent, const char *token, const struct http_call *call,
                                struct err *err)
{
    const char *bearer = token ? token : identity_token(agent->identity);
    if (!bearer) {
        err_set(err, ERR_UNAVAILABLE, "the agent is not registered yet");
        return NULL;
    }
    struct http_client *client = http_client_create(agent->base, agent->url, bearer, agent->ca_file, err);
    if (!client)
        return NULL;
    struct transfer *t = xcalloc(1, sizeof(*t));
    *t = (struct transfer){.agent = agent, .client = client, .own_token = token == NULL, .call = *call};
    t->bury = event_new(agent->base, -1, 0, on_bury, t);
    t->next = agent->transfers;
    t->prev = &agent->transfers;
    if (t->next)
        t->next->prev = &t->next;
    agent->transfers = t;
    struct http_call inner = *call;
    inner.done = on_done;
    inner.on_data = call->on_data ? on_data : NULL;
    inner.on_progress = NULL;
    inner.arg = t;
    http_client_send(client, &inner);
    return t;
}

void transfer_cancel(struct transfer *t)
{
    if (t)
        transfer_free(t);
}

void transfers_destroy(struct agent *agent)
{
    while (agent->transfers)
        transfer_free(agent->transfers);
}
