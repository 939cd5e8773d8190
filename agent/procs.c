#include "agent/procs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/mem.h"

int proc_stat_parse(const char *text, struct proc_stat *out)
{
    const char *p = strrchr(text, ')'); /* the name may itself hold spaces and parentheses */
    int ppid, pgrp, session;
    unsigned long long start;
    long rss;

    if (!p || p[1] != ' ')
        return -1;
    int n =
        sscanf(p + 2, "%c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu %*u %ld",
               &out->state, &ppid, &pgrp, &session, &start, &rss);
    if (n != 6)
        return -1;
    out->ppid = ppid;
    out->pgrp = pgrp;
    out->session = session;
    out->start = start;
    out->rss_bytes = (int64_t)rss * sysconf(_SC_PAGESIZE);
    return 0;
}

/* /proc files have no size and may not be read in one piece by a buffered reader while they change: one
 * read(2). */
static ssize_t small_read(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, out, cap - 1);
    close(fd);
    if (n < 0)
        return -1;
    out[n] = '\0';
    return n;
}

int proc_stat_read(pid_t pid, struct proc_stat *out)
{
    char path[64], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (small_read(path, text, sizeof(text)) <= 0)
        return -1;
    return proc_stat_parse(text, out);
}

void proc_boot_id(char out[40])
{
    if (small_read("/proc/sys/kernel/random/boot_id", out, 40) < 0)
        out[0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

int proc_self(struct proc_id *out, struct err *err)
{
    struct proc_stat st;
    out->pid = getpid();
    if (proc_stat_read(out->pid, &st) < 0)
        return err_set(err, ERR_IO, "cannot read /proc/self/stat: is /proc mounted?");
    out->start = st.start;
    proc_boot_id(out->boot);
    return 0;
}

bool proc_alive(const struct proc_id *id)
{
    struct proc_stat st;
    char boot[40];
    proc_boot_id(boot);
    return strcmp(boot, id->boot) == 0 && proc_stat_read(id->pid, &st) == 0 && st.start == id->start &&
           st.state != 'Z' && st.state != 'X';
}

int proc_id_read(const char *path, struct proc_id *out, struct err *err)
{
    int64_t pid = 0, start = 0;
    const char *boot = "";
    json_t *doc = json_parse_file(path, 4096, err);
    if (!doc)
        return -1;
    int rc = json_get_int(doc, "pid", true, &pid, err);
    if (rc == 0)
        rc = json_get_int(doc, "start", true, &start, err);
    if (rc == 0)
        rc = json_get_str(doc, "boot", true, &boot, err);
    if (rc == 0 && (pid < 2 || pid > INT32_MAX || start < 0))
        rc = err_set(err, ERR_INVALID, "%s names no process", path);
    if (rc == 0) {
        out->pid = (pid_t)pid;
        out->start = (uint64_t)start;
        snprintf(out->boot, sizeof(out->boot), "%s", boot);
    }
    json_decref(doc);
    return rc;
}

int proc_id_create(const char *path, const struct proc_id *id, struct err *err)
{
    char tag[17], text[160];
    random_hex(tag, 16);
    char *tmp = xasprintf("%s.%s", path, tag);
    int n = snprintf(text, sizeof(text), "{\"pid\":%d,\"start\":%llu,\"boot\":\"%s\"}\n", (int)id->pid,
                     (unsigned long long)id->start, id->boot);
    int rc = file_write_atomic(tmp, text, (size_t)n, 0644, err);
    if (rc == 0 && link(tmp, path) < 0) /* unlike rename, refuses to replace */
        rc = err_set(err, errno == EEXIST ? ERR_EXISTS : ERR_IO, "cannot make %s: %s", path, strerror(errno));
    unlink(tmp);
    free(tmp);
    return rc;
}

struct proc_row {
    pid_t pid, ppid;
    int64_t rss;
    bool in, zombie;
};

static size_t rows_read(struct proc_row **out)
{
    struct proc_row *rows = NULL;
    size_t n = 0, cap = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        struct proc_stat st;
        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        pid_t pid = (pid_t)atoi(e->d_name);
        if (proc_stat_read(pid, &st) < 0)
            continue;
        rows = vec_grow(rows, &cap, n + 1, sizeof(*rows));
        rows[n++] = (struct proc_row){pid, st.ppid, st.rss_bytes, false, st.state == 'Z' || st.state == 'X'};
    }
    if (d)
        closedir(d);
    *out = rows;
    return n;
}

/* Mark every row below root. Passes over the list until nothing changes: trees are shallow. */
static size_t rows_mark(struct proc_row *rows, size_t n, pid_t root)
{
    size_t marked = 0;
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < n; i++) {
            bool below = rows[i].ppid == root;
            for (size_t j = 0; !rows[i].in && !below && j < n; j++)
                below = rows[j].in && rows[j].pid == rows[i].ppid;
            if (!rows[i].in && below) {
                rows[i].in = changed = true;
                marked++;
            }
        }
    }
    return marked;
}

size_t proc_descendants(pid_t root, pid_t **out)
{
    struct proc_row *rows = NULL;
    size_t n = rows_read(&rows), count = 0;
    pid_t *pids = xcalloc(rows_mark(rows, n, root) + 1, sizeof(*pids));
    for (size_t i = 0; i < n; i++) {
        if (rows[i].in && !rows[i].zombie)
            pids[count++] = rows[i].pid;
    }
    free(rows);
    *out = pids;
    return count;
}

int64_t proc_descendants_rss(pid_t root)
{
    struct proc_row *rows = NULL;
    size_t n = rows_read(&rows);
    int64_t sum = 0;
    rows_mark(rows, n, root);
    for (size_t i = 0; i < n; i++)
        sum += rows[i].in ? rows[i].rss : 0;
    free(rows);
    return sum;
}

static bool environ_has(pid_t pid, const char *entry)
{
    char path[64];
    struct buf env = {0};
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    if (file_read(path, 1 << 20, &env, NULL) == 0) {
        for (size_t at = 0; at < env.len && !found; at += strlen(env.data + at) + 1)
            found = strcmp(env.data + at, entry) == 0;
    }
    buf_free(&env);
    return found;
}

size_t proc_kill_marked(const char *entry, int sig)
{
    struct proc_row *rows = NULL;
    size_t n = rows_read(&rows), found = 0;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].pid == getpid() || rows[i].zombie || !environ_has(rows[i].pid, entry))
            continue;
        found++;
        kill(rows[i].pid, sig);
    }
    free(rows);
    return found;
}
