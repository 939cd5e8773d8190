/* Checkpoints: what is read is what was written, whole, or it is refused; and a kill at any instant does no
 * harm. */
#include "kernels/train/checkpoint.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/file.h"
#include "base/mem.h"

static char *make_dir(void)
{
    char template[] = "/tmp/trainyard-checkpoint-XXXXXX";
    assert_non_null(mkdtemp(template));
    return xstrdup(template);
}

static void drop_dir(char *dir)
{
    assert_int_equal(dir_remove(dir, NULL), 0);
    free(dir);
}

enum { N = 5000 };

/* Parts whose content follows from the step. */
static int write_step(const char *dir, int64_t step, int64_t keep, char name[64], struct err *err)
{
    float *w = xmalloc(N * sizeof(float));
    for (size_t i = 0; i < N; i++)
        w[i] = (float)step * 0.5f + (float)i;
    struct checkpoint_part parts[] = {
        {"weights", w, N * sizeof(float)}, {"step", &step, sizeof(step)}, {"nothing", NULL, 0}};
    int rc = checkpoint_write(dir, step, parts, 3, keep, name, err);
    free(w);
    return rc;
}

static void check_step(const char *path, int64_t step)
{
    struct err err = {0};
    struct checkpoint *c = checkpoint_open(path, &err);
    assert_non_null(c);
    const struct checkpoint_part *w = checkpoint_find(c, "weights", N * sizeof(float), &err);
    const struct checkpoint_part *s = checkpoint_find(c, "step", sizeof(step), &err);
    assert_true(w && s);
    assert_true((uintptr_t)w->data % 64 == 0);
    assert_memory_equal(s->data, &step, sizeof(step));
    for (size_t i = 0; i < N; i++)
        assert_true(((const float *)w->data)[i] == (float)step * 0.5f + (float)i);
    assert_null(checkpoint_find(c, "weights", 4, &err));
    assert_non_null(strstr(err.text, "20000"));
    assert_null(checkpoint_find(c, "other", SIZE_MAX, &err));
    checkpoint_close(c);
}

static void what_was_written_is_read(void **state)
{
    struct err err = {0};
    char name[64], *dir = make_dir();
    (void)state;
    assert_null(checkpoint_newest(dir, NULL, 0, &err));
    assert_int_equal(err.code, ERR_NONE);
    char *nested = path_join(dir, "a");
    assert_int_equal(write_step(nested, 42, 2, name, &err), 0);
    assert_string_equal(name, "step-000042.ckpt");
    char *path = checkpoint_newest(nested, NULL, 0, &err);
    assert_non_null(path);
    check_step(path, 42);
    free(path);
    free(nested);
    drop_dir(dir);
}

static void only_the_newest_are_kept(void **state)
{
    struct err err = {0};
    char name[64], *dir = make_dir();
    (void)state;
    for (int64_t step = 999998; step < 1000004; step++) /* the number outgrows its padding */
        assert_int_equal(write_step(dir, step, 2, name, &err), 0);
    char *kept = path_join(dir, "step-1000002.ckpt"), *gone = path_join(dir, "step-1000001.ckpt");
    assert_true(file_exists(kept));
    assert_false(file_exists(gone));
    char *path = checkpoint_newest(dir, NULL, 0, &err);
    check_step(path, 1000003);
    free(path);
    free(kept);
    free(gone);
    drop_dir(dir);
}

static void a_damaged_file_is_refused_and_the_one_before_found(void **state)
{
    struct err err = {0};
    struct buf whole = {0};
    char name[64], skipped[256], *dir = make_dir();
    (void)state;
    assert_int_equal(write_step(dir, 1, 5, name, &err), 0);
    assert_int_equal(write_step(dir, 2, 5, name, &err), 0);
    char *path = path_join(dir, name);
    assert_int_equal(file_read(path, 1 << 20, &whole, &err), 0);
    for (size_t at = 0; at < whole.len; at += at < 400 ? 1 : 997) { /* any flipped bit */
        FILE *f = fopen(path, "r+b");
        assert_non_null(f);
        fseek(f, (long)at, SEEK_SET);
        fputc(whole.data[at] ^ 4, f);
        fclose(f);
        assert_null(checkpoint_open(path, &err));
        assert_int_equal(err.code, ERR_UNPROCESSABLE);
        f = fopen(path, "r+b");
        fseek(f, (long)at, SEEK_SET);
        fputc(whole.data[at], f);
        fclose(f);
    }
    check_step(path, 2);
    for (size_t n = 0; n < whole.len; n += n < 300 ? 7 : 1999) { /* any length */
        assert_int_equal(truncate(path, (off_t)n), 0);
        assert_null(checkpoint_open(path, &err));
        char *found = checkpoint_newest(dir, skipped, sizeof(skipped), &err);
        assert_non_null(found);
        assert_non_null(strstr(found, "step-000001"));
        assert_non_null(strstr(skipped, "step-000002"));
        free(found);
        FILE *f = fopen(path, "wb");
        assert_true(fwrite(whole.data, 1, whole.len, f) == whole.len);
        fclose(f);
    }
    free(path);
    buf_free(&whole);
    drop_dir(dir);
}

/* A writer is killed at random instants; whatever is there afterwards, the newest opens and holds what its
 * step says. */
static void kill_at_any_instant_leaves_a_whole_newest(void **state)
{
    struct err err = {0};
    char name[64], skipped[256], *dir = make_dir();
    (void)state;
    int64_t last = 0;
    assert_int_equal(write_step(dir, 0, 3, name, &err), 0);
    for (int round = 0; round < 40; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            for (int64_t step = last + 1;; step++)
                if (write_step(dir, step, 3, name, NULL))
                    _exit(1);
        }
        usleep((useconds_t)(500 + round * 331 % 7000));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        char *path = checkpoint_newest(dir, skipped, sizeof(skipped), &err);
        assert_non_null(path);
        assert_string_equal(skipped, ""); /* not even a broken one to pass over */
        int64_t step = atoll(strstr(path, "step-") + 5);
        assert_true(step >= last);
        check_step(path, step);
        last = step;
        free(path);
    }
    assert_true(last > 0);
    assert_int_equal(write_step(dir, last + 1, 3, name, &err), 0); /* and takes temporaries away */
    char *command = xasprintf("test $(ls -A %s | wc -l) -le 3", dir);
    assert_int_equal(system(command), 0);
    free(command);
    drop_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(only_the_newest_are_kept),
        cmocka_unit_test(a_damaged_file_is_refused_and_the_one_before_found),
        cmocka_unit_test(kill_at_any_instant_leaves_a_whole_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
