/* blob: bytes addressed by their SHA-256, in a folder: STATE/blobs/ab/cdef... Written to a temporary name in
 * the same file system, fsynced, renamed, folder fsynced: a blob that has its name is whole. Immutable; the
 * same bytes are stored once.
 *
 * The table `blob` has a row for each that something may refer to (store/blob_row.h). Who stores a blob pins
 * it until the row and what refers to it are committed; the collector (blob/collect.h) removes what is not
 * referred to, not pinned, and not fresh.
 */
#ifndef ORCHESTRATOR_BLOB_BLOB_H
#define ORCHESTRATOR_BLOB_BLOB_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/sha256.h"

struct blob_store;

struct blob_store *blob_store_create(const char *state_dir,
                                     struct err *err); /* also removes stale temporaries */
void blob_store_destroy(struct blob_store *s);
const char *blob_tmp_dir(const struct blob_store *s); /* for scratch files that may become blobs */

/* A write in progress; hashing as it goes. blob_writer_finish gives the digest once durable; a writer not
 * finished is discarded. expect (may be NULL): finishing fails with ERR_UNPROCESSABLE if the digest differs.
 */
struct blob_writer;
struct blob_writer *blob_writer_create(struct blob_store *s, struct err *err);
int blob_writer_add(struct blob_writer *w, const void *p, size_t n, struct err *err);
/* Before finishing: the digest and size so far and the path of the temporary file, readable by children.
 * Nothing may be added afterwards. The path lives as long as w. */
const char *blob_writer_seal(struct blob_writer *w, char digest[SHA256_HEX], int64_t *size);
int blob_writer_finish(struct blob_writer *w, const char *expect, char digest[SHA256_HEX], int64_t *size,
                       struct err *err); /* frees w */
void blob_writer_discard(struct blob_writer *w);

int blob_open(struct blob_store *s, const char *digest, int64_t *size, struct err *err); /* read-only fd */
bool blob_exists(struct blob_store *s, const char *digest, int64_t *size);
char *blob_path(struct blob_store *s, const char *digest); /* caller frees; for children that read it */
int blob_adopt(struct blob_store *s, const char *path, char digest[SHA256_HEX], int64_t *size,
               struct err *err); /* hash, fsync and move a file in; blocks for as long as that takes */
/* Move in a file that `internal-seal` (verify/cage.h) has hashed and made durable. */
int blob_adopt_sealed(struct blob_store *s, const char *path, const char *digest, struct err *err);
int blob_remove(struct blob_store *s, const char *digest, struct err *err);

/* A pinned blob is not collected. Pins count; they live in memory. */
void blob_pin(struct blob_store *s, const char *digest);
void blob_unpin(struct blob_store *s, const char *digest);
bool blob_pinned(struct blob_store *s, const char *digest);

/* Call each for the blobs of folder index (0..255) that were written at least so long ago. The number of
 * calls. */
int blob_list_folder(struct blob_store *s, int index, int64_t older_than_seconds,
                     void (*each)(const char *digest, void *arg), void *arg);

#endif
