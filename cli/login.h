/* login: the link that signs a browser in once. */
#ifndef CLI_LOGIN_H
#define CLI_LOGIN_H

#include "cli/cli.h"

int login_print_link(struct cli *cli, struct err *err);

#endif
