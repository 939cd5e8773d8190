/* trainyard login: remember a server and a token, or print a link that signs a browser in once. */
#include "cli/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include "base/json.h"
#include "base/mem.h"
#include "cli/api.h"
#include "cli/args.h"
#include "cli/paths.h"
#include "cli/server.h"
#include "cli/verb.h"

int login_print_link(struct cli *cli, struct err *err)
{
    json_t *token = NULL;
    if (api_call(cli, HTTP_M_POST, "/tokens",
                 json_pack("{s:s, s:s}", "name", "console link", "kind", "signin"), &token, err))
        return -1;
    if (cli->json) {
        char *link = xasprintf("%s/#signin=%s", cli->url, jstr(token, "token"));
        json_t *doc = json_pack("{s:s, s:s}", "url", link, "expires", jstr(token, "expires"));
        api_print(doc);
        json_decref(doc);
        free(link);
    } else {
        printf("console       %s/#signin=%s\n", cli->url, jstr(token, "token"));
    }
    json_decref(token);
    return 0;
}

/* One line from the terminal without echo, or from standard input when that is none. */
static char *read_secret(const char *prompt)
{
    struct termios old, quiet;
    bool tty = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &old) == 0;
    if (tty) {
        quiet = old;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
        fputs(prompt, stderr);
    }
    char line[1024] = "";
    bool got = fgets(line, sizeof line, stdin) != NULL;
    if (tty) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
        fputc('\n', stderr);
    }
    line[strcspn(line, "\r\n")] = '\0';
    return got ? xstrdup(line) : NULL;
}

/* Trade name and password for a session, and that for a token that stays. */
static int token_by_password(struct cli *cli, const char *user, struct err *err)
{
    char *password = read_secret("Password: ");
    if (!password)
        return err_set(err, ERR_INVALID, "no password was given");
    json_t *body = json_pack("{s:s, s:s}", "name", user, "password", password);
    char *text = json_text(body), host[65] = "";
    json_decref(body);
    free(password);
    struct http_headers session = {0};
    struct http_response r;
    struct http_call call = {.method = HTTP_M_POST,
                             .path = "/api/v1/sessions",
                             .body = text,
                             .body_len = strlen(text),
                             .content_type = "application/json"};
    int rc = api_do(cli, &call, &r, err);
    free(text);
    if (rc)
        return -1;
    const char *cookie = http_headers_get(&r.headers, "Set-Cookie");
    if (r.status / 100 != 2 || !cookie)
        rc = api_refused(cli, &r, err);
    else
        http_headers_addf(&session, "Cookie", "%.*s", (int)strcspn(cookie, ";"), cookie);
    http_response_free(&r);
    if (rc)
        return -1;
    http_headers_add(&session, "X-Trainyard", "1");
    gethostname(host, sizeof host - 1);
    text = xasprintf("{\"name\":\"command line on %s\",\"kind\":\"bearer\"}", host);
    call = (struct http_call){.method = HTTP_M_POST,
                              .path = "/api/v1/tokens",
                              .headers = &session,
                              .body = text,
                              .body_len = strlen(text),
                              .content_type = "application/json"};
    rc = api_do(cli, &call, &r, err);
    free(text);
    http_headers_free(&session);
    if (rc)
        return -1;
    json_t *token = r.status == 201 ? json_parse(buf_str(&r.body), r.body.len, NULL, NULL, err) : NULL;
    if (r.status != 201)
        rc = api_refused(cli, &r, err);
    else if (!token)
        rc = -1;
    else
        cli->token = xstrdup(jstr(token, "token"));
    json_decref(token);
    http_response_free(&r);
    return rc;
}

/* A client made before the token was known does not send it. */
static void forget_client(struct cli *cli)
{
    http_client_destroy(cli->client);
    cli->client = NULL;
}

int login_run(struct cli *cli, const struct args *args, struct err *err)
{
    if (args_flag(args, "browser"))
        return login_print_link(cli, err);
    const char *user = args_str(args, "user");
    if (server_find(cli, err))
        return -1;
    if (user || !cli->token_flag) {
        free(cli->token);
        cli->token = NULL;
    }
    if (user) {
        if (token_by_password(cli, user, err))
            return -1;
    } else if (!cli->token) {
        cli->token = read_secret("Token: ");
    }
    forget_client(cli);
    json_t *session = NULL;
    if (api_get(cli, &session, err, "/sessions/current"))
        return -1;
    const json_t *who = json_object_get(session, "user");
    char *path = paths_client_json();
    int rc =
        path ? server_save(path, cli->url, cli->token, err) : err_set(err, ERR_INVALID, "HOME is not set");
    if (!rc && cli->json)
        api_print(session);
    else if (!rc)
        printf("signed in to %s as %s (%s); kept in %s\n", cli->url, jstr(who, "name"), jstr(who, "role"),
               path);
    free(path);
    json_decref(session);
    return rc;
}
