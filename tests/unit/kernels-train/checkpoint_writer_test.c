/* The checkpoint writer: what it writes is what the arrays held when it was asked, whatever happens to them after, and to the
 * process. */
#include "kernels/train/checkpoint_writer.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/file.h"
#include "base/mem.h"

enum { N = 200000 };

static char *make_dir(void)
{
    char template[] = "/tmp/trainyard-writer-XXXXXX";
    assert_non_null(mkdtemp(template));
    return xstrdup(template);
}

static void drop_dir(char *dir)
{
    assert_int_equal(dir_remove(dir, NULL), 0);
    free(dir);
}

static void fill(float *x, int64_t step)
{
    for (size_t i = 0; i < N; i++)
        x[i] = (float)step + (float)(i % 100) / 128;
}

static int begin(struct checkpoint_writer *w, float *x, int64_t step, bool best, struct err *err)
{
    fill(x, step);
    const struct checkpoint_part parts[] = {
        {"weights", x, N * sizeof(float)}, {"step", &step, sizeof(step)}, {"nothing", NULL, 0}};
    return checkpoint_writer_begin(w, step, step / 10, parts, ARRAY_LEN(parts), best, err);
}

/* The step of a whole checkpoint whose content is that of its step. */
static int64_t content(const char *path)
{
    struct err err = {0};
    struct checkpoint *c = checkpoint_open(path, &err);
    if (!c)
        fail_msg("%s", err.text);
    const struct checkpoint_part *weights = checkpoint_find(c, "weights", N * sizeof(float), &err);
    const struct checkpoint_part *at = checkpoint_find(c, "step", sizeof(int64_t), &err);
    assert_true(weights && at);
    int64_t step;
    memcpy(&step, at->data, sizeof(step));
    float *want = xmalloc(N * sizeof(float));
    fill(want, step);
    assert_memory_equal(weights->data, want, N * sizeof(float));
    free(want);
    checkpoint_close(c);
    return step;
}

static void training_goes_on_while_it_writes(void **state)
{
    (void)state;
    char *dir = make_dir();
    struct err err = {0};
    struct checkpoint_done done;
    float *x = xcalloc(N, sizeof(*x));
    struct checkpoint_writer *w = checkpoint_writer_create(dir, 2, &err);
    assert_non_null(w);
    assert_int_equal(checkpoint_writer_wait(w, &done, &err), 0); /* nothing was begun */
    for (int64_t step = 1; step <= 20; step++) {
        assert_int_equal(begin(w, x, step, step == 3, &err), 0);
        memset(x, 0xff, N * sizeof(*x)); /* the next step's work */
        if (checkpoint_writer_poll(w, &done, &err) == 1)
            assert_true(done.step == step);
    }
    checkpoint_writer_wait(w, &done, &err);
    assert_int_equal(err.code, 0);
    checkpoint_writer_destroy(w);
    char *newest = checkpoint_newest(dir, NULL, 0, &err), *best = path_join(dir, CHECKPOINT_BEST);
    assert_non_null(newest);
    assert_true(content(newest) == 20);
    assert_true(content(best) == 3);
    free(newest);
    free(best);
    free(x);
    drop_dir(dir);
}

static void each_is_told_once(void **state)
{
    (void)state;
    char *dir = make_dir();
    struct err err = {0};
    struct checkpoint_done done = {0};
    float *x = xcalloc(N, sizeof(*x));
    struct checkpoint_writer *w = checkpoint_writer_create(dir, 2, &err);
    assert_int_equal(begin(w, x, 57, false, &err), 0);
    assert_int_equal(checkpoint_writer_wait(w, &done, &err), 1);
    assert_true(done.step == 57 && done.epoch == 5);
    assert_string_equal(done.file, "step-000057.ckpt");
    assert_int_equal(checkpoint_writer_poll(w, &done, &err), 0);
    checkpoint_writer_destroy(w);
    checkpoint_writer_destroy(NULL);
    free(x);
    drop_dir(dir);
}

static void a_failure_is_said_and_the_next_may_succeed(void **state)
{
    (void)state;
    char *dir = make_dir(), *inside = path_join(dir, "checkpoints");
    struct err err = {0};
    struct checkpoint_done done;
    float *x = xcalloc(N, sizeof(*x));
    assert_int_equal(file_write_atomic(inside, "in the way", 10, 0644, &err), 0);
    struct checkpoint_writer *w = checkpoint_writer_create(inside, 2, &err);
    assert_int_equal(begin(w, x, 1, false, &err), 0);
    assert_int_equal(checkpoint_writer_wait(w, &done, &err), -1);
    assert_non_null(strstr(err.text, inside));
    assert_int_equal(begin(w, x, 2, false, &err), 0);
    assert_int_equal(begin(w, x, 3, false, &err), -1); /* the second failed too; the third was not begun */
    assert_int_equal(unlink(inside), 0);
    assert_int_equal(begin(w, x, 4, false, &err), 0);
    assert_int_equal(checkpoint_writer_wait(w, &done, &err), 1);
    assert_true(done.step == 4);
    checkpoint_writer_destroy(w);
    free(x);
    free(inside);
    drop_dir(dir);
}

/* A process that checkpoints without end, killed after a random time: what is newest is whole, and never older than what the
 * process had said is durable. */
static void kill_9_at_any_instant_leaves_the_newest_whole(void **state)
{
    (void)state;
    char *dir = make_dir();
    float *x = xcalloc(N, sizeof(*x));
    int64_t first = 1;
    unsigned random = 12345;
    for (int round = 0; round < 25; round++) {
        int said[2];
        assert_int_equal(pipe(said), 0);
        pid_t child = fork();
        if (child == 0) {
            struct err err = {0};
            struct checkpoint_done done;
            struct checkpoint_writer *w = checkpoint_writer_create(dir, 2, &err);
            for (int64_t step = first; w; step++) {
                if (begin(w, x, step, false, &err))
                    _exit(1);
                if (checkpoint_writer_wait(w, &done, &err) == 1 &&
                    write(said[1], &done.step, sizeof(done.step)) < 0)
                    _exit(2);
            }
            _exit(3);
        }
        close(said[1]);
        int64_t durable = 0, heard;
        ssize_t n = read(said[0], &heard, sizeof(heard)); /* it works; now at some instant */
        assert_int_equal(n, sizeof(heard));
        durable = heard;
        random = random * 1103515245 + 12345;
        usleep(random / 65536 % 6000);
        kill(child, SIGKILL);
        int status;
        assert_true(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
        while (read(said[0], &heard, sizeof(heard)) == sizeof(heard))
            durable = heard;
        close(said[0]);
        struct err err = {0};
        char *newest = checkpoint_newest(dir, NULL, 0, &err);
        assert_non_null(newest);
        int64_t have = content(newest);
        assert_true(have >= durable);
        first = have + 1;
        free(newest);
    }
    free(x);
    drop_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_goes_on_while_it_writes),
        cmocka_unit_test(each_is_told_once),
        cmocka_unit_test(a_failure_is_said_and_the_next_may_succeed),
        cmocka_unit_test(kill_9_at_any_instant_leaves_the_newest_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
