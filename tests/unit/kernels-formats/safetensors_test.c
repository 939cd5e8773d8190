/* formats/safetensors: a round trip, the layout others read, and hostile files. */
#include "../kernels-spec/expect.h"

#include <stdlib.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "kernels/formats/safetensors.h"

static char *folder;

static int make_folder(void **state)
{
    (void)state;
    folder = xstrdup("/tmp/trainyard-safetensors-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    dir_remove(folder, NULL);
    free(folder);
    return 0;
}

static char *path_of(const char *name)
{
    return path_join(folder, name);
}

static const float kernel[] = {1, -2, 3.5f, 0, 1e-30f, 7};
static const uint8_t mask[] = {1, 2, 255};
static const int64_t step[] = {1234567890123};

static void a_file_reads_back_the_same(void **state)
{
    (void)state;
    struct tensor_entry entries[] = {
        {"mask", DTYPE_U8, {1, {3}}, mask, 3},
        {"conv1.kernel", DTYPE_F32, {2, {2, 3}}, kernel, sizeof(kernel)},
        {"step \"x\"\n", DTYPE_I64, {0, {0}}, step, 8},
        {"empty", DTYPE_F32, {2, {0, 3}}, NULL, 0},
    };
    struct tensor_metadata metadata[] = {{"format", "trainyard"}, {"name", "\xc3\xbc \"q\""}};
    char *path = path_of("a.safetensors");
    struct err err = {0};
    assert_int_equal(safetensors_write(path, entries, 4, metadata, 2, &err), 0);
    struct safetensors *s = safetensors_open(path, &err);
    if (!s)
        fail_msg("%s", err.text);
    assert_int_equal(s->count, 4);
    for (int i = 0; i < 4; i++) {
        const struct tensor_entry *e = safetensors_find(s, entries[i].name);
        assert_non_null(e);
        assert_int_equal(e->dtype, entries[i].dtype);
        assert_true(shape_equal(&e->shape, &entries[i].shape));
        assert_int_equal(e->bytes, entries[i].bytes);
        if (e->bytes) {
            assert_memory_equal(e->data, entries[i].data, e->bytes);
            assert_int_equal((uintptr_t)e->data % (uintptr_t)dtype_size(e->dtype), 0);
        }
    }
    assert_string_equal(safetensors_metadata(s, "name"), "\xc3\xbc \"q\"");
    assert_null(safetensors_find(s, "nothing"));
    safetensors_close(s);
    free(path);
}

static void two_of_one_name_are_refused(void **state)
{
    (void)state;
    struct tensor_entry entries[] = {{"a", DTYPE_U8, {1, {3}}, mask, 3}, {"a", DTYPE_U8, {1, {3}}, mask, 3}};
    struct err err = {0};
    char *path = path_of("b.safetensors");
    assert_int_equal(safetensors_write(path, entries, 2, NULL, 0, &err), -1);
    assert_false(file_exists(path));
    free(path);
}

/* Write a file with this header and n bytes of data, and try to open it. */
static struct safetensors *open_header(const char *header, size_t data, struct err *err)
{
    struct buf b = {0};
    char *path = path_of("h.safetensors");
    uint64_t n = strlen(header);
    buf_add(&b, &n, 8);
    buf_puts(&b, header);
    for (size_t i = 0; i < data; i++)
        buf_putc(&b, (char)i);
    assert_int_equal(file_write_atomic(path, b.data, b.len, 0644, err), 0);
    buf_free(&b);
    struct safetensors *s = safetensors_open(path, err);
    free(path);
    return s;
}

static void what_others_write_is_read(void **state)
{
    (void)state;
    struct err err = {0};
    struct safetensors *s =
        open_header("{\"__metadata__\":{\"format\":\"pt\"}, \"w\" : {\"shape\":[2],\"data_offsets\":[4, "
                    "12],\"dtype\":\"F32\"},"
                    "\"u\\u00e9\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}    ",
                    12, &err);
    if (!s)
        fail_msg("%s", err.text);
    assert_int_equal(s->count, 2);
    assert_non_null(safetensors_find(s, "u\xc3\xa9"));
    assert_string_equal(safetensors_metadata(s, "format"), "pt");
    safetensors_close(s);
}

static void hostile_headers_are_errors(void **state)
{
    (void)state;
    static const struct {
        const char *header, *says;
    } cases[] = {
        {"", "expected an object"},
        {"[]", "expected an object"},
        {"{", "expected a string"},
        {"{\"a\"}", "expected \":\""},
        {"{\"a\":{}}", "lacks"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", "do not hold"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", "beyond the end"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "do not hold"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}",
         "do not hold"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,0]}}", "too large"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,0]}}", "expected a number"},
        {"{\"a\":{\"dtype\":\"Q4\",\"shape\":[1],\"data_offsets\":[0,4]}}", "unknown dtype"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", "more numbers"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":["
         "2],\"data_offsets\":[1,3]}}",
         "overlap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"a\":{\"dtype\":\"U8\",\"shape\":["
         "1],\"data_offsets\":[1,2]}}",
         "two tensors"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", "unknown member"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}} x", "something follows"},
        {"{\"\\u0000\":{}}", "escape"},
        {"{\"a\\q\":{}}", "escape"},
        {"{\"abc", "never closed"},
        {"{\"abc\\", "never closed"},
        {"{\"abc\\u12", "escape"},
        {"{\"__metadata__\":{\"a\":1}}", "expected a string"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5]}}", "not aligned"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        if (open_header(cases[i].header, 8, &err))
            fail_msg("%s was taken", cases[i].header);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%s: %s", cases[i].header, err.text);
    }
}

static void no_damage_crashes(void **state)
{
    (void)state;
    struct tensor_entry entries[] = {{"conv1.kernel", DTYPE_F32, {2, {2, 3}}, kernel, sizeof(kernel)},
                                     {"mask", DTYPE_U8, {1, {3}}, mask, 3}};
    char *path = path_of("c.safetensors"), *broken = path_of("d.safetensors");
    struct buf good = {0};
    struct err err = {0};
    assert_int_equal(safetensors_write(path, entries, 2, NULL, 0, &err), 0);
    assert_int_equal(file_read(path, 1 << 20, &good, &err), 0);
    uint32_t x = 1;
    for (int round = 0; round < 1500; round++) {
        struct buf b = {0};
        buf_add(&b, good.data, good.len);
        for (int k = 0; k < 3; k++) {
            x = x * 1664525 + 1013904223;
            b.data[(x >> 8) % (good.len < 160 ? good.len : 160)] = (char)(x >> 24);
        }
        size_t n = round % 4 ? b.len : (x >> 8) % b.len;
        int fd = creat(broken, 0644);
        assert_int_equal(file_write_all(fd, b.data, n), 0);
        close(fd);
        struct safetensors *s = safetensors_open(broken, &err);
        for (size_t i = 0; s && i < s->count; i++) {
            volatile uint8_t sum = 0;
            for (size_t k = 0; k < s->entries[i].bytes; k++)
                sum = (uint8_t)(sum + ((const uint8_t *)s->entries[i].data)[k]);
        }
        safetensors_close(s);
        buf_free(&b);
    }
    buf_free(&good);
    free(path);
    free(broken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_reads_back_the_same), cmocka_unit_test(two_of_one_name_are_refused),
        cmocka_unit_test(what_others_write_is_read),  cmocka_unit_test(hostile_headers_are_errors),
        cmocka_unit_test(no_damage_crashes),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
