/* help: what --help prints. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/verb.h"

void help_print_all(void);
void help_print_verb(const struct verb *v, const char *parent);

#endif
