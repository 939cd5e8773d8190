/* trainyard results JOB [--output DIR]: download what the run left. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/units.h"
#include "cli/api.h"
#include "cli/args.h"
#include "cli/download.h"
#include "cli/table.h"
#include "cli/verb.h"

/* A name may have folders: each part is escaped by itself. */
static char *artifact_path(int64_t job, const char *name)
{
    struct buf b = {0};
    buf_printf(&b, "/api/v1/jobs/%lld/artifacts/", (long long)job);
    for (const char *p = name; *p;) {
        size_t n = strcspn(p, "/");
        char *part = xstrndup(p, n);
        http_percent_encode(&b, part);
        free(part);
        p += n;
        if (*p)
            buf_putc(&b, *p++);
    }
    return buf_steal(&b);
}

static bool is_there(const char *file, const char *digest)
{
    char hex[SHA256_HEX];
    return *digest && file_exists(file) && sha256_of_file(file, hex, NULL) == 0 && strcmp(hex, digest) == 0;
}

/* Security: the names come from a run; none may leave the folder. */
static int fetch(struct cli *cli, int64_t job, const json_t *a, const char *dir, struct err *err)
{
    const char *name = jstr(a, "name"), *digest = jstr(a, "digest");
    if (!path_is_safe(name))
        return err_set(err, ERR_INVALID,
                       "the run left a file with the unsafe name \"%s\"; it was not fetched", name);
    char *file = path_join(dir, name), *path = artifact_path(job, name), size[32];
    bool had = is_there(file, digest);
    int rc = had ? 0 : download(cli, path, file, digest, err);
    units_format_size(jint(a, "size"), size, sizeof size);
    if (!rc && !cli->json)
        printf("%10s  %s%s\n", size, file, had ? "  (was there)" : "");
    free(file);
    free(path);
    return rc;
}

static void print_list(const struct cli *cli, const json_t *items)
{
    struct table *t = table_create(3, "NAME", ">SIZE", "SHA-256");
    size_t i;
    json_t *a;
    json_array_foreach(items, i, a)
    {
        char size[32];
        units_format_size(jint(a, "size"), size, sizeof size);
        table_row(t, jstr(a, "name"), size, jstr(a, "digest"));
    }
    table_print(t, stdout, cli->color);
    table_destroy(t);
}

int results_run(struct cli *cli, const struct args *args, struct err *err)
{
    int64_t job;
    json_t *list = NULL, *a;
    const char *only = args_str(args, "only"), *output = args_str(args, "output");
    if (args_job(args, &job, err) || api_get(cli, &list, err, "/jobs/%lld/artifacts", (long long)job))
        return -1;
    char *dir = output ? xstrdup(output) : xasprintf("results-%lld", (long long)job);
    json_t *items = json_object_get(list, "items");
    size_t i;
    int rc = 0, matched = 0;
    if (args_flag(args, "list")) {
        if (!cli->json)
            print_list(cli, items);
    } else {
        json_array_foreach(items, i, a) if (!rc && (!only || fnmatch(only, jstr(a, "name"), 0) == 0))
        {
            matched++;
            rc = fetch(cli, job, a, dir, err);
        }
        if (!rc && !matched)
            rc = err_set(err, ERR_NOT_FOUND,
                         only ? "job %lld left nothing that matches \"%s\"" : "job %lld has left nothing yet",
                         (long long)job, only);
    }
    if (!rc && cli->json)
        api_print(list);
    free(dir);
    json_decref(list);
    return rc;
}
