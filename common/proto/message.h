// clang-format off: the tables in this comment must stay as they are
/* message: everything that orchestrator and agent say to each other, as one table. (DESIGN 4.5)
 *
 * One WebSocket, opened by the agent at /agent/v1 with "Authorization: Bearer <agent token>", subprotocol
 * "trainyard.agent.v1", JSON text frames. A frame is one object: the envelope
 *     {"type": "launch", "seq": 7, "ack": 12, ...fields of the type...}
 * seq counts the sender's messages of this session from 1; ack is the highest seq received in order (link.h).
 * Types marked unsequenced carry no seq and may be lost.
 *
 * What survives a restart of either end is not the link's memory but the durable state behind it: the
 * database and the agent's attempt folders. On every connect `hello` and `welcome` reconcile the two, and
 * every handler is idempotent by (job, fence). An attempt is named by (job, fence): fence is the attempt's
 * number, 1 for the first; a higher fence makes all lower ones dead, and what they still send is refused.
 *
 *   agent -> orchestrator
 *     hello        node, version, boot, cores, memory_bytes, gpus[], hostname, attempts[{job, fence, phase}],
 *                  addresses[], protocol                                             first message of a
 * session heartbeat    load, memory_used_bytes, gpus[]                                   (unsequenced, every
 * 2 s) phase        job, fence, phase: "starting" | "running" | "completing", at ended        job, fence,
 * exit_code, signal, reason, message, at, tail[]        after every record was acknowledged; reason: "exit" |
 * "signal" | "timeout" | "cancel" | "preempt" | "end" | "memory" | "launch" (could not be started, message
 * says why) | "node_restart" | "lost" (shepherd gone without a word) records      job, fence, stream:
 * "metrics" | "logs", first, lines[]            line numbers from 1; idempotent; every line is an object:
 * what the file has, or {"t","kind":"invalid","text"} where a metrics line is no JSON object; at most 256
 * lines and about 64 KiB a message artifact     job, fence, name, digest, size, kind: "artifact" |
 * "checkpoint"   after PUT /agent/v1/blobs/{digest} orchestrator -> agent welcome      node, keep[{job,
 * fence, metrics, logs}], drop[{job, fence}]       next line wanted of each stream; an attempt of hello that
 * is in neither list is dropped launch       job, fence, launch{} (see agent/launch.h and
 * docs/architecture.md) stop         job, fence, reason: "cancel" | "timeout" | "preempt" | "end",
 * grace_seconds records_ack  job, fence, stream, next                                          durable up to
 * next - 1 forget       job, fence                                                        all is durable:
 * delete the folder both ack          (unsequenced) only carries ack
 *
 * An attempt over several nodes: every node of the allocation gets `launch`; launch.nodes[0] is the head,
 * which runs the program (or mpirun), the others are members: they fetch the files and wait. mpirun's remote
 * shell on the head (trainyard-rsh) has a member's agent run MPI's daemon by messages that the orchestrator
 * passes on as they are, from the agent named in `from` to the one named in `to`. It refuses (spawn_exit back
 * to the sender, message says why) when `from` is not the session's own node, when job and fence are not
 * running, or when `to` is not in its allocation or not connected. When the head has ended, the orchestrator
 * sends `stop` with reason "end" to the members; the job is over when every node of it has sent `ended`.
 * Records and artifacts come from the head only.
 *
 *   agent -> orchestrator -> agent
 *     spawn        job, fence, from, to, id, argv[], environment{}                   id names it within the
 * attempt spawn_output job, fence, from, to, id, stream: "stdout" | "stderr", text       in order spawn_exit
 * job, fence, from, to, id, exit_code, signal, message              last of its id; message: why it could not
 * be started, "" otherwise spawn_stop   job, fence, from, to, id                                          who
 * asked has gone: kill it
 *
 * Integers are never negative, in any message.
 */
// clang-format on
#ifndef PROTO_MESSAGE_H
#define PROTO_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>
#include "base/err.h"

#define PROTO_VERSION     1
#define PROTO_SUBPROTOCOL "trainyard.agent.v1"

enum msg_type {
    MSG_HELLO,
    MSG_HEARTBEAT,
    MSG_PHASE,
    MSG_ENDED,
    MSG_RECORDS,
    MSG_ARTIFACT,
    MSG_WELCOME,
    MSG_LAUNCH,
    MSG_STOP,
    MSG_RECORDS_ACK,
    MSG_FORGET,
    MSG_ACK,
    MSG_SPAWN,
    MSG_SPAWN_OUTPUT,
    MSG_SPAWN_EXIT,
    MSG_SPAWN_STOP,
    MSG_TYPE_COUNT,
};

enum msg_field_type { MSG_INT, MSG_REAL, MSG_STR, MSG_BOOL, MSG_OBJECT, MSG_ARRAY };

struct msg_field {
    const char *name;
    enum msg_field_type type;
    bool required;
};

struct msg_def {
    enum msg_type type;
    const char *name;
    enum { MSG_FROM_AGENT = 1, MSG_FROM_ORCHESTRATOR = 2, MSG_FROM_BOTH = 3 } from;
    bool sequenced;
    const struct msg_field *fields;
    int field_count;
};

/* Bounds that both ends keep to. */
#define MSG_MAX_BYTES     (1 << 20) /* one frame; the WebSocket's max_message */
#define MSG_RECORDS_LINES 256       /* lines of one records message */
#define MSG_RECORDS_BYTES 65536     /* stop adding lines beyond this */

const struct msg_def *msg_def(enum msg_type type);       /* aborts on a number outside the enum */
const struct msg_def *msg_def_by_name(const char *name); /* NULL if unknown */

/* Check a received document against the table: known type, allowed from that side, all required fields there
 * with the right type. Unknown further fields are let through (a newer peer). */
int msg_check(const json_t *doc, int from, enum msg_type *type, struct err *err);

#endif
