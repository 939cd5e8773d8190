#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <stdbool.h>

#include "agent/command.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"

static const struct command_site site = {
    .node = "n1",
    .hostname = "host1",
    .trainer = "/opt/trainyard/bin/trainyard-train",
    .mpirun = "/usr/bin/mpirun",
    .rsh = "/opt/trainyard/bin/trainyard-rsh",
    .path = "/usr/bin:/bin",
    .home = "/home/ada",
    .user = "ada",
    .shell = "/bin/sh",
    .socket = "/tmp/ty-agent-x/socket",
    .cluster = "trainyard",
    .cores = 4,
};

static json_t *build(const char *text, const struct command_site *s)
{
    struct err err = {0};
    json_t *doc = json_parse(text, strlen(text), NULL, NULL, &err);
    struct launch *l = launch_parse(doc, 42, 2, "n1", &err);
    if (!l)
        fail_msg("%s", err.text);
    json_t *start =
        command_build(l, s, "/state/attempts/42.2", "/tmp/ty-0a1b2c3d", "5ec2e75ec2e75ec2e75ec2e7");
    launch_destroy(l);
    json_decref(doc);
    return start;
}

/* argv as one text, words between blanks. */
static char *line(const json_t *start)
{
    struct buf b = {0};
    const json_t *argv = json_object_get(start, "argv");
    for (size_t i = 0; i < json_array_size(argv); i++)
        buf_printf(&b, " %s ", json_string_value(json_array_get(argv, i)));
    return buf_steal(&b);
}

static const char *env(const json_t *start, const char *name)
{
    return json_string_value(json_object_get(json_object_get(start, "environment"), name));
}

static void training_on_one_host_uses_shared_memory_only(void **state)
{
    (void)state;
    json_t *start = build("{\"kind\":\"train\",\"ranks\":2,\"cores\":4,\"argv\":[\"trainyard-train\",\"--"
                          "model\",\"model.json\"]}",
                          &site);
    char *text = line(start);
    assert_non_null(strstr(text, " /usr/bin/mpirun  -np  2 "));
    assert_non_null(strstr(text, " --mca  btl  self,vader "));
    assert_non_null(strstr(
        text,
        " /opt/trainyard/bin/trainyard-train  --model  model.json  --out  out  --metrics  metrics.jsonl "));
    assert_null(strstr(text, "--allow-run-as-root"));
    assert_null(strstr(text, "--host"));
    assert_null(strstr(text, "mpi_yield_when_idle"));
    assert_string_equal(env(start, "OMP_NUM_THREADS"), "2");
    free(text);
    json_decref(start);
}

static void what_the_orchestrator_named_is_not_named_again(void **state)
{
    (void)state;
    json_t *start =
        build("{\"kind\":\"train\",\"argv\":[\"trainyard-train\",\"--out=x\",\"--metrics\",\"y\",\"--"
              "resume\",\"auto\"],\"resume\":"
              "{\"digest\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}}",
              &site);
    char *text = line(start);
    assert_null(strstr(text, " --out  out "));
    assert_null(strstr(text, " metrics.jsonl "));
    assert_null(strstr(text, "resume.ckpt"));
    free(text);
    json_decref(start);
}

static void several_hosts_use_tcp_and_our_remote_shell(void **state)
{
    (void)state;
    struct command_site root = site;
    root.root = true;
    json_t *start = build(
        "{\"kind\":\"train\",\"ranks\":4,\"argv\":[\"trainyard-train\"],\"nodes\":[\"n1\",\"n2\"]}", &root);
    char *text = line(start);
    assert_non_null(strstr(text, "--allow-run-as-root"));
    assert_non_null(strstr(text, " --host  host1:2,n2:2 "));
    assert_non_null(strstr(text, " --mca  btl  self,vader,tcp "));
    assert_non_null(strstr(text, " --mca  plm_rsh_agent  /opt/trainyard/bin/trainyard-rsh "));
    free(text);
    json_decref(start);
}

static void more_ranks_than_cores_give_way_when_idle(void **state)
{
    (void)state;
    json_t *start = build("{\"kind\":\"train\",\"ranks\":8,\"argv\":[\"trainyard-train\"]}", &site);
    char *text = line(start);
    assert_non_null(strstr(text, " --mca  mpi_yield_when_idle  1 "));
    free(text);
    json_decref(start);
}

static void the_environment_is_made_from_nothing(void **state)
{
    (void)state;
    assert_int_equal(setenv("TEST_AGENT_SECRET", "do not leak", 1), 0);
    json_t *start = build("{\"kind\":\"batch\",\"name\":\"j\",\"ranks\":3,\"cores\":3,\"gpus\":[1,3],"
                          "\"environment\":{\"HOME\":\"/data\",\"X\":\"y\","
                          "\"TRAINYARD_AGENT_SOCKET\":\"/evil\"}}",
                          &site);
    char *all = json_text(json_object_get(start, "environment"));
    assert_null(strstr(all, "do not leak"));
    assert_null(strstr(all, "/evil"));
    assert_string_equal(env(start, "HOME"), "/data");
    assert_string_equal(env(start, "X"), "y");
    assert_string_equal(env(start, "PATH"), "/opt/trainyard/bin:/usr/bin:/bin");
    assert_string_equal(env(start, "SLURM_JOB_ID"), "42");
    assert_string_equal(env(start, "SLURM_NTASKS"), "3");
    assert_string_equal(env(start, "SLURM_RESTART_COUNT"), "1");
    assert_string_equal(env(start, "CUDA_VISIBLE_DEVICES"), "1,3");
    assert_string_equal(env(start, "SLURM_JOB_GPUS"), "1,3");
    assert_string_equal(env(start, "TRAINYARD_METRICS"), "/state/attempts/42.2/metrics.jsonl");
    /* The mark is only the beginning of the secret: a job's environment can be read by others of its user. */
    assert_string_equal(env(start, "TRAINYARD_ATTEMPT_MARK"), "5ec2e75ec2e75ec2");
    assert_null(strstr(all, "5ec2e75ec2e75ec2e75ec2e7"));
    free(all);
    json_decref(start);
}

static void a_batch_job_runs_its_script_with_its_words(void **state)
{
    (void)state;
    json_t *start = build("{\"kind\":\"batch\",\"argv\":[\"a b\",\"c\"]}", &site);
    const json_t *argv = json_object_get(start, "argv");
    assert_int_equal(json_array_size(argv), 3);
    assert_string_equal(json_string_value(json_array_get(argv, 0)), "/state/attempts/42.2/script.sh");
    assert_string_equal(json_string_value(json_array_get(argv, 1)), "a b");
    assert_string_equal(env(start, "CUDA_VISIBLE_DEVICES"), ""); /* GPUs that were not given are hidden */
    json_decref(start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_on_one_host_uses_shared_memory_only),
        cmocka_unit_test(what_the_orchestrator_named_is_not_named_again),
        cmocka_unit_test(several_hosts_use_tcp_and_our_remote_shell),
        cmocka_unit_test(more_ranks_than_cores_give_way_when_idle),
        cmocka_unit_test(the_environment_is_made_from_nothing),
        cmocka_unit_test(a_batch_job_runs_its_script_with_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
