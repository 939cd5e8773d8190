/* download: bytes of the server into a file, with progress, checked against their digest. */
#ifndef CLI_DOWNLOAD_H
#define CLI_DOWNLOAD_H

#include "base/err.h"
#include "cli/cli.h"

/* GET path (with /api/v1) into file ("-": standard output; folders are made). Written beside it and renamed when whole.
 * digest: SHA-256 in hex, "" when not known. */
int download(struct cli *cli, const char *path, const char *file, const char *digest, struct err *err);

#endif
