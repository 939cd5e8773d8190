/* server: which orchestrator to talk to, and as whom. */
#ifndef CLI_SERVER_H
#define CLI_SERVER_H

#include "base/err.h"
#include "cli/cli.h"

/* Fill cli->url and cli->token from, in order: the flags, TRAINYARD_URL and TRAINYARD_TOKEN, the state folder's client.json
 * when the folder was named, ~/.config/trainyard/client.json, the state folder's client.json. A token found beside another
 * server's URL is never used. */
int server_find(struct cli *cli, struct err *err);
int server_connect(struct cli *cli, struct err *err); /* server_find() and a client */
/* Remember a server (mode 0600). */
int server_save(const char *path, const char *url, const char *token, struct err *err);

#endif
