/* child: fork and exec of the program that a shepherd runs, with everything that must be in place before its
 * first instruction: group, cgroup, private /dev/shm, environment, descriptors, death with its parent. */
#ifndef AGENT_CHILD_H
#define AGENT_CHILD_H

#include <jansson.h>
#include <sys/types.h>
#include "agent/cgroup.h"
#include "base/err.h"

/* start: the object of start.json. pipes[0], pipes[1]: where to read its stdout and stderr (non-blocking). -1
 * when it could not be executed: nothing is left behind then, and the err says which step failed. */
int child_start(const json_t *start, const char *dir, const struct cgroup *group, pid_t *pid, int pipes[2],
                struct err *err);

#endif
