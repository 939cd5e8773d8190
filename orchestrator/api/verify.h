/* verify: verification without keeping anything. Handlers of routes.c; docs/api.md has the shapes. */
#ifndef ORCHESTRATOR_API_VERIFY_H
#define ORCHESTRATOR_API_VERIFY_H

#include "orchestrator/api/call.h"

void verify_post(struct call *c);
void verify_fit_post(struct call *c);

#endif
