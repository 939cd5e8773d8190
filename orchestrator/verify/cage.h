/* cage: what stands between a stranger's file and this machine. A helper process of our own binary takes on
 * limits and gives up rights, then becomes the trainer:
 *   - processor time, memory, file size and open files are limited; it is the first to go when memory runs
 * out;
 *   - it starts no further process or thread, can gain no privileges, and dies with the orchestrator;
 *   - it has no network where namespaces or a new Landlock can be had;
 *   - started as root it becomes "nobody"; where the kernel has Landlock it reads only system folders, the
 * trainer's and its own scratch folder, and writes only to "out" in it. The scratch folder is the working
 * directory: "in" holds links to what is verified, "out" is what it may write. */
#ifndef ORCHESTRATOR_VERIFY_CAGE_H
#define ORCHESTRATOR_VERIFY_CAGE_H

#include "base/err.h"

/* argv after the subcommand: PARENT-PID CPU-SECONDS MEMORY-BYTES FILE-BYTES PROGRAM ARGS...; becomes PROGRAM or returns
 * an exit code. */
int cage_main(int argc, char **argv);

/* Make a scratch folder with in/ and out/ under dir; its path, owned by the caller. NULL and err. */
char *cage_folder(const char *dir, struct err *err);
/* Link a file into in/ under a name. The file stays as it is: it can be read there, not written. */
int cage_put(const char *folder, const char *path, const char *name, struct err *err);

/* `internal-seal PATH`: hash a regular file that nobody else links to, make it durable and read-only, print
 * "DIGEST SIZE". For large files, whose fsync and hash would hold up the loop. */
int seal_main(int argc, char **argv);

#endif
