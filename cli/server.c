#include "cli/server.h"

#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/paths.h"

/* Take what is missing from one source. */
static void consider(struct cli *cli, const char *url, const char *token)
{
    if (!cli->url && url && *url)
        cli->url = xstrdup(url);
    bool same = !url || !*url || (cli->url && strcmp(cli->url, url) == 0);
    if (!cli->token && token && *token && same)
        cli->token = xstrdup(token);
}

static int consider_file(struct cli *cli, const char *path, struct err *err)
{
    if (!path || !file_exists(path))
        return 0;
    json_t *doc = json_parse_file(path, 65536, err);
    const char *url = NULL, *token = NULL, *ca = NULL;
    int rc = !doc || json_get_str(doc, "url", true, &url, err) ||
                     json_get_str(doc, "token", false, &token, err) ||
                     json_get_str(doc, "ca_file", false, &ca, err)
                 ? -1
                 : 0;
    if (rc)
        err_prefix(err, "reading %s", path);
    else
        consider(cli, url, token);
    if (!rc && ca && !cli->ca_file && cli->url && strcmp(cli->url, url) == 0)
        cli->ca_file = xstrdup(ca);
    json_decref(doc);
    return rc;
}

static void strip_slash(char *url)
{
    size_t n = strlen(url);
    while (n && url[n - 1] == '/')
        url[--n] = '\0';
}

int server_find(struct cli *cli, struct err *err)
{
    if (cli->url)
        return 0;
    consider(cli, cli->url_flag, NULL);
    consider(cli, NULL, cli->token_flag);
    const char *env_url = getenv("TRAINYARD_URL"), *env_token = getenv("TRAINYARD_TOKEN");
    consider(cli, env_url, NULL);
    if (!cli->url_flag || (env_url && strcmp(env_url, cli->url_flag) == 0) || !env_url)
        consider(cli, NULL, env_token);
    if (!cli->ca_file && getenv("TRAINYARD_CA_FILE"))
        cli->ca_file = xstrdup(getenv("TRAINYARD_CA_FILE"));
    char *state = path_join(cli->state, "client.json"), *home = paths_client_json();
    int rc = 0;
    if (!cli->url || !cli->token) {
        const char *order[3] = {cli->state_given ? state : NULL, home, state};
        for (int i = 0; i < 3 && !rc; i++)
            rc = consider_file(cli, order[i], err);
    }
    free(state);
    free(home);
    if (rc)
        return -1;
    if (!cli->url)
        return err_set(err, ERR_UNAVAILABLE,
                       "no server is known here: start one with `trainyard up`, or name one with --url or "
                       "`trainyard login`");
    strip_slash(cli->url);
    return 0;
}

int server_connect(struct cli *cli, struct err *err)
{
    if (cli->client)
        return 0;
    if (server_find(cli, err))
        return -1;
    cli->client = http_client_create(cli->base, cli->url, cli->token, cli->ca_file, err);
    return cli->client ? 0 : -1;
}

int server_save(const char *path, const char *url, const char *token, struct err *err)
{
    char *dir = xstrdup(path);
    char *slash = strrchr(dir, '/');
    if (slash)
        *slash = '\0';
    int rc = dir_make(dir, 0700, err);
    free(dir);
    if (rc)
        return -1;
    json_t *doc = json_pack("{s:s, s:s*}", "url", url, "token", token);
    char *text = json_dumps(doc, JSON_INDENT(1));
    rc = file_write_atomic(path, text, strlen(text), 0600, err);
    free(text);
    json_decref(doc);
    return rc;
}
