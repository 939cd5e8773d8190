#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/place.h"

static const char text[] = "{\n"
                           "  \"name\": \"a, [b] \\\" c\",\n"
                           "  \"layers\": [\n"
                           "    {\"type\": \"relu\"},\n"
                           "    {\"type\": \"dense\", \"config\": {\"units\": 10, \"a/b\": 1}}\n"
                           "  ]\n"
                           "}\n";

static void pointers_are_found_at_their_value(void **state)
{
    (void)state;
    static const struct {
        const char *pointer;
        bool key, found;
        int line, column;
    } cases[] = {
        {"", false, true, 1, 1},
        {"/name", false, true, 2, 11},
        {"/name", true, true, 2, 3},
        {"/layers", false, true, 3, 13},
        {"/layers/1", false, true, 5, 5},
        {"/layers/1/config/units", false, true, 5, 43},
        {"/layers/1/config/units", true, true, 5, 34},
        {"/layers/1/config/a~1b", false, true, 5, 54},
        {"/layers/2", false, false, 3, 13}, /* the array it would be in */
        {"/layers/1/config/filters", false, false, 5, 33},
        {"/nothing/at/all", false, false, 1, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int line = 0, column = 0;
        assert_int_equal(json_locate(text, sizeof(text) - 1, cases[i].pointer, cases[i].key, &line, &column),
                         cases[i].found);
        assert_int_equal(line, cases[i].line);
        assert_int_equal(column, cases[i].column);
    }
}

static void cut_texts_do_not_run_past_their_end(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(text); n++) {
        char *copy = malloc(n ? n : 1); /* exactly n bytes, so that ASan sees a step too far */
        memcpy(copy, text, n);
        int line, column;
        json_locate(copy, n, "/layers/1/config/a~1b", true, &line, &column);
        assert_true(line >= 1 && column >= 1);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pointers_are_found_at_their_value),
        cmocka_unit_test(cut_texts_do_not_run_past_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
