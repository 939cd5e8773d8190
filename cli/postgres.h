/* postgres: the private PostgreSQL of `trainyard up`: data in STATE/pg, reached by a socket in a 0700 folder only. */
#ifndef CLI_POSTGRES_H
#define CLI_POSTGRES_H

#include "base/err.h"

/* Make it when new, start it when not running, wait until it answers. *url: how the orchestrator reaches it; caller frees. */
int postgres_up(const char *state, char **url, int *started, struct err *err);
/* 0: it was not running, 1: it ended, 2: it had to be killed. */
int postgres_down(const char *state);

#endif
