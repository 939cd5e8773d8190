#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "orchestrator/api/assets.h"
#include "orchestrator/api/jobs.h"
#include "orchestrator/store/asset.h"
#include "orchestrator/verify/result.h"
#include "orchestrator/verify/verifier.h"

/* A training run on its way in: body -> assets -> fit -> queue. */
struct instance {
    const char *refs[3], *overrides;
    char names[3][65];
    struct job *job;
    int64_t *ids;
    int id_count;
};

static const char *const kinds[3] = {"dataset", "algorithm", "model"};

static void drop(void *p)
{
    struct instance *in = p;
    job_destroy(in->job);
    free(in);
}

static void on_fit(const struct verify_outcome *o, const struct err *err, void *arg)
{
    struct call *c = arg;
    struct instance *in = c->data;
    if (err) {
        call_reply_err(c, err);
    } else if (!o->ok) {
        struct err problem = {0};
        err_set(&problem, ERR_UNPROCESSABLE, "%s, %s and %s do not fit: %.300s", in->refs[0], in->refs[1],
                in->refs[2], verify_result_first_failure(o->doc));
        call_reply_problem(c, &problem,
                           json_pack("{s:o, s:O}", "errors", verify_result_errors(o->doc), "verification",
                                     (json_t *)(uintptr_t)o->doc));
    } else {
        struct job *j = in->job;
        in->job = NULL;
        job_enqueue(c, j, in->ids, in->id_count, NULL);
    }
}

static json_t *asset_spec(const struct db_results *r, int i, bool packed)
{
    return json_pack("{s:s, s:I, s:s}", "name", db_str(r, i, 0, ASSET_NAME), "version",
                     (json_int_t)db_int(r, i, 0, ASSET_VERSION), "digest",
                     db_str(r, i, 0, packed ? ASSET_PACKED_DIGEST : ASSET_DIGEST));
}

/* What the job needs to know of its assets: names for people, digests for agents, ids for the database. */
static void fill_spec(struct call *c, struct instance *in, const struct db_results *r)
{
    json_t *layers = json_array(), *ids = json_array();
    int n = db_rows(r, 3);
    in->ids = arena_alloc(&c->arena, ((size_t)n + 3) * sizeof(*in->ids));
    for (int i = 0; i < 3; i++) {
        json_object_set_new(in->job->spec, kinds[i], asset_spec(r, i, i == 0));
        in->ids[in->id_count++] = db_int(r, i, 0, ASSET_ID);
    }
    for (int i = 0; i < n; i++) {
        json_array_append_new(
            layers, json_pack("{s:s, s:s}", "name", db_str(r, 3, i, 0), "digest", db_str(r, 3, i, 2)));
        in->ids[in->id_count++] = db_int(r, 3, i, 4);
    }
    for (int i = 0; i < in->id_count; i++)
        json_array_append_new(ids, json_integer(in->ids[i]));
    json_object_set_new(in->job->spec, "layers", layers);
    json_object_set_new(in->job->spec, "asset_ids", ids);
    in->job->train = true;
    in->job->task = xstrdup(c->params[0]);
    in->job->task_id = db_int(r, 0, 0, ASSET_TASK_ID);
}

static void on_assets(struct call *c, const struct db_results *r)
{
    struct instance *in = c->data;
    for (int i = 0; i < 3; i++) {
        if (db_rows(r, i) == 0) {
            asset_not_found(c, c->params[0], kinds[i], in->names[i]);
            return;
        }
    }
    fill_spec(c, in, r);
    int n = db_rows(r, 3);
    const char **layers = arena_alloc(&c->arena, ((size_t)n + 1) * sizeof(*layers));
    for (int i = 0; i < n; i++)
        layers[i] = db_str(r, 3, i, 2);
    struct verify_fit fit = {.user_id = c->user.id,
                             .packed_digest = db_str(r, 0, 0, ASSET_PACKED_DIGEST),
                             .algorithm_digest = db_str(r, 1, 0, ASSET_DIGEST),
                             .model_digest = db_str(r, 2, 0, ASSET_DIGEST),
                             .layer_digests = layers,
                             .layer_count = n,
                             .ranks = (int)job_request(in->job).ranks,
                             .overrides = in->overrides};
    verify_fit(c->orch->verifier, &fit, on_fit, c);
}

static void read_body(struct call *c)
{
    static const char *const members[] = {"name",      "dataset",   "algorithm",          "model",
                                          "resources", "overrides", "time_limit_seconds", "priority",
                                          NULL};
    struct err err = {0};
    struct instance *in = xcalloc(1, sizeof(*in));
    int64_t versions[3];
    json_t *overrides = json_object_get(c->body, "overrides");
    arena_keep(&c->arena, in, drop);
    int rc = json_only_members(c->body, members, &err);
    for (int i = 0; rc == 0 && i < 3; i++)
        if ((rc = json_get_str(c->body, kinds[i], true, &in->refs[i], &err)) == 0 &&
            (rc = asset_ref_parse(in->refs[i], in->names[i], &versions[i], &err)) < 0)
            err_prefix(&err, "\"%s\"", kinds[i]);
    if (rc == 0 && overrides && (!json_is_object(overrides) || json_object_size(overrides) > 100))
        rc = err_set(
            &err, ERR_INVALID,
            "\"overrides\" must be an object of at most 100 pointers and values, such as {\"/epochs\": 3}");
    if (rc == 0 && !(in->job = job_new(c, c->body, &err)))
        rc = -1;
    if (rc < 0) {
        call_reply_err(c, &err);
        return;
    }
    json_object_set_new(in->job->spec, "overrides", overrides ? json_incref(overrides) : json_object());
    if (overrides && json_object_size(overrides) > 0) {
        char *text = json_text(overrides);
        arena_keep(&c->arena, text, free);
        in->overrides = text;
    }
    c->data = in;
    /* Security: the assets are looked up for this caller; those of others are not there. */
    struct db_batch *b = db_batch_create(c->orch->db, DB_READ);
    for (int i = 0; i < 3; i++)
        asset_select_add(b, call_owner(c), c->params[0], kinds[i], in->names[i], versions[i]);
    layer_list_add(b, call_owner(c), c->params[0]);
    call_query(c, b, on_assets, NULL);
}

void instance_create(struct call *c)
{
    call_read_json(c, 65536, read_body);
}
