#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <stdbool.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/procs.h"
#include "base/file.h"

static void the_name_in_a_stat_line_may_hold_anything(void **state)
{
    (void)state;
    struct proc_stat st;
    const char *text =
        "42 (a) b (c) S 7 8 9 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 987654 1000000 25 18446744073709551615";
    assert_int_equal(proc_stat_parse(text, &st), 0);
    assert_int_equal(st.state, 'S');
    assert_int_equal(st.ppid, 7);
    assert_int_equal(st.pgrp, 8);
    assert_int_equal(st.session, 9);
    assert_int_equal(st.start, 987654);
    assert_int_equal(st.rss_bytes, 25 * sysconf(_SC_PAGESIZE));
    assert_int_equal(proc_stat_parse("", &st), -1);
    assert_int_equal(proc_stat_parse("42 (x)", &st), -1);
    assert_int_equal(proc_stat_parse("42 (x) S 7", &st), -1);
}

static void a_process_is_itself_and_not_who_has_its_pid_later(void **state)
{
    (void)state;
    struct proc_id id;
    assert_int_equal(proc_self(&id, NULL), 0);
    assert_true(proc_alive(&id));
    id.start++;
    assert_false(proc_alive(&id));
    id.start--;
    snprintf(id.boot, sizeof(id.boot), "another-boot");
    assert_false(proc_alive(&id));
}

static void a_zombie_is_not_alive(void **state)
{
    (void)state;
    struct proc_id id = {0};
    struct proc_stat st;
    int fd[2];
    char c;
    assert_int_equal(pipe(fd), 0);
    id.pid = fork();
    if (id.pid == 0) {
        (void)!read(fd[0], &c, 1);
        _exit(0);
    }
    assert_int_equal(proc_stat_read(id.pid, &st), 0);
    id.start = st.start;
    proc_boot_id(id.boot);
    assert_true(proc_alive(&id));
    assert_int_equal(write(fd[1], "x", 1), 1);
    for (int i = 0; i < 500 && proc_alive(&id); i++)
        usleep(2000);
    assert_false(proc_alive(&id));
    waitpid(id.pid, NULL, 0);
    close(fd[0]);
    close(fd[1]);
}

static void a_run_is_claimed_once(void **state)
{
    (void)state;
    char dir[] = "/tmp/agent-procs-XXXXXX", path[64];
    struct proc_id id, back;
    struct err err = {0};
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/shepherd.pid", dir);
    assert_int_equal(proc_id_read(path, &back, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(proc_self(&id, NULL), 0);
    assert_int_equal(proc_id_create(path, &id, &err), 0);
    assert_int_equal(proc_id_create(path, &id, &err), -1);
    assert_int_equal(err.code, ERR_EXISTS);
    assert_int_equal(proc_id_read(path, &back, &err), 0);
    assert_int_equal(back.pid, id.pid);
    assert_int_equal(back.start, id.start);
    assert_string_equal(back.boot, id.boot);
    (void)dir_remove(dir, NULL);
}

static void grandchildren_are_descendants(void **state)
{
    (void)state;
    int fd[2];
    pid_t *pids = NULL, grandchild = 0;
    assert_int_equal(pipe(fd), 0);
    pid_t child = fork();
    if (child == 0) {
        pid_t pid = fork();
        if (pid == 0)
            for (;;)
                pause();
        (void)!write(fd[1], &pid, sizeof(pid));
        for (;;)
            pause();
    }
    assert_int_equal(read(fd[0], &grandchild, sizeof(grandchild)), sizeof(grandchild));
    size_t n = proc_descendants(getpid(), &pids);
    bool has_child = false, has_grandchild = false;
    for (size_t i = 0; i < n; i++) {
        has_child = has_child || pids[i] == child;
        has_grandchild = has_grandchild || pids[i] == grandchild;
    }
    assert_true(has_child && has_grandchild);
    assert_true(proc_descendants_rss(getpid()) > 0);
    free(pids);
    kill(grandchild, SIGKILL);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(fd[0]);
    close(fd[1]);
}

static void marked_processes_are_found_by_the_whole_entry(void **state)
{
    (void)state;
    pid_t pid = fork();
    int status;
    if (pid == 0) {
        char *argv[] = {(char *)(uintptr_t) "sleep", (char *)(uintptr_t) "60", NULL};
        char *envp[] = {(char *)(uintptr_t) "TEST_MARK=agent-procs-test-1", NULL};
        execve("/bin/sleep", argv, envp);
        _exit(1);
    }
    usleep(100000);
    assert_int_equal(proc_kill_marked("TEST_MARK=agent-procs-test", SIGKILL), 0);
    assert_int_equal(proc_kill_marked("TEST_MARK=agent-procs-test-1", SIGKILL), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_in_a_stat_line_may_hold_anything),
        cmocka_unit_test(a_process_is_itself_and_not_who_has_its_pid_later),
        cmocka_unit_test(a_zombie_is_not_alive),
        cmocka_unit_test(a_run_is_claimed_once),
        cmocka_unit_test(grandchildren_are_descendants),
        cmocka_unit_test(marked_processes_are_found_by_the_whole_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
