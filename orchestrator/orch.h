/* orch: the orchestrator as a struct of rooms. main creates them in this order, runs the loop, destroys them
 * in reverse. There is no other global. Rooms get what they need from here, never from each other's insides.
 */
#ifndef ORCHESTRATOR_ORCH_H
#define ORCHESTRATOR_ORCH_H

#include <event2/event.h>

struct orch {
    struct event_base *base;
    struct conf *conf;
    const char *state_dir;
    struct children *children;   /* verify/child: short-lived processes */
    struct db *db;               /* store/ */
    struct blob_store *blobs;    /* blob/ */
    struct collector *collector; /* blob/collect: removes what nothing refers to */
    struct stream *stream;       /* stream/ */
    struct uploads *uploads;     /* api/uploads: uploads in progress */
    struct verifier *verifier;   /* verify/ */
    struct auth *auth;           /* api/auth */
    struct jobs *jobs;           /* job/: the table in memory and its events */
    struct dispatch *dispatch;   /* dispatch/: agents' sessions, feeding the scheduler */
    struct api *api;             /* api/: routes */
    struct http_server *http;
};

#endif
