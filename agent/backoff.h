/* backoff: how long to wait before the next try: doubling from least to most, each time a random part of it
 * less, so that many agents do not all come back at once. */
#ifndef AGENT_BACKOFF_H
#define AGENT_BACKOFF_H

#include <sys/time.h>

struct backoff {
    double least, most; /* seconds */
    double wait;        /* 0: none yet */
};

struct timeval backoff_next(struct backoff *b);
void backoff_reset(struct backoff *b);
struct timeval backoff_timeval(double seconds);

#endif
