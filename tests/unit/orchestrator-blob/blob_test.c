/* The blob store: whole or not there, the same bytes once, nothing outside its folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "orchestrator/blob/blob.h"

/* SHA-256 of "abc" (FIPS 180-4, example B.1). */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static char dir[64];
static struct blob_store *store;

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/trainyard-blob-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    store = blob_store_create(dir, NULL);
    return store ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    blob_store_destroy(store);
    return dir_remove(dir, NULL);
}

static int entries(const char *folder)
{
    char *path = path_join(dir, folder);
    DIR *d = opendir(path);
    int n = -2; /* without . and .. */
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    free(path);
    return n;
}

static void put(const char *text, char digest[SHA256_HEX])
{
    int64_t size;
    struct err err = {0};
    struct blob_writer *w = blob_writer_create(store, &err);
    assert_int_equal(blob_writer_add(w, text, strlen(text) / 2, &err), 0);
    assert_int_equal(blob_writer_add(w, text + strlen(text) / 2, strlen(text) - strlen(text) / 2, &err), 0);
    assert_int_equal(blob_writer_finish(w, NULL, digest, &size, &err), 0);
    assert_int_equal(size, strlen(text));
}

static void what_was_written_is_found_by_its_digest(void **state)
{
    (void)state;
    char digest[SHA256_HEX], text[4] = {0};
    int64_t size = 0;
    put("abc", digest);
    assert_string_equal(digest, ABC);
    int fd = blob_open(store, ABC, &size, NULL);
    assert_true(fd >= 0);
    assert_int_equal(size, 3);
    assert_int_equal(read(fd, text, 3), 3);
    assert_string_equal(text, "abc");
    close(fd);
    assert_int_equal(entries("tmp"), 0);
}

static void the_same_bytes_are_stored_once(void **state)
{
    (void)state;
    char digest[SHA256_HEX];
    put("abc", digest);
    put("abc", digest);
    assert_int_equal(entries("blobs/ba"), 1);
    assert_int_equal(entries("tmp"), 0);
}

static void a_wrong_digest_keeps_nothing(void **state)
{
    (void)state;
    char digest[SHA256_HEX];
    int64_t size;
    struct err err = {0};
    struct blob_writer *w = blob_writer_create(store, &err);
    blob_writer_add(w, "abd", 3, &err);
    assert_int_equal(blob_writer_finish(w, ABC, digest, &size, &err), -1);
    assert_int_equal(err.code, ERR_UNPROCESSABLE);
    assert_false(blob_exists(store, ABC, NULL));
    assert_false(blob_exists(store, digest, NULL));
    assert_int_equal(entries("tmp"), 0);
}

static void a_discarded_write_leaves_nothing(void **state)
{
    (void)state;
    struct blob_writer *w = blob_writer_create(store, NULL);
    blob_writer_add(w, "abc", 3, NULL);
    assert_int_equal(entries("tmp"), 1);
    blob_writer_discard(w);
    assert_int_equal(entries("tmp"), 0);
    assert_int_equal(entries("blobs"), 0);
}

static void stale_temporaries_go_when_the_store_opens(void **state)
{
    (void)state;
    char *path = xasprintf("%s/tmp/verify-x/in", dir);
    assert_int_equal(dir_make(path, 0700, NULL), 0);
    struct blob_writer *w = blob_writer_create(store, NULL);
    blob_writer_add(w, "half", 4, NULL); /* a process that dies here leaves its file */
    struct blob_store *again = blob_store_create(dir, NULL);
    assert_non_null(again);
    assert_int_equal(entries("tmp"), 0);
    blob_store_destroy(again);
    blob_writer_discard(w);
    free(path);
}

static void only_digests_name_blobs(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "..",
                                      "../../etc/passwd",
                                      "abc",
                                      "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
                                      "ba/816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t size;
        struct err err = {0};
        assert_int_equal(blob_open(store, bad[i], &size, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
        assert_int_equal(blob_remove(store, bad[i], &err), -1);
    }
}

static void a_file_is_adopted_by_moving_it(void **state)
{
    (void)state;
    char digest[SHA256_HEX];
    int64_t size;
    char *path = path_join(dir, "tmp/pack");
    assert_int_equal(file_write_atomic(path, "abc", 3, 0600, NULL), 0);
    assert_int_equal(blob_adopt(store, path, digest, &size, NULL), 0);
    assert_string_equal(digest, ABC);
    assert_false(file_exists(path));
    assert_true(blob_exists(store, ABC, &size));
    char *link_path = path_join(dir, "tmp/link");
    assert_int_equal(symlink("/etc/passwd", link_path), 0);
    assert_int_equal(blob_adopt(store, link_path, digest, &size, NULL), -1);
    free(link_path);
    free(path);
}

static void pins_count(void **state)
{
    (void)state;
    assert_false(blob_pinned(store, ABC));
    blob_pin(store, ABC);
    blob_pin(store, ABC);
    blob_unpin(store, ABC);
    assert_true(blob_pinned(store, ABC));
    blob_unpin(store, ABC);
    assert_false(blob_pinned(store, ABC));
    blob_unpin(store, ABC); /* one too many changes nothing */
    assert_false(blob_pinned(store, ABC));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_is_found_by_its_digest, setup, teardown),
        cmocka_unit_test_setup_teardown(the_same_bytes_are_stored_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrong_digest_keeps_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_discarded_write_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(stale_temporaries_go_when_the_store_opens, setup, teardown),
        cmocka_unit_test_setup_teardown(only_digests_name_blobs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_is_adopted_by_moving_it, setup, teardown),
        cmocka_unit_test_setup_teardown(pins_count, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
