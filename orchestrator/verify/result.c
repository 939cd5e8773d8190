#include "orchestrator/verify/result.h"

#include <string.h>

#include "base/json.h"

static int check_one(const json_t *check, size_t index, bool *failed, struct err *err)
{
    const char *name = "", *status = "", *message = "", *pointer = NULL, *hint = NULL;
    int64_t line = 0, column = 0;
    if (json_get_str(check, "name", true, &name, err) < 0 ||
        json_get_str(check, "status", true, &status, err) < 0 ||
        json_get_str(check, "message", true, &message, err) < 0 ||
        json_get_str(check, "pointer", false, &pointer, err) < 0 ||
        json_get_str(check, "hint", false, &hint, err) < 0 ||
        json_get_int(check, "line", false, &line, err) < 0 ||
        json_get_int(check, "column", false, &column, err) < 0)
        return err_prefix(err, "check %zu", index);
    if (strcmp(status, "passed") != 0 && strcmp(status, "warned") != 0 && strcmp(status, "failed") != 0)
        return err_set(err, ERR_INTERNAL, "check %zu has the unknown status \"%.40s\"", index, status);
    *failed |= !strcmp(status, "failed");
    return 0;
}

static int check_form(const json_t *doc, const char *kind, int exit_code, struct err *err)
{
    const char *format = "", *said = "";
    bool ok = false, failed = false;
    if (json_get_str(doc, "format", true, &format, err) < 0 ||
        json_get_str(doc, "kind", true, &said, err) < 0 || json_get_bool(doc, "ok", true, &ok, err) < 0)
        return -1;
    if (strcmp(format, "trainyard.verification/1") != 0 || strcmp(said, kind) != 0)
        return err_set(err, ERR_INTERNAL, "expected a trainyard.verification/1 of a %s, not %.60s of a %.40s",
                       kind, format, said);
    const json_t *checks = json_object_get(doc, "checks"), *summary = json_object_get(doc, "summary"), *check;
    if (!json_is_array(checks) || json_array_size(checks) > VERIFY_CHECKS_MAX)
        return err_set(err, ERR_INTERNAL, "\"checks\" is not an array of at most %d", VERIFY_CHECKS_MAX);
    if (summary && !json_is_object(summary) && !json_is_null(summary))
        return err_set(err, ERR_INTERNAL, "\"summary\" is not an object");
    size_t i;
    json_array_foreach(checks, i, check)
    {
        if (check_one(check, i, &failed, err) < 0)
            return -1;
    }
    if (ok != !failed || ok != (exit_code == 0))
        return err_set(err, ERR_INTERNAL, "\"ok\" is %s, but %s check failed and the exit code is %d",
                       ok ? "true" : "false", failed ? "a" : "no", exit_code);
    return 0;
}

json_t *verify_result_parse(const char *text, size_t n, const char *kind, int exit_code, struct err *err)
{
    if (exit_code != 0 && exit_code != 3) {
        err_set(err, ERR_INTERNAL, "the trainer ended with exit code %d", exit_code);
        return NULL;
    }
    json_t *doc = json_parse(text, n, NULL, NULL, err);
    if (doc && check_form(doc, kind, exit_code, err) == 0)
        return doc;
    json_decref(doc);
    if (err)
        err->code = ERR_INTERNAL;
    err_prefix(err, "the trainer's answer");
    return NULL;
}

json_t *verify_result_stopped(const char *kind, const char *message, const char *hint)
{
    json_t *check = json_pack("{s:s, s:s, s:s, s:n, s:i, s:i, s:n, s:n, s:s?, s:f}", "name", "verify.limits",
                              "status", "failed", "message", message, "pointer", "line", 0, "column", 0,
                              "expected", "actual", "hint", hint, "seconds", 0.0);
    return json_pack("{s:s, s:s, s:b, s:s, s:f, s:[o], s:{}}", "format", "trainyard.verification/1", "kind",
                     kind, "ok", 0, "trainer", TRAINYARD_VERSION, "seconds", 0.0, "checks", check, "summary");
}

static bool is_failed(const json_t *check)
{
    const char *status = json_string_value(json_object_get(check, "status"));
    return status && !strcmp(status, "failed");
}

json_t *verify_result_errors(const json_t *doc)
{
    static const char *const members[] = {"pointer", "line", "column", "message", "hint"};
    json_t *errors = json_array();
    const json_t *check;
    size_t i;
    json_array_foreach(json_object_get(doc, "checks"), i, check)
    {
        if (!is_failed(check))
            continue;
        json_t *e = json_object();
        for (size_t m = 0; m < sizeof(members) / sizeof(members[0]); m++) {
            json_t *v = json_object_get(check, members[m]);
            json_object_set_new(e, members[m], v ? json_incref(v) : json_null());
        }
        json_t *subject = json_object_get(check, "subject");
        if (json_is_string(subject))
            json_object_set(e, "subject", subject);
        json_array_append_new(errors, e);
    }
    return errors;
}

const char *verify_result_first_failure(const json_t *doc)
{
    const json_t *check;
    size_t i;
    json_array_foreach(json_object_get(doc, "checks"), i, check)
    {
        if (is_failed(check))
            return json_string_value(json_object_get(check, "message"));
    }
    return "";
}
