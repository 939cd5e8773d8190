#include "orchestrator/dispatch/launch.h"

#include <stdlib.h>

#include "base/json.h"

static void add_file(json_t *files, const char *path, const json_t *digest, bool cache)
{
    if (json_is_string(digest))
        json_array_append_new(files, json_pack("{s:s, s:s, s:b}", "path", path, "digest",
                                               json_string_value(digest), "cache", cache));
}

static void words(json_t *argv, const char *a, const char *b)
{
    json_array_append_new(argv, json_string(a));
    json_array_append_new(argv, json_string(b));
}

static void train_files(const json_t *spec, json_t *files, json_t *argv)
{
    size_t i;
    json_t *layer, *value;
    const char *pointer;
    json_array_append_new(argv, json_string("trainyard-train"));
    words(argv, "--model", "model.json");
    words(argv, "--algorithm", "algorithm.json");
    words(argv, "--data", "data");
    add_file(files, "model.json", json_object_get(json_object_get(spec, "model"), "digest"), false);
    add_file(files, "algorithm.json", json_object_get(json_object_get(spec, "algorithm"), "digest"), false);
    add_file(files, "data", json_object_get(json_object_get(spec, "dataset"), "digest"), true);
    json_array_foreach(json_object_get(spec, "layers"), i, layer)
    {
        json_t *path = json_sprintf("layers/%s.json", json_string_value(json_object_get(layer, "name")));
        add_file(files, json_string_value(path), json_object_get(layer, "digest"), false);
        words(argv, "--layer", json_string_value(path));
        json_decref(path);
    }
    json_object_foreach(json_object_get(spec, "overrides"), pointer, value)
    {
        char *text = json_text(value);
        json_t *set = json_sprintf("%s=%s", pointer, text);
        words(argv, "--set", json_string_value(set));
        json_decref(set);
        free(text);
    }
    words(argv, "--out", "out");
    words(argv, "--metrics", "metrics.jsonl");
}

static void batch_files(const json_t *spec, json_t *files, json_t *argv)
{
    size_t i;
    json_t *word;
    add_file(files, "script.sh", json_object_get(spec, "script"), false);
    json_array_foreach(json_object_get(spec, "arguments"), i, word) json_array_append(argv, word);
}

json_t *launch_object(const struct job *j, size_t node, const char *resume)
{
    int64_t here = json_integer_value(json_object_get(json_array_get(j->allocation, node), "ranks"));
    struct sched_request r = job_request(j);
    json_t *files = json_array(), *argv = json_array();
    if (j->train)
        train_files(j->spec, files, argv);
    else
        batch_files(j->spec, files, argv);
    json_t *environment = json_object_get(j->spec, "environment");
    json_t *partition = json_object_get(json_object_get(j->spec, "resources"), "partition");
    json_t *o = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:O, s:s}", "kind", j->train ? "train" : "batch",
        "name", j->name, "ranks", (json_int_t)r.ranks, "cores", (json_int_t)(r.ranks * r.cores_per_rank),
        "threads", (json_int_t)r.cores_per_rank, "memory_bytes", (json_int_t)(here * r.memory_per_rank),
        "time_limit_seconds", (json_int_t)job_time_limit(j), "files", files, "argv", argv, "nodes",
        j->allocation, "user", j->owner);
    json_object_set_new(o, "environment",
                        json_is_object(environment) ? json_incref(environment) : json_object());
    json_object_set_new(o, "partition",
                        json_is_string(partition) ? json_incref(partition) : json_string("default"));
    json_object_set_new(o, "resume", resume ? json_pack("{s:s}", "digest", resume) : json_null());
    return o;
}
