/* launch: what the orchestrator asks an agent to run, checked. The object is that of docs/architecture.md
 * section 5:
 *
 *   {"kind":"train"|"batch","name","ranks","cores","memory_bytes","time_limit_seconds","threads",
 *    "files":[{"path","digest","cache":bool}],"argv":[...],"environment":{...},"resume":{"digest"}|null,
 *    "gpus":[0,1],"nodes":[{"node","ranks","cores"}],"user","partition"}
 *
 * A missing member and null are the same. Of a batch job, script.sh is one of the files, and argv is its
 * words after the script's name. nodes absent: this node alone.
 */
#ifndef AGENT_LAUNCH_H
#define AGENT_LAUNCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

#define LAUNCH_RANKS_MAX 65536
#define LAUNCH_RESUME    "resume.ckpt" /* where the resumed checkpoint is put */
#define LAUNCH_SCRIPT    "script.sh"

enum launch_kind { LAUNCH_TRAIN, LAUNCH_BATCH };

struct launch_file {
    const char *path, *digest;
    bool cache; /* shared and read-only: linked, not copied */
};

struct launch_node {
    const char *node;
    int64_t ranks, cores;
};

struct launch {
    json_t *doc; /* the object; all strings below are its */
    int64_t job, fence;
    enum launch_kind kind;
    const char *name, *user, *partition;
    int64_t ranks, cores, threads;            /* threads: per rank */
    int64_t memory_bytes, time_limit_seconds; /* 0: no limit */
    struct launch_file *files;                /* with the resumed checkpoint, if any, as the last */
    size_t file_count;
    bool resume;
    const json_t *argv;        /* array of strings, may be empty */
    const json_t *environment; /* object of strings */
    const json_t *gpus;        /* array of indexes */
    struct launch_node *nodes;
    size_t node_count; /* at least 1 */
};

/* doc is the launch object (a reference is taken). NULL and err when it cannot be run as it is. */
struct launch *launch_parse(json_t *doc, int64_t job, int64_t fence, const char *own_node, struct err *err);
void launch_destroy(struct launch *l);
/* Does this node run the program (or mpirun), or does it only wait for MPI's daemon? */
bool launch_is_head(const struct launch *l, const char *own_node);

/* launch.json: {"job","fence","launch":{...}}, so that the folder alone says what it is. */
int launch_write(const char *path, int64_t job, int64_t fence, json_t *doc, struct err *err);
struct launch *launch_read(const char *path, const char *own_node, struct err *err);

#endif
