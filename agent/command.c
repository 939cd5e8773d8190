#include "agent/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"

static void word(json_t *argv, const char *text)
{
    json_array_append_new(argv, json_string(text));
}

static void mca(json_t *argv, const char *name, const char *value)
{
    word(argv, "--mca");
    word(argv, name);
    word(argv, value);
}

static void __attribute__((format(printf, 3, 4))) var(json_t *env, const char *name, const char *fmt, ...)
{
    struct buf b = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    json_object_set_new(env, name, json_string(buf_str(&b)));
    buf_free(&b);
}

static bool argv_has(const json_t *argv, const char *option)
{
    size_t n = strlen(option);
    for (size_t i = 0; i < json_array_size(argv); i++) {
        const char *w = json_string_value(json_array_get(argv, i));
        if (strncmp(w, option, n) == 0 && (w[n] == '\0' || w[n] == '='))
            return true;
    }
    return false;
}

/* The trainer's words as they came, with its absolute path, and with the files of the attempt where none were
 * named. */
static void trainer_words(json_t *argv, const struct launch *l, const struct command_site *site)
{
    for (size_t i = 0; i < json_array_size(l->argv); i++) {
        const char *w = json_string_value(json_array_get(l->argv, i));
        word(argv, i == 0 && strcmp(w, "trainyard-train") == 0 ? site->trainer : w);
    }
    if (!argv_has(l->argv, "--out")) {
        word(argv, "--out");
        word(argv, "out");
    }
    if (!argv_has(l->argv, "--metrics")) {
        word(argv, "--metrics");
        word(argv, "metrics.jsonl");
    }
    if (l->resume && !argv_has(l->argv, "--resume")) {
        word(argv, "--resume");
        word(argv, LAUNCH_RESUME);
    }
}

/* The head is named by its hostname, which mpirun knows to be itself; the others by their node names, which
 * only trainyard-rsh has to understand. */
static void host_words(json_t *argv, const struct launch *l, const struct command_site *site)
{
    struct buf hosts = {0};
    for (size_t i = 0; i < l->node_count; i++)
        buf_printf(&hosts, "%s%s:%lld", i ? "," : "", i ? l->nodes[i].node : site->hostname,
                   (long long)l->nodes[i].ranks);
    word(argv, "--host");
    word(argv, buf_str(&hosts));
    buf_free(&hosts);
}

/* Transports by placement: shared memory alone on one host starts 2.6 times faster than letting Open MPI look
 * at the network; over several hosts, TCP beside it. Nothing is bound to cores: attempts share a node, and
 * each mpirun would bind its first rank to the first core. */
static void mpirun_words(json_t *argv, const struct launch *l, const struct command_site *site,
                         const char *scratch)
{
    char number[24], shm[64];
    bool alone = l->node_count == 1;
    word(argv, site->mpirun);
    if (site->root)
        word(argv, "--allow-run-as-root");
    word(argv, "-np");
    snprintf(number, sizeof(number), "%lld", (long long)l->ranks);
    word(argv, number);
    if (alone)
        word(argv, "--oversubscribe");
    else
        host_words(argv, l, site);
    word(argv, "--bind-to");
    word(argv, "none");
    mca(argv, "pml", "ob1");
    mca(argv, "btl", alone ? "self,vader" : "self,vader,tcp");
    mca(argv, "plm", "rsh");
    mca(argv, "plm_rsh_agent", site->rsh);
    mca(argv, "plm_rsh_no_tree_spawn", "1");
    mca(argv, "orte_leave_session_attached", "1"); /* the daemons stay children of their shepherds */
    mca(argv, "orte_tmpdir_base", scratch);
    snprintf(shm, sizeof(shm), "/dev/shm/%s", strrchr(scratch, '/') + 1);
    mca(argv, "btl_vader_backing_directory", shm);
    if (l->nodes[0].ranks * l->threads > site->cores)
        mca(argv, "mpi_yield_when_idle", "1");
}

static void base_environment(json_t *env, const struct launch *l, const struct command_site *site,
                             const char *directory, const char *scratch, const char *secret)
{
    const char *slash = strrchr(site->trainer, '/');
    var(env, "PATH", "%.*s:%s", slash ? (int)(slash - site->trainer) : 0, site->trainer, site->path);
    var(env, "HOME", "%s", site->home);
    var(env, "USER", "%s", site->user);
    var(env, "LOGNAME", "%s", site->user);
    var(env, "SHELL", "%s", site->shell);
    var(env, "LANG", "C.UTF-8");
    var(env, "TMPDIR", "%s", scratch);
    var(env, "OMP_NUM_THREADS", "%lld", (long long)l->threads);
    var(env, "OPENBLAS_NUM_THREADS", "%lld", (long long)l->threads);
    var(env, "MKL_NUM_THREADS", "%lld", (long long)l->threads);
    var(env, "TRAINYARD_JOB_ID", "%lld", (long long)l->job);
    var(env, "TRAINYARD_ATTEMPT", "%lld.%lld", (long long)l->job, (long long)l->fence);
    /* Unique over agents, so that what is left of this attempt can be found when its shepherd died. */
    var(env, "TRAINYARD_ATTEMPT_MARK", "%.16s", secret);
    var(env, "TRAINYARD_NODE", "%s", site->node);
    var(env, "TRAINYARD_METRICS", "%s/metrics.jsonl", directory);
    var(env, "TRAINYARD_OUT", "%s/out", directory);
    var(env, "TRAINYARD_AGENT_SOCKET", "%s", site->socket);
    var(env, "TRAINYARD_AGENT_SECRET_FILE", "%s/secret", directory);
    struct buf gpus = {0};
    for (size_t i = 0; i < json_array_size(l->gpus); i++)
        buf_printf(&gpus, "%s%lld", i ? "," : "", (long long)json_integer_value(json_array_get(l->gpus, i)));
    var(env, "CUDA_VISIBLE_DEVICES", "%s", buf_str(&gpus)); /* empty hides what was not given */
    buf_free(&gpus);
}

static void user_environment(json_t *env, const struct launch *l)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)l->environment, key, v)
    {
        if (strncmp(key, "TRAINYARD_", 10) != 0)
            json_object_set(env, key, v);
    }
}

/* What a script's own mpirun needs to stay inside the allocation. */
static void mpi_environment(json_t *env, const struct launch *l, const struct command_site *site,
                            const char *scratch)
{
    var(env, "OMPI_MCA_plm", "rsh");
    var(env, "OMPI_MCA_plm_rsh_agent", "%s", site->rsh);
    var(env, "OMPI_MCA_plm_rsh_no_tree_spawn", "1");
    var(env, "OMPI_MCA_orte_leave_session_attached", "1");
    var(env, "OMPI_MCA_orte_tmpdir_base", "%s", scratch);
    var(env, "OMPI_MCA_hwloc_base_binding_policy", "none");
    var(env, "OMPI_MCA_rmaps_base_oversubscribe", "1");
    var(env, "OMPI_MCA_btl_vader_backing_directory", "/dev/shm/%s", strrchr(scratch, '/') + 1);
    if (l->node_count == 1) {
        var(env, "OMPI_MCA_ras", "^slurm"); /* one host needs no list, and plain mpirun asks for none */
        var(env, "OMPI_MCA_pml", "ob1");
        var(env, "OMPI_MCA_btl", "self,vader");
    }
    if (site->root) {
        var(env, "OMPI_ALLOW_RUN_AS_ROOT", "1");
        var(env, "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    }
}

static void slurm_environment(json_t *env, const struct launch *l, const struct command_site *site,
                              const char *directory)
{
    struct buf nodes = {0}, tasks = {0};
    for (size_t i = 0; i < l->node_count; i++) {
        buf_printf(&nodes, "%s%s", i ? "," : "", l->nodes[i].node);
        buf_printf(&tasks, "%s%lld", i ? "," : "", (long long)l->nodes[i].ranks);
    }
    static const char *const list_names[] = {"SLURM_JOB_NODELIST", "SLURM_NODELIST"};
    for (size_t i = 0; i < ARRAY_LEN(list_names); i++)
        var(env, list_names[i], "%s", buf_str(&nodes));
    var(env, "SLURM_TASKS_PER_NODE", "%s", buf_str(&tasks));
    buf_free(&nodes);
    buf_free(&tasks);
    var(env, "SLURM_JOB_ID", "%lld", (long long)l->job);
    var(env, "SLURM_JOBID", "%lld", (long long)l->job);
    var(env, "SLURM_JOB_NAME", "%s", l->name);
    var(env, "SLURM_JOB_USER", "%s", l->user);
    var(env, "SLURM_JOB_UID", "%u", (unsigned)getuid());
    var(env, "SLURM_JOB_PARTITION", "%s", l->partition);
    var(env, "SLURM_CLUSTER_NAME", "%s", site->cluster);
    var(env, "SLURM_SUBMIT_DIR", "%s", directory);
    var(env, "SLURM_SUBMIT_HOST", "%s", site->hostname);
    var(env, "SLURM_JOB_NUM_NODES", "%zu", l->node_count);
    var(env, "SLURM_NNODES", "%zu", l->node_count);
    var(env, "SLURM_NTASKS", "%lld", (long long)l->ranks);
    var(env, "SLURM_NPROCS", "%lld", (long long)l->ranks);
    var(env, "SLURM_CPUS_PER_TASK", "%lld", (long long)l->threads);
    var(env, "SLURM_CPUS_ON_NODE", "%lld", (long long)l->cores);
    var(env, "SLURM_JOB_CPUS_PER_NODE", "%lld", (long long)l->cores);
    if (l->memory_bytes)
        var(env, "SLURM_MEM_PER_NODE", "%lld", (long long)(l->memory_bytes >> 20));
    if (json_array_size(l->gpus)) {
        json_object_set(env, "SLURM_JOB_GPUS", json_object_get(env, "CUDA_VISIBLE_DEVICES"));
        var(env, "SLURM_GPUS_ON_NODE", "%zu", json_array_size(l->gpus));
    }
    var(env, "SLURMD_NODENAME", "%s", site->node);
    var(env, "SLURM_NODEID", "0");
    var(env, "SLURM_PROCID", "0");
    var(env, "SLURM_LOCALID", "0");
    if (l->fence > 1)
        var(env, "SLURM_RESTART_COUNT", "%lld", (long long)(l->fence - 1));
}

static json_t *start_object(const struct launch *l, const char *directory, const char *scratch, json_t *argv,
                            json_t *env)
{
    return json_pack("{s:o,s:b,s:o,s:o,s:s,s:s,s:I,s:I,s:I}", "name",
                     json_sprintf("%lld.%lld", (long long)l->job, (long long)l->fence), "checkpoints",
                     l->kind == LAUNCH_TRAIN, "argv", argv, "environment", env, "directory", directory,
                     "scratch", scratch, "memory_bytes", (json_int_t)l->memory_bytes, "time_limit_seconds",
                     (json_int_t)l->time_limit_seconds, "cores", (json_int_t)l->cores);
}

json_t *command_build(const struct launch *l, const struct command_site *site, const char *directory,
                      const char *scratch, const char *secret)
{
    json_t *argv = json_array(), *env = json_object();
    base_environment(env, l, site, directory, scratch, secret);
    if (l->kind == LAUNCH_TRAIN) {
        mpirun_words(argv, l, site, scratch);
        trainer_words(argv, l, site);
    } else {
        json_array_append_new(argv, json_sprintf("%s/%s", directory, LAUNCH_SCRIPT));
        json_array_extend(argv, (json_t *)(uintptr_t)l->argv);
        slurm_environment(env, l, site, directory);
        mpi_environment(env, l, site, scratch);
    }
    user_environment(env, l);
    return start_object(l, directory, scratch, argv, env);
}

json_t *command_build_spawn(const struct launch *l, const struct command_site *site, const char *directory,
                            const char *scratch, const char *secret, const json_t *argv)
{
    json_t *env = json_object();
    base_environment(env, l, site, directory, scratch, secret);
    var(env, "OMPI_MCA_orte_tmpdir_base", "%s", scratch);
    var(env, "OMPI_MCA_btl_vader_backing_directory", "/dev/shm/%s", strrchr(scratch, '/') + 1);
    if (site->root) {
        var(env, "OMPI_ALLOW_RUN_AS_ROOT", "1");
        var(env, "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    }
    user_environment(env, l);
    return start_object(l, directory, scratch, json_deep_copy(argv), env);
}
