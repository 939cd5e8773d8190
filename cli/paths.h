/* paths: where things are: the state folder, the configuration, the sibling programs. */
#ifndef CLI_PATHS_H
#define CLI_PATHS_H

#include "base/err.h"

char *paths_state(const char *flag, int *given,
                  struct err *err); /* absolute; caller frees; *given: by flag or environment */
char *paths_client_json(void);      /* ~/.config/trainyard/client.json; NULL: no home */
/* A program beside this one, else in PATH; caller frees. NULL with err saying where it was looked for. */
char *paths_program(const char *name, struct err *err);

#endif
