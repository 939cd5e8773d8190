#include "agent/launch.h"

#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sha256.h"

#define FILES_MAX 1024
#define NODES_MAX 4096
#define WORDS_MAX 4096

/* null counts as absent. */
static const json_t *member(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_null(v) ? NULL : v;
}

static int get_count(const json_t *o, const char *key, int64_t least, int64_t most, int64_t otherwise,
                     int64_t *out, struct err *err)
{
    const json_t *v = member(o, key);
    *out = otherwise;
    if (!v)
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > most)
        return err_set(err, ERR_INVALID, "\"%s\" must be a whole number from %lld to %lld", key,
                       (long long)least, (long long)most);
    *out = json_integer_value(v);
    return 0;
}

static int get_name(const json_t *o, const char *key, const char *otherwise, const char **out,
                    struct err *err)
{
    const json_t *v = member(o, key);
    *out = otherwise;
    if (!v)
        return 0;
    if (!json_is_string(v))
        return err_set(err, ERR_INVALID, "\"%s\" must be a string", key);
    *out = json_string_value(v);
    return 0;
}

static int get_strings(const json_t *o, const char *key, const json_t **out, struct err *err)
{
    const json_t *v = member(o, key), *e;
    size_t i;
    *out = v;
    if (v && (!json_is_array(v) || json_array_size(v) > WORDS_MAX))
        return err_set(err, ERR_INVALID, "\"%s\" must be an array of at most %d strings", key, WORDS_MAX);
    json_array_foreach((json_t *)(uintptr_t)v, i, e)
    {
        if (!json_is_string(e))
            return err_set(err, ERR_INVALID, "element %zu of \"%s\" must be a string", i, key);
    }
    return 0;
}

static bool env_name_ok(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    return *name && (*name < '0' || *name > '9') && name[strspn(name, allowed)] == '\0';
}

static int get_environment(struct launch *l, struct err *err)
{
    const char *key;
    json_t *v;
    l->environment = member(l->doc, "environment");
    if (l->environment && !json_is_object(l->environment))
        return err_set(err, ERR_INVALID, "\"environment\" must be an object");
    json_object_foreach((json_t *)(uintptr_t)l->environment, key, v)
    {
        if (!env_name_ok(key) || !json_is_string(v))
            return err_set(
                err, ERR_INVALID,
                "environment variable \"%.60s\" needs a name of letters, digits and _ and a string value",
                key);
    }
    return 0;
}

static int file_add(struct launch *l, const char *path, const char *digest, bool cache, struct err *err)
{
    if (!path_is_safe(path))
        return err_set(err, ERR_INVALID, "file name \"%.100s\" is not a safe relative path", path);
    if (!sha256_is_hex(digest))
        return err_set(err, ERR_INVALID, "the digest of \"%s\" must be 64 lower-case hex digits", path);
    l->files[l->file_count++] = (struct launch_file){path, digest, cache};
    return 0;
}

/* Names that the agent's own files have in the folder. */
static bool name_is_ours(const char *path)
{
    static const char *const ours[] = {"launch.json", "start.json",   "stop.json",    "exit.json",
                                       "acked.json",  "shepherd.pid", "shepherd.log", "metrics.jsonl",
                                       "logs.jsonl",  "secret"};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        if (strcmp(path, ours[i]) == 0)
            return true;
    }
    return strcmp(path, "out") == 0 || strcmp(path, "spawn") == 0 || strncmp(path, "spawn/", 6) == 0;
}

static int get_files(struct launch *l, struct err *err)
{
    const json_t *files = member(l->doc, "files"), *resume = member(l->doc, "resume");
    size_t n = json_array_size(files);
    if ((files && !json_is_array(files)) || n > FILES_MAX)
        return err_set(err, ERR_INVALID, "\"files\" must be an array of at most %d files", FILES_MAX);
    l->files = xcalloc(n + 1, sizeof(*l->files));
    for (size_t i = 0; i < n; i++) {
        const json_t *f = json_array_get(files, i);
        const char *path = NULL, *digest = NULL;
        bool cache = false;
        if (json_get_str(f, "path", true, &path, err) < 0 ||
            json_get_str(f, "digest", true, &digest, err) < 0 ||
            json_get_bool(f, "cache", false, &cache, err) < 0)
            return err_prefix(err, "file %zu", i);
        if (name_is_ours(path))
            return err_set(err, ERR_INVALID, "file name \"%s\" is the agent's own", path);
        if (file_add(l, path, digest, cache, err) < 0)
            return -1;
    }
    if (!resume)
        return 0;
    const char *digest = NULL;
    if (json_get_str(resume, "digest", true, &digest, err) < 0)
        return err_prefix(err, "resume");
    l->resume = true;
    return file_add(l, LAUNCH_RESUME, digest, true, err);
}

static int get_nodes(struct launch *l, const char *own_node, struct err *err)
{
    const json_t *nodes = member(l->doc, "nodes");
    size_t n = json_array_size(nodes);
    if ((nodes && !json_is_array(nodes)) || n > NODES_MAX)
        return err_set(err, ERR_INVALID, "\"nodes\" must be an array of at most %d nodes", NODES_MAX);
    l->nodes = xcalloc(n + 1, sizeof(*l->nodes));
    for (size_t i = 0; i < n; i++) {
        struct launch_node *node = &l->nodes[i];
        const json_t *o = json_array_get(nodes, i);
        /* A plain name will do where the ranks are the same everywhere. */
        if (json_is_string(o)) {
            *node = (struct launch_node){json_string_value(o), l->ranks / (int64_t)n, l->cores};
        } else if (json_get_str(o, "node", true, &node->node, err) < 0 ||
                   get_count(o, "ranks", 0, LAUNCH_RANKS_MAX, l->ranks / (int64_t)n, &node->ranks, err) < 0 ||
                   get_count(o, "cores", 0, 1 << 20, l->cores, &node->cores, err) < 0) {
            return err_prefix(err, "node %zu", i);
        }
        if (name_check("node", node->node, err) < 0)
            return -1;
    }
    l->node_count = n;
    if (n == 0) {
        l->nodes[0] = (struct launch_node){own_node, l->ranks, l->cores};
        l->node_count = 1;
    }
    return 0;
}

static int get_kind(struct launch *l, struct err *err)
{
    const char *kind = NULL;
    if (json_get_str(l->doc, "kind", true, &kind, err) < 0)
        return -1;
    if (strcmp(kind, "train") != 0 && strcmp(kind, "batch") != 0)
        return err_set(err, ERR_INVALID, "kind \"%.40s\" is not train or batch", kind);
    l->kind = *kind == 't' ? LAUNCH_TRAIN : LAUNCH_BATCH;
    return 0;
}

static int fill(struct launch *l, const char *own_node, struct err *err)
{
    const json_t *doc = l->doc;
    if (get_kind(l, err) < 0 || get_name(doc, "name", "job", &l->name, err) < 0 ||
        get_name(doc, "user", "trainyard", &l->user, err) < 0 ||
        get_name(doc, "partition", "default", &l->partition, err) < 0 ||
        get_count(doc, "ranks", 1, LAUNCH_RANKS_MAX, 1, &l->ranks, err) < 0 ||
        get_count(doc, "cores", 0, 1 << 20, l->ranks, &l->cores, err) < 0 ||
        get_count(doc, "threads", 0, 1 << 16, 0, &l->threads, err) < 0 ||
        get_count(doc, "memory_bytes", 0, INT64_MAX, 0, &l->memory_bytes, err) < 0 ||
        get_count(doc, "time_limit_seconds", 0, INT64_MAX / 1000, 0, &l->time_limit_seconds, err) < 0 ||
        get_strings(doc, "argv", &l->argv, err) < 0 || get_environment(l, err) < 0 || get_files(l, err) < 0 ||
        get_nodes(l, own_node, err) < 0)
        return -1;
    if (l->threads == 0)
        l->threads = l->cores > l->ranks ? l->cores / l->ranks : 1;
    l->gpus = member(doc, "gpus");
    if (l->gpus && !json_is_array(l->gpus))
        return err_set(err, ERR_INVALID, "\"gpus\" must be an array of device numbers");
    if (l->kind == LAUNCH_TRAIN && json_array_size(l->argv) == 0)
        return err_set(err, ERR_INVALID, "a train launch needs \"argv\"");
    return 0;
}

struct launch *launch_parse(json_t *doc, int64_t job, int64_t fence, const char *own_node, struct err *err)
{
    if (!json_is_object(doc) || job < 1 || fence < 1) {
        err_set(err, ERR_INVALID, "a launch needs an object, a job and a fence of at least 1");
        return NULL;
    }
    struct launch *l = xcalloc(1, sizeof(*l));
    l->doc = json_incref(doc);
    l->job = job;
    l->fence = fence;
    if (fill(l, own_node, err) < 0) {
        err_prefix(err, "launch of %lld.%lld", (long long)job, (long long)fence);
        launch_destroy(l);
        return NULL;
    }
    return l;
}

void launch_destroy(struct launch *l)
{
    if (!l)
        return;
    json_decref(l->doc);
    free(l->files);
    free(l->nodes);
    free(l);
}

bool launch_is_head(const struct launch *l, const char *own_node)
{
    return strcmp(l->nodes[0].node, own_node) == 0;
}

int launch_write(const char *path, int64_t job, int64_t fence, json_t *doc, struct err *err)
{
    json_t *o = json_pack("{s:I,s:I,s:O}", "job", (json_int_t)job, "fence", (json_int_t)fence, "launch", doc);
    char *text = json_text(o);
    int rc = file_write_atomic(path, text, strlen(text), 0600, err);
    free(text);
    json_decref(o);
    return rc;
}

struct launch *launch_read(const char *path, const char *own_node, struct err *err)
{
    int64_t job = 0, fence = 0;
    struct launch *l = NULL;
    json_t *o = json_parse_file(path, 4 << 20, err);
    if (!o)
        return NULL;
    if (json_get_int(o, "job", true, &job, err) == 0 && json_get_int(o, "fence", true, &fence, err) == 0)
        l = launch_parse(json_object_get(o, "launch"), job, fence, own_node, err);
    if (!l)
        err_prefix(err, "%s", path);
    json_decref(o);
    return l;
}
