/* A libnvidia-ml.so.1 with two devices, so that the agent's use of the real one's ABI is tested on machines
 * without GPUs. */
#include <stdio.h>

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetCount_v2(unsigned *count);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
int nvmlDeviceGetName(void *device, char *name, unsigned length);
int nvmlDeviceGetUUID(void *device, char *uuid, unsigned length);
int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *memory);
int nvmlDeviceGetUtilizationRates(void *device, unsigned *utilization);

static int devices[2];

int nvmlInit_v2(void)
{
    return 0;
}

int nvmlShutdown(void)
{
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = 2;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    if (index > 1)
        return 2;
    *device = &devices[index];
    return 0;
}

int nvmlDeviceGetName(void *device, char *name, unsigned length)
{
    snprintf(name, length, "Stub %d", (int)((int *)device - devices));
    return 0;
}

int nvmlDeviceGetUUID(void *device, char *uuid, unsigned length)
{
    snprintf(uuid, length, "GPU-%d", (int)((int *)device - devices));
    return 0;
}

int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *memory)
{
    (void)device;
    memory[0] = 1000; /* total, free, used */
    memory[1] = 600;
    memory[2] = 400;
    return 0;
}

int nvmlDeviceGetUtilizationRates(void *device, unsigned *utilization)
{
    if (device == &devices[1])
        return 3; /* not supported: virtual devices do not tell */
    utilization[0] = 50;
    utilization[1] = 10;
    return 0;
}
