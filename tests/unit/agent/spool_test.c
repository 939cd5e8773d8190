#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "agent/spool.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

struct fixture {
    char dir[64], path[96];
    struct spool spool;
    struct buf got; /* lines joined by | */
    int partial;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/agent-spool-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/metrics.jsonl", f->dir);
    spool_init(&f->spool, f->path);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    spool_close(&f->spool);
    buf_free(&f->got);
    (void)dir_remove(f->dir, NULL);
    free(f);
    return 0;
}

static void append(struct fixture *f, const char *text)
{
    int fd = open(f->path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
    close(fd);
}

static void on_line(const struct spool_line *line, void *arg)
{
    struct fixture *f = arg;
    buf_add(&f->got, line->text, line->n);
    buf_putc(&f->got, '|');
    f->partial += !line->whole;
}

static int read_lines(struct fixture *f, int max)
{
    struct err err = {0};
    buf_clear(&f->got);
    return spool_read(&f->spool, max, 65536, on_line, f, &err);
}

static void a_line_counts_when_its_newline_is_there(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_lines(f, 10), 0);
    append(f, "one\ntw");
    assert_int_equal(read_lines(f, 10), 1);
    assert_string_equal(buf_str(&f->got), "one|");
    assert_int_equal(read_lines(f, 10), 0);
    append(f, "o\n\nfour\n");
    assert_int_equal(read_lines(f, 2), 2);
    assert_string_equal(buf_str(&f->got), "two||");
    assert_int_equal(f->spool.next, 4);
    assert_int_equal(read_lines(f, 10), 1);
    assert_false(f->spool.ended);
    assert_int_equal(f->partial, 0);
}

static void the_last_line_without_newline_counts_when_the_writer_has_gone(void **state)
{
    struct fixture *f = *state;
    append(f, "one\nhal");
    assert_int_equal(read_lines(f, 10), 1);
    f->spool.final = true;
    assert_int_equal(read_lines(f, 10), 1);
    assert_string_equal(buf_str(&f->got), "hal|");
    assert_int_equal(f->partial, 1);
    assert_true(f->spool.ended);
    assert_int_equal(read_lines(f, 10), 0);
    assert_int_equal(f->spool.next, 3);
}

static void a_file_that_never_came_ends_empty(void **state)
{
    struct fixture *f = *state;
    f->spool.final = true;
    assert_int_equal(read_lines(f, 10), 0);
    assert_true(f->spool.ended);
}

static void reading_goes_back_to_what_was_not_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    for (int i = 1; i <= 1000; i++) {
        char line[32];
        snprintf(line, sizeof(line), "line %d\n", i);
        append(f, line);
    }
    while (read_lines(f, 64) > 0)
        continue;
    assert_int_equal(f->spool.next, 1001);
    assert_int_equal(spool_release(&f->spool, 500, &err), 0);
    assert_int_equal(f->spool.kept, 500);
    assert_int_equal(spool_seek(&f->spool, 700, &err), 0);
    assert_int_equal(read_lines(f, 1), 1);
    assert_string_equal(buf_str(&f->got), "line 700|");
    assert_int_equal(spool_seek(&f->spool, 500, &err), 0);
    assert_int_equal(read_lines(f, 1), 1);
    assert_string_equal(buf_str(&f->got), "line 500|");
    /* further back than was released: a database restored from a backup */
    assert_int_equal(spool_seek(&f->spool, 3, &err), 0);
    assert_int_equal(read_lines(f, 1), 1);
    assert_string_equal(buf_str(&f->got), "line 3|");
    assert_int_equal(spool_seek(&f->spool, 5000, &err), 0);
    assert_int_equal(f->spool.next, 1001);
}

static void a_place_known_from_before_is_taken_up(void **state)
{
    struct fixture *f = *state;
    append(f, "one\ntwo\nthree\n");
    spool_resume(&f->spool, 3, 8);
    assert_int_equal(read_lines(f, 10), 1);
    assert_string_equal(buf_str(&f->got), "three|");
}

static void a_huge_line_is_one_line_cut_off(void **state)
{
    struct fixture *f = *state;
    struct buf b = {0};
    for (int i = 0; i < 200000; i++)
        buf_putc(&b, 'x');
    buf_puts(&b, "\nnext\n");
    append(f, buf_str(&b));
    assert_int_equal(read_lines(f, 10), 2);
    assert_int_equal(f->partial, 1);
    assert_int_equal(f->got.len, SPOOL_LINE_MAX + 1 + 5);
    buf_free(&b);
}

static void a_line_that_grows_and_grows_is_found_in_the_end(void **state)
{
    struct fixture *f = *state;
    char piece[10001];
    memset(piece, 'y', 10000);
    piece[10000] = '\0';
    append(f, "first\n");
    assert_int_equal(read_lines(f, 10), 1);
    for (int i = 0; i < 30; i++) {
        append(f, piece);
        assert_int_equal(read_lines(f, 10), 0);
    }
    append(f, "z\nlast\n");
    assert_int_equal(read_lines(f, 1), 1);
    assert_int_equal(f->got.len, SPOOL_LINE_MAX + 1);
    assert_int_equal(f->got.data[0], 'y');
    assert_int_equal(f->partial, 1);
    assert_int_equal(read_lines(f, 1), 1);
    assert_string_equal(buf_str(&f->got), "last|");
    assert_int_equal(f->spool.next, 4);
}

static void a_link_in_the_place_of_the_file_is_not_followed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(symlink("/etc/passwd", f->path), 0);
    assert_int_equal(read_lines(f, 10), -1);
    assert_int_equal(f->got.len, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_line_counts_when_its_newline_is_there),
        T(the_last_line_without_newline_counts_when_the_writer_has_gone),
        T(a_file_that_never_came_ends_empty),
        T(reading_goes_back_to_what_was_not_acknowledged),
        T(a_place_known_from_before_is_taken_up),
        T(a_huge_line_is_one_line_cut_off),
        T(a_line_that_grows_and_grows_is_found_in_the_end),
        T(a_link_in_the_place_of_the_file_is_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
