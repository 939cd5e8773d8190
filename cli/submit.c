/* trainyard submit SCRIPT [ARGUMENT...]: a batch job from a script with its directives. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/api.h"
#include "cli/args.h"
#include "cli/batch.h"
#include "cli/follow.h"
#include "cli/verb.h"

#define SCRIPT_MAX (1 << 20)

static int read_script(const char *path, struct buf *out, struct err *err)
{
    if (file_read(strcmp(path, "-") ? path : "/dev/stdin", SCRIPT_MAX, out, err))
        return -1;
    if (strlen(buf_str(out)) != out->len)
        return err_set(err, ERR_INVALID, "%s is no script: it has a zero byte", path);
    return 0;
}

/* What the command line says goes before what the script says. */
static int add_options(const struct args *args, struct batch *b, struct err *err)
{
    static const char *const names[] = {"job-name", "partition",     "nodes", "ntasks",   "cpus-per-task",
                                        "mem",      "gpus-per-task", "time",  "priority", "export"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = args_str(args, names[i]);
        if (!value)
            continue;
        char *word = xasprintf("--%s=%s", names[i], value);
        int took = batch_option(b, 1, &word, 0, err);
        free(word);
        if (took < 0)
            return -1;
    }
    b->hold |= args_flag(args, "hold");
    return 0;
}

static void warn_ignored(const struct batch *b)
{
    size_t i;
    json_t *name;
    json_array_foreach(b->ignored, i, name)
        fprintf(stderr, "trainyard: --%s changes nothing here%s\n", json_string_value(name),
                !strcmp(json_string_value(name), "output") || !strcmp(json_string_value(name), "error")
                    ? "; see what the job writes with trainyard logs"
                    : "");
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strcmp(path, "-") == 0 ? "stdin" : slash ? slash + 1 : path;
}

static json_t *make_body(const struct args *args, struct err *err)
{
    struct buf script = {0};
    struct directives d = {0};
    struct batch b;
    json_t *body = json_object(), *arguments = json_array();
    batch_init(&b);
    int rc = read_script(args->words[0], &script, err);
    if (!rc && (directives_read(buf_str(&script), &d, err) || batch_directives(&b, &d, err)))
        rc = err_prefix(err, "%s", args->words[0]);
    if (!rc)
        rc = add_options(args, &b, err);
    if (!rc)
        rc = batch_body(&b, body, err);
    if (!rc) {
        json_t *text = json_string(buf_str(&script));
        if (!text)
            rc = err_set(err, ERR_INVALID, "%s is not UTF-8", args->words[0]);
        else
            json_object_set_new(body, "script", text);
    }
    for (int i = 1; i < args->count; i++)
        json_array_append_new(arguments, json_string(args->words[i]));
    json_object_set_new(body, "kind", json_string("batch"));
    json_object_set_new(body, "arguments", arguments);
    if (!json_object_get(body, "name"))
        json_object_set_new(body, "name", json_string(base_name(args->words[0])));
    if (args_str(args, "task"))
        json_object_set_new(body, "task", json_string(args_str(args, "task")));
    if (!rc)
        warn_ignored(&b);
    batch_free(&b);
    directives_free(&d);
    buf_free(&script);
    if (rc) {
        json_decref(body);
        return NULL;
    }
    return body;
}

/* The key makes a repeated call (a connection lost just as the answer came) submit once. */
static int post(struct cli *cli, const json_t *body, json_t **job, struct err *err)
{
    char key[33], *text = json_text(body);
    struct http_headers headers = {0};
    struct http_response r;
    random_hex(key, 32);
    http_headers_add(&headers, "Idempotency-Key", key);
    struct http_call call = {.method = HTTP_M_POST,
                             .path = "/api/v1/jobs",
                             .headers = &headers,
                             .body = text,
                             .body_len = strlen(text),
                             .content_type = "application/json",
                             .timeout_seconds = 60};
    int rc = api_do(cli, &call, &r, err);
    if (!rc) {
        rc = r.status / 100 == 2 ? 0 : api_refused(cli, &r, err);
        if (!rc)
            rc = (*job = json_parse(buf_str(&r.body), r.body.len, NULL, NULL, err)) ? 0 : -1;
        http_response_free(&r);
    }
    http_headers_free(&headers);
    free(text);
    return rc;
}

int submit_run(struct cli *cli, const struct args *args, struct err *err)
{
    json_t *body = make_body(args, err), *job = NULL;
    if (!body)
        return -1;
    int rc = post(cli, body, &job, err);
    json_decref(body);
    if (rc)
        return -1;
    int64_t id = jint(job, "id");
    bool follow = args_flag(args, "follow");
    if (cli->json && !follow)
        api_print(job);
    else if (!cli->json)
        printf("job %lld submitted: %s\n", (long long)id, jstr(job, "name"));
    json_decref(job);
    fflush(stdout);
    return follow ? follow_job(cli, id, err) : 0;
}
