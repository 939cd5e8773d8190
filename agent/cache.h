/* cache: blobs by digest on this node's disk. state-dir/cache/<digest>, read-only, at most a set number of
 * bytes; the longest unused go first. Attempts hard-link what they use, so eviction never takes a file from
 * under a job.
 *
 * A blob is fetched once however many wait for it, into a temporary name; it gets its own name only when its
 * SHA-256 is right and it is on the disk. While the orchestrator is away a fetch goes on trying. */
#ifndef AGENT_CACHE_H
#define AGENT_CACHE_H

#include <stdint.h>
#include "base/err.h"

struct agent;
struct cache;
struct cache_waiter;

/* path is valid during the call; link or copy it there. path NULL: it cannot be had, error says why. Called
 * from the loop, never from inside cache_fetch; the waiter is dead from then on. */
typedef void (*cache_done_f)(const char *path, const struct err *error, void *arg);

struct cache *cache_create(struct agent *agent, int64_t max_bytes, struct err *err);
void cache_destroy(struct cache *c); /* NULL is legal; waiters are dropped */
struct cache_waiter *cache_fetch(struct cache *c, const char *digest, cache_done_f done, void *arg);
void cache_cancel(struct cache_waiter *w); /* NULL is legal */

#endif
