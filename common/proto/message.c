#include "proto/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/mem.h"

#define REQUIRED(name, type)                                                                                 \
    {                                                                                                        \
        name, type, true                                                                                     \
    }
#define OPTIONAL(name, type)                                                                                 \
    {                                                                                                        \
        name, type, false                                                                                    \
    }
#define ATTEMPT REQUIRED("job", MSG_INT), REQUIRED("fence", MSG_INT)
#define ROUTE   REQUIRED("from", MSG_STR), REQUIRED("to", MSG_STR), REQUIRED("id", MSG_STR)

static const struct msg_field hello_fields[] = {
    REQUIRED("node", MSG_STR),     REQUIRED("version", MSG_STR),      REQUIRED("boot", MSG_STR),
    REQUIRED("cores", MSG_INT),    REQUIRED("memory_bytes", MSG_INT), REQUIRED("gpus", MSG_ARRAY),
    REQUIRED("hostname", MSG_STR), REQUIRED("attempts", MSG_ARRAY),   OPTIONAL("addresses", MSG_ARRAY),
    OPTIONAL("protocol", MSG_INT),
};
static const struct msg_field heartbeat_fields[] = {
    REQUIRED("load", MSG_REAL),
    REQUIRED("memory_used_bytes", MSG_INT),
    REQUIRED("gpus", MSG_ARRAY),
};
static const struct msg_field phase_fields[] = {ATTEMPT, REQUIRED("phase", MSG_STR),
                                                REQUIRED("at", MSG_REAL)};
static const struct msg_field ended_fields[] = {
    ATTEMPT,
    REQUIRED("exit_code", MSG_INT),
    REQUIRED("signal", MSG_INT),
    REQUIRED("reason", MSG_STR),
    REQUIRED("message", MSG_STR),
    REQUIRED("at", MSG_REAL),
    OPTIONAL("tail", MSG_ARRAY),
};
static const struct msg_field records_fields[] = {ATTEMPT, REQUIRED("stream", MSG_STR),
                                                  REQUIRED("first", MSG_INT), REQUIRED("lines", MSG_ARRAY)};
static const struct msg_field artifact_fields[] = {
    ATTEMPT,
    REQUIRED("name", MSG_STR),
    REQUIRED("digest", MSG_STR),
    REQUIRED("size", MSG_INT),
    REQUIRED("kind", MSG_STR),
};
static const struct msg_field welcome_fields[] = {
    REQUIRED("node", MSG_STR),
    REQUIRED("keep", MSG_ARRAY),
    REQUIRED("drop", MSG_ARRAY),
};
static const struct msg_field launch_fields[] = {ATTEMPT, REQUIRED("launch", MSG_OBJECT)};
static const struct msg_field stop_fields[] = {ATTEMPT, REQUIRED("reason", MSG_STR),
                                               REQUIRED("grace_seconds", MSG_REAL)};
static const struct msg_field records_ack_fields[] = {ATTEMPT, REQUIRED("stream", MSG_STR),
                                                      REQUIRED("next", MSG_INT)};
static const struct msg_field forget_fields[] = {ATTEMPT};
static const struct msg_field spawn_fields[] = {ATTEMPT, ROUTE, REQUIRED("argv", MSG_ARRAY),
                                                REQUIRED("environment", MSG_OBJECT)};
static const struct msg_field spawn_output_fields[] = {ATTEMPT, ROUTE, REQUIRED("stream", MSG_STR),
                                                       REQUIRED("text", MSG_STR)};
static const struct msg_field spawn_exit_fields[] = {
    ATTEMPT, ROUTE, REQUIRED("exit_code", MSG_INT), REQUIRED("signal", MSG_INT), REQUIRED("message", MSG_STR),
};
static const struct msg_field spawn_stop_fields[] = {ATTEMPT, ROUTE};

#define ROW(type, name, from, sequenced, fields)                                                             \
    [type] = {type, name, from, sequenced, fields, ARRAY_LEN(fields)}

static const struct msg_def table[MSG_TYPE_COUNT] = {
    ROW(MSG_HELLO, "hello", MSG_FROM_AGENT, true, hello_fields),
    ROW(MSG_HEARTBEAT, "heartbeat", MSG_FROM_AGENT, false, heartbeat_fields),
    ROW(MSG_PHASE, "phase", MSG_FROM_AGENT, true, phase_fields),
    ROW(MSG_ENDED, "ended", MSG_FROM_AGENT, true, ended_fields),
    ROW(MSG_RECORDS, "records", MSG_FROM_AGENT, true, records_fields),
    ROW(MSG_ARTIFACT, "artifact", MSG_FROM_AGENT, true, artifact_fields),
    ROW(MSG_WELCOME, "welcome", MSG_FROM_ORCHESTRATOR, true, welcome_fields),
    ROW(MSG_LAUNCH, "launch", MSG_FROM_ORCHESTRATOR, true, launch_fields),
    ROW(MSG_STOP, "stop", MSG_FROM_ORCHESTRATOR, true, stop_fields),
    ROW(MSG_RECORDS_ACK, "records_ack", MSG_FROM_ORCHESTRATOR, true, records_ack_fields),
    ROW(MSG_FORGET, "forget", MSG_FROM_ORCHESTRATOR, true, forget_fields),
    [MSG_ACK] = {MSG_ACK, "ack", MSG_FROM_BOTH, false, NULL, 0},
    ROW(MSG_SPAWN, "spawn", MSG_FROM_BOTH, true, spawn_fields),
    ROW(MSG_SPAWN_OUTPUT, "spawn_output", MSG_FROM_BOTH, true, spawn_output_fields),
    ROW(MSG_SPAWN_EXIT, "spawn_exit", MSG_FROM_BOTH, true, spawn_exit_fields),
    ROW(MSG_SPAWN_STOP, "spawn_stop", MSG_FROM_BOTH, true, spawn_stop_fields),
};

static const char *const type_names[] = {
    [MSG_INT] = "a whole number, not negative",
    [MSG_REAL] = "a number",
    [MSG_STR] = "a string",
    [MSG_BOOL] = "true or false",
    [MSG_OBJECT] = "an object",
    [MSG_ARRAY] = "an array",
};

const struct msg_def *msg_def(enum msg_type type)
{
    if ((unsigned)type >= MSG_TYPE_COUNT) {
        fprintf(stderr, "msg_def: %d is no message type\n", (int)type);
        abort();
    }
    return &table[type];
}

const struct msg_def *msg_def_by_name(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_LEN(table); i++) {
        if (strcmp(name, table[i].name) == 0)
            return &table[i];
    }
    return NULL;
}

static bool value_fits(const json_t *v, enum msg_field_type type)
{
    switch (type) {
    case MSG_INT:
        return json_is_integer(v) && json_integer_value(v) >= 0;
    case MSG_REAL:
        return json_is_number(v);
    case MSG_STR:
        return json_is_string(v);
    case MSG_BOOL:
        return json_is_boolean(v);
    case MSG_OBJECT:
        return json_is_object(v);
    case MSG_ARRAY:
        return json_is_array(v);
    }
    return false;
}

int msg_check(const json_t *doc, int from, enum msg_type *type, struct err *err)
{
    if (!json_is_object(doc))
        return err_set(err, ERR_INVALID, "a message must be a JSON object");
    const char *name = NULL;
    if (json_get_str(doc, "type", true, &name, err) < 0)
        return -1;
    const struct msg_def *def = msg_def_by_name(name);
    if (!def)
        return err_set(err, ERR_INVALID, "\"%.40s\" is no message type of protocol %d", name, PROTO_VERSION);
    if (!(def->from & from))
        return err_set(err, ERR_INVALID, "a %s message cannot come from the %s", def->name,
                       from == MSG_FROM_AGENT ? "agent" : "orchestrator");
    for (int i = 0; i < def->field_count; i++) {
        const struct msg_field *f = &def->fields[i];
        const json_t *v = json_object_get(doc, f->name);
        if (!v && !f->required)
            continue;
        if (!v)
            return err_set(err, ERR_INVALID, "a %s message must have \"%s\": %s", def->name, f->name,
                           type_names[f->type]);
        if (!value_fits(v, f->type))
            return err_set(err, ERR_INVALID, "\"%s\" of a %s message must be %s", f->name, def->name,
                           type_names[f->type]);
    }
    *type = def->type;
    return 0;
}
