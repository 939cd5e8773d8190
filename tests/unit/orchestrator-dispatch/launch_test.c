/* The launch message: each node is told its own share of the limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "orchestrator/dispatch/launch.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct job *training(void)
{
    struct job *j = job_create();
    j->id = 7;
    j->attempt = 2;
    j->train = true;
    j->owner = xstrdup("ada");
    j->name = xstrdup("run");
    json_decref(j->spec);
    j->spec = json_pack(
        "{s:{s:i, s:i, s:I}, s:{s:s, s:s}, s:{s:s, s:s}, s:{s:s, s:s}, s:[{s:s, s:s}], s:{s:i, s:s}, s:i}",
        "resources", "ranks", 3, "cores_per_rank", 2, "memory_bytes", (json_int_t)3 << 30, "dataset", "name",
        "d", "digest", DIGEST, "algorithm", "name", "a", "digest", DIGEST, "model", "name", "m", "digest",
        DIGEST, "layers", "name", "block", "digest", DIGEST, "overrides", "/epochs", 2, "/name", "x y",
        "time_limit_seconds", 60);
    j->allocation = json_pack("[{s:s, s:i, s:i}, {s:s, s:i, s:i}]", "node", "n1", "ranks", 2, "cores", 4,
                              "node", "n2", "ranks", 1, "cores", 2);
    return j;
}

static bool has_words(const json_t *argv, const char *a, const char *b)
{
    for (size_t i = 0; i + 1 < json_array_size(argv); i++)
        if (!strcmp(json_string_value(json_array_get(argv, i)), a) &&
            !strcmp(json_string_value(json_array_get(argv, i + 1)), b))
            return true;
    return false;
}

static void a_training_run(void **state)
{
    (void)state;
    struct job *j = training();
    int64_t per_rank = job_request(j).memory_per_rank;
    json_t *first = launch_object(j, 0, NULL), *second = launch_object(j, 1, DIGEST);
    assert_string_equal(json_string_value(json_object_get(first, "kind")), "train");
    assert_int_equal(json_integer_value(json_object_get(first, "ranks")), 3);
    assert_int_equal(json_integer_value(json_object_get(first, "time_limit_seconds")), 60);
    /* Of the node, not of the job: each enforces its own. */
    assert_true(per_rank > 0);
    assert_int_equal(json_integer_value(json_object_get(first, "memory_bytes")), 2 * per_rank);
    assert_int_equal(json_integer_value(json_object_get(second, "memory_bytes")), per_rank);
    assert_true(json_is_null(json_object_get(first, "resume")));
    assert_string_equal(json_string_value(json_object_get(json_object_get(second, "resume"), "digest")),
                        DIGEST);
    const json_t *argv = json_object_get(first, "argv");
    assert_true(has_words(argv, "--layer", "layers/block.json"));
    assert_true(has_words(argv, "--set", "/epochs=2"));
    assert_true(has_words(argv, "--set", "/name=\"x y\""));
    assert_int_equal(json_array_size(json_object_get(first, "files")), 4);
    json_decref(first);
    json_decref(second);
    job_destroy(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_training_run)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
