/* cli: one run of the command line: where its server is, how it shows things. Made by main, passed to the verb. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include "base/err.h"
#include "net/http_client.h"

struct cli {
    bool json;        /* --json: machine output on stdout */
    bool color;       /* stdout is a terminal and NO_COLOR is unset */
    bool color_err;   /* the same for stderr */
    bool live;        /* stderr is a terminal: progress bars */
    char *state;      /* the state folder, absolute; may not exist */
    bool state_given; /* by flag or environment */
    const char *url_flag, *token_flag;
    char *url, *token; /* resolved by server_find() */
    char *ca_file;
    struct event_base *base;
    struct http_client *client;
    json_t *problem;        /* the server's problem+json of the last failed call */
    const char *local_file; /* the file that problem speaks of; NULL: none */
};

/* Terminal colours; "" when off. */
#define C_BOLD(on)   ((on) ? "\033[1m" : "")
#define C_DIM(on)    ((on) ? "\033[2m" : "")
#define C_RED(on)    ((on) ? "\033[31m" : "")
#define C_GREEN(on)  ((on) ? "\033[32m" : "")
#define C_YELLOW(on) ((on) ? "\033[33m" : "")
#define C_OFF(on)    ((on) ? "\033[0m" : "")

#endif
