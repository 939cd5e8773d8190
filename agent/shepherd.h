/* shepherd: the process that owns one run of a program and everything that grows out of it.
 *
 *     trainyard-agent shepherd DIR
 *
 * DIR/start.json says what to run (command.h). The shepherd is the leader of its own session and outlives the
 * agent. It
 *  - claims the run by making DIR/shepherd.pid, which only one process can ever do: a program is never run
 * twice;
 *  - becomes the reaper of all descendants, so that none gets away by a double fork or setsid;
 *  - starts the program in its own process group and cgroup, with a private /dev/shm where that is allowed;
 * the program dies with the shepherd (PR_SET_PDEATHSIG);
 *  - appends the program's output to DIR/logs.jsonl, makes DIR/started when it runs;
 *  - on SIGTERM reads DIR/stop.json {"reason","grace_seconds"} and stops it: a soft signal, the grace,
 * SIGKILL; the same when the time limit or (without a memory cgroup) the memory limit is passed;
 *  - when the program has gone, kills whatever is left, sees that it is gone, removes the scratch folder, and
 * writes DIR/exit.json {"started","exit_code","signal","reason","message","tail","ended"} as its last act.
 */
#ifndef AGENT_SHEPHERD_H
#define AGENT_SHEPHERD_H

#include "base/err.h"

int shepherd_main(const char *dir); /* the exit code of the process */

/* Start `program shepherd dir` as a grandchild that no longer belongs to the caller. Its messages go to
 * dir/shepherd.log. Blocks for two forks only. */
int shepherd_start(const char *program, const char *dir, struct err *err);

#endif
