/* batch: what a batch job asks for, in sbatch's words, and the same as the body of POST /jobs. Pure: `trainyard submit` and
 * `sbatch` read a script's directives and their command line through the one table in batch.c. */
#ifndef CLI_BATCH_H
#define CLI_BATCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "cli/directives.h"

struct batch {
    char *name, *partition;
    int64_t nodes, tasks, tasks_per_node, cores_per_task; /* 0: not said */
    int64_t memory_per_node, memory_per_core;             /* bytes */
    int64_t gpus, gpus_per_node, gpus_per_task;
    int64_t time_limit, priority; /* seconds, 0: none */
    bool hold;
    json_t *environment;
    json_t *ignored; /* names of options that were given and change nothing here */
};

void batch_init(struct batch *b);
void batch_free(struct batch *b);

/* Take one option at words[i] (sbatch's long and short forms). Answers how many words it took; 0: words[i] is no option; -1 with
 * err: unknown, without its value, or asking for what this server cannot do. */
int batch_option(struct batch *b, int count, char *const *words, int i, struct err *err);
/* All of a script's; the err names the line. */
int batch_directives(struct batch *b, const struct directives *d, struct err *err);
/* The body's members name, resources, time_limit_seconds, priority, held, environment. -1: the numbers contradict each other. */
int batch_body(const struct batch *b, json_t *body, struct err *err);

/* "m", "m:s", "h:m:s", "d-h", "d-h:m", "d-h:m:s"; "0", "UNLIMITED", "INFINITE": 0. */
int batch_time(const char *text, int64_t *seconds, struct err *err);
/* "500" (MiB), "500M", "1GB", "27g". */
int batch_memory(const char *text, int64_t *bytes, struct err *err);

#endif
