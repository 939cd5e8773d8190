/* procs: processes seen through /proc: identity that survives pid reuse, liveness, descendants. No state. */
#ifndef AGENT_PROCS_H
#define AGENT_PROCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"

/* A process for good: the pid alone may be another's tomorrow. */
struct proc_id {
    pid_t pid;
    uint64_t start; /* /proc/PID/stat field 22, clock ticks since boot */
    char boot[40];  /* /proc/sys/kernel/random/boot_id */
};

struct proc_stat {
    char state; /* 'R', 'S', 'Z', ... */
    pid_t ppid, pgrp, session;
    uint64_t start;
    int64_t rss_bytes;
};

/* Parse the text of /proc/PID/stat; the name in parentheses may hold anything. -1 when malformed. Pure. */
int proc_stat_parse(const char *text, struct proc_stat *out);
int proc_stat_read(pid_t pid, struct proc_stat *out); /* -1: no such process */
void proc_boot_id(char out[40]);                      /* "" when the kernel has none */
int proc_self(struct proc_id *out, struct err *err);
bool proc_alive(const struct proc_id *id); /* same boot, same start, not a zombie */

/* JSON {"pid","start","boot"}; read fails with ERR_NOT_FOUND when absent. Create fails with ERR_EXISTS when
 * the file is there: of several that try, exactly one succeeds, and readers never see half a file. */
int proc_id_read(const char *path, struct proc_id *out, struct err *err);
int proc_id_create(const char *path, const struct proc_id *id, struct err *err);

/* All living (not zombie) processes below root in the tree of parents, root itself left out. Caller frees
 * *out. */
size_t proc_descendants(pid_t root, pid_t **out);
int64_t proc_descendants_rss(pid_t root); /* bytes, shared pages counted in each */
/* Kill every process of this user whose environment holds the exact entry "NAME=value": what is left of an
 * attempt when its shepherd died. Returns how many were found. */
size_t proc_kill_marked(const char *entry, int signal);

#endif
