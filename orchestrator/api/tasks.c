#include "orchestrator/api/tasks.h"

#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/json.h"
#include "orchestrator/store/task.h"
#include "orchestrator/stream/stream.h"

/* --- shared --------------------------------------------------------------------------------------------- */

void task_publish(struct call *c, const char *task, const struct db_results *r, int statement, int seq_col)
{
    if (!db_str(r, statement, 0, seq_col))
        return;
    char *topic = arena_printf(&c->arena, "task/%s", task);
    stream_publish(c->orch->stream, topic, db_int(r, statement, 0, seq_col),
                   db_str(r, statement, 0, seq_col + 1));
}

static void on_names(struct call *c, const struct db_results *r)
{
    int n = db_rows(r, 0);
    const char **names = arena_alloc(&c->arena, ((size_t)n + 1) * sizeof(*names));
    for (int i = 0; i < n; i++)
        names[i] = db_str(r, 0, i, 0);
    const char *task = c->data, *near = nearest_name(task, names);
    if (near)
        call_fail(c, ERR_NOT_FOUND, "there is no task \"%.64s\"; did you mean \"%s\"?", task, near);
    else
        call_fail(c, ERR_NOT_FOUND, "there is no task \"%.64s\"", task);
}

void task_not_found(struct call *c, const char *task)
{
    c->data = arena_strdup(&c->arena, task);
    call_query(c, task_names(c->orch->db, call_owner(c)), on_names, NULL);
}

/* --- reading what is sent ------------------------------------------------------------------------------- */

static int check_labels(const json_t *labels, struct err *err)
{
    const json_t *label;
    size_t i;
    if (!json_is_array(labels) || json_array_size(labels) > 32)
        return err_set(err, ERR_INVALID, "\"labels\" must be an array of at most 32 strings");
    json_array_foreach(labels, i, label)
    {
        size_t n = json_string_length(label);
        if (!json_is_string(label) || n == 0 || n > 64)
            return err_set(err, ERR_INVALID, "label %zu must be a string of 1 to 64 characters", i);
    }
    return 0;
}

static int read_fields(struct call *c, struct task_fields *f, struct err *err)
{
    static const char *const types[] = {"classification", "regression", "language-model", "other", NULL};
    const json_t *labels = json_object_get(c->body, "labels");
    if (json_get_str(c->body, "description", false, &f->description, err) < 0 ||
        json_get_str(c->body, "type", false, &f->type, err) < 0)
        return -1;
    if (f->description && strlen(f->description) > 10000)
        return err_set(err, ERR_INVALID, "\"description\" may have 10000 characters");
    const char *const *t = types;
    while (f->type && *t && strcmp(*t, f->type) != 0)
        t++;
    if (!*t) {
        const char *near = nearest_name(f->type, types);
        return err_set(
            err, ERR_INVALID,
            "\"type\" must be classification, regression, language-model or other, not \"%.40s\"%s%s%s",
            f->type, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    if (!labels || json_is_null(labels))
        return 0;
    if (check_labels(labels, err) < 0)
        return -1;
    char *text = json_text(labels);
    arena_keep(&c->arena, text, free);
    f->labels = text;
    return 0;
}

/* --- the routes ----------------------------------------------------------------------------------------- */

static void on_made(struct call *c, const struct db_results *r)
{
    const char *name = c->data;
    task_publish(c, name, r, 0, 1);
    call_reply_created(c, arena_printf(&c->arena, "/api/v1/tasks/%s", name), db_str(r, 0, 0, 0));
}

static void on_refused(struct call *c, const struct db_results *r, const struct err *err)
{
    (void)r;
    if (err->code == ERR_EXISTS)
        call_fail(c, ERR_EXISTS, "the task name \"%s\" is taken", (const char *)c->data);
    else
        call_reply_err(c, err);
}

static void make_task(struct call *c)
{
    static const char *const members[] = {"name", "description", "type", "labels", NULL};
    struct err err = {0};
    struct task_fields f = {0};
    const char *name = NULL;
    if (json_only_members(c->body, members, &err) < 0 ||
        json_get_str(c->body, "name", true, &name, &err) < 0 || name_check("a task", name, &err) < 0 ||
        read_fields(c, &f, &err) < 0) {
        call_reply_err(c, &err);
        return;
    }
    c->data = (void *)(uintptr_t)name;
    call_query(c, task_insert(c->orch->db, c->user.id, name, &f), on_made, on_refused);
}

void task_create(struct call *c)
{
    call_read_json(c, 0, make_task);
}

static void on_tasks(struct call *c, const struct db_results *r)
{
    const struct call_page *page = c->data;
    call_reply_list(c, r, 0, 0, 1, page->limit);
}

void tasks_get(struct call *c)
{
    struct call_page *page = arena_alloc(&c->arena, sizeof(*page));
    struct err err = {0};
    if (call_page(c, page, &err) < 0) {
        call_reply_err(c, &err);
        return;
    }
    c->data = page;
    const char *q = call_query_param(c, "q"), *label = call_query_param(c, "label");
    call_query(c,
               task_list(c->orch->db, call_owner(c), q && *q ? q : NULL, label && *label ? label : NULL,
                         page->cursor, page->limit + 1),
               on_tasks, NULL);
}

static void on_task(struct call *c, const struct db_results *r)
{
    if (db_rows(r, 0) > 0)
        call_reply_text(c, 200, db_str(r, 0, 0, 0));
    else
        task_not_found(c, c->params[0]);
}

void task_get(struct call *c)
{
    call_query(c, task_select(c->orch->db, call_owner(c), c->params[0]), on_task, NULL);
}

static void on_patched(struct call *c, const struct db_results *r)
{
    if (db_rows(r, 0) == 0) {
        task_not_found(c, c->params[0]);
        return;
    }
    task_publish(c, c->params[0], r, 0, 1);
    call_reply_text(c, 200, db_str(r, 0, 0, 0));
}

static void patch_task(struct call *c)
{
    static const char *const members[] = {"description", "type", "labels", NULL};
    struct err err = {0};
    struct task_fields f = {0};
    if (json_only_members(c->body, members, &err) < 0 || read_fields(c, &f, &err) < 0)
        call_reply_err(c, &err);
    else
        call_query(c, task_update(c->orch->db, call_owner(c), c->params[0], &f), on_patched, NULL);
}

void task_patch(struct call *c)
{
    call_read_json(c, 0, patch_task);
}

static void on_removed(struct call *c, const struct db_results *r)
{
    if (db_rows(r, 1) > 0) {
        task_publish(c, c->params[0], r, 1, 0);
        call_reply_empty(c);
    } else if (db_rows(r, 0) > 0) {
        call_fail(c, ERR_CONFLICT, "job %s of this task is not over; cancel it first",
                  db_str(r, 0, 0, 0) ? db_str(r, 0, 0, 0) : "");
    } else {
        task_not_found(c, c->params[0]);
    }
}

static void on_not_removed(struct call *c, const struct db_results *r, const struct err *err)
{
    (void)r;
    if (err->code == ERR_NOT_FOUND)
        call_fail(c, ERR_CONFLICT, "jobs refer to this task or its assets; it can't be deleted");
    else
        call_reply_err(c, err);
}

void task_remove(struct call *c)
{
    call_query(c, task_delete(c->orch->db, call_owner(c), c->params[0]), on_removed, on_not_removed);
}
