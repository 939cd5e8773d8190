#include "agent/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

static const char *const controllers[CGROUP_USES] = {"freezer", "memory", "cpu", "pids"};

/* Is word one of the comma-separated list? */
static bool list_has(const char *list, size_t n, const char *word)
{
    size_t w = strlen(word);
    for (const char *p = list, *end = list + n; p < end;) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        size_t len = (size_t)((comma ? comma : end) - p);
        if (len == w && memcmp(p, word, w) == 0)
            return true;
        p += len + 1;
    }
    return false;
}

/* The path of /proc/self/cgroup for the controller ("0::/path" for v2, "4:memory:/path" for v1). */
static char *own_path(const char *self_cgroup, const char *controller)
{
    for (const char *line = self_cgroup; *line;) {
        size_t len = strcspn(line, "\n");
        const char *list = memchr(line, ':', len);
        const char *path = list ? memchr(list + 1, ':', len - (size_t)(list + 1 - line)) : NULL;
        if (path) {
            size_t list_len = (size_t)(path - list - 1);
            if (controller ? list_has(list + 1, list_len, controller) : list_len == 0 && *line == '0')
                return xstrndup(path + 1, len - (size_t)(path + 1 - line));
        }
        line += len + (line[len] == '\n');
    }
    return NULL;
}

/* One line of mountinfo: "ID PARENT MAJ:MIN ROOT MOUNTPOINT OPTIONS ... - TYPE SOURCE SUPER". */
static bool mount_line(char *line, const char *controller, char **root, char **point)
{
    char *save = NULL, *field[6] = {0};
    char *tail = strstr(line, " - ");
    if (!tail)
        return false;
    *tail = '\0';
    for (int i = 0; i < 6; i++)
        field[i] = strtok_r(i ? NULL : line, " ", &save);
    char *type = strtok_r(tail + 3, " ", &save);
    strtok_r(NULL, " ", &save);
    char *super = strtok_r(NULL, " ", &save);
    if (!field[4] || !type || strcmp(type, controller ? "cgroup" : "cgroup2") != 0)
        return false;
    if (controller && (!super || !list_has(super, strlen(super), controller)))
        return false;
    *root = field[3];
    *point = field[4];
    return true;
}

char *cgroup_path(const char *mountinfo, const char *self_cgroup, const char *controller)
{
    char *own = own_path(self_cgroup, controller), *found = NULL;
    char *text = xstrdup(mountinfo), *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); own && line && !found;
         line = strtok_r(NULL, "\n", &save)) {
        char *root, *point;
        if (!mount_line(line, controller, &root, &point))
            continue;
        /* A mount may show only a part of the hierarchy (containers): what is above its root is not in our
         * path. */
        const char *rest = own;
        size_t n = strlen(root);
        if (strcmp(root, "/") != 0 && strncmp(own, root, n) == 0 && (own[n] == '/' || own[n] == '\0'))
            rest = own + n;
        found = xasprintf("%s%s", point, strcmp(rest, "/") == 0 ? "" : rest);
    }
    free(text);
    free(own);
    return found;
}

static char *self_path(const char *controller)
{
    struct buf mounts = {0}, own = {0};
    char *path = NULL;
    if (file_read("/proc/self/mountinfo", 1 << 20, &mounts, NULL) == 0 &&
        file_read("/proc/self/cgroup", 1 << 16, &own, NULL) == 0)
        path = cgroup_path(buf_str(&mounts), buf_str(&own), controller);
    buf_free(&mounts);
    buf_free(&own);
    if (path && !file_exists(path)) {
        free(path);
        path = NULL;
    }
    return path;
}

static int knob_write(const char *dir, const char *knob, const char *text)
{
    char *path = path_join(dir, knob);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int rc = -1;
    if (fd >= 0) {
        rc = write(fd, text, strlen(text)) < 0 ? -1 : 0;
        int saved = errno;
        close(fd);
        errno = saved;
    }
    free(path);
    return rc;
}

static char *knob_read(const char *dir, const char *knob)
{
    char *path = path_join(dir, knob);
    struct buf b = {0};
    char *text = file_read(path, 1 << 20, &b, NULL) == 0 ? buf_steal(&b) : NULL;
    buf_free(&b);
    free(path);
    return text;
}

static int64_t knob_number(const char *dir, const char *knob, int64_t otherwise)
{
    char *text = knob_read(dir, knob), *end = NULL;
    int64_t v = otherwise;
    if (text) {
        long long n = strtoll(text, &end, 10);
        if (end != text)
            v = n;
    }
    free(text);
    return v;
}

/* "name value" lines, as in memory.events. */
static int64_t knob_entry(const char *dir, const char *knob, const char *name)
{
    char *text = knob_read(dir, knob), *save = NULL;
    int64_t v = 0;
    size_t n = strlen(name);
    for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, name, n) == 0 && line[n] == ' ')
            v = strtoll(line + n + 1, NULL, 10);
    }
    free(text);
    return v;
}

int64_t cgroup_memory_limit(void)
{
    int64_t least = INT64_MAX;
    for (int version = 1; version <= 2; version++) {
        char *dir = self_path(version == 1 ? "memory" : NULL);
        const char *knob = version == 1 ? "memory.limit_in_bytes" : "memory.max";
        while (dir && strchr(dir + 1, '/')) {
            int64_t v = knob_number(dir, knob, INT64_MAX); /* "max" is no number */
            if (v > 0 && v < least)
                least = v;
            *strrchr(dir, '/') = '\0';
        }
        free(dir);
    }
    return least;
}

/* Make DIR/trainyard and see that a group can be made in it and removed again. */
static char *base_make(const char *own)
{
    char *base = path_join(own, "trainyard");
    char *probe = xasprintf("%s/probe.%d", base, (int)getpid());
    bool good = (mkdir(base, 0755) == 0 || errno == EEXIST) && mkdir(probe, 0755) == 0;
    if (good) {
        char *procs = path_join(probe, "cgroup.procs");
        good = access(procs, W_OK) == 0;
        free(procs);
        rmdir(probe);
    }
    free(probe);
    if (!good) {
        free(base);
        base = NULL;
    }
    return base;
}

static const char *const v2_wanted[] = {"+memory", "+cpu", "+pids"};

static void v2_pass_down(const char *base)
{
    for (size_t i = 0; i < ARRAY_LEN(v2_wanted); i++)
        (void)knob_write(base, "cgroup.subtree_control", v2_wanted[i]);
}

/* Version 2 gives a group either processes or controllers for its children. When this process is alone in its
 * group (a service with Delegate=yes), it moves into a leaf of its own. */
static void v2_enable(const char *own, const char *base)
{
    for (size_t i = 0; i < ARRAY_LEN(v2_wanted); i++) {
        if (knob_write(own, "cgroup.subtree_control", v2_wanted[i]) < 0 && errno == EBUSY) {
            char *procs = knob_read(own, "cgroup.procs"), *leaf = path_join(own, "trainyard-agent"), self[24];
            snprintf(self, sizeof(self), "%d\n", (int)getpid());
            if (procs && strcmp(procs, self) == 0 && (mkdir(leaf, 0755) == 0 || errno == EEXIST) &&
                knob_write(leaf, "cgroup.procs", "0") == 0)
                (void)knob_write(own, "cgroup.subtree_control", v2_wanted[i]);
            free(procs);
            free(leaf);
        }
    }
    v2_pass_down(base);
}

static bool v2_detect(struct cgroup_site *site)
{
    char *own = self_path(NULL);
    char *base = own ? base_make(own) : NULL;
    if (base) {
        v2_enable(own, base);
        char *have = knob_read(base, "cgroup.subtree_control");
        site->version = 2;
        for (int i = 0; i < CGROUP_USES; i++) {
            if (i == CGROUP_KILL || (have && strstr(have, controllers[i])))
                site->dir[i] = xstrdup(base);
        }
        free(have);
    }
    free(base);
    free(own);
    return site->version == 2;
}

/* Groups are made when an attempt starts; an agent without attempts leaves no trace. */
static void bases_tidy(const struct cgroup_site *site)
{
    for (int i = 0; i < CGROUP_USES; i++) {
        if (site->dir[i])
            (void)rmdir(site->dir[i]);
    }
}

void cgroup_detect(struct cgroup_site *site)
{
    memset(site, 0, sizeof(*site));
    /* Version 1 first: a hybrid machine has a unified hierarchy without controllers beside it. */
    for (int i = 0; i < CGROUP_USES; i++) {
        char *own = self_path(controllers[i]);
        site->dir[i] = own ? base_make(own) : NULL;
        if (site->dir[i])
            site->version = 1;
        free(own);
    }
    if (site->version == 0 && !v2_detect(site))
        snprintf(site->why, sizeof(site->why), "no cgroup hierarchy that this process may write to");
    bases_tidy(site);
}

void cgroup_site_clear(struct cgroup_site *site)
{
    for (int i = 0; i < CGROUP_USES; i++) {
        free(site->dir[i]);
        site->dir[i] = NULL;
    }
    site->version = 0;
}

json_t *cgroup_site_json(const struct cgroup_site *site)
{
    json_t *dirs = json_object();
    for (int i = 0; i < CGROUP_USES; i++) {
        if (site->dir[i])
            json_object_set_new(dirs, controllers[i], json_string(site->dir[i]));
    }
    return json_pack("{s:i,s:o}", "version", site->version, "dirs", dirs);
}

void cgroup_site_from_json(struct cgroup_site *site, const json_t *doc)
{
    memset(site, 0, sizeof(*site));
    const json_t *dirs = json_object_get(doc, "dirs");
    int version = (int)json_integer_value(json_object_get(doc, "version"));
    if (version != 1 && version != 2)
        return;
    site->version = version;
    for (int i = 0; i < CGROUP_USES; i++)
        site->dir[i] = xstrdup(json_string_value(json_object_get(dirs, controllers[i])));
}

static void memory_limit_set(struct cgroup *g, int64_t bytes)
{
    char text[32];
    snprintf(text, sizeof(text), "%lld", (long long)bytes);
    const char *dir = g->dir[CGROUP_MEMORY];
    if (!dir || bytes <= 0)
        return;
    g->memory_limited = knob_write(dir, g->version == 2 ? "memory.max" : "memory.limit_in_bytes", text) == 0;
    (void)knob_write(dir, g->version == 2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes",
                     g->version == 2 ? "0" : text);
}

/* The last attempt to end removes the folder above too, so it is made again here, and another may just be
 * removing it. */
static char *group_make(const char *base, const char *name, int version)
{
    char *dir = path_join(base, name);
    for (int try = 0; try < 20; try++) {
        if (mkdir(base, 0755) == 0 && version == 2)
            v2_pass_down(base);
        if (mkdir(dir, 0755) == 0 || errno == EEXIST)
            return dir;
        if (errno != ENOENT)
            break;
    }
    free(dir);
    return NULL;
}

void cgroup_create(struct cgroup *g, const struct cgroup_site *site, const char *name, int64_t memory_bytes,
                   int cores)
{
    char text[32];
    memset(g, 0, sizeof(*g));
    g->version = site->version;
    for (int i = 0; i < CGROUP_USES; i++) {
        if (site->dir[i])
            g->dir[i] = group_make(site->dir[i], name, site->version);
    }
    memory_limit_set(g, memory_bytes);
    if (g->dir[CGROUP_CPU] && cores > 0) { /* a share, not a ceiling: idle cores may be used */
        int64_t share = g->version == 2 ? 100LL * cores : 1024LL * cores;
        int64_t most = g->version == 2 ? 10000 : 262144;
        snprintf(text, sizeof(text), "%lld", (long long)(share < most ? share : most));
        (void)knob_write(g->dir[CGROUP_CPU], g->version == 2 ? "cpu.weight" : "cpu.shares", text);
    }
    if (g->dir[CGROUP_PIDS])
        (void)knob_write(g->dir[CGROUP_PIDS], "pids.max", "16384"); /* a fork bomb ends in its own group */
}

void cgroup_enter(const struct cgroup *g)
{
    for (int i = 0; i < CGROUP_USES; i++) {
        if (g->dir[i])
            (void)knob_write(g->dir[i], "cgroup.procs", "0");
    }
}

static const char *kill_dir(const struct cgroup *g)
{
    for (int i = 0; i < CGROUP_USES; i++) {
        if (g->dir[i])
            return g->dir[i];
    }
    return NULL;
}

size_t cgroup_pids(const struct cgroup *g, pid_t **out)
{
    const char *dir = kill_dir(g);
    char *text = dir ? knob_read(dir, "cgroup.procs") : NULL, *save = NULL;
    pid_t *pids = NULL;
    size_t n = 0, cap = 0;
    for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
        pids = vec_grow(pids, &cap, n + 1, sizeof(*pids));
        pids[n++] = (pid_t)atoi(line);
    }
    free(text);
    *out = pids;
    return n;
}

bool cgroup_kill(const struct cgroup *g)
{
    const char *dir = kill_dir(g);
    pid_t *pids = NULL;
    if (!dir)
        return false;
    if (g->version == 2 && knob_write(dir, "cgroup.kill", "1") == 0)
        return true;
    /* Frozen, nobody forks away between the reading and the killing. */
    const char *freezer = g->version == 1 ? g->dir[CGROUP_KILL] : NULL;
    if (freezer)
        (void)knob_write(freezer, "freezer.state", "FROZEN");
    size_t n = cgroup_pids(g, &pids);
    for (size_t i = 0; i < n; i++) {
        if (pids[i] > 1)
            kill(pids[i], SIGKILL);
    }
    if (freezer)
        (void)knob_write(freezer, "freezer.state", "THAWED");
    free(pids);
    return true;
}

int64_t cgroup_oom_kills(const struct cgroup *g)
{
    const char *dir = g->dir[CGROUP_MEMORY];
    if (!dir)
        return 0;
    return g->version == 2 ? knob_entry(dir, "memory.events", "oom_kill")
                           : knob_entry(dir, "memory.oom_control", "oom_kill");
}

void cgroup_remove(struct cgroup *g)
{
    for (int i = 0; i < CGROUP_USES; i++) {
        for (int try = 0; g->dir[i] && try < 50 && rmdir(g->dir[i]) < 0 && errno == EBUSY; try++)
            usleep(10000); /* the last process is dead but not yet out of the group */
        if (g->dir[i]) {
            *strrchr(g->dir[i], '/') = '\0';
            (void)rmdir(g->dir[i]); /* "trainyard", when this was the last */
        }
        free(g->dir[i]);
        g->dir[i] = NULL;
    }
}
