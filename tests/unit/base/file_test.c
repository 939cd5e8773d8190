#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"

static int make_folder(void **state)
{
    char *dir = strdup("/tmp/trainyard-file-XXXXXX");
    *state = mkdtemp(dir);
    return *state ? 0 : -1;
}

static int remove_folder(void **state)
{
    int rc = dir_remove(*state, NULL);
    free(*state);
    return rc;
}

static void an_atomic_write_is_read_back_whole(void **state)
{
    char *path = path_join(*state, "x");
    struct err e = {0};
    assert_int_equal(file_write_atomic(path, "one", 3, 0600, &e), 0);
    assert_int_equal(file_write_atomic(path, "two!", 4, 0600, &e), 0);
    struct buf b = {0};
    assert_int_equal(file_read(path, 100, &b, &e), 0);
    assert_string_equal(b.data, "two!");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    buf_clear(&b);
    assert_int_equal(file_read(path, 3, &b, &e), -1);
    assert_int_equal(e.code, ERR_TOO_LARGE);
    buf_free(&b);
    free(path);
}

static void absent_files_and_folders_are_named(void **state)
{
    char *path = path_join(*state, "no/such");
    struct err e = {0};
    struct buf b = {0};
    assert_int_equal(file_read(path, 100, &b, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "no/such"));
    assert_int_equal(file_write_atomic(path, "x", 1, 0600, &e), -1);
    free(path);
}

static void removing_a_folder_does_not_follow_links(void **state)
{
    char *keep = path_join(*state, "keep"), *gone = path_join(*state, "gone/deep/er"),
         *top = path_join(*state, "gone");
    assert_int_equal(dir_make(keep, 0700, NULL), 0);
    assert_int_equal(dir_make(gone, 0700, NULL), 0);
    assert_int_equal(dir_make(gone, 0700, NULL), 0);
    char *link = path_join(gone, "link"), *file = path_join(keep, "file");
    assert_int_equal(file_write_atomic(file, "x", 1, 0600, NULL), 0);
    assert_int_equal(symlink(keep, link), 0);
    assert_int_equal(dir_remove(top, NULL), 0);
    assert_false(file_exists(top));
    assert_true(file_exists(file));
    assert_int_equal(dir_remove(top, NULL), 0);
    free(keep);
    free(gone);
    free(top);
    free(link);
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_atomic_write_is_read_back_whole),
        cmocka_unit_test(absent_files_and_folders_are_named),
        cmocka_unit_test(removing_a_folder_does_not_follow_links),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
