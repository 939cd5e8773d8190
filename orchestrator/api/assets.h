/* assets: datasets, algorithms, layers and models. Handlers of routes.c; docs/api.md has the shapes. assets.c
 * receives and keeps them, asset_read.c gives them out and deletes them. */
#ifndef ORCHESTRATOR_API_ASSETS_H
#define ORCHESTRATOR_API_ASSETS_H

#include "orchestrator/api/call.h"

void asset_create(struct call *c);
void assets_get(struct call *c);
void asset_get(struct call *c);
void asset_remove(struct call *c);
void asset_content(struct call *c);
void asset_verification(struct call *c);
void dataset_preview(struct call *c);
void model_graph(struct call *c);

#define ASSET_JSON_MAX (16 << 20) /* bytes of an algorithm, layer or model file */

/* "models" to "model"; NULL when it is none. Singular names are known too if asked for. */
const char *asset_kind_of(const char *plural);
const char *asset_kind_singular(const char *name);

/* Split "name[@version]": version 0 means the newest. name gets the bare name. */
int asset_ref_parse(const char *ref, char name[65], int64_t *version, struct err *err);

/* 404 for an asset that is not there (for this caller), naming the nearest that is, or its task's. Ends the
 * call. */
void asset_not_found(struct call *c, const char *task, const char *kind, const char *name);

#endif
