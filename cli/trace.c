#include "cli/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

#define TRACE_BYTES (512u << 20)
#define COLUMNS     16

/* A CSV text, line by line; cells are cut out of it in place. */
struct table {
    struct buf text;
    char *at;
    const char *path;
    char *cells[COLUMNS];
    int count, line;
};

/* 1: a line was read, 0: the end, -1: err. */
static int next_line(struct table *t, struct err *err)
{
    while (*t->at == '\n' || *t->at == '\r') {
        t->line += *t->at == '\n';
        t->at++;
    }
    if (!*t->at)
        return 0;
    char *end = t->at + strcspn(t->at, "\n"), *p = t->at;
    t->at = *end ? end + 1 : end;
    *end = 0;
    t->line++;
    p[strcspn(p, "\r")] = 0;
    for (t->count = 0; p; t->count++) {
        if (t->count == COLUMNS)
            return err_set(err, ERR_INVALID, "%s: line %d: more than %d columns", t->path, t->line, COLUMNS);
        t->cells[t->count] = p;
        p = strchr(p, ',');
        if (p)
            *p++ = 0;
    }
    return 1;
}

/* Opens it, reads the header, and answers its first cell; NULL: err. */
static const char *open_table(struct table *t, const char *path, struct err *err)
{
    *t = (struct table){.path = path};
    if (file_read(path, TRACE_BYTES, &t->text, err))
        return NULL;
    buf_putc(&t->text, 0);
    t->at = t->text.data;
    int rc = next_line(t, err);
    if (rc == 0)
        err_set(err, ERR_INVALID, "%s is empty", path);
    return rc == 1 ? t->cells[0] : NULL;
}

static int columns(const struct table *t, int least, struct err *err)
{
    if (t->count < least)
        return err_set(err, ERR_INVALID, "%s: line %d has %d columns; expected %d", t->path, t->line,
                       t->count, least);
    return 0;
}

/* Column `i` as a number from min to 1e12. */
static int number(const struct table *t, int i, double min, double *out, struct err *err)
{
    char *end;
    errno = 0;
    *out = strtod(t->cells[i], &end);
    if (!*t->cells[i] || *end || errno || !(*out >= min && *out <= 1e12))
        return err_set(err, ERR_INVALID, "%s: line %d, column %d: \"%.30s\" is not a number from %g to 1e12",
                       t->path, t->line, i + 1, t->cells[i], min);
    return 0;
}

static struct sim_job *add(struct trace *t)
{
    t->jobs = vec_grow(t->jobs, &t->job_cap, t->job_count + 1, sizeof(*t->jobs));
    struct sim_job *j = &t->jobs[t->job_count++];
    *j = (struct sim_job){.job.id = (int64_t)t->job_count, .job.owner = 1};
    return j;
}

/* name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time */
static int pod(struct table *t, struct trace *out, struct err *err)
{
    double cores, memory, gpus, created, deleted, scheduled;
    if (columns(t, 11, err))
        return -1;
    if (!*t->cells[10] || !*t->cells[9]) {
        out->left_out++;
        return 0;
    }
    if (number(t, 1, 0, &cores, err) || number(t, 2, 0, &memory, err) || number(t, 3, 0, &gpus, err) ||
        number(t, 8, 0, &created, err) || number(t, 9, 0, &deleted, err) || number(t, 10, 0, &scheduled, err))
        return -1;
    struct sim_job *j = add(out);
    j->job.submitted = created;
    j->job.request = (struct sched_request){1, (int64_t)cores, (int64_t)memory << 20, (int64_t)gpus};
    j->duration = deleted > scheduled ? deleted - scheduled : 0;
    return 0;
}

static int own(struct table *t, struct trace *out, struct err *err)
{
    double v[9];
    static const double least[9] = {1, 0, 0, 0, 0, 1, 0, 0, 0};
    if (columns(t, 9, err))
        return -1;
    for (int i = 0; i < 9; i++)
        if (number(t, i, least[i], &v[i], err))
            return -1;
    if (v[5] > 1e6 || v[6] > 1e6 || v[7] > 1e9 || v[8] > 1e6)
        return err_set(err, ERR_INVALID, "%s: line %d asks for more than any cluster has", t->path, t->line);
    struct sim_job *j = add(out);
    j->job.id = (int64_t)v[0];
    j->job.owner = (int64_t)v[1];
    j->job.submitted = v[2];
    j->duration = v[3];
    j->job.time_limit = (int64_t)v[4];
    j->job.request = (struct sched_request){(int64_t)v[5], (int64_t)v[6], (int64_t)v[7] << 20, (int64_t)v[8]};
    return 0;
}

static int by_id(const void *a, const void *b)
{
    const struct sim_job *x = a, *y = b;
    return x->job.id < y->job.id ? -1 : x->job.id > y->job.id;
}

static int check_ids(struct trace *t, const char *path, struct err *err)
{
    if (t->job_count == 0)
        return err_set(err, ERR_INVALID, "%s has no job with a duration", path);
    qsort(t->jobs, t->job_count, sizeof(*t->jobs), by_id);
    for (size_t i = 1; i < t->job_count; i++)
        if (t->jobs[i].job.id == t->jobs[i - 1].job.id)
            return err_set(err, ERR_INVALID, "%s has job %lld twice", path, (long long)t->jobs[i].job.id);
    return 0;
}

int trace_read(const char *path, struct trace *out, struct err *err)
{
    struct table t;
    *out = (struct trace){0};
    const char *first = open_table(&t, path, err);
    int rc = first ? 1 : -1;
    if (first && strcmp(first, "name") != 0 && strcmp(first, "id") != 0)
        rc = err_set(
            err, ERR_INVALID,
            "%s: the header begins with \"%.30s\"; expected \"id\" or \"name\" (see docs/scheduling.md)",
            path, first);
    out->milli = rc == 1 && !strcmp(first, "name");
    while (rc == 1 && (rc = next_line(&t, err)) == 1)
        if (out->milli ? pod(&t, out, err) : own(&t, out, err))
            rc = -1;
    buf_free(&t.text);
    return rc < 0 ? -1 : check_ids(out, path, err);
}

void trace_free(struct trace *t)
{
    free(t->jobs);
    *t = (struct trace){0};
}

int trace_nodes(const char *path, bool milli, struct sim_node **nodes, size_t *count, struct err *err)
{
    struct table t;
    size_t cap = 0;
    double v[3];
    *nodes = NULL;
    *count = 0;
    const char *first = open_table(&t, path, err);
    bool theirs = first && !strcmp(first, "sn");
    int rc = first ? 1 : -1;
    while (rc == 1 && (rc = next_line(&t, err)) == 1) {
        if (columns(&t, 4, err) || number(&t, 1, 0, &v[0], err) || number(&t, 2, 0, &v[1], err) ||
            number(&t, 3, 0, &v[2], err) || v[0] > 1e9 || v[1] > 1e12 / 1024 || v[2] > 1e6) {
            rc = err->code ? -1
                           : err_set(err, ERR_INVALID, "%s: line %d: more than any node has", path, t.line);
            break;
        }
        *nodes = vec_grow(*nodes, &cap, *count + 1, sizeof(**nodes));
        struct sim_node *n = &(*nodes)[(*count)++];
        *n = (struct sim_node){.cores = (int64_t)v[0], .memory = (int64_t)v[1] << 20, .gpus = (int64_t)v[2]};
        n->cores = theirs == milli ? n->cores : milli ? n->cores * 1000 : n->cores / 1000;
        snprintf(n->name, sizeof(n->name), "%s", t.cells[0]);
    }
    buf_free(&t.text);
    if (rc == 0 && *count == 0)
        rc = err_set(err, ERR_INVALID, "%s has no nodes", path);
    return rc < 0 ? -1 : 0;
}
