/* verifier: runs `trainyard-train verify` in a cage and says what it found (docs/architecture.md 4.2).
 *
 * At most so many children at once; those who wait are served fairly: next is whoever has the fewest running.
 * What passed is remembered by the digests involved, the options and the trainer's version, if the caller
 * wants that. */
#ifndef ORCHESTRATOR_VERIFY_VERIFIER_H
#define ORCHESTRATOR_VERIFY_VERIFIER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "orchestrator/orch.h"

struct verifier;

/* Finds the trainer: the option "trainer", a sibling of our binary, PATH. Absent is a warning here and
 * ERR_UNAVAILABLE later. */
struct verifier *verifier_create(struct orch *orch, struct err *err);
void verifier_destroy(struct verifier *v);
const char *verifier_trainer(const struct verifier *v); /* its path, NULL if there is none */

struct verify_file {
    const char *path;   /* readable for "nobody", on the state folder's file system */
    const char *digest; /* SHA-256 in hex; only for remembering */
    int64_t size;
};

struct verify_request {
    const char *kind; /* dataset, algorithm, layer, model; or fit: then file is the model */
    int64_t user_id;
    struct verify_file file;
    struct verify_file algorithm, data; /* fit; data is the packed dataset */
    const struct verify_file *layers;
    int layer_count;
    const char *options;   /* dataset: JSON, may be NULL */
    const char *overrides; /* fit: JSON object of pointer -> value, may be NULL */
    int ranks;             /* fit */
    bool pack;             /* dataset: also make the packed form, and take it into the blob store */
    bool remember;
};

struct verify_outcome {
    bool ok;
    const json_t *doc; /* the verification; lives during the call */
    const char *text;  /* the same as JSON */
    /* With pack and ok: the packed dataset, in the blob store and pinned; the receiver must blob_unpin() it
     * when the row that refers to it is committed or given up. */
    const char *packed_digest;
    int64_t packed_size;
};

/* Everything in the request is copied; the files must stay until done, which is called exactly once, never
 * before this returns. err: it could not be done (too many wait, no trainer, our fault); what is wrong with
 * the file is in the outcome. */
typedef void (*verify_done_f)(const struct verify_outcome *outcome, const struct err *err, void *arg);
void verifier_run(struct verifier *v, const struct verify_request *r, verify_done_f done, void *arg);

/* Do these fit together? All by digest, from the blob store. layers: digests of the task's layers. overrides:
 * a JSON object of pointer -> value for the algorithm, or NULL. */
struct verify_fit {
    int64_t user_id;
    const char *packed_digest, *algorithm_digest, *model_digest;
    const char *const *layer_digests;
    int layer_count;
    int ranks;
    const char *overrides;
};
void verify_fit(struct verifier *v, const struct verify_fit *f, verify_done_f done, void *arg);

/* The trainer's table of layer types, as JSON; asked for once and kept. */
typedef void (*verify_layers_f)(const char *json, const struct err *err, void *arg);
void verifier_layer_types(struct verifier *v, verify_layers_f done, void *arg);

struct verifier_counters {
    int running, waiting;
    uint64_t passed, failed, remembered, broken;
};
const struct verifier_counters *verifier_counters(const struct verifier *v);

#endif
