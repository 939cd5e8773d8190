/* Batch scripts: which words their directives hold, and what those words ask for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/batch.h"
#include "cli/directives.h"

static void expect_words(const char *script, const char *joined)
{
    struct directives d;
    struct err err = {0};
    char all[512] = "";
    assert_int_equal(directives_read(script, &d, &err), 0);
    for (int i = 0; i < d.count; i++) {
        strcat(all, i ? "|" : "");
        strcat(all, d.words[i]);
    }
    assert_string_equal(all, joined);
    directives_free(&d);
}

static void directives_are_words_as_a_shell_has_them(void **state)
{
    (void)state;
    expect_words("", "");
    expect_words("#!/bin/sh\n#SBATCH -J a --time=5\necho\n", "-J|a|--time=5");
    expect_words("#!/bin/sh\n\n# a comment\n#TRAINYARD\t-n 4\n  \n#SBATCH -c 2", "-n|4|-c|2");
    expect_words("#!/bin/sh\n#SBATCH --job-name=\"a b\" -J 'c \"d' e\\ f # all that is said\n",
                 "--job-name=a b|-J|c \"d|e f");
    expect_words("#!/bin/sh\r\n#SBATCH -n 4\r\n", "-n|4");
    expect_words("#!/bin/sh\necho first\n#SBATCH -n 4\n", ""); /* the first command ends them */
    expect_words("#!/bin/sh\n##SBATCH -n 4\n#SBATCHES\n # SBATCH -n 4\n#SBATCH\n", "");
    expect_words("#!/bin/sh\n#SBATCH --comment=a#b\n", "--comment=a#b");
}

static void an_open_quote_is_named_with_its_line(void **state)
{
    (void)state;
    struct directives d;
    struct err err = {0};
    assert_int_equal(directives_read("#!/bin/sh\n\n#SBATCH -J 'a\n", &d, &err), -1);
    assert_string_equal(err.text, "line 3: a quote is not closed");
    directives_free(&d);
}

static void hostile_scripts_are_bounded(void **state)
{
    (void)state;
    size_t n = 3 * 5000 + 64;
    char *script = xcalloc(n, 1);
    strcpy(script, "#SBATCH");
    for (int i = 0; i < 5000; i++)
        memcpy(script + 7 + 3 * i, " -a", 3);
    struct directives d;
    struct err err = {0};
    assert_int_equal(directives_read(script, &d, &err), -1);
    directives_free(&d);
    free(script);
}

/* The body of a script with these lines, or the error. */
static void expect_body(const char *lines, const char *body_or_error)
{
    struct directives d;
    struct batch b;
    struct err err = {0};
    json_t *body = json_object();
    batch_init(&b);
    int rc = directives_read(lines, &d, &err) || batch_directives(&b, &d, &err) || batch_body(&b, body, &err);
    char *text = rc ? xstrdup(err.text) : json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, body_or_error);
    free(text);
    json_decref(body);
    batch_free(&b);
    directives_free(&d);
}

static void directives_ask_for_what_sbatch_would(void **state)
{
    (void)state;
    expect_body("", "{\"resources\":{\"cores_per_rank\":1,\"ranks\":1}}");
    expect_body("#SBATCH -J x -n4 -c 2 --mem=1G -t 1-2 -p default\n",
                "{\"name\":\"x\",\"resources\":{\"cores_per_rank\":2,\"memory_bytes\":1073741824,"
                "\"partition\":\"default\","
                "\"ranks\":4},\"time_limit_seconds\":93600}");
    expect_body(
        "#SBATCH --nodes=2 --ntasks-per-node=4 --gres=gpu:4 --mem 10\n",
        "{\"resources\":{\"cores_per_rank\":1,\"gpus_per_rank\":1,\"memory_bytes\":20971520,\"ranks\":8}}");
    expect_body("#SBATCH -N2\n#SBATCH --mem-per-cpu=1K --cpus-per-task=3 --nice=7 -H\n",
                "{\"held\":true,\"priority\":-7,\"resources\":{\"cores_per_rank\":3,\"memory_bytes\":6144,"
                "\"ranks\":2}}");
    expect_body(
        "#SBATCH --export=NONE,A=b,C=d=e --mail-type=END -o out.%j\n",
        "{\"environment\":{\"A\":\"b\",\"C\":\"d=e\"},\"resources\":{\"cores_per_rank\":1,\"ranks\":1}}");
    expect_body("#SBATCH -n 1\n#SBATCH -n 3\n", "{\"resources\":{\"cores_per_rank\":1,\"ranks\":3}}");
}

static void what_cannot_be_is_refused_with_its_line(void **state)
{
    (void)state;
    expect_body("#!/bin/sh\n#SBATCH --tiem=5\n",
                "line 2: there is no option \"--tiem\"; did you mean \"--time\"?");
    expect_body("#SBATCH -n\n#SBATCH -c 2\n", "line 1: --ntasks wants a value");
    expect_body("#SBATCH -n x\n", "line 1: --ntasks: \"x\" is not a number from 1 to 1048576");
    expect_body("#SBATCH -n 99999999999999999999\n",
                "line 1: --ntasks: \"99999999999999999999\" is not a number from 1 to 1048576");
    expect_body("#SBATCH words\n", "line 1: \"words\" is no option");
    expect_body("#SBATCH --array=1-5\n",
                "line 1: --array: is not supported here, and the job would go wrong without it");
    expect_body("#SBATCH --gres=fpga:1\n",
                "line 1: --gres: \"fpga:1\": the only generic resource here is gpu, as gpu:2");
    expect_body("#SBATCH --hold=yes\n", "line 1: --hold takes no value");
    expect_body("#SBATCH -n 3 --gpus=4\n", "4 GPUs cannot be divided among 3 tasks; ask for as many tasks");
    expect_body("#SBATCH -N 1000000 --mem 1000T\n", "that much memory on each of so many is more than 1 PiB");
    expect_body("#SBATCH -N 1000000 --ntasks-per-node 1000000\n",
                "1000000000000 tasks of 1 cores are too many");
}

static void times_and_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value; /* -1: refused */
    } times[] = {{"5", 300},
                 {"5:30", 330},
                 {"1:0:0", 3600},
                 {"51:00:00", 183600},
                 {"1-0", 86400},
                 {"1-2:3", 93780},
                 {"1-2:3:4", 93784},
                 {"0", 0},
                 {"UNLIMITED", 0},
                 {"", -1},
                 {"x", -1},
                 {"1:", -1},
                 {"1-", -1},
                 {"-1", -1},
                 {"1:2:3:4", -1},
                 {"5m", -1},
                 {"99999999999999999999", -1}},
      sizes[] = {{"1024", 1024LL << 20},
                 {"500M", 500LL << 20},
                 {"1GB", 1LL << 30},
                 {"27g", 27LL << 30},
                 {"1048576K", 1LL << 30},
                 {"0", 0},
                 {"1.5G", -1},
                 {"G", -1},
                 {"1X", -1},
                 {"", -1},
                 {"99999999T", -1}};
    struct err err = {0};
    int64_t v;
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        int rc = batch_time(times[i].text, &v, &err);
        assert_int_equal(rc ? -1 : v, times[i].value);
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        int rc = batch_memory(sizes[i].text, &v, &err);
        assert_int_equal(rc ? -1 : v, sizes[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directives_are_words_as_a_shell_has_them),
        cmocka_unit_test(an_open_quote_is_named_with_its_line),
        cmocka_unit_test(hostile_scripts_are_bounded),
        cmocka_unit_test(directives_ask_for_what_sbatch_would),
        cmocka_unit_test(what_cannot_be_is_refused_with_its_line),
        cmocka_unit_test(times_and_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
