/* trainyard dataset|algorithm|layer|model: assets of a task; one set of commands for the four kinds. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/api.h"
#include "cli/args.h"
#include "cli/bar.h"
#include "cli/download.h"
#include "cli/problem.h"
#include "cli/table.h"
#include "cli/tar.h"
#include "cli/when.h"

#define VERIFY_SECONDS 7200 /* a large dataset is checked whole before the answer comes */

static int need_task(const struct args *args, char **task, struct err *err)
{
    const char *name = args_str(args, "task");
    if (!name)
        return err_set(err, ERR_INVALID, "in which task? Add --task TASK (see trainyard task list)");
    *task = api_escape(name);
    return 0;
}

/* "/tasks/T/models" or "/tasks/T/models/NAME". */
static char *asset_path(const struct args *args, const char *name, struct err *err)
{
    char *task = NULL;
    if (need_task(args, &task, err))
        return NULL;
    char *escaped = name ? api_escape(name) : NULL;
    char *path =
        xasprintf("/tasks/%s/%ss%s%s", task, args->path[0], escaped ? "/" : "", escaped ? escaped : "");
    free(task);
    free(escaped);
    return path;
}

/* ---- showing ---- */

static void print_values(json_t *o, const char *indent)
{
    const char *key;
    json_t *v;
    json_object_foreach(o, key, v)
    {
        if (json_is_string(v))
            printf("%s%-18s %s\n", indent, key, json_string_value(v));
        else if (json_is_integer(v))
            printf("%s%-18s %lld\n", indent, key, (long long)json_integer_value(v));
        else if (json_is_real(v))
            printf("%s%-18s %g\n", indent, key, json_real_value(v));
        else if (json_is_array(v) && json_array_size(v) <= 16 && !json_is_object(json_array_get(v, 0)) &&
                 !json_is_array(json_array_get(v, 0))) {
            char *text = json_text(v);
            printf("%s%-18s %s\n", indent, key, text);
            free(text);
        }
    }
}

static void print_asset(const struct cli *cli, const json_t *a, const char *local_file)
{
    char size[32], when[48];
    const json_t *verification = json_object_get(a, "verification");
    json_t *summary = json_object_get(verification, "summary");
    units_format_size(jint(a, "size"), size, sizeof size);
    printf("%-13s %s%s@%lld%s\n", jstr(a, "kind"), C_BOLD(cli->color), jstr(a, "name"),
           (long long)jint(a, "version"), C_OFF(cli->color));
    printf("task          %s\nsize          %s\nsha256        %s\nadded         %s by %s\n", jstr(a, "task"),
           size, jstr(a, "digest"), when_ago(jstr(a, "created"), when, sizeof when), jstr(a, "created_by"));
    if (*jstr(a, "description"))
        printf("description   %s\n", jstr(a, "description"));
    size_t i, passed = 0, warned = 0;
    json_t *check;
    json_array_foreach(json_object_get(verification, "checks"), i, check)
    {
        passed += strcmp(jstr(check, "status"), "passed") == 0;
        warned += strcmp(jstr(check, "status"), "warned") == 0;
    }
    printf("checks        %zu passed, %zu warned\n", passed, warned);
    print_values(summary, "  ");
    print_values(json_object_get(summary, "dataset_info"), "  ");
    problem_print_verification(verification, local_file, false, cli->color, stdout);
}

static int answer(const struct cli *cli, json_t *asset, const char *local_file)
{
    if (cli->json)
        api_print(asset);
    else
        print_asset(cli, asset, local_file);
    json_decref(asset);
    return 0;
}

int asset_show(struct cli *cli, const struct args *args, struct err *err)
{
    json_t *asset = NULL;
    char *path = asset_path(args, args->words[0], err);
    int rc = path ? api_call(cli, HTTP_M_GET, path, NULL, &asset, err) : -1;
    free(path);
    return rc ? -1 : answer(cli, asset, NULL);
}

int asset_delete(struct cli *cli, const struct args *args, struct err *err)
{
    char *path = asset_path(args, args->words[0], err);
    int rc = path ? api_call(cli, HTTP_M_DELETE, path, NULL, NULL, err) : -1;
    free(path);
    if (!rc && !cli->json)
        printf("%s %s deleted\n", args->path[0], args->words[0]);
    return rc;
}

int asset_list(struct cli *cli, const struct args *args, struct err *err)
{
    char *path = asset_path(args, NULL, err),
         *full = path ? xasprintf("%s%s", path, args_flag(args, "all") ? "?versions=all" : "") : NULL;
    json_t *items = full ? api_list(cli, full, err) : NULL, *a;
    free(path);
    free(full);
    if (!items)
        return -1;
    if (cli->json) {
        json_t *doc = json_pack("{s:O}", "items", items);
        api_print(doc);
        json_decref(doc);
    } else {
        size_t i;
        struct table *t = table_create(5, "NAME", ">VERSION", ">SIZE", "ADDED", "DESCRIPTION");
        json_array_foreach(items, i, a)
        {
            char version[24], size[32], when[48];
            snprintf(version, sizeof version, "%lld", (long long)jint(a, "version"));
            units_format_size(jint(a, "size"), size, sizeof size);
            table_row(t, jstr(a, "name"), version, size, when_ago(jstr(a, "created"), when, sizeof when),
                      jstr(a, "description"));
        }
        table_print(t, stdout, cli->color);
        table_destroy(t);
    }
    json_decref(items);
    return 0;
}

int asset_get(struct cli *cli, const struct args *args, struct err *err)
{
    const char *out = args_str(args, "output");
    json_t *asset = NULL;
    char *path = asset_path(args, args->words[0], err);
    int rc = path ? api_call(cli, HTTP_M_GET, path, NULL, &asset, err) : -1;
    if (!rc) {
        char *content = xasprintf("/api/v1%s/content", path),
             *name =
                 xasprintf("%s%s", jstr(asset, "name"), strcmp(args->path[0], "dataset") == 0 ? "" : ".json");
        rc = download(cli, content, out ? out : name, jstr(asset, "digest"), err);
        if (!rc && !cli->json && !(out && strcmp(out, "-") == 0))
            printf("%s\n", out ? out : name);
        free(content);
        free(name);
    }
    json_decref(asset);
    free(path);
    return rc;
}

/* ---- adding ---- */

/* What an upload's callbacks share. */
struct source {
    struct bar bar;
    struct tar *tar; /* NULL: one file, read by the client itself */
};

static void on_progress(int64_t sent, int64_t total, void *arg)
{
    struct source *s = arg;
    bar_bytes(&s->bar, sent, total);
    if (sent >= total) {
        s->bar.drawn = 0;
        bar_text(&s->bar, 1, "sent; the server checks it");
    }
}

static ssize_t read_tar(void *p, size_t n, void *arg, struct err *err)
{
    return tar_read(p, n, ((struct source *)arg)->tar, err);
}

static int add_metadata(const struct args *args, json_t *m, struct err *err)
{
    static const char *const TEXTS[] = {"target", "task-type"};
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++)
        if (args_str(args, TEXTS[i]))
            json_object_set_new(m, i ? "task_type" : "target", json_string(args_str(args, TEXTS[i])));
    const char *fraction = args_str(args, "test-fraction");
    if (fraction) {
        char *end;
        double v = strtod(fraction, &end);
        if (*end || end == fraction || !(v >= 0 && v < 1))
            return err_set(err, ERR_INVALID, "--test-fraction must be a number from 0 to below 1, not \"%s\"",
                           fraction);
        json_object_set_new(m, "test_fraction", json_real(v));
    }
    return 0;
}

/* "?name=...&description=...&metadata=...": caller frees. */
static char *add_query(const struct args *args, struct err *err)
{
    struct buf q = {0};
    const char *description = args_str(args, "description"), *given = args_str(args, "metadata");
    json_t *metadata = given ? json_parse(given, strlen(given), NULL, NULL, err) : json_object();
    int rc = !metadata ? err_prefix(err, "--metadata") : add_metadata(args, metadata, err);
    if (!rc) {
        buf_puts(&q, "?name=");
        http_percent_encode(&q, args->words[0]);
        if (description) {
            buf_puts(&q, "&description=");
            http_percent_encode(&q, description);
        }
        if (json_object_size(metadata)) {
            char *text = json_text(metadata);
            buf_puts(&q, "&metadata=");
            http_percent_encode(&q, text);
            free(text);
        }
    }
    json_decref(metadata);
    return rc ? NULL : buf_steal(&q);
}

/* One file goes up as it is; several, or a folder, as a tar made on the way. */
static int open_source(const struct args *args, struct http_call *call, struct tar **tar, struct err *err)
{
    struct stat st;
    const char *first = args->words[1];
    *tar = NULL;
    call->body_fd = -1;
    if (stat(first, &st))
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot read %s: %s", first,
                       strerror(errno));
    if (args->count > 2 || S_ISDIR(st.st_mode)) {
        if (strcmp(args->path[0], "dataset") != 0)
            return err_set(err, ERR_INVALID, "a %s is one file", args->path[0]);
        if (!(*tar = tar_create(args->words + 1, args->count - 1, err)))
            return -1;
        call->body_read = read_tar;
        call->body_total = tar_size(*tar);
        call->content_type = "application/x-tar";
        return 0;
    }
    call->body_fd = open(first, O_RDONLY | O_CLOEXEC);
    if (call->body_fd < 0 || !S_ISREG(st.st_mode))
        return err_set(err, ERR_IO, "cannot read %s: %s", first,
                       call->body_fd < 0 ? strerror(errno) : "it is no regular file");
    if (st.st_size == 0)
        return err_set(err, ERR_INVALID, "%s is empty", first);
    call->body_from_fd = true;
    call->body_len_fd = st.st_size;
    call->content_type = "application/octet-stream";
    return 0;
}

static int send_asset(struct cli *cli, const struct args *args, const char *path, json_t **asset,
                      struct err *err)
{
    struct source s = {0};
    struct http_call call = {.method = HTTP_M_POST,
                             .path = path,
                             .timeout_seconds = VERIFY_SECONDS,
                             .max_response = 256 << 20,
                             .on_progress = on_progress,
                             .arg = &s};
    struct http_response r = {0};
    int rc = open_source(args, &call, &s.tar, err);
    if (!rc) {
        bar_begin(&s.bar, cli->live, args->words[0]);
        rc = api_do(cli, &call, &r, err);
        bar_clear(&s.bar);
    }
    if (call.body_fd >= 0)
        close(call.body_fd);
    tar_destroy(s.tar);
    if (rc)
        return -1;
    if (r.status / 100 != 2) {
        if (args->count == 2)
            cli->local_file = args->words[1];
        rc = api_refused(cli, &r, err);
    } else {
        *asset = json_parse(buf_str(&r.body), r.body.len, NULL, NULL, err);
        rc = *asset ? 0 : -1;
    }
    http_response_free(&r);
    return rc;
}

int asset_add(struct cli *cli, const struct args *args, struct err *err)
{
    json_t *asset = NULL;
    char *base = asset_path(args, NULL, err), *query = base ? add_query(args, err) : NULL;
    char *path = query ? xasprintf("/api/v1%s%s", base, query) : NULL;
    int rc = path ? send_asset(cli, args, path, &asset, err) : -1;
    free(base);
    free(query);
    free(path);
    return rc ? -1 : answer(cli, asset, args->count == 2 ? args->words[1] : NULL);
}
