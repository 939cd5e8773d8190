#include "agent/attempts.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/agent.h"
#include "agent/artifacts.h"
#include "agent/attempt.h"
#include "agent/backoff.h"
#include "agent/exitfile.h"
#include "agent/files.h"
#include "agent/procs.h"
#include "agent/records.h"
#include "agent/runner.h"
#include "agent/session.h"
#include "agent/spawn.h"
#include "agent/start.h"
#include "agent/verdict.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"

#define LOOK_SECONDS  1.0  /* without a word from inotify */
#define BATCH_SECONDS 0.02 /* lines that come close together go in one message */

enum { PHASE_NONE, PHASE_STARTING, PHASE_RUNNING, PHASE_COMPLETING, PHASES };
static const char *const phase_names[PHASES] = {"", "starting", "running", "completing"};

struct attempt {
    struct attempts *room;
    struct attempt *next;
    int64_t job, fence;
    char *dir;
    struct launch *launch;
    bool head; /* runs the program; the others serve MPI's daemons */
    enum attempt_state state;
    struct files *files;
    struct runner *runner;
    struct records *records;
    struct artifacts *artifacts;
    char stop_reason[16]; /* "" : nobody asked */
    double phase_at[PHASES];
    int told_phase;
    bool ran, told_ended;
    int watch;
};

struct attempts {
    struct agent *agent;
    char *dir;
    struct attempt *list;
    int inotify;
    struct event *changed, *batch, *look;
    void (*stopped)(void *arg); /* attempts_stop_all */
    void *stopped_arg;
};

static void pump(struct attempt *a);
static void attempt_event(struct attempt *a, enum attempt_event event);

static struct attempt *find(const struct attempts *room, int64_t job, int64_t fence)
{
    for (struct attempt *a = room->list; a; a = a->next) {
        if (a->job == job && a->fence == fence)
            return a;
    }
    return NULL;
}

static struct attempt *find_doc(const struct attempts *room, const json_t *doc)
{
    return find(room, json_integer_value(json_object_get(doc, "job")),
                json_integer_value(json_object_get(doc, "fence")));
}

static void pump_soon(struct attempts *room)
{
    struct timeval wait = backoff_timeval(BATCH_SECONDS);
    if (!evtimer_pending(room->batch, NULL))
        evtimer_add(room->batch, &wait);
}

/* ---- what the rooms below report ---- */

static void on_metric(const json_t *record, void *arg)
{
    struct attempt *a = arg;
    const char *kind = json_string_value(json_object_get(record, "kind"));
    const char *file = json_string_value(json_object_get(record, "file"));
    if (kind && file && strcmp(kind, "checkpoint") == 0)
        artifacts_add(a->artifacts, file); /* complete, or the trainer would not have said so */
}

static void on_artifacts(void *arg)
{
    struct attempt *a = arg;
    pump_soon(a->room);
}

static void on_run_gone(void *arg)
{
    struct attempt *a = arg;
    attempt_event(a, ATTEMPT_EV_EXITED);
}

/* It ends without having run. exit.json makes it so for a later agent too. */
static void end_unstarted(struct attempt *a, const char *reason, const char *message)
{
    struct err err = {0};
    if (exit_write(a->dir, reason, a->ran, a->ran ? 0 : 127, message, &err) < 0)
        log_error("attempts", "cannot write exit.json", KV_I("job", a->job), KV_E(&err));
    attempt_event(a, ATTEMPT_EV_EXITED);
}

static void on_files(const struct err *error, void *arg)
{
    struct attempt *a = arg;
    struct err why = error ? *error : (struct err){0}; /* it lives in the files */
    files_destroy(a->files);
    a->files = NULL;
    if (error)
        end_unstarted(a, "launch", why.text);
    else
        attempt_event(a, ATTEMPT_EV_FETCHED);
}

/* ---- entering a state ---- */

static void phase_enter(struct attempt *a, int phase)
{
    if (!a->phase_at[phase])
        a->phase_at[phase] = time_now();
}

static void enter_fetching(struct attempt *a)
{
    phase_enter(a, PHASE_STARTING);
    a->files = files_fetch(a->room->agent, a->launch, a->dir, on_files, a);
}

static void enter_starting(struct attempt *a)
{
    struct err err = {0};
    if (!a->head)
        return; /* ready: daemons may be asked for */
    if (start_write(a->room->agent, a->launch, a->dir, a->dir, NULL, &err) < 0 ||
        runner_start(a->runner, &err) < 0)
        end_unstarted(a, "launch", err.text);
}

static void enter_draining(struct attempt *a)
{
    struct exit_info e;
    if (exit_read(a->dir, &e, NULL) == 0) {
        a->ran = a->ran || e.started;
        exit_clear(&e);
    }
    if (a->ran)
        phase_enter(a, PHASE_RUNNING);
    phase_enter(a, PHASE_COMPLETING);
    records_final(a->records);
}

static void enter_dropped(struct attempt *a)
{
    if (a->head)
        runner_stop(a->runner, "cancel", 0);
    else if (spawns_stop_attempt(a->room->agent->spawns, a->job, a->fence, "cancel", 0) == 0)
        attempt_event(a, ATTEMPT_EV_EXITED);
}

static void attempt_event(struct attempt *a, enum attempt_event event)
{
    int next = attempt_next(a->state, event);
    if (next < 0) {
        log_debug("attempts", "event without meaning here", KV_I("job", a->job), KV_I("fence", a->fence),
                  KV_S("state", attempt_state_name(a->state)), KV_S("event", attempt_event_name(event)));
        return;
    }
    log_info("attempts", attempt_event_name(event), KV_I("job", a->job), KV_I("fence", a->fence),
             KV_S("from", attempt_state_name(a->state)),
             KV_S("to", attempt_state_name((enum attempt_state)next)));
    a->state = (enum attempt_state)next;
    switch (a->state) {
    case ATTEMPT_STARTING:
        enter_starting(a);
        break;
    case ATTEMPT_RUNNING:
        a->ran = true;
        phase_enter(a, PHASE_RUNNING);
        break;
    case ATTEMPT_DRAINING:
        enter_draining(a);
        break;
    case ATTEMPT_UPLOADING:
        artifacts_collect(a->artifacts);
        break;
    case ATTEMPT_DROPPED:
        enter_dropped(a);
        break;
    default:
        break;
    }
    pump_soon(a->room);
}

/* ---- the life of the struct ---- */

static struct attempt *attempt_create(struct attempts *room, struct launch *launch, char *dir)
{
    struct attempt *a = xcalloc(1, sizeof(*a));
    struct agent *agent = room->agent;
    char *out = path_join(dir, "out");
    a->room = room;
    a->job = launch->job;
    a->fence = launch->fence;
    a->dir = dir;
    a->launch = launch;
    a->head = launch_is_head(launch, agent->node);
    a->runner = runner_create(agent, dir, on_run_gone, a);
    a->records = records_create(agent, a->job, a->fence, dir, on_metric, a);
    a->artifacts = artifacts_create(agent, a->job, a->fence, out, on_artifacts, a);
    a->watch = inotify_add_watch(room->inotify, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO);
    a->next = room->list;
    room->list = a;
    free(out);
    return a;
}

static void attempt_free(struct attempt *a)
{
    if (a->watch >= 0)
        inotify_rm_watch(a->room->inotify, a->watch);
    files_destroy(a->files);
    runner_destroy(a->runner);
    records_destroy(a->records);
    artifacts_destroy(a->artifacts);
    launch_destroy(a->launch);
    free(a->dir);
    free(a);
}

/* Those that are gone, with their folders. Out of a timer, never from inside their own callbacks. */
static void bury_gone(struct attempts *room)
{
    struct err err = {0};
    for (struct attempt **at = &room->list; *at;) {
        struct attempt *a = *at;
        if (a->state != ATTEMPT_GONE) {
            at = &a->next;
            continue;
        }
        *at = a->next;
        if (dir_remove(a->dir, &err) < 0)
            log_warn("attempts", "folder left behind", KV_E(&err));
        attempt_free(a);
    }
}

/* ---- telling the orchestrator ---- */

static json_t *names(const struct attempt *a)
{
    return json_pack("{s:I,s:I}", "job", (json_int_t)a->job, "fence", (json_int_t)a->fence);
}

static void tell_phases(struct attempt *a)
{
    for (int p = a->told_phase + 1; p < PHASES && session_ready(a->room->agent->session); p++) {
        if (!a->phase_at[p])
            continue;
        json_t *body = names(a);
        json_object_set_new(body, "phase", json_string(phase_names[p]));
        json_object_set_new(body, "at", json_real(a->phase_at[p]));
        if (session_send(a->room->agent->session, MSG_PHASE, body) < 0)
            return;
        a->told_phase = p;
    }
}

/* mpirun ends with its first failed rank's code; which rank that was is in what it printed. */
static void ask_mpirun(const struct attempt *a, struct exit_info *e)
{
    struct verdict v;
    verdict_read(&v, e->tail, a->room->agent->site.hostname, a->room->agent->node);
    exit_clear(e);
    e->tail = v.tail;
    if (e->exit_code != 0 && strcmp(e->reason, "exit") == 0 && v.signal) {
        e->signal = v.signal;
        snprintf(e->reason, sizeof(e->reason), "signal");
    }
    if (e->exit_code != 0 && !*e->message)
        snprintf(e->message, sizeof(e->message), "%s", v.message);
}

static json_t *ended_body(const struct attempt *a, const struct exit_info *e)
{
    const char *trouble = artifacts_trouble(a->artifacts);
    json_t *body = names(a);
    json_t *message = json_sprintf("%s%s%s", e->message, *trouble && *e->message ? "; " : "", trouble);
    json_object_set_new(body, "exit_code", json_integer(e->exit_code));
    json_object_set_new(body, "signal", json_integer(e->signal));
    json_object_set_new(body, "reason", json_string(e->reason));
    json_object_set_new(body, "message",
                        message ? message : json_string("")); /* cut in the middle of a character */
    json_object_set_new(body, "at", json_real(e->ended));
    if (json_is_array(e->tail))
        json_object_set(body, "tail", e->tail);
    return body;
}

static void tell_ended(struct attempt *a)
{
    struct exit_info e;
    struct err err = {0};
    if (a->told_ended || !session_ready(a->room->agent->session))
        return;
    if (exit_read(a->dir, &e, &err) < 0) {
        log_error("attempts", "cannot read how it ended", KV_E(&err));
        e = (struct exit_info){
            .exit_code = 1, .reason = "lost", .message = "exit.json is not readable", .ended = time_now()};
    }
    if (a->launch->kind == LAUNCH_TRAIN)
        ask_mpirun(a, &e);
    a->told_ended = session_send(a->room->agent->session, MSG_ENDED, ended_body(a, &e)) == 0;
    exit_clear(&e);
}

static bool runs(const struct attempt *a)
{
    if (!a->head)
        return spawns_count(a->room->agent->spawns, a->job, a->fence) > 0;
    if (a->launch->kind == LAUNCH_TRAIN)
        return records_metrics_begun(a->records);
    char *path = path_join(a->dir, "started");
    bool there = file_exists(path);
    free(path);
    return there;
}

static void pump(struct attempt *a)
{
    runner_look(a->runner);
    if (a->state == ATTEMPT_STARTING && runs(a))
        attempt_event(a, ATTEMPT_EV_RUNS);
    if (a->state == ATTEMPT_DROPPED || a->state == ATTEMPT_GONE || !session_ready(a->room->agent->session))
        return;
    tell_phases(a);
    records_pump(a->records);
    artifacts_pump(a->artifacts);
    if (a->state == ATTEMPT_DRAINING && records_done(a->records))
        attempt_event(a, ATTEMPT_EV_DRAINED);
    if (a->state == ATTEMPT_UPLOADING && artifacts_done(a->artifacts))
        attempt_event(a, ATTEMPT_EV_UPLOADED);
    if (a->state == ATTEMPT_ENDED)
        tell_ended(a);
}

static bool alive(const struct attempt *a)
{
    return a->state == ATTEMPT_FETCHING || a->state == ATTEMPT_STARTING || a->state == ATTEMPT_RUNNING ||
           a->state == ATTEMPT_DROPPED;
}

void attempts_pump_all(struct attempts *room)
{
    bool any = false;
    for (struct attempt *a = room->list; a; a = a->next)
        pump(a);
    bury_gone(room);
    for (struct attempt *a = room->list; a; a = a->next)
        any = any || alive(a);
    if (room->stopped && !any) {
        void (*stopped)(void *) = room->stopped;
        room->stopped = NULL;
        stopped(room->stopped_arg);
    }
}

/* ---- stop and drop ---- */

static void stop(struct attempt *a, const char *reason, double grace)
{
    if (!*a->stop_reason)
        snprintf(a->stop_reason, sizeof(a->stop_reason), "%s", reason);
    if (a->state == ATTEMPT_FETCHING) {
        files_destroy(a->files);
        a->files = NULL;
        end_unstarted(a, reason, "stopped before it was started");
    } else if (a->state == ATTEMPT_STARTING || a->state == ATTEMPT_RUNNING) {
        if (a->head)
            runner_stop(a->runner, reason, grace);
        else if (spawns_stop_attempt(a->room->agent->spawns, a->job, a->fence, reason, grace) == 0)
            end_unstarted(a, reason, "");
    }
}

static void drop(struct attempt *a)
{
    log_info("attempts", "not wanted by the orchestrator", KV_I("job", a->job), KV_I("fence", a->fence));
    files_destroy(a->files);
    a->files = NULL;
    attempt_event(a, ATTEMPT_EV_DROP);
}

void attempts_spawn_changed(struct attempts *room, int64_t job, int64_t fence)
{
    struct attempt *a = find(room, job, fence);
    if (!a || a->head)
        return;
    int left = spawns_count(room->agent->spawns, job, fence);
    if (left == 0 && a->state == ATTEMPT_DROPPED)
        attempt_event(a, ATTEMPT_EV_EXITED);
    else if (left == 0 && *a->stop_reason && alive(a))
        end_unstarted(a, a->stop_reason, "");
    pump_soon(room);
}

bool attempts_find(const struct attempts *room, int64_t job, int64_t fence, struct attempt_view *out)
{
    struct attempt *a = find(room, job, fence);
    if (!a || *a->stop_reason || (a->state != ATTEMPT_STARTING && a->state != ATTEMPT_RUNNING))
        return false;
    *out = (struct attempt_view){a->job, a->fence, a->dir, a->launch};
    return true;
}

void attempts_stop_all(struct attempts *room, const char *reason, double grace_seconds,
                       void (*done)(void *arg), void *arg)
{
    room->stopped = done;
    room->stopped_arg = arg;
    for (struct attempt *a = room->list; a; a = a->next)
        stop(a, reason, grace_seconds);
    pump_soon(room);
}

/* ---- messages ---- */

json_t *attempts_hello(const struct attempts *room)
{
    json_t *list = json_array();
    for (const struct attempt *a = room->list; a; a = a->next) {
        if (a->state == ATTEMPT_DROPPED || a->state == ATTEMPT_GONE)
            continue;
        json_t *o = names(a);
        json_object_set_new(o, "phase", json_string(attempt_phase(a->state)));
        json_array_append_new(list, o);
    }
    return list;
}

void attempts_session_lost(struct attempts *room)
{
    for (struct attempt *a = room->list; a; a = a->next) {
        records_suspend(a->records);
        artifacts_forget_told(a->artifacts);
        a->told_ended = false;
        if (a->told_phase > PHASE_STARTING)
            a->told_phase = PHASE_STARTING; /* `launch` itself says that much */
    }
}

static const json_t *entry(const json_t *list, const struct attempt *a)
{
    size_t i;
    json_t *o;
    json_array_foreach((json_t *)(uintptr_t)list, i, o)
    {
        if (json_integer_value(json_object_get(o, "job")) == a->job &&
            json_integer_value(json_object_get(o, "fence")) == a->fence)
            return o;
    }
    return NULL;
}

void attempts_on_welcome(struct agent *agent, const json_t *doc)
{
    struct attempts *room = agent->attempts;
    const json_t *keep_list = json_object_get(doc, "keep");
    for (struct attempt *a = room->list; a; a = a->next) {
        const json_t *keep = entry(keep_list, a);
        int64_t metrics = 1, logs = 1;
        if (a->state == ATTEMPT_DROPPED || a->state == ATTEMPT_GONE)
            continue;
        if (!keep) {
            drop(a);
            continue;
        }
        (void)json_get_int(keep, "metrics", false, &metrics, NULL);
        (void)json_get_int(keep, "logs", false, &logs, NULL);
        records_resume(a->records, (uint64_t)(metrics > 0 ? metrics : 1), (uint64_t)(logs > 0 ? logs : 1));
    }
    attempts_pump_all(room);
}

/* A launch that cannot be: tell it as an attempt that ended at once. Nothing of it is on the disk. */
static void refuse(struct agent *agent, const json_t *doc, const struct err *err)
{
    log_error("attempts", "launch refused", KV_E(err));
    json_t *body = json_pack("{s:O,s:O,s:i,s:i,s:s,s:s,s:f}", "job", json_object_get(doc, "job"), "fence",
                             json_object_get(doc, "fence"), "exit_code", 127, "signal", 0, "reason", "launch",
                             "message", err->text, "at", time_now());
    (void)session_send(agent->session, MSG_ENDED, body);
}

/* The fences of one job: true when this one is new and the highest. Older ones that are still here are dead.
 */
static bool fence_check(struct attempts *room, int64_t job, int64_t fence)
{
    for (struct attempt *a = room->list; a; a = a->next) {
        if (a->job != job)
            continue;
        if (a->fence >= fence)
            return false;
        drop(a);
    }
    return true;
}

void attempts_on_launch(struct agent *agent, const json_t *doc)
{
    struct attempts *room = agent->attempts;
    struct err err = {0};
    int64_t job = json_integer_value(json_object_get(doc, "job")),
            fence = json_integer_value(json_object_get(doc, "fence"));
    json_t *object = json_object_get(doc, "launch");
    if (room->stopped || !fence_check(room, job, fence))
        return; /* leaving: the next hello will not name it; or said twice */
    struct launch *l = launch_parse(object, job, fence, agent->node, &err);
    char *dir = xasprintf("%s/%lld.%lld", room->dir, (long long)job, (long long)fence);
    char *out = path_join(dir, "out"), *file = path_join(dir, "launch.json");
    if (!l || dir_make(out, 0755, &err) < 0 || launch_write(file, job, fence, object, &err) < 0) {
        refuse(agent, doc, &err);
        launch_destroy(l);
        (void)dir_remove(dir, NULL);
        free(dir);
    } else {
        struct attempt *a = attempt_create(room, l, dir);
        log_info("attempts", "launch", KV_I("job", job), KV_I("fence", fence), KV_S("name", l->name),
                 KV_I("ranks", l->ranks));
        enter_fetching(a);
        records_resume(a->records, 1, 1);
        pump_soon(room);
    }
    free(out);
    free(file);
}

void attempts_on_stop(struct agent *agent, const json_t *doc)
{
    struct attempt *a = find_doc(agent->attempts, doc);
    if (a)
        stop(a, json_string_value(json_object_get(doc, "reason")),
             json_number_value(json_object_get(doc, "grace_seconds")));
}

void attempts_on_records_ack(struct agent *agent, const json_t *doc)
{
    struct attempt *a = find_doc(agent->attempts, doc);
    if (!a)
        return;
    records_ack(a->records, json_string_value(json_object_get(doc, "stream")),
                (uint64_t)json_integer_value(json_object_get(doc, "next")));
    pump_soon(agent->attempts);
}

void attempts_on_forget(struct agent *agent, const json_t *doc)
{
    struct attempt *a = find_doc(agent->attempts, doc);
    if (a && a->state == ATTEMPT_ENDED)
        attempt_event(a, ATTEMPT_EV_FORGET);
    else if (a)
        drop(a);
}

/* ---- taking up what an earlier agent left ---- */

static void recover_one(struct attempts *room, const char *name)
{
    struct err err = {0};
    char *dir = path_join(room->dir, name), *file = path_join(dir, "launch.json"),
         *exit_path = path_join(dir, "exit.json");
    struct launch *l = launch_read(file, room->agent->node, &err);
    if (!l) {
        /* Without launch.json nothing was started; an unreadable one stays for a person to look at. */
        if (err.code == ERR_NOT_FOUND)
            (void)dir_remove(dir, NULL);
        else
            log_error("attempts", "attempt left alone", KV_E(&err));
        free(dir);
    } else {
        struct attempt *a = attempt_create(room, l, dir);
        phase_enter(a, PHASE_STARTING);
        a->told_phase = PHASE_STARTING;
        if (file_exists(exit_path)) {
            a->state = ATTEMPT_DRAINING;
            enter_draining(a);
        } else if (a->head ? runner_adopt(a->runner)
                           : spawns_adopt(room->agent->spawns, a->job, a->fence, dir) > 0) {
            a->state = ATTEMPT_STARTING;
        } else {
            enter_fetching(a);
        }
        log_info("attempts", "taken up", KV_I("job", a->job), KV_I("fence", a->fence),
                 KV_S("state", attempt_state_name(a->state)));
    }
    free(file);
    free(exit_path);
}

int attempts_recover(struct attempts *room, struct err *err)
{
    DIR *d = opendir(room->dir);
    if (!d)
        return err_set(err, ERR_IO, "cannot list %s: %s", room->dir, strerror(errno));
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
            recover_one(room, e->d_name);
    }
    closedir(d);
    pump_soon(room);
    return 0;
}

/* ---- the room ---- */

static void on_inotify(evutil_socket_t fd, short what, void *arg)
{
    char events[8192];
    (void)what;
    /* Which attempt and which file does not matter: looking costs a stat, and new lines are read where there
     * are some. */
    while (read(fd, events, sizeof(events)) > 0)
        continue;
    pump_soon(arg);
}

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    attempts_pump_all(arg);
}

struct attempts *attempts_create(struct agent *agent, struct err *err)
{
    struct attempts *room = xcalloc(1, sizeof(*room));
    struct timeval look = backoff_timeval(LOOK_SECONDS);
    room->agent = agent;
    room->dir = path_join(agent->state_dir, "attempts");
    room->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (room->inotify < 0)
        log_warn("attempts", "no inotify, looking once a second only", KV_S("error", strerror(errno)));
    room->changed = event_new(agent->base, room->inotify, EV_READ | EV_PERSIST, on_inotify, room);
    room->batch = evtimer_new(agent->base, on_pump, room);
    room->look = event_new(agent->base, -1, EV_PERSIST, on_pump, room);
    if (room->inotify >= 0)
        event_add(room->changed, NULL);
    event_add(room->look, &look);
    if (dir_make(room->dir, 0700, err) < 0) {
        attempts_destroy(room);
        return NULL;
    }
    return room;
}

void attempts_destroy(struct attempts *room)
{
    if (!room)
        return;
    while (room->list) {
        struct attempt *a = room->list;
        room->list = a->next;
        attempt_free(a);
    }
    event_free(room->changed);
    event_free(room->batch);
    event_free(room->look);
    if (room->inotify >= 0)
        close(room->inotify);
    free(room->dir);
    free(room);
}
