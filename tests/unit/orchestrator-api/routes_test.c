/* The table of routes: how a request finds its row, who may call what, and that docs/openapi.json says the
 * same as the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "orchestrator/api/routes.h"
#include "orchestrator/embed.h"

struct found {
    const struct route *route;
    const char *params[CALL_PARAMS];
    struct buf allow;
    struct arena arena;
};

static struct found find(enum http_method m, const char *path)
{
    struct found f = {0};
    f.route = route_find(routes, m, path, &f.arena, f.params, &f.allow);
    return f;
}

static void drop(struct found *f)
{
    buf_free(&f->allow);
    arena_free(&f->arena);
}

static void a_path_finds_its_row_and_decodes_its_parameters(void **state)
{
    (void)state;
    struct found f = find(HTTP_M_GET, "/api/v1/tasks/my%20task/models/a%40b/content");
    assert_non_null(f.route);
    assert_string_equal(f.route->path, "/api/v1/tasks/:task/:kind/:name/content");
    assert_string_equal(f.params[0], "my task");
    assert_string_equal(f.params[1], "models");
    assert_string_equal(f.params[2], "a@b");
    drop(&f);
}

static void head_finds_the_row_of_get_unless_it_has_its_own(void **state)
{
    (void)state;
    struct found f = find(HTTP_M_HEAD, "/api/v1/tasks/t");
    assert_non_null(f.route);
    assert_int_equal(f.route->method, HTTP_M_GET);
    drop(&f);
    f = find(HTTP_M_HEAD, "/api/v1/uploads/0123");
    assert_non_null(f.route);
    assert_int_equal(f.route->method, HTTP_M_HEAD);
    drop(&f);
}

static void a_literal_row_wins_over_a_parameter(void **state)
{
    (void)state;
    struct found f = find(HTTP_M_POST, "/api/v1/verify/fit");
    assert_string_equal(f.route->path, "/api/v1/verify/fit");
    drop(&f);
    f = find(HTTP_M_POST, "/api/v1/verify/model");
    assert_string_equal(f.route->path, "/api/v1/verify/:kind");
    drop(&f);
}

static void another_method_is_told_which_there_are(void **state)
{
    (void)state;
    struct found f = find(HTTP_M_PUT, "/api/v1/tasks/t");
    assert_null(f.route);
    assert_string_equal(buf_str(&f.allow), "GET, HEAD, PATCH, DELETE");
    drop(&f);
}

static void what_is_no_path_of_ours_is_unknown(void **state)
{
    (void)state;
    static const char *const paths[] = {"",
                                        "/",
                                        "/api/v1",
                                        "/api/v1/tasks/",
                                        "/api/v1/tasks//models",
                                        "/api/v1/tasks/a%2fb",
                                        "/api/v1/tasks/%00",
                                        "/api/v1/tasks/%zz",
                                        "/api/v1/tasks/t/models/m/content/more",
                                        "/api/v1/taskss",
                                        "/healthz/",
                                        "api/v1/tasks"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct found f = find(HTTP_M_GET, paths[i]);
        if (f.route || f.allow.len)
            fail_msg("\"%s\" found %s", paths[i], f.route ? f.route->path : buf_str(&f.allow));
        drop(&f);
    }
}

static void roles_rise_and_machines_are_apart(void **state)
{
    (void)state;
    for (int has = ROLE_VIEWER; has <= ROLE_ADMIN; has++)
        for (int needed = ROLE_VIEWER; needed <= ROLE_ADMIN; needed++)
            assert_int_equal(role_allows((enum role)has, (enum role)needed), has >= needed);
    for (int needed = ROLE_VIEWER; needed <= ROLE_ADMIN; needed++) {
        assert_false(role_allows(ROLE_AGENT, (enum role)needed));
        assert_false(role_allows(ROLE_JOIN, (enum role)needed));
        assert_false(role_allows(ROLE_NONE, (enum role)needed));
    }
    assert_false(role_allows(ROLE_ADMIN, ROLE_AGENT));
    assert_false(role_allows(ROLE_JOIN, ROLE_AGENT));
    assert_true(role_allows(ROLE_AGENT, ROLE_AGENT));
    assert_true(role_allows(ROLE_JOIN, ROLE_JOIN));
}

static void only_health_signing_in_and_tus_discovery_are_open(void **state)
{
    (void)state;
    static const char *const open_paths[] = {"/healthz",         "/readyz",        "/version",
                                             "/api/v1/healthz",  "/api/v1/readyz", "/api/v1/version",
                                             "/api/v1/sessions", "/api/v1/uploads"};
    for (const struct route *r = routes; r->path; r++) {
        bool listed = false;
        for (size_t i = 0; i < ARRAY_LEN(open_paths); i++)
            listed |= !strcmp(open_paths[i], r->path);
        if (r->role == ROLE_NONE && !listed)
            fail_msg("%s %s needs no role", http_method_name(r->method), r->path);
        assert_non_null(r->handler);
        assert_non_null(r->summary);
    }
}

/* The form of a path whatever its parameters are called: each becomes a star. */
static char *normal(const char *path)
{
    struct buf b = {0};
    for (const char *p = path; *p;) {
        if (*p == ':' || *p == '{') {
            buf_putc(&b, '*');
            p += strcspn(p, "/");
        } else {
            buf_putc(&b, *p++);
        }
    }
    return buf_steal(&b);
}

static const json_t *operation_of(const json_t *paths, const struct route *r)
{
    char *wanted = normal(r->path), method[16] = {0};
    const char *name = http_method_name(r->method), *path;
    for (size_t i = 0; name[i] && i < 15; i++)
        method[i] = (char)(name[i] | 32);
    json_t *item;
    const json_t *found = NULL;
    json_object_foreach((json_t *)(uintptr_t)paths, path, item)
    {
        char *n = normal(path);
        if (!strcmp(n, wanted) && json_object_get(item, method))
            found = json_object_get(item, method);
        free(n);
    }
    free(wanted);
    return found;
}

static json_t *load_openapi(void)
{
    struct err err = {0};
    assert_string_equal(embedded_docs[0].name, "openapi.json");
    json_t *doc = json_parse(embedded_docs[0].data, embedded_docs[0].size, NULL, NULL, &err);
    if (!doc)
        fail_msg("%s", err.text);
    return doc;
}

static void every_route_is_described_with_its_role(void **state)
{
    (void)state;
    json_t *doc = load_openapi();
    int wrong = 0;
    for (const struct route *r = routes; r->path; r++) {
        const json_t *op = operation_of(json_object_get(doc, "paths"), r);
        const char *role = json_string_value(json_object_get(op, "x-role"));
        if (!op || !role || strcmp(role, role_name(r->role)) != 0) {
            print_message("%s %s: openapi.json says role %s, the table %s\n", http_method_name(r->method),
                          r->path, op ? role : "nothing", role_name(r->role));
            wrong++;
        }
    }
    json_decref(doc);
    assert_int_equal(wrong, 0);
}

static void everything_described_is_a_route(void **state)
{
    (void)state;
    json_t *doc = load_openapi(), *item, *op;
    const char *path, *method;
    int wrong = 0;
    json_object_foreach(json_object_get(doc, "paths"), path, item)
    {
        json_object_foreach(item, method, op)
        {
            char *n = normal(path);
            bool there = false;
            for (const struct route *r = routes; r->path && !there; r++) {
                char *m = normal(r->path);
                there = !strcmp(m, n) && !strcasecmp(http_method_name(r->method), method);
                free(m);
            }
            free(n);
            if (!there) {
                print_message("openapi.json describes %s %s, which is no route\n", method, path);
                wrong++;
            }
        }
    }
    json_decref(doc);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_finds_its_row_and_decodes_its_parameters),
        cmocka_unit_test(head_finds_the_row_of_get_unless_it_has_its_own),
        cmocka_unit_test(a_literal_row_wins_over_a_parameter),
        cmocka_unit_test(another_method_is_told_which_there_are),
        cmocka_unit_test(what_is_no_path_of_ours_is_unknown),
        cmocka_unit_test(roles_rise_and_machines_are_apart),
        cmocka_unit_test(only_health_signing_in_and_tus_discovery_are_open),
        cmocka_unit_test(every_route_is_described_with_its_role),
        cmocka_unit_test(everything_described_is_a_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
