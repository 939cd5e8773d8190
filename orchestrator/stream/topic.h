/* topic: names of topics. Pure. */
#ifndef ORCHESTRATOR_STREAM_TOPIC_H
#define ORCHESTRATOR_STREAM_TOPIC_H

#include <stdbool.h>

#define TOPIC_MAX 160

bool topic_is_name(const char *text); /* segments of letters, digits, . _ - between slashes */
bool topic_matches(const char *pattern, const char *topic); /* '+' is any one segment */

#endif
