/* store: the insides of a blob_store, shared by the files of blob/. */
#ifndef ORCHESTRATOR_BLOB_STORE_H
#define ORCHESTRATOR_BLOB_STORE_H

#include "orchestrator/blob/blob.h"

struct blob_store {
    char *dir; /* STATE/blobs */
    char *tmp; /* STATE/tmp, on the same file system */
    struct blob_pin {
        char *digest;
        int count;
    } * pins;
    size_t pin_count, pin_cap;
};

/* Move a durable, hashed file to its name; it is gone from path either way. Folder made durable. */
int blob_store_take(struct blob_store *s, const char *path, const char *digest, struct err *err);

#endif
