#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "agent/exitfile.h"
#include "agent/procs.h"
#include "agent/shepherd.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"

/* Each test runs a real shepherd over a shell script, with and without cgroups where the machine has them. */
struct fixture {
    char dir[64], scratch[32], mark[64];
    json_t *start;
    struct cgroup_site site;
    pid_t shepherd;
    struct exit_info how;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    char tag[9];
    snprintf(f->dir, sizeof(f->dir), "/tmp/agent-shepherd-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    random_hex(tag, 8);
    snprintf(f->scratch, sizeof(f->scratch), "/tmp/ty-%s", tag);
    snprintf(f->mark, sizeof(f->mark), "TRAINYARD_ATTEMPT_MARK=%s", tag);
    assert_int_equal(mkdir(f->scratch, 0700), 0);
    f->start = json_pack("{s:s,s:{s:s,s:s,s:s},s:s,s:s,s:s}", "name", "1.1", "environment", "PATH",
                         "/usr/bin:/bin", "TMPDIR", f->scratch, "TRAINYARD_ATTEMPT_MARK", tag, "directory",
                         f->dir, "scratch", f->scratch, "group", tag);
    *state = f;
    return 0;
}

static int setup_cgroups(void **state)
{
    setup(state);
    struct fixture *f = *state;
    cgroup_detect(&f->site);
    json_object_set_new(f->start, "cgroups", cgroup_site_json(&f->site));
    return 0;
}

/* The unified hierarchy beside version 1 has no controllers, but it can kill: this tests the way of version 2
 * there too. */
static int setup_unified(void **state)
{
    struct buf mounts = {0}, own = {0};
    setup(state);
    struct fixture *f = *state;
    assert_int_equal(file_read("/proc/self/mountinfo", 1 << 20, &mounts, NULL), 0);
    assert_int_equal(file_read("/proc/self/cgroup", 1 << 20, &own, NULL), 0);
    char *path = cgroup_path(buf_str(&mounts), buf_str(&own), NULL);
    if (path && access(path, W_OK) == 0) {
        f->site.version = 2;
        f->site.dir[CGROUP_KILL] = path_join(path, "trainyard");
        json_object_set_new(f->start, "cgroups", cgroup_site_json(&f->site));
    }
    free(path);
    buf_free(&mounts);
    buf_free(&own);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    (void)dir_remove(f->dir, NULL);
    (void)dir_remove(f->scratch, NULL);
    json_decref(f->start);
    exit_clear(&f->how);
    cgroup_site_clear(&f->site);
    free(f);
    return 0;
}

static void start(struct fixture *f, const char *script)
{
    struct err err = {0};
    char *path = path_join(f->dir, "start.json");
    if (script)
        json_object_set_new(f->start, "argv", json_pack("[sss]", "/bin/sh", "-c", script));
    char *text = json_text(f->start);
    assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, &err), 0);
    free(text);
    free(path);
    f->shepherd = fork();
    if (f->shepherd == 0) {
        setsid();
        _exit(shepherd_main(f->dir)); /* no atexit: cmocka's and the sanitizer's belong to the parent */
    }
}

static void finish(struct fixture *f)
{
    int status = 0;
    struct err err = {0};
    assert_int_equal(waitpid(f->shepherd, &status, 0), f->shepherd);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    if (exit_read(f->dir, &f->how, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(proc_kill_marked(f->mark, 0), 0); /* nobody is left */
    assert_false(file_exists(f->scratch));
    for (int i = 0; i < CGROUP_USES; i++) { /* nor its group */
        char *group = f->site.dir[i]
                          ? path_join(f->site.dir[i], json_string_value(json_object_get(f->start, "group")))
                          : NULL;
        assert_false(group && file_exists(group));
        free(group);
    }
}

static void wait_for(const struct fixture *f, const char *name)
{
    char *path = path_join(f->dir, name);
    for (int i = 0; i < 1000 && !file_exists(path); i++)
        usleep(10000);
    assert_true(file_exists(path));
    free(path);
}

static char *logs(const struct fixture *f)
{
    struct buf b = {0};
    char *path = path_join(f->dir, "logs.jsonl");
    assert_int_equal(file_read(path, 1 << 24, &b, NULL), 0);
    free(path);
    return buf_steal(&b);
}

static void output_and_exit_code_are_kept(void **state)
{
    struct fixture *f = *state;
    start(f, "echo hello; echo oops >&2; printf unfinished; exit 7");
    finish(f);
    assert_true(f->how.started);
    assert_int_equal(f->how.exit_code, 7);
    assert_int_equal(f->how.signal, 0);
    assert_string_equal(f->how.reason, "exit");
    assert_string_equal(json_string_value(json_array_get(f->how.tail, 0)), "oops");
    char *text = logs(f);
    assert_non_null(strstr(text, "\"stream\":\"stdout\",\"text\":\"hello\"}\n"));
    assert_non_null(strstr(text, "\"stream\":\"stderr\",\"text\":\"oops\"}\n"));
    assert_non_null(strstr(text, "\"text\":\"unfinished\"}\n"));
    free(text);
}

static void a_program_that_cannot_be_executed_says_so(void **state)
{
    struct fixture *f = *state;
    json_object_set_new(f->start, "argv", json_pack("[s]", "/nonexistent/program"));
    start(f, NULL);
    finish(f);
    assert_false(f->how.started);
    assert_string_equal(f->how.reason, "launch");
    assert_non_null(strstr(f->how.message, "/nonexistent/program"));
}

static void a_signal_is_told_apart_from_an_exit(void **state)
{
    struct fixture *f = *state;
    start(f, "kill -9 $$");
    finish(f);
    assert_string_equal(f->how.reason, "signal");
    assert_int_equal(f->how.signal, 9);
    assert_int_equal(f->how.exit_code, 137);
}

static const char hard_to_kill[] =
    "trap '' TERM HUP INT; "
    "(trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done') & "
    "setsid setsid sleep 300 & "
    "(setsid sh -c 'setsid sleep 301 & exit' &) ; "
    "echo > here; ";

static void whoever_hides_is_gone_when_the_program_ends(void **state)
{
    struct fixture *f = *state;
    char *script = xasprintf("%s sleep 0.2; exit 0", hard_to_kill);
    double begun = time_monotonic();
    start(f, script);
    finish(f);
    assert_int_equal(f->how.exit_code, 0);
    assert_true(time_monotonic() - begun < 20);
    free(script);
}

static void cancel_is_soft_first_and_hard_after_the_grace(void **state)
{
    struct fixture *f = *state;
    char *script = xasprintf("%s while :; do sleep 1; done", hard_to_kill);
    start(f, script);
    wait_for(f, "here");
    char *stop = path_join(f->dir, "stop.json");
    assert_int_equal(file_write_atomic(stop, "{\"reason\":\"cancel\",\"grace_seconds\":0.5}", 39, 0644, NULL),
                     0);
    double begun = time_monotonic();
    kill(f->shepherd, SIGTERM);
    finish(f);
    assert_string_equal(f->how.reason, "cancel");
    assert_int_equal(f->how.signal, 9);
    assert_true(time_monotonic() - begun >= 0.5 && time_monotonic() - begun < 20);
    free(stop);
    free(script);
}

static void who_obeys_sigterm_may_clean_up(void **state)
{
    struct fixture *f = *state;
    start(f, "trap 'echo cleaned; exit 3' TERM; echo > here; while :; do sleep 0.05; done");
    wait_for(f, "here");
    kill(f->shepherd, SIGTERM);
    finish(f);
    assert_string_equal(f->how.reason, "cancel");
    assert_int_equal(f->how.exit_code, 3);
    char *text = logs(f);
    assert_non_null(strstr(text, "cleaned"));
    free(text);
}

static void training_is_asked_for_a_checkpoint_at_its_time_limit(void **state)
{
    struct fixture *f = *state;
    json_object_set_new(f->start, "time_limit_seconds", json_integer(1));
    json_object_set_new(f->start, "checkpoints", json_true());
    start(f, "trap 'echo saved; exit 75' USR1; while :; do sleep 0.05; done");
    finish(f);
    assert_string_equal(f->how.reason, "timeout");
    assert_int_equal(f->how.exit_code, 75);
}

static void stop_before_the_start_prevents_it(void **state)
{
    struct fixture *f = *state;
    char *stop = path_join(f->dir, "stop.json"), *here = path_join(f->dir, "here");
    assert_int_equal(file_write_atomic(stop, "{\"reason\":\"preempt\",\"grace_seconds\":0}", 38, 0644, NULL),
                     0);
    start(f, "echo > here");
    finish(f);
    assert_false(f->how.started);
    assert_string_equal(f->how.reason, "preempt");
    assert_false(file_exists(here));
    free(stop);
    free(here);
}

static void a_run_happens_once(void **state)
{
    struct fixture *f = *state;
    int status;
    start(f, "echo x >> count");
    finish(f);
    start(f, "echo x >> count");
    assert_int_equal(waitpid(f->shepherd, &status, 0), f->shepherd);
    assert_int_equal(WEXITSTATUS(status), 3);
    struct buf b = {0};
    char *path = path_join(f->dir, "count");
    assert_int_equal(file_read(path, 100, &b, NULL), 0);
    assert_int_equal(b.len, 2);
    buf_free(&b);
    free(path);
}

static void too_much_memory_is_its_own_reason(void **state)
{
    struct fixture *f = *state;
    json_object_set_new(f->start, "memory_bytes", json_integer(64 << 20));
    start(f, "exec python3 -c 'x = bytearray(400 << 20); import time; time.sleep(60)'");
    finish(f);
    assert_string_equal(f->how.reason, "memory");
    assert_true(strlen(f->how.message) > 0);
}

static void the_program_dies_with_its_shepherd(void **state)
{
    struct fixture *f = *state;
    start(f, "echo > here; exec sleep 300");
    wait_for(f, "here");
    kill(f->shepherd, SIGKILL);
    waitpid(f->shepherd, NULL, 0);
    for (int i = 0; i < 200 && proc_kill_marked(f->mark, 0) > 0; i++)
        usleep(10000);
    assert_int_equal(proc_kill_marked(f->mark, 0), 0);
    (void)dir_remove(f->scratch, NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define G(f) cmocka_unit_test_setup_teardown(f, setup_cgroups, teardown)
#define U(f) cmocka_unit_test_setup_teardown(f, setup_unified, teardown)
    const struct CMUnitTest tests[] = {
        T(output_and_exit_code_are_kept),
        T(a_program_that_cannot_be_executed_says_so),
        T(a_signal_is_told_apart_from_an_exit),
        T(whoever_hides_is_gone_when_the_program_ends),
        G(whoever_hides_is_gone_when_the_program_ends),
        T(cancel_is_soft_first_and_hard_after_the_grace),
        U(whoever_hides_is_gone_when_the_program_ends),
        U(cancel_is_soft_first_and_hard_after_the_grace),
        G(cancel_is_soft_first_and_hard_after_the_grace),
        T(who_obeys_sigterm_may_clean_up),
        T(training_is_asked_for_a_checkpoint_at_its_time_limit),
        T(stop_before_the_start_prevents_it),
        T(a_run_happens_once),
        T(too_much_memory_is_its_own_reason),
        G(too_much_memory_is_its_own_reason),
        T(the_program_dies_with_its_shepherd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
