/* password: argon2id in a child of our own binary, since it takes long and much memory. Two at a time; a
 * short queue. */
#ifndef ORCHESTRATOR_API_PASSWORD_H
#define ORCHESTRATOR_API_PASSWORD_H

#include "orchestrator/api/auth.h"

#define PASSWORD_MIN 8
#define PASSWORD_MAX 1024

struct passwords;
struct children;

struct passwords *passwords_create(struct children *children);
void passwords_destroy(struct passwords *p); /* what waits is dropped */
void passwords_hash(struct passwords *p, const char *password, auth_hash_f done, void *arg);
void passwords_check(struct passwords *p, const char *password, const char *hash, auth_password_f done,
                     void *arg);

/* The child's side, `internal-password`: reads "PASSWORD\0HASH" (HASH empty: make one) on stdin; prints the
 * hash, or "right" or "wrong". */
int password_main(void);

#endif
