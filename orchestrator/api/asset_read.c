#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/json.h"
#include "orchestrator/api/assets.h"
#include "orchestrator/api/console.h"
#include "orchestrator/api/tasks.h"
#include "orchestrator/blob/blob.h"
#include "orchestrator/store/asset.h"

/* --- names ---------------------------------------------------------------------------------------------- */

static const char *const kinds[][2] = {
    {"datasets", "dataset"}, {"algorithms", "algorithm"}, {"layers", "layer"}, {"models", "model"}};

const char *asset_kind_of(const char *plural)
{
    for (size_t i = 0; i < 4; i++)
        if (!strcmp(plural, kinds[i][0]))
            return kinds[i][1];
    return NULL;
}

const char *asset_kind_singular(const char *name)
{
    for (size_t i = 0; i < 4; i++)
        if (!strcmp(name, kinds[i][1]))
            return kinds[i][1];
    return NULL;
}

int asset_ref_parse(const char *ref, char name[65], int64_t *version, struct err *err)
{
    const char *at = strchr(ref, '@');
    size_t n = at ? (size_t)(at - ref) : strlen(ref);
    *version = 0;
    if (n == 0 || n > 64)
        return err_set(err, ERR_INVALID, "\"%.80s\" is not NAME or NAME@VERSION", ref);
    memcpy(name, ref, n);
    name[n] = 0;
    if (name_check("an asset", name, err) < 0)
        return -1;
    if (!at)
        return 0;
    char *end;
    long v = strtol(at + 1, &end, 10);
    if (at[1] < '1' || at[1] > '9' || *end || v > 2000000000)
        return err_set(err, ERR_INVALID, "the version in \"%.80s\" is not a number from 1", ref);
    *version = v;
    return 0;
}

struct missing {
    const char *task, *kind, *name;
};

static const char *nearest_of(struct call *c, const struct db_results *r, int statement, const char *name)
{
    int n = db_rows(r, statement);
    const char **names = arena_alloc(&c->arena, ((size_t)n + 1) * sizeof(*names));
    for (int i = 0; i < n; i++)
        names[i] = db_str(r, statement, i, 0);
    return nearest_name(name, names);
}

static void on_names(struct call *c, const struct db_results *r)
{
    const struct missing *m = c->data;
    bool task = db_rows(r, 0) > 0;
    const char *near = task ? nearest_of(c, r, 1, m->name) : nearest_of(c, r, 2, m->task);
    const char *a = near ? "; did you mean \"" : "", *b = near ? near : "", *z = near ? "\"?" : "";
    if (task)
        call_fail(c, ERR_NOT_FOUND, "there is no %s \"%.80s\" in task \"%.64s\"%s%s%s", m->kind, m->name,
                  m->task, a, b, z);
    else
        call_fail(c, ERR_NOT_FOUND, "there is no task \"%.64s\"%s%s%s", m->task, a, b, z);
}

void asset_not_found(struct call *c, const char *task, const char *kind, const char *name)
{
    struct missing *m = arena_alloc(&c->arena, sizeof(*m));
    *m = (struct missing){arena_strdup(&c->arena, task), kind, arena_strdup(&c->arena, name)};
    c->data = m;
    call_query(c, asset_names(c->orch->db, call_owner(c), task, kind), on_names, NULL);
}

/* --- one asset ------------------------------------------------------------------------------------------ */

struct wanted {
    const char *kind;
    char name[65];
    int64_t version;
    const char *member; /* of the summary */
    call_rows_f then;
};

static void on_asset(struct call *c, const struct db_results *r)
{
    const struct wanted *w = c->data;
    if (db_rows(r, 0) == 0)
        asset_not_found(c, c->params[0], w->kind, w->name);
    else
        w->then(c, r);
}

/* Find the asset of the path: parameters task, kind (or given), name[@version]. */
static void find_asset(struct call *c, const char *kind, const char *ref, const char *member,
                       call_rows_f then)
{
    struct err err = {0};
    struct wanted *w = arena_alloc(&c->arena, sizeof(*w));
    *w = (struct wanted){.kind = kind, .member = member, .then = then};
    if (!kind) {
        call_fail(c, ERR_NOT_FOUND, "\"%.40s\" is not datasets, algorithms, layers or models", c->params[1]);
        return;
    }
    if (asset_ref_parse(ref, w->name, &w->version, &err) < 0) {
        call_reply_err(c, &err);
        return;
    }
    c->data = w;
    call_query(c, asset_select(c->orch->db, call_owner(c), c->params[0], kind, w->name, w->version), on_asset,
               NULL);
}

static void give_json(struct call *c, const struct db_results *r)
{
    call_reply_text(c, 200, db_str(r, 0, 0, ASSET_JSON));
}

void asset_get(struct call *c)
{
    find_asset(c, asset_kind_of(c->params[1]), c->params[2], NULL, give_json);
}

static void give_verification(struct call *c, const struct db_results *r)
{
    call_reply_text(c, 200, db_str(r, 0, 0, ASSET_VERIFICATION));
}

void asset_verification(struct call *c)
{
    find_asset(c, asset_kind_of(c->params[1]), c->params[2], NULL, give_verification);
}

static void give_member(struct call *c, const struct db_results *r)
{
    const struct wanted *w = c->data;
    const char *text = db_str(r, 0, 0, ASSET_VERIFICATION);
    json_t *doc = json_parse(text, strlen(text), NULL, NULL, NULL);
    json_t *part = json_object_get(json_object_get(doc, "summary"), w->member);
    if (json_is_object(part))
        call_reply_json(c, 200, json_incref(part));
    else
        call_fail(c, ERR_NOT_FOUND, "the verification of this %s has no %s", w->kind, w->member);
    json_decref(doc);
}

void dataset_preview(struct call *c)
{
    find_asset(c, "dataset", c->params[1], "preview", give_member);
}

void model_graph(struct call *c)
{
    find_asset(c, "model", c->params[1], "graph", give_member);
}

static void give_content(struct call *c, const struct db_results *r)
{
    const struct wanted *w = c->data;
    struct err err = {0};
    const char *digest = db_str(r, 0, 0, ASSET_DIGEST);
    int64_t size = 0;
    int fd = blob_open(c->orch->blobs, digest, &size, &err);
    if (fd < 0) {
        err.code = ERR_INTERNAL; /* the row is there, so the blob has to be */
        call_reply_err(c, &err);
        return;
    }
    bool json = strcmp(w->kind, "dataset") != 0;
    /* Security: what users upload never runs as a page of ours: not sniffed, not shown in place, and
     * sandboxed if it is. */
    http_req_add_headerf(c->req, "Content-Disposition", "attachment; filename=\"%s%s\"", w->name,
                         json ? ".json" : "");
    http_req_add_header(c->req, "Content-Security-Policy", "sandbox; default-src 'none'");
    http_req_add_header(c->req, "Cache-Control", "private, no-cache");
    call_reply_file(c, fd, size, json ? "application/json" : "application/octet-stream",
                    arena_printf(&c->arena, "\"%s\"", digest));
}

void asset_content(struct call *c)
{
    find_asset(c, asset_kind_of(c->params[1]), c->params[2], NULL, give_content);
}

/* --- lists ---------------------------------------------------------------------------------------------- */

struct list {
    struct call_page page;
    const char *kind;
};

static void on_empty_list(struct call *c, const struct db_results *r)
{
    if (db_rows(r, 0) == 0)
        task_not_found(c, c->params[0]);
    else
        call_reply_text(c, 200, "{\"items\":[],\"next_cursor\":null}");
}

static void on_list(struct call *c, const struct db_results *r)
{
    const struct list *l = c->data;
    if (db_rows(r, 0) > 0)
        call_reply_list(c, r, 0, 0, 1, l->page.limit);
    else /* none, or no such task */
        call_query(c, asset_names(c->orch->db, call_owner(c), c->params[0], l->kind), on_empty_list, NULL);
}

void assets_get(struct call *c)
{
    struct err err = {0};
    struct list *l = arena_alloc(&c->arena, sizeof(*l));
    const char *versions = call_query_param(c, "versions");
    l->kind = asset_kind_of(c->params[1]);
    if (!l->kind) {
        call_fail(c, ERR_NOT_FOUND, "\"%.40s\" is not datasets, algorithms, layers, models or instances",
                  c->params[1]);
    } else if (versions && strcmp(versions, "all") != 0 && strcmp(versions, "newest") != 0) {
        call_fail(c, ERR_INVALID, "?versions= is \"all\" or \"newest\", not \"%.40s\"", versions);
    } else if (call_page(c, &l->page, &err) < 0) {
        call_reply_err(c, &err);
    } else {
        c->data = l;
        call_query(c,
                   asset_list(c->orch->db, call_owner(c), c->params[0], l->kind,
                              versions && !strcmp(versions, "all"), l->page.cursor, l->page.limit + 1),
                   on_list, NULL);
    }
}

/* --- deleting ------------------------------------------------------------------------------------------- */

static void on_removed(struct call *c, const struct db_results *r)
{
    const struct wanted *w = c->data;
    if (db_rows(r, 1) > 0) {
        task_publish(c, c->params[0], r, 1, 0);
        call_reply_empty(c);
    } else if (db_rows(r, 0) > 0) {
        call_fail(c, ERR_CONFLICT, "job %s uses this %s; it can't be deleted",
                  db_str(r, 0, 0, 0) ? db_str(r, 0, 0, 0) : "", w->kind);
    } else {
        asset_not_found(c, c->params[0], w->kind, c->params[2]);
    }
}

static void on_not_removed(struct call *c, const struct db_results *r, const struct err *err)
{
    (void)r;
    if (err->code == ERR_NOT_FOUND)
        call_fail(c, ERR_CONFLICT, "a job uses this asset; it can't be deleted");
    else
        call_reply_err(c, err);
}

void asset_remove(struct call *c)
{
    struct err err = {0};
    struct wanted *w = arena_alloc(&c->arena, sizeof(*w));
    w->kind = asset_kind_of(c->params[1]);
    c->data = w;
    if (!w->kind)
        call_fail(c, ERR_NOT_FOUND, "\"%.40s\" is not datasets, algorithms, layers or models", c->params[1]);
    else if (asset_ref_parse(c->params[2], w->name, &w->version, &err) < 0)
        call_reply_err(c, &err);
    else if (w->version == 0)
        call_fail(c, ERR_INVALID, "say which version to delete: %s@VERSION", w->name);
    else
        call_query(c, asset_delete(c->orch->db, call_owner(c), c->params[0], w->kind, w->name, w->version),
                   on_removed, on_not_removed);
}
