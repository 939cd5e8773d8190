/* follow: a job's run as it happens: a bar while it goes, a line for each evaluation, what became of it in the end. */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include <jansson.h>
#include "cli/cli.h"

/* Until the job has ended. Answers the exit status: 0 completed; else the program's own, 128 + signal, or 1. -1 with err. */
int follow_job(struct cli *cli, int64_t job, struct err *err);
int job_exit_status(const json_t *job);
bool job_has_ended(const json_t *job);
void job_print_end(const struct cli *cli, const json_t *job); /* "job 3 COMPLETED after 12s ..." */

#endif
