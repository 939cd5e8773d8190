/* cgroup: the kernel's grouping of an attempt's processes, version 2 or 1, where this machine lets us make
 * groups.
 *
 * The agent looks once, at start (cgroup_detect), and hands what it found to each shepherd as text in
 * start.json; the shepherd makes the group of its attempt in every hierarchy found, and at the end empties
 * and removes it. Absent groups are fine: the shepherd then finds processes by descent and polls memory.
 */
#ifndef AGENT_CGROUP_H
#define AGENT_CGROUP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"

enum cgroup_use { CGROUP_KILL, CGROUP_MEMORY, CGROUP_CPU, CGROUP_PIDS, CGROUP_USES };

struct cgroup_site {
    int version;            /* 0: none usable */
    char *dir[CGROUP_USES]; /* folder that attempts' groups go under; NULL: not to be had. v2: all the same */
    char why[256];          /* version 0: what was missing */
};

/* Where a controller's hierarchy is: from the texts of /proc/self/mountinfo and /proc/self/cgroup. controller
 * NULL: the unified (v2) hierarchy. The path of this process's own group; NULL when not mounted. Pure. Caller
 * frees. */
char *cgroup_path(const char *mountinfo, const char *self_cgroup, const char *controller);

/* Find where groups can be made: a folder "trainyard" under this process's own group in each hierarchy. Tries
 * it; leaves nothing behind. */
void cgroup_detect(struct cgroup_site *site);
void cgroup_site_clear(struct cgroup_site *site);
json_t *cgroup_site_json(const struct cgroup_site *site);                /* for start.json */
void cgroup_site_from_json(struct cgroup_site *site, const json_t *doc); /* NULL or nonsense: version 0 */
/* This process's memory limit in bytes over its own group and all above; INT64_MAX when there is none. */
int64_t cgroup_memory_limit(void);

/* One attempt's group. */
struct cgroup {
    int version;
    char *dir[CGROUP_USES]; /* NULL: absent */
    bool memory_limited;
};

void cgroup_create(struct cgroup *g, const struct cgroup_site *site, const char *name, int64_t memory_bytes,
                   int cores);
void cgroup_enter(const struct cgroup *g); /* moves the calling process; for the child before exec */
bool cgroup_kill(const struct cgroup *g);  /* SIGKILL to all inside; false: no group to do it with */
/* Living processes inside. Caller frees *out. 0 also when there is no group. */
size_t cgroup_pids(const struct cgroup *g, pid_t **out);
int64_t cgroup_oom_kills(const struct cgroup *g);
void cgroup_remove(struct cgroup *g); /* empty groups only; frees the struct's strings */

#endif
