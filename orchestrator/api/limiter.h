/* limiter: how often something happened lately, by key. Pure: the caller says what time it is. Bounded: when
 * it is full, the oldest key makes room. */
#ifndef ORCHESTRATOR_API_LIMITER_H
#define ORCHESTRATOR_API_LIMITER_H

struct limiter;

struct limiter *limiter_create(double window_seconds);
void limiter_destroy(struct limiter *l);
void limiter_add(struct limiter *l, const char *key, double now);
int limiter_count(struct limiter *l, const char *key, double now); /* within the window */

#endif
