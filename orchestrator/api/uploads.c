/* Uploads in progress: a row says whose it is and how long it will be, a file in STATE/uploads holds what has
 * come; its size is the offset. So a restart loses nothing that was written. */
#include "orchestrator/api/uploads.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "orchestrator/store/upload.h"

#define LIFETIME_SECONDS (7 * 86400)
#define EXPIRE_SECONDS   600
#define METADATA_MAX     4096
#define SIZE_MAX_ANY     (1ll << 50)
#define WRITE_BACK_EVERY (4 << 20)

struct uploads {
    struct orch *orch;
    char *dir;
    struct event *expire;
    struct busy {
        struct busy *next;
        char id[33];
    } * busy; /* being written or read: one at a time */
};

/* --- shared --------------------------------------------------------------------------------------------- */

static bool is_id(const char *id)
{
    return strlen(id) == 32 && strspn(id, "0123456789abcdef") == 32;
}

static char *path_of(const struct uploads *u, const char *id)
{
    return path_join(u->dir, id);
}

struct hold {
    struct uploads *uploads;
    struct busy *busy;
};

static void let_go(void *p)
{
    struct hold *h = p;
    for (struct busy **b = &h->uploads->busy; *b; b = &(*b)->next)
        if (*b == h->busy) {
            *b = h->busy->next;
            break;
        }
    free(h->busy);
    free(h);
}

/* Until the call ends. False when somebody else has it. */
static bool hold(struct call *c, const char *id)
{
    struct uploads *u = c->orch->uploads;
    for (const struct busy *b = u->busy; b; b = b->next)
        if (!strcmp(b->id, id))
            return false;
    struct hold *h = xcalloc(1, sizeof(*h));
    h->uploads = u;
    h->busy = xcalloc(1, sizeof(*h->busy));
    memcpy(h->busy->id, id, 33);
    h->busy->next = u->busy;
    u->busy = h->busy;
    arena_keep(&c->arena, h, let_go);
    return true;
}

static bool speaks_tus(struct call *c)
{
    const char *version = http_req_header(c->req, "Tus-Resumable");
    http_req_add_header(c->req, "Tus-Resumable", "1.0.0");
    if (version && !strcmp(version, "1.0.0"))
        return true;
    http_req_add_header(c->req, "Tus-Version", "1.0.0");
    call_reply_status(c, 412, "Precondition failed", "send the header \"Tus-Resumable: 1.0.0\"");
    return false;
}

static int header_number(struct call *c, const char *name, int64_t *out)
{
    const char *text = http_req_header(c->req, name);
    char *end;
    if (!text || *text < '0' || *text > '9')
        return -1;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno || *end ? -1 : 0;
}

static int64_t largest(const struct call *c)
{
    int64_t max = conf_int(c->orch->conf, "dataset-max");
    return max > 0 ? max : SIZE_MAX_ANY;
}

/* --- creating ------------------------------------------------------------------------------------------- */

void uploads_options(struct call *c)
{
    http_req_add_header(c->req, "Tus-Resumable", "1.0.0");
    http_req_add_header(c->req, "Tus-Version", "1.0.0");
    http_req_add_header(c->req, "Tus-Extension", "creation,expiration,termination");
    http_req_add_headerf(c->req, "Tus-Max-Size", "%lld", (long long)largest(c));
    call_reply_status(c, 204, NULL, NULL);
}

static void on_created(struct call *c, const struct db_results *r)
{
    const char *id = c->data;
    if (db_rows(r, 0) == 0) {
        call_fail(c, ERR_LIMIT, "you have %d uploads in progress already; finish or delete one",
                  UPLOADS_PER_USER);
        return;
    }
    char *path = path_of(c->orch->uploads, id);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        call_fail(c, ERR_IO, "cannot create %s: %s", path, strerror(errno));
    } else {
        close(fd);
        http_req_add_header(c->req, "Upload-Expires", db_str(r, 0, 0, 0));
        http_req_add_headerf(c->req, "Location", "/api/v1/uploads/%s", id);
        call_reply_status(c, 201, NULL, NULL);
    }
    free(path);
}

void upload_create(struct call *c)
{
    int64_t size;
    const char *metadata = http_req_header(c->req, "Upload-Metadata");
    if (!speaks_tus(c))
        return;
    if (header_number(c, "Upload-Length", &size) < 0) {
        call_fail(c, ERR_INVALID, "the header Upload-Length must say how many bytes will come");
    } else if (size > largest(c)) {
        call_fail(c, ERR_TOO_LARGE, "an upload may have %lld bytes here", (long long)largest(c));
    } else if (metadata && strlen(metadata) > METADATA_MAX) {
        call_fail(c, ERR_TOO_LARGE, "Upload-Metadata may have %d bytes", METADATA_MAX);
    } else {
        char id[33];
        random_hex(id, 32);
        c->data = arena_strdup(&c->arena, id);
        call_query(
            c, upload_insert(c->orch->db, id, c->user.id, size, metadata ? metadata : "", LIFETIME_SECONDS),
            on_created, NULL);
    }
}

/* --- one upload ----------------------------------------------------------------------------------------- */

struct upload {
    struct call *call;
    int64_t size, offset, written_back;
    int fd;
};

static void close_upload(void *p)
{
    struct upload *u = p;
    if (u->fd >= 0)
        close(u->fd);
    free(u);
}

static void not_there(struct call *c)
{
    call_fail(c, ERR_NOT_FOUND, "there is no upload \"%.40s\" of yours in progress", c->params[0]);
}

/* Security: users can only continue, see, use and delete their own uploads. */
static void find(struct call *c, call_rows_f then)
{
    if (!is_id(c->params[0]))
        not_there(c);
    else
        call_query(c, upload_select(c->orch->db, c->user.id, c->params[0]), then, NULL);
}

static int64_t offset_of(struct call *c, const char *id)
{
    struct stat st;
    char *path = path_of(c->orch->uploads, id);
    int64_t size = stat(path, &st) == 0 ? st.st_size : -1;
    free(path);
    return size;
}

static void on_head(struct call *c, const struct db_results *r)
{
    int64_t offset = db_rows(r, 0) ? offset_of(c, c->params[0]) : -1;
    if (offset < 0) {
        not_there(c);
        return;
    }
    http_req_add_headerf(c->req, "Upload-Offset", "%lld", (long long)offset);
    http_req_add_headerf(c->req, "Upload-Length", "%s", db_str(r, 0, 0, 0));
    http_req_add_header(c->req, "Upload-Expires", db_str(r, 0, 0, 2));
    if (*db_str(r, 0, 0, 1))
        http_req_add_header(c->req, "Upload-Metadata", db_str(r, 0, 0, 1));
    call_reply_status(c, 200, NULL, NULL);
}

void upload_head(struct call *c)
{
    if (speaks_tus(c))
        find(c, on_head);
}

static int on_data(struct http_req *req, const void *p, size_t n, void *arg)
{
    (void)req;
    struct upload *u = arg;
    if (file_write_all(u->fd, p, n) < 0) {
        call_fail(u->call, ERR_IO, "cannot write the upload: %s", strerror(errno));
        return -1;
    }
    u->offset += (int64_t)n;
    if (u->offset - u->written_back >= WRITE_BACK_EVERY) {
        sync_file_range(u->fd, u->written_back, u->offset - u->written_back, SYNC_FILE_RANGE_WRITE);
        u->written_back = u->offset;
    }
    return 0;
}

static void on_end(struct http_req *req, const struct err *error, void *arg)
{
    (void)req;
    struct upload *u = arg;
    if (error) {
        call_reply_err(u->call, error); /* what has come stays: that is what it is for */
        return;
    }
    http_req_add_headerf(u->call->req, "Upload-Offset", "%lld", (long long)u->offset);
    call_reply_status(u->call, 204, NULL, NULL);
}

static void on_patch(struct call *c, const struct db_results *r)
{
    int64_t wanted = 0, offset = db_rows(r, 0) ? offset_of(c, c->params[0]) : -1;
    if (offset < 0) {
        not_there(c);
        return;
    }
    if (header_number(c, "Upload-Offset", &wanted) < 0 || wanted != offset) {
        http_req_add_headerf(c->req, "Upload-Offset", "%lld", (long long)offset);
        call_fail(c, ERR_CONFLICT, "this upload is at byte %lld; continue there (Upload-Offset)",
                  (long long)offset);
        return;
    }
    if (!hold(c, c->params[0])) {
        call_fail(c, ERR_CONFLICT, "this upload is being written by another request");
        return;
    }
    struct upload *u = xcalloc(1, sizeof(*u));
    char *path = path_of(c->orch->uploads, c->params[0]);
    *u = (struct upload){.call = c, .size = db_int(r, 0, 0, 0), .offset = offset, .written_back = offset};
    u->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    arena_keep(&c->arena, u, close_upload);
    if (u->fd < 0)
        call_fail(c, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    else
        http_req_stream_body(c->req, u->size - offset, on_data, on_end, u);
    free(path);
}

void upload_patch(struct call *c)
{
    const char *type = http_req_header(c->req, "Content-Type");
    if (!speaks_tus(c))
        return;
    if (!type || strcasecmp(type, "application/offset+octet-stream") != 0)
        call_fail(c, ERR_UNSUPPORTED, "Content-Type must be application/offset+octet-stream here");
    else
        find(c, on_patch);
}

static void remove_file(const struct uploads *u, const char *id)
{
    char *path = path_of(u, id);
    if (unlink(path) < 0 && errno != ENOENT)
        log_warn("api", "an upload's file could not be removed", KV_S("path", path),
                 KV_S("error", strerror(errno)));
    free(path);
}

static void on_removed(struct call *c, const struct db_results *r)
{
    if (db_affected(r, 0) == 0) {
        not_there(c);
        return;
    }
    remove_file(c->orch->uploads, c->params[0]);
    call_reply_status(c, 204, NULL, NULL);
}

void upload_remove(struct call *c)
{
    if (!speaks_tus(c))
        return;
    if (is_id(c->params[0]))
        call_query(c, upload_delete(c->orch->db, c->user.id, c->params[0]), on_removed, NULL);
    else
        not_there(c);
}

/* --- becoming an asset ---------------------------------------------------------------------------------- */

struct take {
    struct call *call;
    const char *id;
    upload_take_f done;
    void *arg;
};

static void on_take(const struct db_results *r, const struct err *err, void *arg)
{
    struct take *t = arg;
    struct call *c = t->call;
    struct err why = {0};
    int64_t offset = -1;
    if (err)
        why = *err;
    else if (db_rows(r, 0) == 0 || (offset = offset_of(c, t->id)) < 0)
        err_set(&why, ERR_NOT_FOUND, "there is no upload \"%.40s\" of yours", t->id);
    else if (offset < db_int(r, 0, 0, 0))
        err_set(&why, ERR_CONFLICT, "the upload is not complete: %lld of %lld bytes have come",
                (long long)offset, (long long)db_int(r, 0, 0, 0));
    else if (!hold(c, t->id))
        err_set(&why, ERR_CONFLICT, "this upload is in use by another request");
    t->done(why.code ? NULL : path_of(c->orch->uploads, t->id), offset, why.code ? &why : NULL, t->arg);
}

void upload_take(struct call *c, const char *id, upload_take_f done, void *arg)
{
    struct err err = {0};
    if (!is_id(id)) {
        err_set(&err, ERR_NOT_FOUND, "there is no upload \"%.40s\" of yours", id);
        done(NULL, 0, &err, arg);
        return;
    }
    struct take *t = arena_alloc(&c->arena, sizeof(*t));
    *t = (struct take){c, arena_strdup(&c->arena, id), done, arg};
    db_submit(upload_select(c->orch->db, c->user.id, id), on_take, t);
}

void upload_done(struct call *c, const char *id)
{
    remove_file(c->orch->uploads, id);
    db_submit(upload_delete(c->orch->db, c->user.id, id), NULL, NULL);
}

/* --- life ----------------------------------------------------------------------------------------------- */

static void on_expired(const struct db_results *r, const struct err *err, void *arg)
{
    struct uploads *u = arg;
    for (int i = 0; !err && i < db_rows(r, 0); i++)
        remove_file(u, db_str(r, 0, i, 0));
}

static void on_expire(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct uploads *u = arg;
    if (db_ready(u->orch->db))
        db_submit(upload_expire(u->orch->db), on_expired, u);
}

/* Files that no row knows: of uploads that ended in the moment of a crash. Nothing is being uploaded yet when
 * this runs. */
static void on_known(const struct db_results *r, const struct err *err, void *arg)
{
    struct uploads *u = arg;
    DIR *d = err ? NULL : opendir(u->dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        bool known = !is_id(e->d_name);
        for (int i = 0; !known && i < db_rows(r, 0); i++)
            known = !strcmp(e->d_name, db_str(r, 0, i, 0));
        struct stat st;
        /* One that was made since the question was asked is younger than a minute. */
        if (!known && fstatat(dirfd(d), e->d_name, &st, 0) == 0 && time(NULL) - st.st_mtime > 60)
            remove_file(u, e->d_name);
    }
    if (d)
        closedir(d);
}

struct uploads *uploads_create(struct orch *orch, struct err *err)
{
    struct uploads *u = xcalloc(1, sizeof(*u));
    u->orch = orch;
    u->dir = path_join(orch->state_dir, "uploads");
    if (dir_make(u->dir, 0700, err) < 0) {
        uploads_destroy(u);
        return NULL;
    }
    db_submit(upload_ids(orch->db), on_known, u);
    u->expire = event_new(orch->base, -1, EV_PERSIST, on_expire, u);
    event_add(u->expire, &(struct timeval){EXPIRE_SECONDS, 0});
    return u;
}

void uploads_destroy(struct uploads *u)
{
    if (!u)
        return;
    if (u->expire)
        event_free(u->expire);
    free(u->dir);
    free(u);
}
