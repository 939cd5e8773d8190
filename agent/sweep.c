#include "agent/sweep.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/cgroup.h"
#include "agent/procs.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

static int kill_until_gone(const struct cgroup *group, const char *mark)
{
    int found = 0;
    for (int round = 0; round < 200; round++) {
        pid_t *pids = NULL;
        size_t n = cgroup_pids(group, &pids);
        free(pids);
        if (n > 0)
            (void)cgroup_kill(group);
        if (mark)
            n += proc_kill_marked(mark, SIGKILL);
        if (n == 0)
            return found;
        found = (int)n > found ? (int)n : found;
        usleep(10000);
    }
    log_error("sweep", "processes of a dead run do not die", KV_I("count", found));
    return found;
}

int sweep_run(const char *dir)
{
    struct cgroup_site site;
    struct cgroup group;
    const char *name = "", *scratch = NULL, *mark = NULL;
    char *path = path_join(dir, "start.json");
    json_t *doc = json_parse_file(path, 4 << 20, NULL);
    free(path);
    if (!doc)
        return 0;
    (void)json_get_str(doc, "group", false, &name, NULL);
    (void)json_get_str(doc, "scratch", false, &scratch, NULL);
    (void)json_get_str(json_object_get(doc, "environment"), "TRAINYARD_ATTEMPT_MARK", false, &mark, NULL);
    char *entry = mark ? xasprintf("TRAINYARD_ATTEMPT_MARK=%s", mark) : NULL;
    cgroup_site_from_json(&site, json_object_get(doc, "cgroups"));
    if (!*name)
        cgroup_site_clear(&site);
    cgroup_create(&group, &site, name, 0, 0);
    int found = kill_until_gone(&group, entry);
    cgroup_remove(&group);
    cgroup_site_clear(&site);
    if (scratch && strrchr(scratch, '/') && strrchr(scratch, '/')[1]) {
        char *shm = xasprintf("/dev/shm/%s", strrchr(scratch, '/') + 1);
        (void)dir_remove(scratch, NULL);
        (void)dir_remove(shm, NULL);
        free(shm);
    }
    free(entry);
    json_decref(doc);
    return found;
}
