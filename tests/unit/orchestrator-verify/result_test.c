/* What a verification child prints is held against its form before anybody believes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "orchestrator/verify/result.h"

#define HEAD "{\"format\":\"trainyard.verification/1\",\"kind\":\"model\","
#define CHECK(status)                                                                                        \
    "{\"name\":\"a\",\"status\":\"" status                                                                   \
    "\",\"message\":\"m\",\"pointer\":\"/x\",\"line\":3,\"column\":4,\"hint\":null}"

static json_t *parse(const char *text, int exit_code, struct err *err)
{
    return verify_result_parse(text, strlen(text), "model", exit_code, err);
}

static void a_good_answer_is_taken(void **state)
{
    (void)state;
    struct err err = {0};
    json_t *doc = parse(
        HEAD "\"ok\":true,\"checks\":[" CHECK("passed") "," CHECK("warned") "],\"summary\":{}}", 0, &err);
    assert_non_null(doc);
    assert_int_equal(json_array_size(json_object_get(doc, "checks")), 2);
    assert_string_equal(verify_result_first_failure(doc), "");
    json_decref(doc);
}

static void failures_become_errors_with_their_place(void **state)
{
    (void)state;
    struct err err = {0};
    json_t *doc = parse(
        HEAD "\"ok\":false,\"checks\":[" CHECK("passed") "," CHECK("failed") "],\"summary\":{}}", 3, &err);
    assert_non_null(doc);
    json_t *errors = verify_result_errors(doc), *e = json_array_get(errors, 0);
    assert_int_equal(json_array_size(errors), 1);
    assert_int_equal(json_object_size(e), 5);
    assert_string_equal(json_string_value(json_object_get(e, "pointer")), "/x");
    assert_int_equal(json_integer_value(json_object_get(e, "line")), 3);
    assert_true(json_is_null(json_object_get(e, "hint")));
    assert_string_equal(verify_result_first_failure(doc), "m");
    json_decref(errors);
    json_decref(doc);
}

static void an_answer_that_breaks_the_contract_is_our_error(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int exit_code;
    } bad[] = {
        {"", 0},
        {"[]", 0},
        {"{}", 0},
        {HEAD "\"ok\":true,\"checks\":[]", 0},
        {HEAD "\"ok\":true,\"checks\":{}}", 0},
        {HEAD "\"ok\":true,\"checks\":[1]}", 0},
        {HEAD "\"ok\":true,\"checks\":[{}]}", 0},
        {HEAD "\"ok\":true,\"checks\":[" CHECK("great") "]}", 0},
        {HEAD "\"ok\":true,\"checks\":[" CHECK("failed") "]}", 0},
        {HEAD "\"ok\":false,\"checks\":[" CHECK("passed") "]}", 3},
        {HEAD "\"ok\":true,\"checks\":[]}", 3},
        {HEAD "\"ok\":true,\"checks\":[]}", 1},
        {HEAD "\"ok\":true,\"checks\":[],\"summary\":3}", 0},
        {HEAD "\"ok\":true,\"checks\":[]} trailing", 0},
        {"{\"format\":\"trainyard.verification/1\",\"kind\":\"layer\",\"ok\":true,\"checks\":[]}", 0},
        {"{\"format\":\"other/1\",\"kind\":\"model\",\"ok\":true,\"checks\":[]}", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = {0};
        json_t *doc = parse(bad[i].text, bad[i].exit_code, &err);
        if (doc)
            fail_msg("taken: %s", bad[i].text);
        assert_int_equal(err.code, ERR_INTERNAL);
    }
}

static void a_stopped_verification_has_one_failed_check(void **state)
{
    (void)state;
    json_t *doc = verify_result_stopped("dataset", "too slow", NULL);
    char *text = json_dumps(doc, 0);
    json_t *again = verify_result_parse(text, strlen(text), "dataset", 3, NULL);
    assert_non_null(again);
    assert_string_equal(verify_result_first_failure(again), "too slow");
    json_decref(again);
    json_decref(doc);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_answer_is_taken),
        cmocka_unit_test(failures_become_errors_with_their_place),
        cmocka_unit_test(an_answer_that_breaks_the_contract_is_our_error),
        cmocka_unit_test(a_stopped_verification_has_one_failed_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
