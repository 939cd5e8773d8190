/* trainyard cancel JOB...: end jobs, waiting or running. */
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "cli/api.h"
#include "cli/args.h"
#include "cli/verb.h"

int cancel_run(struct cli *cli, const struct args *args, struct err *err)
{
    for (int i = 0; i < args->count; i++) {
        struct args one = *args;
        int64_t job;
        json_t *answer = NULL;
        one.words = args->words + i;
        if (args_job(&one, &job, err))
            return -1;
        char *path = xasprintf("/jobs/%lld/cancel", (long long)job);
        int rc = api_call(cli, HTTP_M_POST, path, json_object(), &answer, err);
        free(path);
        if (rc)
            return -1;
        if (cli->json)
            api_print(answer);
        else
            printf("job %lld %s\n", (long long)job, jstr(answer, "state"));
        json_decref(answer);
    }
    return 0;
}
