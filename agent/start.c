#include "agent/start.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/agent.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/mem.h"

/* The attempt's secret: what trainyard-rsh proves itself with, and (its beginning) the mark of the attempt's
 * processes. */
static char *secret_get(const char *attempt_dir, struct err *err)
{
    char *path = path_join(attempt_dir, "secret"), hex[65];
    struct buf b = {0};
    char *secret = NULL;
    if (!file_exists(path)) {
        random_hex(hex, 64);
        if (file_write_atomic(path, hex, 64, 0600, err) == 0)
            secret = xstrdup(hex);
    } else if (file_read(path, 128, &b, err) == 0) {
        secret = buf_steal(&b);
    }
    buf_free(&b);
    free(path);
    return secret;
}

/* Short, because Open MPI puts unix sockets under it and their names end at 107 bytes; nobody else's, because
 * it is made here or not at all. */
static char *scratch_make(const char *base, char tag[9], struct err *err)
{
    for (int try = 0; try < 10; try++) {
        random_hex(tag, 8);
        char *path = xasprintf("%s/ty-%s", base, tag);
        if (mkdir(path, 0700) == 0)
            return path;
        int saved = errno;
        free(path);
        if (saved != EEXIST) {
            err_set(err, ERR_IO, "cannot make a scratch folder in %s: %s", base, strerror(saved));
            return NULL;
        }
    }
    err_set(err, ERR_IO, "cannot find a free name for a scratch folder in %s", base);
    return NULL;
}

int start_write(struct agent *agent, const struct launch *l, const char *attempt_dir, const char *run_dir,
                const json_t *argv, struct err *err)
{
    char tag[9], *path = path_join(run_dir, "start.json"), *secret = NULL, *scratch = NULL;
    int rc = -1;
    if (file_exists(path)) { /* an earlier agent got this far; a shepherd may have read it */
        free(path);
        return 0;
    }
    if ((secret = secret_get(attempt_dir, err)) && (scratch = scratch_make(agent->scratch_dir, tag, err))) {
        json_t *start = argv ? command_build_spawn(l, &agent->site, attempt_dir, scratch, secret, argv)
                             : command_build(l, &agent->site, attempt_dir, scratch, secret);
        json_object_set_new(start, "group",
                            json_sprintf("%lld.%lld-%s", (long long)l->job, (long long)l->fence, tag));
        json_object_set_new(start, "grace_seconds", json_integer((json_int_t)agent->grace_seconds));
        json_object_set_new(start, "cgroups", cgroup_site_json(&agent->cgroups));
        char *text = json_text(start);
        rc = file_write_atomic(path, text, strlen(text), 0600, err);
        free(text);
        json_decref(start);
    }
    free(path);
    free(secret);
    free(scratch);
    return rc;
}
