#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>
#include "base/sha256.h"

/* The examples of FIPS 180-4 and NIST's CAVP short messages. */
static void known_answers(void **state)
{
    (void)state;
    char hex[SHA256_HEX];
    sha256_of("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_of("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    sha256_of(two, strlen(two), hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    sha256_of(million, 1000000, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

static void pieces_of_any_size_give_the_same_digest(void **state)
{
    (void)state;
    unsigned char data[777];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)(i * 31 + 7);
    char whole[SHA256_HEX], pieces[SHA256_HEX];
    sha256_of(data, sizeof(data), whole);
    for (size_t step = 1; step < 200; step += 3) {
        struct sha256 s;
        sha256_init(&s);
        for (size_t at = 0; at < sizeof(data); at += step)
            sha256_update(&s, data + at, at + step > sizeof(data) ? sizeof(data) - at : step);
        sha256_hex(&s, pieces);
        assert_string_equal(whole, pieces);
    }
}

/* coreutils is the independent reference for the lengths around a block. */
static void every_length_around_a_block_agrees_with_sha256sum(void **state)
{
    (void)state;
    char path[] = "/tmp/trainyard-sha-XXXXXX", data[200];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    memset(data, 'q', sizeof(data));
    for (size_t n = 50; n < 135; n += 7) {
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, data, n, 0), n);
        char command[100], out[SHA256_HEX] = {0}, hex[SHA256_HEX];
        snprintf(command, sizeof(command), "sha256sum %s", path);
        FILE *p = popen(command, "r");
        assert_non_null(p);
        assert_int_equal(fread(out, 1, 64, p), 64);
        pclose(p);
        assert_int_equal(sha256_of_file(path, hex, NULL), 0);
        assert_string_equal(hex, out);
    }
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(pieces_of_any_size_give_the_same_digest),
        cmocka_unit_test(every_length_around_a_block_agrees_with_sha256sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
