/* files: an attempt's input files, from the cache into its folder. What is marked `cache` is hard-linked
 * (read-only, shared); the rest is copied, so that a job may change its own files. */
#ifndef AGENT_FILES_H
#define AGENT_FILES_H

#include "agent/launch.h"

struct agent;
struct files;

/* done: called once, from the loop; error NULL: all are there. */
struct files *files_fetch(struct agent *agent, const struct launch *l, const char *dir,
                          void (*done)(const struct err *error, void *arg), void *arg);
void files_destroy(struct files *f); /* stops waiting; NULL is legal */

#endif
