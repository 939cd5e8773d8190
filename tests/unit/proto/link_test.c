#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "proto/link.h"

/* One end: what it sent last, how much, and what it was given. */
struct end {
    struct link *link;
    struct buf last;
    int sent, delivered;
    int64_t job;
    bool destroy_on_delivery;
};

static void end_send(const char *text, size_t n, void *arg)
{
    struct end *e = arg;
    buf_clear(&e->last);
    buf_add(&e->last, text, n);
    e->sent++;
}

static void end_deliver(enum msg_type type, const json_t *doc, void *arg)
{
    struct end *e = arg;
    (void)type;
    e->delivered++;
    (void)json_get_int(doc, "job", false, &e->job, NULL);
    if (e->destroy_on_delivery) {
        link_destroy(e->link);
        e->link = NULL;
    }
}

struct pair {
    struct end agent, orch;
};

static int setup(void **state)
{
    struct pair *p = xcalloc(1, sizeof(*p));
    p->agent.link = link_create(MSG_FROM_AGENT, end_send, end_deliver, &p->agent);
    p->orch.link = link_create(MSG_FROM_ORCHESTRATOR, end_send, end_deliver, &p->orch);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;
    link_destroy(p->agent.link);
    link_destroy(p->orch.link);
    buf_free(&p->agent.last);
    buf_free(&p->orch.last);
    free(p);
    return 0;
}

static int pass(struct end *from, struct end *to, struct err *err)
{
    return link_receive(to->link, from->last.data, from->last.len, err);
}

static int forget(struct pair *p, int job, struct err *err)
{
    return link_send(p->orch.link, MSG_FORGET, json_pack("{s:i,s:i}", "job", job, "fence", 1), err);
}

static void messages_arrive_in_order_and_are_acknowledged(void **state)
{
    struct pair *p = *state;
    struct err err = {0};
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(forget(p, i, &err), 0);
        assert_int_equal(pass(&p->orch, &p->agent, &err), 0);
        assert_int_equal(p->agent.job, i);
    }
    assert_int_equal(link_unacked(p->orch.link), 3);
    link_flush_ack(p->agent.link);
    assert_int_equal(pass(&p->agent, &p->orch, &err), 0);
    assert_int_equal(link_unacked(p->orch.link), 0);
    assert_int_equal(p->orch.delivered, 0);
    int sent = p->agent.sent;
    link_flush_ack(p->agent.link); /* nothing new: nothing is said */
    assert_int_equal(p->agent.sent, sent);
}

static void a_sequenced_answer_carries_the_acknowledgement(void **state)
{
    struct pair *p = *state;
    struct err err = {0};
    assert_int_equal(forget(p, 1, &err), 0);
    assert_int_equal(pass(&p->orch, &p->agent, &err), 0);
    json_t *body = json_pack("{s:i,s:i,s:s,s:f}", "job", 1, "fence", 1, "phase", "running", "at", 1.5);
    assert_int_equal(link_send(p->agent.link, MSG_PHASE, body, &err), 0);
    assert_int_equal(pass(&p->agent, &p->orch, &err), 0);
    assert_int_equal(link_unacked(p->orch.link), 0);
    int sent = p->agent.sent;
    link_flush_ack(p->agent.link);
    assert_int_equal(p->agent.sent, sent);
}

static void a_repeat_and_a_gap_are_errors(void **state)
{
    struct pair *p = *state;
    struct err err = {0};
    assert_int_equal(forget(p, 1, &err), 0);
    assert_int_equal(pass(&p->orch, &p->agent, &err), 0);
    assert_int_equal(pass(&p->orch, &p->agent, &err), -1);
    assert_int_equal(forget(p, 2, &err), 0);
    assert_int_equal(forget(p, 3, &err), 0);
    assert_int_equal(pass(&p->orch, &p->agent, &err), -1);
    assert_int_equal(p->agent.delivered, 1);
}

static void acknowledging_what_was_not_sent_is_an_error(void **state)
{
    struct pair *p = *state;
    struct err err = {0};
    const char *text = "{\"type\":\"ack\",\"ack\":1}";
    assert_int_equal(link_receive(p->agent.link, text, strlen(text), &err), -1);
    text = "{\"type\":\"ack\"}";
    assert_int_equal(link_receive(p->agent.link, text, strlen(text), &err), -1);
}

static void rubbish_is_refused(void **state)
{
    struct pair *p = *state;
    struct err err = {0};
    const char *const frames[] = {"",
                                  "{",
                                  "nonsense",
                                  "[]",
                                  "{\"type\":\"forget\"}",
                                  "{\"type\":\"forget\",\"job\":1,\"fence\":1,\"ack\":0}",
                                  "{\"type\":\"ack\",\"ack\":0,\"seq\":1}",
                                  "{\"type\":\"hello\",\"seq\":1,\"ack\":0}"};
    for (size_t i = 0; i < ARRAY_LEN(frames); i++)
        assert_int_equal(link_receive(p->agent.link, frames[i], strlen(frames[i]), &err), -1);
    assert_int_equal(p->agent.delivered, 0);
}

static void a_body_that_does_not_fit_is_not_sent(void **state)
{
    struct pair *p = *state;
    struct err err = {0};
    assert_int_equal(link_send(p->orch.link, MSG_FORGET, json_pack("{s:i}", "job", 1), &err), -1);
    assert_int_equal(err.code, ERR_INTERNAL);
    assert_int_equal(link_send(p->agent.link, MSG_FORGET, json_pack("{s:i,s:i}", "job", 1, "fence", 1), &err),
                     -1);
    assert_int_equal(
        link_send(p->orch.link, MSG_FORGET, json_pack("{s:i,s:i,s:i}", "job", 1, "fence", 1, "seq", 9), &err),
        -1);
    assert_int_equal(p->orch.sent, 0);
    assert_int_equal(link_unacked(p->orch.link), 0);
}

static void a_peer_that_never_acknowledges_is_cut(void **state)
{
    struct pair *p = *state;
    struct err err = {0};
    for (int i = 0; i < LINK_WINDOW; i++)
        assert_int_equal(forget(p, 1, &err), 0);
    assert_int_equal(forget(p, 1, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
}

static void the_receiver_may_destroy_the_link(void **state)
{
    struct pair *p = *state;
    struct err err = {0};
    p->agent.destroy_on_delivery = true;
    assert_int_equal(forget(p, 1, &err), 0);
    assert_int_equal(pass(&p->orch, &p->agent, &err), 0);
    assert_null(p->agent.link);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(messages_arrive_in_order_and_are_acknowledged),
        T(a_sequenced_answer_carries_the_acknowledgement),
        T(a_repeat_and_a_gap_are_errors),
        T(acknowledging_what_was_not_sent_is_an_error),
        T(rubbish_is_refused),
        T(a_body_that_does_not_fit_is_not_sent),
        T(a_peer_that_never_acknowledges_is_cut),
        T(the_receiver_may_destroy_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
