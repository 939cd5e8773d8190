/* stream: topics with sequence numbers and their WebSocket subscribers (DESIGN 4.2, docs/api.md).
 *
 * A subscriber has an offset per topic. With `since` it first catches up from the topic's source (pages from
 * the database), then gets what is published live; what is published meanwhile is not sent until the catch-up
 * has passed it, so order is by seq with no gap and no repeat. A subscriber whose send queue passes the high
 * mark stops getting live events, is told `lagged`, and catches up from the source when it has drained.
 */
#ifndef ORCHESTRATOR_STREAM_STREAM_H
#define ORCHESTRATOR_STREAM_STREAM_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

struct stream;
struct http_req;
struct user; /* api/auth.h */

/* Deliver events of a topic after `since`, in order, at most limit, through stream_source_event(), then
 * stream_source_end(). Asynchronous, or at once. limit 0 asks only where the topic stands: call
 * stream_source_last() with its newest seq (0: none yet) before the end. */
struct stream_page;
typedef void (*stream_source_f)(struct stream_page *page, const char *topic, int64_t since, int limit,
                                void *arg);
void stream_source_event(struct stream_page *page, int64_t seq, const char *json_data);
void stream_source_last(struct stream_page *page, int64_t seq);
void stream_source_end(struct stream_page *page, bool more, bool failed);

/* May this user read this topic? Asynchronous answer through answer(), exactly once. The topic "" asks
 * whether the user may still be here at all (a token may have been revoked); it is asked every minute of
 * every connection. */
typedef void (*stream_allow_f)(const struct user *user, const char *topic,
                               void (*answer)(bool allowed, void *ticket), void *ticket, void *arg);
/* May this user see this event? For topics that hold events of several owners. Called for every event of
 * every subscriber. */
typedef bool (*stream_filter_f)(const struct user *user, const char *topic, const char *json_data, void *arg);

struct stream *stream_create(struct event_base *base, stream_allow_f allow, void *arg);
void stream_destroy(struct stream *s);
void stream_set_filter(struct stream *s, stream_filter_f filter);
/* Topics whose name matches the pattern ("job/+/metrics", + is one segment) are replayed by source; without a
 * source there is no replay. */
void stream_add_source(struct stream *s, const char *pattern, stream_source_f source, void *arg);
/* After the commit only. json_data is the event's "data" as JSON text. */
void stream_publish(struct stream *s, const char *topic, int64_t seq, const char *json_data);
void stream_accept(struct stream *s, struct http_req *r, const struct user *user); /* the route's handler */

int stream_connections(const struct stream *s); /* for /metrics */

#endif
