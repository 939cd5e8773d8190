/* Walks files, folders, zips and tars (ustar, pax, GNU long names). The tar reader trusts no number before it is
 * bounded. */
#include "kernels/data/source.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "kernels/data/source_zip.h"

#define NAME_LONGEST 4096
#define FOLDER_DEPTH 4

struct walk {
    source_f fn;
    void *arg;
    struct findings *f;
    int64_t budget;
    int files;
};

static int fail(struct walk *w, const char *name, const char *text)
{
    findings_add(w->f, FINDING_FAILED, "dataset.files", NULL, "%s: %s", name, text);
    return -1;
}

static char *bare_name(const char *name)
{
    size_t n = strlen(name);
    if (n > 3 && !strcmp(name + n - 3, ".gz"))
        n -= 3;
    else if (n > 4 && !strcmp(name + n - 4, ".zst"))
        n -= 4;
    return xstrndup(name, n);
}

/* Nothing is written to disk by these names, but a name that would lead out of a folder is no honest one. */
static bool leads_out(const char *name)
{
    size_t n;
    if (*name == '/' || *name == '\\')
        return true;
    for (const char *p = name; *p; p += n + (p[n] != 0))
        if ((n = strcspn(p, "/\\")) == 2 && p[0] == '.' && p[1] == '.')
            return true;
    return false;
}

static bool is_hidden(const char *name)
{
    const char *last = strrchr(name, '/');
    return (last ? last[1] : name[0]) == '.' || !strncmp(name, "__MACOSX/", 9);
}

/* Hand one file to the reader. Takes s. */
static int give(struct walk *w, const char *name, struct stream *s)
{
    if (++w->files > SOURCE_MAX_FILES) {
        stream_close(s);
        return fail(w, name, "too many files");
    }
    if (leads_out(name)) {
        stream_close(s);
        return fail(w, name, "refused: the name leads out of the archive");
    }
    struct err err = {0};
    struct stream *content = stream_unpack(s, &w->budget, &err);
    if (!content)
        return fail(w, name, err.text);
    char *bare = bare_name(name);
    int rc = w->fn(w->arg, bare, content);
    free(bare);
    stream_close(content);
    return rc;
}

/* ---- tar ---- */

/* The window of a tar on one of its entries. */
struct window {
    struct stream *tar;
    int64_t left;
};

static ssize_t window_pull(struct stream *s, void *out, size_t n, struct err *err)
{
    struct window *win = s->state;
    if ((int64_t)n > win->left)
        n = (size_t)win->left;
    if (n == 0)
        return 0;
    ssize_t k = stream_read(win->tar, out, n, err);
    if (k == 0)
        return err_set(err, ERR_INVALID, "the archive is cut off in this file, %lld bytes early",
                       (long long)win->left);
    if (k > 0)
        win->left -= k;
    return k;
}

/* An octal or base-256 number field; -1 when it is neither. */
static int64_t tar_number(const uint8_t *p, size_t n)
{
    int64_t v = 0;
    size_t i = 0;
    if (p[0] & 0x80) {
        v = p[0] & 0x3f;
        for (i = 1; i < n; i++) {
            if (v > (INT64_MAX >> 9))
                return -1;
            v = v * 256 + p[i];
        }
        return p[0] & 0x40 ? -1 : v;
    }
    while (i < n && p[i] == ' ')
        i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
        v = v * 8 + (p[i] - '0');
    return i < n && p[i] && p[i] != ' ' ? -1 : v;
}

static bool tar_checksum(const uint8_t *h)
{
    int64_t sum = 0, stated = tar_number(h + 148, 8);
    for (int i = 0; i < 512; i++)
        sum += i >= 148 && i < 156 ? ' ' : h[i];
    return sum == stated;
}

static bool is_tar(const uint8_t *h, ssize_t n)
{
    return n == 512 && h[0] && (!memcmp(h + 257, "ustar", 5) || tar_checksum(h)) && tar_checksum(h);
}

static int read_text(struct stream *tar, int64_t size, struct buf *out, struct err *err)
{
    if (size < 0 || size > 65536)
        return err_set(err, ERR_INVALID, "the archive has an extended header of %lld bytes", (long long)size);
    char *text = xcalloc(1, (size_t)size + 1);
    ssize_t k = stream_read(tar, text, (size_t)size, err);
    if (k < size) {
        free(text);
        return k < 0 ? -1 : err_set(err, ERR_INVALID, "the archive is cut off in a header");
    }
    buf_clear(out);
    buf_add(out, text, (size_t)size);
    free(text);
    return stream_skip(tar, (512 - size % 512) % 512, err);
}

/* A pax record is "LENGTH key=value\n". Only path and size matter. */
static void pax_records(const struct buf *text, char **name, int64_t *size)
{
    const char *p = buf_str(text), *end = p + text->len;
    while (p < end) {
        char *after;
        long len = strtol(p, &after, 10);
        if (len < 5 || len > end - p || *after != ' ' || after >= p + len)
            return;
        const char *key = after + 1, *stop = p + len - 1;
        const char *eq = memchr(key, '=', (size_t)(stop - key));
        if (eq && eq - key == 4 && !memcmp(key, "path", 4)) {
            free(*name);
            *name = xstrndup(eq + 1, (size_t)(stop - eq - 1));
        } else if (eq && eq - key == 4 && !memcmp(key, "size", 4)) {
            *size = strtoll(eq + 1, NULL, 10);
        }
        p += len;
    }
}

struct tar_state {
    char *name;   /* from an extended header; NULL: the entry's own */
    int64_t size; /* the same; -1 */
};

static char *entry_name(const uint8_t *h, struct tar_state *t)
{
    if (t->name) {
        char *name = t->name;
        t->name = NULL;
        return name;
    }
    bool prefix = !memcmp(h + 257, "ustar", 6) && h[345];
    return prefix ? xasprintf("%.155s/%.100s", (const char *)h + 345, (const char *)h)
                  : xasprintf("%.100s", (const char *)h);
}

static int tar_entry(struct walk *w, struct stream *tar, const char *name, int64_t size)
{
    struct window win = {tar, size};
    struct err err = {0};
    if (!is_hidden(name)) {
        struct stream *s = xcalloc(1, sizeof(*s));
        *s = (struct stream){.pull = window_pull, .state = &win};
        if (give(w, name, s))
            return -1;
    }
    if (stream_skip(tar, win.left, &err) || stream_skip(tar, (512 - size % 512) % 512, &err))
        return fail(w, name, err.text);
    return 0;
}

/* One header and what follows it. 1: go on, 0: the end, -1: after a finding. */
static int tar_next(struct walk *w, struct stream *tar, const char *path, struct tar_state *t)
{
    uint8_t h[512];
    struct err err = {0};
    struct buf text = {0};
    ssize_t k = stream_read(tar, h, sizeof(h), &err);
    if (k < 0)
        return fail(w, path, err.text);
    if (k == 0 || !h[0])
        return 0;
    if (k < 512 || !tar_checksum(h))
        return fail(w, path, "the archive is damaged or cut off: a header's checksum is wrong");
    int64_t size = t->size >= 0 ? t->size : tar_number(h + 124, 12);
    char kind = (char)h[156];
    if (size < 0 || size > (INT64_MAX >> 2))
        return fail(w, path, "the archive has an entry without a valid size");
    if (kind == 'L' || kind == 'x' || kind == 'g') {
        if (read_text(tar, size, &text, &err)) {
            buf_free(&text);
            return fail(w, path, err.text);
        }
        if (kind == 'L') {
            free(t->name);
            t->name = xstrdup(buf_str(&text));
        } else if (kind == 'x') {
            pax_records(&text, &t->name, &t->size);
        }
        buf_free(&text);
        return 1;
    }
    char *name = entry_name(h, t);
    t->size = -1;
    int rc = 0;
    if (kind == '0' || kind == 0 || kind == '7') {
        rc = tar_entry(w, tar, name, size);
    } else if (kind != '5') {
        findings_add(w->f, FINDING_WARNED, "dataset.files", NULL,
                     "%s: left out, it is a link or a device, not a file", name);
        rc = stream_skip(tar, (size + 511) / 512 * 512, &err) ? fail(w, name, err.text) : 0;
    }
    free(name);
    return rc ? -1 : 1;
}

static int walk_tar(struct walk *w, struct stream *tar, const char *path)
{
    struct tar_state t = {.size = -1};
    int rc, entries = 0;
    while ((rc = tar_next(w, tar, path, &t)) > 0)
        if (++entries > 4 * SOURCE_MAX_FILES) {
            rc = fail(w, path, "the archive has too many entries");
            break;
        }
    free(t.name);
    return rc;
}

/* ---- zip ---- */

static int take_entry(void *arg, const char *name, enum zip_kind kind, struct stream *s)
{
    struct walk *w = arg;
    if (kind == ZIP_FILE && !is_hidden(name))
        return give(w, name, s);
    if (kind == ZIP_LINK)
        findings_add(w->f, FINDING_WARNED, "dataset.files", NULL, "%s: left out, it is a link, not a file",
                     name);
    stream_close(s);
    return 0;
}

static int walk_zip(struct walk *w, const char *path, const char *name)
{
    struct err err = {0};
    int rc = zip_walk(path, &w->budget, take_entry, w, &err);
    return rc && err.code ? fail(w, name, err.text) : rc;
}

/* ---- files and folders ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static int walk_content(struct walk *w, const char *path, const char *name)
{
    struct err err = {0};
    const uint8_t *head;
    struct stream *s = stream_file(path, &err);
    ssize_t first = s ? stream_peek(s, &head, &err) : -1;
    if (first > 0 && zip_is(head, (size_t)first)) {
        stream_close(s);
        return walk_zip(w, path, name);
    }
    if (s)
        s = stream_unpack(s, &w->budget, &err);
    if (!s)
        return fail(w, name, err.text);
    ssize_t n = stream_peek(s, &head, &err);
    int rc;
    if (n < 0) {
        rc = fail(w, name, err.text);
    } else if (is_tar(head, n)) {
        rc = walk_tar(w, s, name);
    } else {
        char *bare = bare_name(name);
        w->files++;
        rc = w->fn(w->arg, bare, s);
        free(bare);
    }
    stream_close(s);
    return rc;
}

/* Every file on disk has its own share of the budget, by its size. */
static int walk_file(struct walk *w, const char *path, const char *name)
{
    struct stat st;
    int64_t total = w->budget, most = total;
    if (stat(path, &st) == 0 && st.st_size < (total - STREAM_FREE_RATIO) / STREAM_MAX_RATIO)
        most = STREAM_FREE_RATIO + STREAM_MAX_RATIO * (int64_t)st.st_size;
    w->budget = most;
    int rc = walk_content(w, path, name);
    w->budget = total - (most - w->budget);
    return rc;
}

static int walk_folder(struct walk *w, const char *path, const char *prefix, int depth)
{
    struct dirent **list;
    int n = scandir(path, &list, NULL, alphasort), rc = 0;
    if (n < 0)
        return fail(w, path, strerror(errno));
    for (int i = 0; i < n; i++) {
        struct stat st;
        char *at = path_join(path, list[i]->d_name);
        char *name = *prefix ? path_join(prefix, list[i]->d_name) : xstrdup(list[i]->d_name);
        if (rc == 0 && list[i]->d_name[0] != '.' && stat(at, &st) == 0) {
            if (S_ISDIR(st.st_mode) && depth < FOLDER_DEPTH)
                rc = walk_folder(w, at, name, depth + 1);
            else if (S_ISREG(st.st_mode))
                rc = ++w->files > SOURCE_MAX_FILES ? fail(w, name, "too many files") : walk_file(w, at, name);
        }
        free(at);
        free(name);
        free(list[i]);
    }
    free(list);
    return rc;
}

int source_walk(const char *path, int64_t max_bytes, source_f fn, void *arg, struct findings *f)
{
    struct walk w = {.fn = fn, .arg = arg, .f = f, .budget = max_bytes > 0 ? max_bytes : (int64_t)64 << 30};
    struct stat st;
    if (stat(path, &st))
        return fail(&w, path, strerror(errno));
    return S_ISDIR(st.st_mode) ? walk_folder(&w, path, "", 0) : walk_file(&w, path, base_name(path));
}
