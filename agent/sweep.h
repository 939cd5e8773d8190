/* sweep: what to do when a shepherd was itself killed: find and kill what its run left, by cgroup and by the
 * mark in the environment, and remove its scratch folder. Also used when the machine restarted (then only the
 * folder is left). */
#ifndef AGENT_SWEEP_H
#define AGENT_SWEEP_H

/* dir holds the run's start.json. Blocks until nothing is left, at most about two seconds. Returns the number
 * of processes that were found alive. */
int sweep_run(const char *dir);

#endif
