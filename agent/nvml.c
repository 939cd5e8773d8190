#include "agent/nvml.h"

#include <dlfcn.h>
#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"

/* The few types of nvml.h that are used here; its ABI has been stable since version 4. */
typedef int nvml_return_t;
typedef void *nvml_device_t;
struct nvml_memory {
    unsigned long long total, free, used;
};
struct nvml_utilization {
    unsigned gpu, memory;
};

struct nvml {
    void *library;
    unsigned count;
    nvml_return_t (*init)(void);
    nvml_return_t (*shutdown)(void);
    nvml_return_t (*get_count)(unsigned *count);
    nvml_return_t (*get_handle)(unsigned index, nvml_device_t *device);
    nvml_return_t (*get_name)(nvml_device_t device, char *name, unsigned length);
    nvml_return_t (*get_uuid)(nvml_device_t device, char *uuid, unsigned length);
    nvml_return_t (*get_memory)(nvml_device_t device, struct nvml_memory *memory);
    nvml_return_t (*get_utilization)(nvml_device_t device, struct nvml_utilization *utilization);
};

static int symbols(struct nvml *n)
{
    const struct {
        const char *name;
        void *slot;
    } table[] = {
        {"nvmlInit_v2", &n->init},
        {"nvmlShutdown", &n->shutdown},
        {"nvmlDeviceGetCount_v2", &n->get_count},
        {"nvmlDeviceGetHandleByIndex_v2", &n->get_handle},
        {"nvmlDeviceGetName", &n->get_name},
        {"nvmlDeviceGetUUID", &n->get_uuid},
        {"nvmlDeviceGetMemoryInfo", &n->get_memory},
        {"nvmlDeviceGetUtilizationRates", &n->get_utilization},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        void *symbol = dlsym(n->library, table[i].name);
        if (!symbol)
            return -1;
        *(void **)table[i].slot = symbol;
    }
    return 0;
}

struct nvml *nvml_open(void)
{
    struct nvml *n = xcalloc(1, sizeof(*n));
    n->library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!n->library) {
        free(n);
        return NULL;
    }
    if (symbols(n) < 0 || n->init() != 0) {
        log_warn("inventory", "libnvidia-ml.so.1 is there but does not work; GPUs are not used");
        dlclose(n->library);
        free(n);
        return NULL;
    }
    if (n->get_count(&n->count) != 0 || n->count == 0) {
        nvml_close(n);
        return NULL;
    }
    return n;
}

void nvml_close(struct nvml *n)
{
    if (!n)
        return;
    n->shutdown();
    dlclose(n->library);
    free(n);
}

static json_t *device(const struct nvml *n, unsigned index)
{
    nvml_device_t d;
    char text[96];
    struct nvml_memory memory;
    struct nvml_utilization use;
    json_t *o = json_pack("{s:i}", "index", (int)index);
    if (n->get_handle(index, &d) != 0)
        return o;
    if (n->get_name(d, text, sizeof(text)) == 0)
        json_object_set_new(o, "name", json_string(text));
    if (n->get_uuid(d, text, sizeof(text)) == 0)
        json_object_set_new(o, "uuid", json_string(text));
    if (n->get_memory(d, &memory) == 0) {
        json_object_set_new(o, "memory_bytes", json_integer((json_int_t)memory.total));
        json_object_set_new(o, "memory_used_bytes", json_integer((json_int_t)memory.used));
    }
    if (n->get_utilization(d, &use) == 0)
        json_object_set_new(o, "utilization", json_real(use.gpu / 100.0));
    return o;
}

json_t *nvml_devices(const struct nvml *n)
{
    json_t *list = json_array();
    for (unsigned i = 0; n && i < n->count; i++)
        json_array_append_new(list, device(n, i));
    return list;
}
