/* exitfile: exit.json, how a run ended: written by its shepherd, or by the agent when the shepherd could not.
 */
#ifndef AGENT_EXITFILE_H
#define AGENT_EXITFILE_H

#include <jansson.h>
#include <stdbool.h>
#include "base/err.h"

struct exit_info {
    bool started; /* did the program ever run? */
    int exit_code, signal;
    char reason[16]; /* as in message.h, `ended` */
    char message[512];
    json_t *tail; /* last lines of stderr, array of strings */
    double ended;
};

int exit_read(const char *dir, struct exit_info *out, struct err *err); /* ERR_NOT_FOUND: it has not ended */
void exit_clear(struct exit_info *e);
/* Say it in the shepherd's stead. Leaves an exit.json alone that is there already. */
int exit_write(const char *dir, const char *reason, bool started, int exit_code, const char *message,
               struct err *err);

#endif
