/* blob: bytes addressed by their SHA-256, in a folder: STATE/blobs/ab/cdef... Written to a temporary name in the same file
 * system, fsynced, renamed, folder fsynced: a blob that has its name is whole. Immutable; the same bytes are stored once. */
#ifndef ORCHESTRATOR_BLOB_BLOB_H
#define ORCHESTRATOR_BLOB_BLOB_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/sha256.h"

struct blob_store;

struct blob_store *blob_store_create(const char *state_dir, struct err *err); /* also removes stale temporaries */
void blob_store_destroy(struct blob_store *s);

/* A write in progress; hashing as it goes. blob_writer_finish gives the digest once durable; a writer not finished is
 * discarded. expect (may be NULL): finishing fails with ERR_UNPROCESSABLE if the digest differs. */
struct blob_writer;
struct blob_writer *blob_writer_create(struct blob_store *s, struct err *err);
int blob_writer_add(struct blob_writer *w, const void *p, size_t n, struct err *err);
int blob_writer_finish(struct blob_writer *w, const char *expect, char digest[SHA256_HEX], int64_t *size, struct err *err); /* frees w */
void blob_writer_discard(struct blob_writer *w);

int blob_open(struct blob_store *s, const char *digest, int64_t *size, struct err *err); /* read-only fd */
bool blob_exists(struct blob_store *s, const char *digest, int64_t *size);
char *blob_path(struct blob_store *s, const char *digest); /* caller frees; for children that read it */
int blob_adopt(struct blob_store *s, const char *path, char digest[SHA256_HEX], int64_t *size, struct err *err); /* hash, fsync and move a file in */
int blob_remove(struct blob_store *s, const char *digest, struct err *err);

#endif
