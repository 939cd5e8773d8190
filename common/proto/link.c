#include "proto/link.h"

#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/mem.h"

struct link {
    int side;
    link_send_f send;
    link_message_f deliver;
    void *arg;
    uint64_t sent;       /* seq of the last sequenced message sent */
    uint64_t peer_acked; /* highest of our seqs that the peer has */
    uint64_t received;   /* highest seq received, in order */
    uint64_t acked;      /* highest we have told the peer */
};

struct link *link_create(int side, link_send_f send, link_message_f deliver, void *arg)
{
    struct link *l = xcalloc(1, sizeof(*l));
    l->side = side;
    l->send = send;
    l->deliver = deliver;
    l->arg = arg;
    return l;
}

void link_destroy(struct link *l)
{
    free(l);
}

uint64_t link_unacked(const struct link *l)
{
    return l->sent - l->peer_acked;
}

/* The envelope goes into the body, so the body must not have its names already. */
static int envelope_add(struct link *l, const struct msg_def *def, json_t *body, struct err *err)
{
    if (json_object_get(body, "type") || json_object_get(body, "seq") || json_object_get(body, "ack"))
        return err_set(err, ERR_INTERNAL, "a %s message's body carries a member of the envelope", def->name);
    json_object_set_new(body, "type", json_string(def->name));
    if (def->sequenced)
        json_object_set_new(body, "seq", json_integer((json_int_t)(l->sent + 1)));
    json_object_set_new(body, "ack", json_integer((json_int_t)l->received));
    return 0;
}

static int message_send(struct link *l, const struct msg_def *def, json_t *body, struct err *err)
{
    enum msg_type checked;

    if (!json_is_object(body))
        return err_set(err, ERR_INTERNAL, "the body of a %s message is no object", def->name);
    if (def->sequenced && link_unacked(l) >= LINK_WINDOW)
        return err_set(err, ERR_LIMIT, "the peer left %d messages unacknowledged", LINK_WINDOW);
    if (envelope_add(l, def, body, err) < 0)
        return -1;
    if (msg_check(body, l->side, &checked, err) < 0) {
        if (err)
            err->code = ERR_INTERNAL; /* our own mistake, not the peer's */
        return -1;
    }
    char *text = json_text(body);
    size_t n = strlen(text);
    if (n > MSG_MAX_BYTES) {
        free(text);
        return err_set(err, ERR_TOO_LARGE, "a %s message of %zu bytes is over the %d allowed", def->name, n,
                       MSG_MAX_BYTES);
    }
    if (def->sequenced)
        l->sent++;
    l->acked = l->received;
    l->send(text, n, l->arg);
    free(text);
    return 0;
}

int link_send(struct link *l, enum msg_type type, json_t *body, struct err *err)
{
    int rc = message_send(l, msg_def(type), body, err);
    json_decref(body);
    return rc;
}

static int ack_take(struct link *l, const json_t *doc, struct err *err)
{
    int64_t ack = 0;

    if (json_get_int(doc, "ack", true, &ack, err) < 0)
        return -1;
    if (ack < 0 || (uint64_t)ack > l->sent)
        return err_set(err, ERR_INVALID, "the peer acknowledges message %lld but %llu were sent",
                       (long long)ack, (unsigned long long)l->sent);
    if ((uint64_t)ack < l->peer_acked)
        return err_set(err, ERR_INVALID, "the peer's acknowledgement goes back from %llu to %lld",
                       (unsigned long long)l->peer_acked, (long long)ack);
    l->peer_acked = (uint64_t)ack;
    return 0;
}

static int seq_take(struct link *l, const struct msg_def *def, const json_t *doc, struct err *err)
{
    int64_t seq = 0;

    if (!def->sequenced) {
        if (json_object_get(doc, "seq"))
            return err_set(err, ERR_INVALID, "a %s message carries no seq", def->name);
        return 0;
    }
    if (json_get_int(doc, "seq", true, &seq, err) < 0)
        return -1;
    if (seq < 0 || (uint64_t)seq != l->received + 1)
        return err_set(err, ERR_INVALID, "message %lld came where %llu was expected", (long long)seq,
                       (unsigned long long)l->received + 1);
    l->received++;
    return 0;
}

int link_receive(struct link *l, const char *text, size_t n, struct err *err)
{
    enum msg_type type = MSG_ACK;
    int peer = l->side == MSG_FROM_AGENT ? MSG_FROM_ORCHESTRATOR : MSG_FROM_AGENT;

    if (n > MSG_MAX_BYTES)
        return err_set(err, ERR_TOO_LARGE, "a frame of %zu bytes is over the %d allowed", n, MSG_MAX_BYTES);
    json_t *doc = json_parse(text, n, NULL, NULL, err);
    if (!doc)
        return err_prefix(err, "bad frame");
    if (msg_check(doc, peer, &type, err) < 0 || ack_take(l, doc, err) < 0 ||
        seq_take(l, msg_def(type), doc, err) < 0) {
        json_decref(doc);
        return -1;
    }
    /* Last, because the receiver may close the session, and the link with it. */
    if (type != MSG_ACK)
        l->deliver(type, doc, l->arg);
    json_decref(doc);
    return 0;
}

void link_flush_ack(struct link *l)
{
    if (l->received > l->acked)
        (void)link_send(l, MSG_ACK, json_object(), NULL);
}
