/* tasks: tasks. Handlers of routes.c; docs/api.md has the shapes. */
#ifndef ORCHESTRATOR_API_TASKS_H
#define ORCHESTRATOR_API_TASKS_H

#include "orchestrator/api/call.h"

void task_create(struct call *c);
void tasks_get(struct call *c);
void task_get(struct call *c);
void task_patch(struct call *c);
void task_remove(struct call *c);

/* 404 for a task that is not there (for this caller), naming the nearest that is. Ends the call. */
void task_not_found(struct call *c, const char *task);
/* Publish what a batch made: its event, when column seq_col of the row is not NULL. */
void task_publish(struct call *c, const char *task, const struct db_results *r, int statement, int seq_col);

#endif
