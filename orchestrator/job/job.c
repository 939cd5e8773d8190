#include "orchestrator/job/job.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"

struct job *job_create(void)
{
    struct job *j = xcalloc(1, sizeof(*j));
    j->exit_code = j->signal = -1;
    return j;
}

void job_destroy(struct job *j)
{
    if (!j)
        return;
    free(j->owner);
    free(j->task);
    free(j->name);
    free(j->reason);
    json_decref(j->spec);
    json_decref(j->allocation);
    json_decref(j->nodes);
    json_decref(j->failure);
    json_decref(j->progress);
    json_decref(j->head_end);
    free(j);
}

static json_t *time_json(double t)
{
    if (t <= 0)
        return json_null();
    char text[40];
    time_format_rfc3339(t, text, sizeof(text));
    return json_string(text);
}

static json_t *or_null(json_t *v)
{
    return v ? json_incref(v) : json_null();
}

/* {"name","version"} as "name@version". */
static json_t *asset_json(const json_t *spec, const char *kind)
{
    const json_t *a = json_object_get(spec, kind);
    const char *name = json_string_value(json_object_get(a, "name"));
    return name ? json_sprintf("%s@%d", name, (int)json_integer_value(json_object_get(a, "version")))
                : json_null();
}

static const char *reason_of(const struct job *j)
{
    if (j->state == JOB_PENDING && j->held)
        return "held";
    if (j->state == JOB_PENDING)
        return j->reason ? j->reason : "";
    return job_state_is_active(j->state) ? j->stopping : "";
}

json_t *job_json(const struct job *j)
{
    json_t *o = json_object();
    json_object_set_new(o, "id", json_integer(j->id));
    json_object_set_new(o, "kind", json_string(j->train ? "train" : "batch"));
    json_object_set_new(o, "name", json_string(j->name));
    json_object_set_new(o, "task", j->task ? json_string(j->task) : json_null());
    json_object_set_new(o, "owner", json_string(j->owner));
    json_object_set_new(o, "state", json_string(job_state_name(j->state)));
    json_object_set_new(o, "reason", json_string(reason_of(j)));
    json_object_set_new(o, "held", json_boolean(j->held));
    json_object_set_new(o, "priority", json_integer(j->priority));
    json_object_set_new(o, "attempt", json_integer(j->attempt));
    json_object_set_new(o, "submitted", time_json(j->submitted));
    json_object_set_new(o, "started", time_json(j->started));
    json_object_set_new(o, "ended", time_json(j->ended));
    json_object_set_new(o, "exit_code", j->exit_code >= 0 ? json_integer(j->exit_code) : json_null());
    json_object_set_new(o, "signal", j->signal > 0 ? json_integer(j->signal) : json_null());
    json_object_set_new(o, "resources", or_null(json_object_get(j->spec, "resources")));
    json_object_set_new(o, "time_limit_seconds", or_null(json_object_get(j->spec, "time_limit_seconds")));
    json_object_set_new(o, "nodes", j->nodes ? json_incref(j->nodes) : json_array());
    json_object_set_new(o, "dataset", asset_json(j->spec, "dataset"));
    json_object_set_new(o, "algorithm", asset_json(j->spec, "algorithm"));
    json_object_set_new(o, "model", asset_json(j->spec, "model"));
    json_t *overrides = json_object_get(j->spec, "overrides");
    json_object_set_new(o, "overrides", overrides ? json_incref(overrides) : json_object());
    json_object_set_new(o, "progress", or_null(j->progress));
    json_object_set_new(o, "resubmitted_from", or_null(json_object_get(j->spec, "resubmitted_from")));
    json_object_set_new(o, "failure", or_null(j->failure));
    return o;
}

static int64_t asked(const struct job *j, const char *key, int64_t fallback)
{
    const json_t *v = json_object_get(json_object_get(j->spec, "resources"), key);
    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

struct sched_request job_request(const struct job *j)
{
    struct sched_request r = {asked(j, "ranks", 1), asked(j, "cores_per_rank", 1), 0,
                              asked(j, "gpus_per_rank", 0)};
    r.memory_per_rank = (asked(j, "memory_bytes", 0) + r.ranks - 1) / r.ranks;
    return r;
}

int64_t job_time_limit(const struct job *j)
{
    const json_t *v = json_object_get(j->spec, "time_limit_seconds");
    return json_is_integer(v) ? json_integer_value(v) : 0;
}

int job_node_index(const struct job *j, const char *node)
{
    size_t i;
    json_t *share;
    json_array_foreach(j->allocation, i, share)
    {
        const char *name = json_string_value(json_object_get(share, "node"));
        if (name && !strcmp(name, node))
            return (int)i;
    }
    return -1;
}

static void copy_number(json_t *to, const char *name, const json_t *from)
{
    json_t *v = json_object_get(from, name);
    if (json_is_number(v))
        json_object_set(to, name, v);
}

static void merge_values(json_t *progress, const char *prefix, const json_t *values)
{
    json_t *all = json_object_get(progress, "values"), *v;
    const char *key;
    char name[96];
    json_object_foreach((json_t *)(uintptr_t)values, key, v)
    {
        if (!json_is_number(v) || json_object_size(all) > 64 || strlen(key) > 64)
            continue;
        snprintf(name, sizeof(name), "%s/%s", prefix, key);
        json_object_set(all, name, v);
    }
}

bool job_note_record(struct job *j, const json_t *record)
{
    const char *kind = json_string_value(json_object_get(record, "kind"));
    if (!kind)
        return false;
    if (!strcmp(kind, "start") || !j->progress) {
        json_decref(j->progress);
        j->progress = json_pack("{s:i, s:n, s:i, s:n, s:{}, s:n, s:n}", "step", 0, "steps", "epoch", 0,
                                "epochs", "values", "seconds_left", "parameters");
    }
    json_t *p = j->progress;
    static const char *const numbers[] = {"step", "steps", "epoch", "epochs", "parameters"};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        copy_number(p, numbers[i], record);
    bool train = !strcmp(kind, "train");
    if (train || !strcmp(kind, "eval"))
        merge_values(p, train ? "train" : "eval", json_object_get(record, "values"));
    double step = json_number_value(json_object_get(p, "step")),
           steps = json_number_value(json_object_get(p, "steps"));
    double t = json_number_value(json_object_get(record, "t"));
    if (!strcmp(kind, "end"))
        json_object_set_new(p, "seconds_left", json_integer(0));
    else if (train && step > 0 && steps > step && j->started > 0 && t > j->started)
        json_object_set_new(p, "seconds_left", json_real((t - j->started) / step * (steps - step)));
    return true;
}
