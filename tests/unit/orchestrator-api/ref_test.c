/* Names of assets with versions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "orchestrator/api/assets.h"

static void a_reference_is_a_name_and_maybe_a_version(void **state)
{
    (void)state;
    char name[65];
    int64_t version;
    assert_int_equal(asset_ref_parse("lenet", name, &version, NULL), 0);
    assert_string_equal(name, "lenet");
    assert_int_equal(version, 0);
    assert_int_equal(asset_ref_parse("a.b-c_1@17", name, &version, NULL), 0);
    assert_string_equal(name, "a.b-c_1");
    assert_int_equal(version, 17);
}

static void what_is_no_reference_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "@1",
                                      "a@",
                                      "a@0",
                                      "a@01",
                                      "a@-1",
                                      "a@1x",
                                      "a@1@2",
                                      "a b",
                                      "../x",
                                      "a@99999999999",
                                      "a@ 1",
                                      "a/b",
                                      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    char name[65];
    int64_t version;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = {0};
        if (asset_ref_parse(bad[i], name, &version, &err) == 0)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void kinds_have_a_plural_in_paths(void **state)
{
    (void)state;
    assert_string_equal(asset_kind_of("datasets"), "dataset");
    assert_string_equal(asset_kind_of("models"), "model");
    assert_null(asset_kind_of("model"));
    assert_null(asset_kind_of("instances"));
    assert_string_equal(asset_kind_singular("layer"), "layer");
    assert_null(asset_kind_singular("layers"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reference_is_a_name_and_maybe_a_version),
        cmocka_unit_test(what_is_no_reference_is_refused),
        cmocka_unit_test(kinds_have_a_plural_in_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
