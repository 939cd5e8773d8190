#include "cli/paths.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"

static char *absolute(const char *path)
{
    if (path[0] == '/')
        return xstrdup(path);
    char here[PATH_MAX];
    return getcwd(here, sizeof here) ? path_join(here, path) : xstrdup(path);
}

char *paths_state(const char *flag, int *given, struct err *err)
{
    const char *env = getenv("TRAINYARD_STATE"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (flag || (env && *env)) {
        *given = 1;
        return absolute(flag ? flag : env);
    }
    *given = 0;
    if (data && *data == '/')
        return path_join(data, "trainyard");
    if (home && *home == '/')
        return path_join(home, ".local/share/trainyard");
    err_set(err, ERR_INVALID, "HOME is not set: say where the state folder is, with --state DIR");
    return NULL;
}

char *paths_client_json(void)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (config && *config == '/')
        return path_join(config, "trainyard/client.json");
    return home && *home == '/' ? path_join(home, ".config/trainyard/client.json") : NULL;
}

char *paths_program(const char *name, struct err *err)
{
    char own[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    own[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(own, '/');
    if (slash)
        *slash = '\0';
    char *path = path_join(own, name);
    if (slash && access(path, X_OK) == 0)
        return path;
    free(path);
    const char *list = getenv("PATH");
    for (const char *p = list; p && *p;) {
        size_t len = strcspn(p, ":");
        char *dir = xstrndup(p, len);
        path = path_join(dir, name);
        free(dir);
        if (len && access(path, X_OK) == 0)
            return path;
        free(path);
        p += len + (p[len] == ':');
    }
    err_set(err, ERR_NOT_FOUND, "the program %s is neither in %s nor in PATH; is the installation whole?",
            name, slash ? own : "this program's folder");
    return NULL;
}
