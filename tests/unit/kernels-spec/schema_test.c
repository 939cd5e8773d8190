/* spec/schema: the published schemas are those of the tables. TRAINYARD_UPDATE_SCHEMAS=1 writes them anew. */
#include "expect.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "kernels/spec/schema.h"

static void check(const char *name, void (*write)(struct buf *out))
{
    char *path = path_join(SCHEMAS, name);
    struct buf made = {0}, stored = {0};
    struct err err = {0};
    write(&made);
    json_t *parsed = json_parse(made.data, made.len, NULL, NULL, &err);
    if (!parsed)
        fail_msg("%s: %s", name, err.text);
    json_decref(parsed);
    if (getenv("TRAINYARD_UPDATE_SCHEMAS"))
        assert_int_equal(file_write_atomic(path, made.data, made.len, 0644, &err), 0);
    if (file_read(path, 1 << 24, &stored, &err))
        fail_msg("%s", err.text);
    if (strcmp(made.data, stored.data))
        fail_msg("%s is not what the tables say: run this test with TRAINYARD_UPDATE_SCHEMAS=1 and commit "
                 "the file",
                 path);
    buf_free(&made);
    buf_free(&stored);
    free(path);
}

static void models(void **state)
{
    (void)state;
    check("model.schema.json", schema_write_model);
}

static void layers(void **state)
{
    (void)state;
    check("layer.schema.json", schema_write_layer);
}

static void algorithms(void **state)
{
    (void)state;
    check("algorithm.schema.json", schema_write_algorithm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(models), cmocka_unit_test(layers),
                                       cmocka_unit_test(algorithms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
