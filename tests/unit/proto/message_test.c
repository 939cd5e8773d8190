#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "proto/message.h"

static int check(const char *text, int from, struct err *err)
{
    enum msg_type type;
    json_t *doc = json_parse(text, strlen(text), NULL, NULL, err);
    assert_non_null(doc);
    int rc = msg_check(doc, from, &type, err);
    json_decref(doc);
    return rc;
}

static void every_type_has_a_row_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < MSG_TYPE_COUNT; i++) {
        const struct msg_def *d = msg_def((enum msg_type)i);
        assert_int_equal(d->type, i);
        assert_ptr_equal(msg_def_by_name(d->name), d);
    }
    assert_null(msg_def_by_name("launc"));
    assert_null(msg_def_by_name(NULL));
}

static void a_complete_message_passes_and_unknown_members_are_let_through(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(
        check("{\"type\":\"forget\",\"job\":4,\"fence\":1,\"newer\":[1]}", MSG_FROM_ORCHESTRATOR, &err), 0);
    assert_int_equal(check("{\"type\":\"heartbeat\",\"load\":1,\"memory_used_bytes\":0,\"gpus\":[]}",
                           MSG_FROM_AGENT, &err),
                     0);
}

static void what_does_not_fit_the_table_is_refused_by_name(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(check("{\"type\":\"forget\",\"job\":4}", MSG_FROM_ORCHESTRATOR, &err), -1);
    assert_non_null(strstr(err.text, "fence"));
    assert_int_equal(check("{\"type\":\"forget\",\"job\":\"4\",\"fence\":1}", MSG_FROM_ORCHESTRATOR, &err),
                     -1);
    assert_int_equal(check("{\"type\":\"forget\",\"job\":-4,\"fence\":1}", MSG_FROM_ORCHESTRATOR, &err), -1);
    assert_int_equal(check("{\"type\":\"forget\",\"job\":4.5,\"fence\":1}", MSG_FROM_ORCHESTRATOR, &err), -1);
    assert_int_equal(check("{\"type\":\"forgive\"}", MSG_FROM_ORCHESTRATOR, &err), -1);
    assert_int_equal(check("{\"type\":7}", MSG_FROM_ORCHESTRATOR, &err), -1);
    assert_int_equal(check("[]", MSG_FROM_ORCHESTRATOR, &err), -1);
}

static void a_side_cannot_say_what_the_other_says(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(check("{\"type\":\"forget\",\"job\":4,\"fence\":1}", MSG_FROM_AGENT, &err), -1);
    const char *spawn =
        "{\"type\":\"spawn_stop\",\"job\":4,\"fence\":1,\"from\":\"a\",\"to\":\"b\",\"id\":\"1\"}";
    assert_int_equal(check(spawn, MSG_FROM_AGENT, &err), 0);
    assert_int_equal(check(spawn, MSG_FROM_ORCHESTRATOR, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_a_row_of_its_own),
        cmocka_unit_test(a_complete_message_passes_and_unknown_members_are_let_through),
        cmocka_unit_test(what_does_not_fit_the_table_is_refused_by_name),
        cmocka_unit_test(a_side_cannot_say_what_the_other_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
