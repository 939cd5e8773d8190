#include "agent/exitfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"

int exit_read(const char *dir, struct exit_info *out, struct err *err)
{
    const char *reason = "lost", *message = "";
    int64_t code = 1, sig = 0;
    char *path = path_join(dir, "exit.json");
    json_t *doc = json_parse_file(path, 1 << 20, err);
    memset(out, 0, sizeof(*out));
    free(path);
    if (!doc)
        return -1;
    (void)json_get_bool(doc, "started", false, &out->started, NULL);
    (void)json_get_int(doc, "exit_code", false, &code, NULL);
    (void)json_get_int(doc, "signal", false, &sig, NULL);
    (void)json_get_str(doc, "reason", false, &reason, NULL);
    (void)json_get_str(doc, "message", false, &message, NULL);
    (void)json_get_real(doc, "ended", false, &out->ended, NULL);
    out->exit_code = (int)code;
    out->signal = (int)sig;
    snprintf(out->reason, sizeof(out->reason), "%s", reason);
    snprintf(out->message, sizeof(out->message), "%.500s", message);
    out->tail = json_incref(json_object_get(doc, "tail"));
    json_decref(doc);
    return 0;
}

void exit_clear(struct exit_info *e)
{
    json_decref(e->tail);
    e->tail = NULL;
}

int exit_write(const char *dir, const char *reason, bool started, int exit_code, const char *message,
               struct err *err)
{
    char *path = path_join(dir, "exit.json");
    int rc = 0;
    if (!file_exists(path)) {
        json_t *doc =
            json_pack("{s:b,s:i,s:i,s:s,s:s,s:[],s:f}", "started", started, "exit_code", exit_code, "signal",
                      0, "reason", reason, "message", message, "tail", "ended", time_now());
        char *text = json_text(doc);
        rc = file_write_atomic(path, text, strlen(text), 0644, err);
        free(text);
        json_decref(doc);
    }
    free(path);
    return rc;
}
