#include "cli/follow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/api.h"
#include "cli/bar.h"
#include "cli/records.h"
#include "cli/stream.h"
#include "cli/when.h"
#include "proto/job_state.h"

#define LINE_SECONDS 5.0 /* without a terminal: a line of progress at most so often */

struct follow {
    struct cli *cli;
    struct stream *stream;
    struct bar bar;
    int64_t job, seen; /* seen: the last record shown */
    char state[32];
    int64_t steps, step;
    int epochs;
    double step_time, rate; /* of the last report; steps per second, smoothed */
    double printed;
};

bool job_has_ended(const json_t *job)
{
    enum job_state s;
    return job_state_parse(jstr(job, "state"), &s) == 0 && job_state_is_final(s);
}

int job_exit_status(const json_t *job)
{
    if (strcmp(jstr(job, "state"), "COMPLETED") == 0)
        return 0;
    int64_t code = jint(job, "exit_code"), signal = jint(job, "signal");
    if (signal > 0 && signal < 65)
        return 128 + (int)signal;
    return code > 0 && code < 256 ? (int)code : 1;
}

void job_print_end(const struct cli *cli, const json_t *job)
{
    char took[32];
    bool good = strcmp(jstr(job, "state"), "COMPLETED") == 0, color = cli->color;
    printf("job %lld %s%s%s", (long long)jint(job, "id"), good ? C_GREEN(color) : C_RED(color),
           jstr(job, "state"), C_OFF(color));
    if (*jstr(job, "started"))
        printf(" after %s", when_took(jstr(job, "started"), jstr(job, "ended"), took, sizeof took));
    const char *key;
    json_t *v;
    json_object_foreach(json_object_get(json_object_get(job, "progress"), "values"), key,
                        v) if (json_is_number(v) && strncmp(key, "eval/", 5) == 0)
        printf("  %s %.4g", key + 5, json_number_value(v));
    putchar('\n');
    const json_t *failure = json_object_get(job, "failure");
    if (json_is_object(failure)) {
        printf("  %s\n", jstr(failure, "message"));
        const json_t *tail = json_object_get(failure, "tail");
        size_t i;
        json_t *line;
        json_array_foreach(tail, i, line)
            printf("  | %s\n", json_string_value(line) ? json_string_value(line) : "");
        if (json_is_string(tail))
            printf("  | %s\n", json_string_value(tail));
    } else if (*jstr(job, "reason") && !good) {
        printf("  %s\n", jstr(job, "reason"));
    }
}

/* ---- metrics ---- */

static void line_of(const struct follow *f, const json_t *record, const char *kind, char *out, size_t n)
{
    struct buf b = {0};
    const char *key;
    json_t *v;
    if (f->epochs > 0)
        buf_printf(&b, "epoch %lld/%d  ", (long long)(jint(record, "epoch") + (strcmp(kind, "train") == 0)),
                   f->epochs);
    buf_printf(&b, "step %lld", (long long)jint(record, "step"));
    if (f->steps)
        buf_printf(&b, "/%lld", (long long)f->steps);
    json_object_foreach(json_object_get(record, "values"), key, v)
    {
        double x = json_number_value(v);
        if (strcmp(key, "samples_per_second") == 0)
            buf_printf(&b, "  %.0f samples/s", x);
        else if (strcmp(key, "learning_rate") != 0)
            buf_printf(&b, "  %s %.4f", key, x);
    }
    snprintf(out, n, "%s", buf_str(&b));
    buf_free(&b);
}

static void note_rate(struct follow *f, const json_t *record)
{
    double t = jreal(record, "t");
    int64_t step = jint(record, "step");
    if (f->step_time > 0 && t > f->step_time && step > f->step) {
        double now = (double)(step - f->step) / (t - f->step_time);
        f->rate = f->rate > 0 ? f->rate * 0.8 + now * 0.2 : now;
    }
    f->step_time = t;
    f->step = step;
}

static void on_train(struct follow *f, const json_t *record)
{
    char line[300], text[360], left[32] = "";
    note_rate(f, record);
    line_of(f, record, "train", line, sizeof line);
    if (f->rate > 0 && f->steps > f->step)
        units_format_duration((double)(f->steps - f->step) / f->rate, left, sizeof left);
    snprintf(text, sizeof text, "%s%s%s", line, *left ? "  left " : "", left);
    if (f->bar.on) {
        bar_text(&f->bar, f->steps ? (double)f->step / (double)f->steps : -1, text);
    } else if (time_monotonic() - f->printed > LINE_SECONDS) {
        f->printed = time_monotonic();
        printf("%s\n", text);
        fflush(stdout);
    }
}

static void on_record(struct follow *f, const json_t *record)
{
    const char *kind = jstr(record, "kind");
    char line[300];
    if (strcmp(kind, "start") == 0) {
        f->steps = jint(record, "steps");
        f->epochs = (int)jint(record, "epochs");
        bar_clear(&f->bar);
        printf("training %lld parameters on %lld ranks: %lld samples, %d epoch%s, %lld steps\n",
               (long long)jint(record, "parameters"), (long long)jint(record, "ranks"),
               (long long)jint(record, "samples"), f->epochs, f->epochs == 1 ? "" : "s", (long long)f->steps);
    } else if (strcmp(kind, "train") == 0) {
        on_train(f, record);
    } else if (strcmp(kind, "eval") == 0) {
        bar_clear(&f->bar);
        line_of(f, record, kind, line, sizeof line);
        printf("%sevaluated%s  %s\n", C_BOLD(f->cli->color), C_OFF(f->cli->color), line);
    } else if (strcmp(kind, "resume") == 0) {
        bar_clear(&f->bar);
        printf("resumed at step %lld\n", (long long)jint(record, "step"));
    }
    fflush(stdout);
}

/* ---- state ---- */

static void on_state(struct follow *f, const json_t *job)
{
    const char *state = jstr(job, "state");
    if (strcmp(f->state, state) != 0) {
        snprintf(f->state, sizeof f->state, "%s", state);
        bar_clear(&f->bar);
        if (!job_has_ended(job) && !f->cli->json) {
            const char *reason = jstr(job, "reason");
            printf("job %lld %s%s%s%s\n", (long long)f->job, state, *reason ? " (" : "", reason,
                   *reason ? ")" : "");
        }
        fflush(stdout);
    }
    if (job_has_ended(job))
        stream_stop(f->stream);
}

static void on_event(const char *topic, int64_t seq, const json_t *data, void *arg)
{
    struct follow *f = arg;
    if (strstr(topic, "/state")) {
        on_state(f, data);
    } else if (!f->cli->json) {
        f->seen = seq;
        on_record(f, json_object_get(data, "record"));
    }
}

/* The job may have ended before we subscribed, or while the connection was down. */
static void on_ready(void *arg)
{
    struct follow *f = arg;
    json_t *job = NULL;
    struct err e;
    if (api_get(f->cli, &job, &e, "/jobs/%lld", (long long)f->job) == 0)
        on_state(f, job);
    json_decref(job);
}

/* What the stream had not brought when the end came. */
static int on_rest(int64_t seq, const json_t *item, void *arg)
{
    (void)seq;
    on_record(arg, json_object_get(item, "record"));
    return 0;
}

int follow_job(struct cli *cli, int64_t job, struct err *err)
{
    struct follow f = {.cli = cli, .job = job};
    char label[32], *metrics = xasprintf("job/%lld/metrics", (long long)job),
                    *state = xasprintf("job/%lld/state", (long long)job);
    snprintf(label, sizeof label, "job %lld", (long long)job);
    bar_begin(&f.bar, cli->live, label);
    f.stream = stream_open(cli, on_event, on_ready, &f);
    stream_follow(f.stream, metrics, 0);
    stream_follow(f.stream, state, -1);
    int rc = stream_run(f.stream, err);
    stream_close(f.stream);
    if (!rc && !cli->json)
        rc = records_page(cli, job, "metrics", &f.seen, on_rest, &f, err);
    bar_clear(&f.bar);
    free(metrics);
    free(state);
    json_t *end = NULL;
    if (!rc)
        rc = api_get(cli, &end, err, "/jobs/%lld", (long long)job);
    if (!rc && cli->json)
        api_print(end);
    else if (!rc)
        job_print_end(cli, end);
    int status = rc ? -1 : job_exit_status(end);
    json_decref(end);
    return status;
}
