#include "kernels/train/memory_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

/* Random lifetimes: nothing that lives at once overlaps, and the arena is not larger than no sharing at all.
 */
static void what_lives_at_once_does_not_overlap(void **state)
{
    enum { N = 200 };
    struct memory_request r[N];
    (void)state;
    srand(7);
    for (int round = 0; round < 50; round++) {
        size_t sum = 0;
        for (int i = 0; i < N; i++) {
            int first = rand() % 100;
            r[i] = (struct memory_request){.bytes = (size_t)(rand() % 10 ? rand() % 5000 : 0),
                                           .first = first,
                                           .last = first + rand() % 30};
            sum += (r[i].bytes + 63) / 64 * 64;
        }
        size_t arena = memory_plan(r, N);
        assert_true(arena <= sum);
        for (int i = 0; i < N; i++) {
            assert_int_equal(r[i].offset % 64, 0);
            assert_true(r[i].offset + r[i].bytes <= arena);
            for (int j = 0; j < i; j++)
                if (r[i].bytes && r[j].bytes && r[i].first <= r[j].last && r[j].first <= r[i].last)
                    assert_true(r[i].offset + r[i].bytes <= r[j].offset ||
                                r[j].offset + r[j].bytes <= r[i].offset);
        }
    }
}

static void a_chain_needs_two_at_a_time(void **state)
{
    struct memory_request r[10];
    (void)state;
    for (int i = 0; i < 10; i++)
        r[i] = (struct memory_request){.bytes = 1000, .first = i, .last = i + 1};
    assert_int_equal(memory_plan(r, 10), 2 * 1024);
    assert_int_equal(memory_plan(NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lives_at_once_does_not_overlap),
        cmocka_unit_test(a_chain_needs_two_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
