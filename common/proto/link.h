/* link: sequence numbers, acknowledgement and deduplication over one session's WebSocket. Pure: no I/O; the
 * owner gives it what arrives and a function that sends.
 *
 * A session is one WebSocket's life. Messages of one session arrive once and in order or the session dies;
 * what crosses sessions is reconciled by hello/welcome (message.h). The link bounds what is unacknowledged (a
 * peer that reads but never handles is cut), and turns a gap or a repeat into an error instead of a guess.
 */
#ifndef PROTO_LINK_H
#define PROTO_LINK_H

#include <jansson.h>
#include <stdint.h>
#include "base/err.h"
#include "proto/message.h"

struct link;

typedef void (*link_send_f)(const char *text, size_t n, void *arg);
/* One accepted message; called in order, never twice for one seq. */
typedef void (*link_message_f)(enum msg_type type, const json_t *doc, void *arg);

/* side: MSG_FROM_AGENT when this end is the agent, else MSG_FROM_ORCHESTRATOR. */
struct link *link_create(int side, link_send_f send, link_message_f deliver, void *arg);
void link_destroy(struct link *l);

/* At most this many of its own messages may be unacknowledged; beyond it link_send refuses. */
#define LINK_WINDOW 8192

/* Send a message of the type; body is an object whose members are the type's fields (a reference is stolen,
 * also on failure). -1 and nothing sent: the body does not fit the table (ERR_INTERNAL), or LINK_WINDOW
 * messages are unacknowledged (ERR_LIMIT: close the session). */
int link_send(struct link *l, enum msg_type type, json_t *body, struct err *err);
/* Take in one frame and deliver it. -1: the peer broke the protocol; close the session. deliver may destroy
 * the link. */
int link_receive(struct link *l, const char *text, size_t n, struct err *err);
/* Send a bare ack if something was received since the last one sent. Call it on a short timer (50 ms). */
void link_flush_ack(struct link *l);
uint64_t link_unacked(const struct link *l); /* own messages not yet acknowledged */

#endif
