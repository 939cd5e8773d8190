/* records: a job's log and metric lines: what is there, and what comes. */
#ifndef CLI_RECORDS_H
#define CLI_RECORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "cli/cli.h"

/* One item {"seq","attempt","record"}; non-zero ends. */
typedef int (*record_f)(int64_t seq, const json_t *item, void *arg);

/* All records of a kind ("logs", "metrics") after *since, in order; *since follows. */
int records_page(struct cli *cli, int64_t job, const char *kind, int64_t *since, record_f on_record,
                 void *arg, struct err *err);
/* The same, and then what comes until the job has ended. */
int records_follow(struct cli *cli, int64_t job, const char *kind, record_f on_record, void *arg,
                   struct err *err);

#endif
