#include "agent/backoff.h"

#include <stdint.h>
#include "base/ids.h"

struct timeval backoff_timeval(double seconds)
{
    if (seconds < 0)
        seconds = 0;
    return (struct timeval){(time_t)seconds, (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};
}

struct timeval backoff_next(struct backoff *b)
{
    uint32_t r;
    random_bytes(&r, sizeof(r));
    b->wait = b->wait > 0 ? b->wait * 2 : b->least;
    if (b->wait > b->most)
        b->wait = b->most;
    return backoff_timeval(b->wait * (0.7 + 0.3 * (double)r / (double)UINT32_MAX));
}

void backoff_reset(struct backoff *b)
{
    b->wait = 0;
}
