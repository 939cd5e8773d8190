/* uploads: resumable uploads, tus 1.0.0. Handlers of routes.c; docs/api.md has the shapes. */
#ifndef ORCHESTRATOR_API_UPLOADS_H
#define ORCHESTRATOR_API_UPLOADS_H

#include "orchestrator/api/call.h"

void uploads_options(struct call *c);
void upload_create(struct call *c);
void upload_head(struct call *c);
void upload_patch(struct call *c);
void upload_remove(struct call *c);

struct uploads;
struct uploads *uploads_create(struct orch *orch, struct err *err);
void uploads_destroy(struct uploads *u);

/* A finished upload, to be made an asset: its path in STATE/uploads and size; NULL and err when it is not
 * this user's, unknown or not complete. Exactly once. path is the caller's to free. */
typedef void (*upload_take_f)(char *path, int64_t size, const struct err *err, void *arg);
void upload_take(struct call *c, const char *id, upload_take_f done, void *arg);
void upload_done(struct call *c, const char *id); /* it became an asset: remove it */

#endif
