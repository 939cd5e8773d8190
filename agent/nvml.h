/* nvml: NVIDIA's management library, by dlopen, so that one agent binary serves machines with and without
 * GPUs. */
#ifndef AGENT_NVML_H
#define AGENT_NVML_H

#include <jansson.h>

struct nvml;

struct nvml *nvml_open(void); /* NULL: no library, no driver or no device */
void nvml_close(struct nvml *n);
/* [{"index","name","uuid","memory_bytes","memory_used_bytes","utilization"}]; what a device does not tell is
 * left out. */
json_t *nvml_devices(const struct nvml *n);

#endif
