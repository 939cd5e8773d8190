/* inventory: what this machine has and how busy it is: cores (of our affinity), memory (of our cgroup), GPUs
 * (by NVML, when its library is there), addresses. */
#ifndef AGENT_INVENTORY_H
#define AGENT_INVENTORY_H

#include <jansson.h>
#include <stdint.h>

struct inventory;

/* cores and memory_bytes: what the site allows to be used; 0: all there is. */
struct inventory *inventory_create(int64_t cores, int64_t memory_bytes);
void inventory_destroy(struct inventory *inv); /* NULL is legal */
int64_t inventory_cores(const struct inventory *inv);

json_t *inventory_hello(struct inventory *inv);     /* boot, cores, memory_bytes, gpus, hostname, addresses */
json_t *inventory_heartbeat(struct inventory *inv); /* load, memory_used_bytes, gpus */

#endif
