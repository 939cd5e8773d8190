/* Names and patterns of topics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "orchestrator/stream/topic.h"

static void a_plus_is_any_one_segment(void **state)
{
    (void)state;
    assert_true(topic_matches("job/+/metrics", "job/42/metrics"));
    assert_true(topic_matches("queue", "queue"));
    assert_true(topic_matches("task/+", "task/a.b"));
    assert_false(topic_matches("task/+", "task"));
    assert_false(topic_matches("task/+", "task/a/b"));
    assert_false(topic_matches("job/+/metrics", "job/42/logs"));
    assert_false(topic_matches("job/+/metrics", "job//metrics"));
    assert_false(topic_matches("queue", "queues"));
    assert_false(topic_matches("queue", "queu"));
}

static void names_are_plain_segments(void **state)
{
    (void)state;
    char longest[TOPIC_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    longest[TOPIC_MAX + 1] = 0;
    assert_false(topic_is_name(longest));
    longest[TOPIC_MAX] = 0;
    assert_true(topic_is_name(longest));
    assert_true(topic_is_name("job/42/metrics"));
    assert_false(topic_is_name(""));
    assert_false(topic_is_name("/a"));
    assert_false(topic_is_name("a/"));
    assert_false(topic_is_name("a//b"));
    assert_false(topic_is_name("task/\"x"));
    assert_false(topic_is_name("task/a b"));
    assert_false(topic_is_name("task/+"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plus_is_any_one_segment),
        cmocka_unit_test(names_are_plain_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
