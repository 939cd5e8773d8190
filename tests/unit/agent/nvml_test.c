#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/nvml.h"

/* Runs with the stub library of nvml_stub.c in front of the library path. */
static void devices_are_told_with_what_they_tell(void **state)
{
    (void)state;
    struct nvml *n = nvml_open();
    assert_non_null(n);
    json_t *list = nvml_devices(n);
    assert_int_equal(json_array_size(list), 2);
    const json_t *d = json_array_get(list, 0);
    assert_string_equal(json_string_value(json_object_get(d, "name")), "Stub 0");
    assert_string_equal(json_string_value(json_object_get(d, "uuid")), "GPU-0");
    assert_int_equal(json_integer_value(json_object_get(d, "memory_bytes")), 1000);
    assert_int_equal(json_integer_value(json_object_get(d, "memory_used_bytes")), 400);
    assert_true(json_real_value(json_object_get(d, "utilization")) == 0.5);
    d = json_array_get(list, 1);
    assert_int_equal(json_integer_value(json_object_get(d, "index")), 1);
    assert_null(json_object_get(d, "utilization"));
    json_decref(list);
    nvml_close(n);
}

static void no_library_is_an_empty_list(void **state)
{
    (void)state;
    json_t *list = nvml_devices(NULL);
    assert_int_equal(json_array_size(list), 0);
    json_decref(list);
    nvml_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_are_told_with_what_they_tell),
        cmocka_unit_test(no_library_is_an_empty_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
