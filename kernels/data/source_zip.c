/* Zips, by libarchive: entries come in the order of the central directory; nothing is written to disk. */
#include "kernels/data/source_zip.h"

#include <string.h>
#ifdef HAVE_LIBARCHIVE
#include <archive.h>
#include <archive_entry.h>
#endif

#include "base/mem.h"

bool zip_is(const uint8_t *head, size_t n)
{
    return n >= 4 && (!memcmp(head, "PK\3\4", 4) || !memcmp(head, "PK\5\6", 4));
}

#ifdef HAVE_LIBARCHIVE
static ssize_t entry_pull(struct stream *s, void *out, size_t n, struct err *err)
{
    la_ssize_t k = archive_read_data(s->state, out, n);
    if (k >= 0)
        return (ssize_t)k;
    const char *why = archive_error_string(s->state);
    return err_set(err, ERR_INVALID, "the zip is damaged here: %s",
                   why ? why : "the content does not fit its header");
}

static int one_entry(struct archive *a, struct archive_entry *e, int64_t *budget, zip_f fn, void *arg,
                     struct err *err)
{
    const char *name = archive_entry_pathname(e);
    if (!name)
        return err_set(err, ERR_INVALID, "the zip has an entry without a name that can be read");
    if (archive_entry_filetype(e) == AE_IFDIR)
        return 0;
    if (archive_entry_is_encrypted(e))
        return err_set(err, ERR_UNSUPPORTED, "%s is encrypted", name);
    if (archive_entry_size_is_set(e) && archive_entry_size(e) > *budget)
        return stream_too_large(err), err_prefix(err, "%s", name);
    bool file = archive_entry_filetype(e) == AE_IFREG && !archive_entry_hardlink(e);
    struct stream *s = xcalloc(1, sizeof(*s));
    *s = (struct stream){.pull = entry_pull, .state = a, .budget = budget};
    return fn(arg, name, file ? ZIP_FILE : ZIP_LINK, s);
}

int zip_walk(const char *path, int64_t *budget, zip_f fn, void *arg, struct err *err)
{
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    int rc = a ? 0 : err_set(err, ERR_INTERNAL, "libarchive cannot start"), got = ARCHIVE_OK;
    if (!rc && (archive_read_support_format_zip(a) || archive_read_open_filename(a, path, 1 << 16)))
        rc = err_set(err, ERR_INVALID, "cannot read the zip: %s", archive_error_string(a));
    while (!rc && (got = archive_read_next_header(a, &e)) == ARCHIVE_OK)
        rc = one_entry(a, e, budget, fn, arg, err);
    if (!rc && got != ARCHIVE_EOF)
        rc = err_set(err, ERR_INVALID, "the zip is damaged or cut off: %s",
                     archive_error_string(a) ? archive_error_string(a) : "no more entries can be found");
    archive_read_free(a);
    return rc;
}
#else
int zip_walk(const char *path, int64_t *budget, zip_f fn, void *arg, struct err *err)
{
    (void)path, (void)budget, (void)fn, (void)arg;
    return err_set(err, ERR_UNSUPPORTED, "it is a zip, and this trainer was built without libarchive");
}
#endif
