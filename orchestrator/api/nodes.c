#include "orchestrator/api/nodes.h"

#include <string.h>

#include "base/json.h"
#include "orchestrator/dispatch/dispatch.h"
#include "orchestrator/store/node.h"

void nodes_get(struct call *c)
{
    struct dispatch *d = c->orch->dispatch;
    json_t *items = json_array();
    for (size_t i = 0; i < d->nodes.count; i++)
        json_array_append_new(items, dispatch_node_json(d, d->nodes.list[i]));
    call_reply_json(c, 200, json_pack("{s:o, s:n}", "items", items, "next_cursor"));
}

static void drain(struct call *c, bool drained)
{
    static const char *const members[] = {"reason", NULL};
    struct err err = {0};
    const char *reason = "";
    if (json_only_members(c->body, members, &err) < 0 ||
        json_get_str(c->body, "reason", false, &reason, &err) < 0 ||
        (strlen(reason) > 500 && err_set(&err, ERR_INVALID, "\"reason\" may have 500 characters") < 0) ||
        dispatch_drain(c->orch->dispatch, c->params[0], drained, drained ? reason : "", &err) < 0) {
        call_reply_err(c, &err);
        return;
    }
    call_reply_json(
        c, 200, dispatch_node_json(c->orch->dispatch, nodes_find(&c->orch->dispatch->nodes, c->params[0])));
}

static void drain_it(struct call *c)
{
    drain(c, true);
}

static void resume_it(struct call *c)
{
    drain(c, false);
}

void node_drain(struct call *c)
{
    call_read_json(c, 0, drain_it);
}

void node_resume(struct call *c)
{
    call_read_json(c, 0, resume_it);
}

static void on_partitions(struct call *c, const struct db_results *r)
{
    call_reply_list(c, r, 0, 0, 1, db_rows(r, 0));
}

void partitions_get(struct call *c)
{
    call_query(c, partition_all(c->orch->db), on_partitions, NULL);
}
