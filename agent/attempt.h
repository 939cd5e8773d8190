/* attempt: the states of an attempt on this node, as rows. Pure; the room that acts on them is attempts.c.
 *
 *   FETCHING -> STARTING -> RUNNING -> DRAINING -> UPLOADING -> ENDED -> GONE
 *
 * FETCHING   files on the way                        the orchestrator is told "starting"
 * STARTING   the shepherd is there, the program not  "starting"
 * RUNNING    the program runs: of a training, the first metrics line came; of a batch job, the script was
 * executed DRAINING   it ended; records not yet acknowledged  "completing" UPLOADING  artifacts on the way
 * "completing" ENDED      all said, `ended` too; until `forget`   "completing" DROPPED    not wanted any
 * more; dying GONE       nothing is left but to remove the folder
 */
#ifndef AGENT_ATTEMPT_H
#define AGENT_ATTEMPT_H

enum attempt_state {
    ATTEMPT_FETCHING,
    ATTEMPT_STARTING,
    ATTEMPT_RUNNING,
    ATTEMPT_DRAINING,
    ATTEMPT_UPLOADING,
    ATTEMPT_ENDED,
    ATTEMPT_DROPPED,
    ATTEMPT_GONE,
    ATTEMPT_STATE_COUNT,
};

enum attempt_event {
    ATTEMPT_EV_FETCHED,  /* all files are there */
    ATTEMPT_EV_RUNS,     /* first sign of the program */
    ATTEMPT_EV_EXITED,   /* no process is left and exit.json is there */
    ATTEMPT_EV_DRAINED,  /* every record was acknowledged */
    ATTEMPT_EV_UPLOADED, /* every artifact was acknowledged */
    ATTEMPT_EV_FORGET,   /* the orchestrator has everything */
    ATTEMPT_EV_DROP,     /* the orchestrator does not want it */
    ATTEMPT_EVENT_COUNT,
};

/* The next state, or -1: this event means nothing in this state. */
int attempt_next(enum attempt_state state, enum attempt_event event);
const char *attempt_state_name(enum attempt_state state);
const char *attempt_event_name(enum attempt_event event);
const char *attempt_phase(enum attempt_state state); /* the word of `phase` and `hello` */

#endif
