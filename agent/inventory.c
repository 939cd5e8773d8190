#include "agent/inventory.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/cgroup.h"
#include "agent/nvml.h"
#include "agent/procs.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

struct inventory {
    int64_t cores, memory_bytes;
    char hostname[256];
    struct nvml *nvml; /* NULL: no GPUs */
};

static int64_t machine_cores(void)
{
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) { /* the kernel's mask may be longer than ours */
        cpu_set_t *set = CPU_ALLOC(cpus);
        size_t size = CPU_ALLOC_SIZE(cpus);
        int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0)
            return count;
    }
    return 1;
}

/* A line "Name:   N kB" of /proc/meminfo, in bytes. */
static int64_t meminfo(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    long long kib = 0;
    if (!at || sscanf(at + strlen(name), ": %lld", &kib) != 1)
        return 0;
    return kib * 1024;
}

static void machine_memory(int64_t *total, int64_t *available)
{
    struct buf b = {0};
    *total = *available = 0;
    if (file_read("/proc/meminfo", 65536, &b, NULL) == 0) {
        *total = meminfo(buf_str(&b), "MemTotal");
        *available = meminfo(buf_str(&b), "MemAvailable");
    }
    buf_free(&b);
}

struct inventory *inventory_create(int64_t cores, int64_t memory_bytes)
{
    struct inventory *inv = xcalloc(1, sizeof(*inv));
    int64_t total, available, limit = cgroup_memory_limit();
    machine_memory(&total, &available);
    inv->cores = cores > 0 ? cores : machine_cores();
    inv->memory_bytes = memory_bytes > 0 ? memory_bytes : limit < total || total == 0 ? limit : total;
    if (inv->memory_bytes == INT64_MAX)
        inv->memory_bytes = 0; /* neither /proc/meminfo nor a limit: not known */
    if (gethostname(inv->hostname, sizeof(inv->hostname) - 1) < 0)
        snprintf(inv->hostname, sizeof(inv->hostname), "localhost");
    inv->nvml = nvml_open();
    return inv;
}

void inventory_destroy(struct inventory *inv)
{
    if (!inv)
        return;
    nvml_close(inv->nvml);
    free(inv);
}

int64_t inventory_cores(const struct inventory *inv)
{
    return inv->cores;
}

static json_t *addresses(void)
{
    json_t *list = json_array();
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) < 0)
        return list;
    for (struct ifaddrs *i = all; i; i = i->ifa_next) {
        char text[INET6_ADDRSTRLEN] = "";
        if (!i->ifa_addr || (i->ifa_flags & IFF_LOOPBACK) || !(i->ifa_flags & IFF_UP))
            continue;
        if (i->ifa_addr->sa_family == AF_INET)
            inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr, text, sizeof(text));
        else if (i->ifa_addr->sa_family == AF_INET6)
            inet_ntop(AF_INET6, &((struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr, text, sizeof(text));
        if (*text)
            json_array_append_new(list, json_string(text));
    }
    freeifaddrs(all);
    return list;
}

json_t *inventory_hello(struct inventory *inv)
{
    char boot[40];
    proc_boot_id(boot);
    return json_pack("{s:s,s:I,s:I,s:o,s:s,s:o}", "boot", boot, "cores", (json_int_t)inv->cores,
                     "memory_bytes", (json_int_t)inv->memory_bytes, "gpus", nvml_devices(inv->nvml),
                     "hostname", inv->hostname, "addresses", addresses());
}

json_t *inventory_heartbeat(struct inventory *inv)
{
    double load = 0;
    int64_t total, available;
    machine_memory(&total, &available);
    if (getloadavg(&load, 1) != 1)
        load = 0;
    return json_pack("{s:f,s:I,s:o}", "load", load, "memory_used_bytes",
                     (json_int_t)(total > available ? total - available : 0), "gpus",
                     nvml_devices(inv->nvml));
}
