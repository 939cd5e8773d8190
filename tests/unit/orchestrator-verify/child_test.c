/* Short-lived children: output, limits, and nothing left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "orchestrator/verify/child.h"

struct seen {
    struct event_base *base;
    bool done;
    int exit_code, signal;
    bool timed_out, overflowed;
    char output[256], errors[256];
};

static void on_done(const struct child_result *r, void *arg)
{
    struct seen *s = arg;
    s->done = true;
    s->exit_code = r->exit_code;
    s->signal = r->signal;
    s->timed_out = r->timed_out;
    s->overflowed = r->overflowed;
    snprintf(s->output, sizeof(s->output), "%s", buf_str(&r->output));
    snprintf(s->errors, sizeof(s->errors), "%s", buf_str(&r->errors));
    event_base_loopbreak(s->base);
}

/* Run a shell script as a child with these limits. */
static struct seen run(const char *script, const char *input, size_t max_output, double seconds)
{
    struct seen s = {.base = event_base_new()};
    struct children *all = children_create(s.base);
    struct err err = {0};
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    struct child_spec spec = {.argv = argv,
                              .input = input,
                              .input_len = input ? strlen(input) : 0,
                              .max_output = max_output,
                              .seconds = seconds};
    if (!child_start(all, &spec, on_done, &s, &err))
        fail_msg("%s", err.text);
    event_base_dispatch(s.base);
    assert_true(s.done);
    children_destroy(all);
    event_base_free(s.base);
    return s;
}

static void its_output_errors_and_code_come_back(void **state)
{
    (void)state;
    struct seen s = run("cat; echo oops >&2; exit 7", "hello", 1000, 20);
    assert_string_equal(s.output, "hello");
    assert_string_equal(s.errors, "oops\n");
    assert_int_equal(s.exit_code, 7);
    assert_int_equal(s.signal, 0);
}

static void a_child_that_never_reads_its_input_is_fine(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as main does */
    char *big = xcalloc(1, 300001);
    memset(big, 'x', 300000);
    struct seen s = run("exit 0", big, 1000, 20);
    assert_int_equal(s.exit_code, 0);
    free(big);
}

static void too_much_output_kills_it(void **state)
{
    (void)state;
    struct seen s = run("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done", NULL, 5000, 20);
    assert_true(s.overflowed);
    assert_int_equal(s.signal, SIGKILL);
}

static void too_long_kills_it_and_what_it_started(void **state)
{
    (void)state;
    char script[200], path[] = "/tmp/trainyard-child-test-XXXXXX";
    int fd = mkstemp(path);
    close(fd);
    snprintf(script, sizeof(script), "sleep 300 & echo $! > %s; wait", path);
    struct seen s = run(script, NULL, 1000, 0.5);
    assert_true(s.timed_out);
    FILE *f = fopen(path, "r");
    int pid = 0;
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    fclose(f);
    unlink(path);
    /* Killed; init or we reap it in a moment. */
    int alive = 1;
    for (int i = 0; i < 100 && alive; i++) {
        char stat[64], state_of = 'Z';
        snprintf(stat, sizeof(stat), "/proc/%d/stat", pid);
        FILE *p = fopen(stat, "r");
        if (!p || fscanf(p, "%*d %*s %c", &state_of) != 1 || state_of == 'Z')
            alive = 0;
        if (p)
            fclose(p);
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    assert_false(alive);
}

static void it_inherits_nothing_of_ours(void **state)
{
    (void)state;
    setenv("SECRET", "x", 1);
    struct seen s = run("ls /proc/self/fd | wc -l; echo \"[$SECRET]\"", NULL, 1000, 20);
    assert_string_equal(s.output, "4\n[]\n"); /* 0, 1, 2, and the folder that ls reads */
}

static void what_can_not_start_says_so(void **state)
{
    (void)state;
    struct event_base *base = event_base_new();
    struct children *all = children_create(base);
    struct err err = {0};
    const char *const argv[] = {"/nonexistent/program", NULL};
    struct child_spec spec = {.argv = argv, .max_output = 10, .seconds = 1};
    assert_null(child_start(all, &spec, on_done, NULL, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "/nonexistent/program"));
    children_destroy(all);
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_output_errors_and_code_come_back),
        cmocka_unit_test(a_child_that_never_reads_its_input_is_fine),
        cmocka_unit_test(too_much_output_kills_it),
        cmocka_unit_test(too_long_kills_it_and_what_it_started),
        cmocka_unit_test(it_inherits_nothing_of_ours),
        cmocka_unit_test(what_can_not_start_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
