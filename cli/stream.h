/* stream: events of the server's topics over one WebSocket that is opened again when it is lost. Every topic goes on after the
 * last event it delivered, so nothing is missed and nothing comes twice. Callbacks may make blocking calls of api.h. */
#ifndef CLI_STREAM_H
#define CLI_STREAM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "cli/cli.h"

struct stream;

typedef void (*stream_event_f)(const char *topic, int64_t seq, const json_t *data, void *arg);
/* The connection stands (again) and every topic was subscribed to: the moment to ask for the state of things. */
typedef void (*stream_ready_f)(void *arg);

struct stream *stream_open(struct cli *cli, stream_event_f on_event, stream_ready_f on_ready, void *arg);
void stream_follow(struct stream *s, const char *topic, int64_t since); /* since < 0: only what is new */
/* Run the loop until stream_stop(), or -1 with err when the server refuses or is away for more than 5 minutes. */
int stream_run(struct stream *s, struct err *err);
void stream_stop(struct stream *s); /* from a callback */
void stream_close(struct stream *s);

#endif
