#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/cgroup.h"

static const char v1_mounts[] =
    "25 20 0:22 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro\n"
    "26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw shared:8 - cgroup cgroup rw,cpu,cpuacct\n"
    "27 25 0:24 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
    "28 25 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
static const char v1_self[] =
    "4:memory:/user.slice/a\n3:cpu,cpuacct:/\n1:name=systemd:/x\n0::/user.slice/b\n";

static void paths_join_the_mount_and_our_own_group(void **state)
{
    (void)state;
    char *p = cgroup_path(v1_mounts, v1_self, "memory");
    assert_string_equal(p, "/sys/fs/cgroup/memory/user.slice/a");
    free(p);
    p = cgroup_path(v1_mounts, v1_self, "cpu");
    assert_string_equal(p, "/sys/fs/cgroup/cpu,cpuacct");
    free(p);
    p = cgroup_path(v1_mounts, v1_self, NULL);
    assert_string_equal(p, "/sys/fs/cgroup/unified/user.slice/b");
    free(p);
    assert_null(cgroup_path(v1_mounts, v1_self, "freezer"));
    assert_null(cgroup_path(v1_mounts, v1_self, "cpua"));
}

static void a_container_sees_only_the_part_below_its_mount(void **state)
{
    (void)state;
    const char *mounts = "9 8 0:23 /docker/abc /sys/fs/cgroup/memory ro master:11 - cgroup cgroup rw,memory\n"
                         "7 8 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
    char *p = cgroup_path(mounts, "4:memory:/docker/abc\n0::/\n", "memory");
    assert_string_equal(p, "/sys/fs/cgroup/memory");
    free(p);
    p = cgroup_path(mounts, "4:memory:/docker/abc/job\n0::/\n", "memory");
    assert_string_equal(p, "/sys/fs/cgroup/memory/job");
    free(p);
    p = cgroup_path(mounts, "4:memory:/docker/abc\n0::/\n", NULL);
    assert_string_equal(p, "/sys/fs/cgroup");
    free(p);
}

static void broken_texts_give_nothing(void **state)
{
    (void)state;
    assert_null(cgroup_path("", "", NULL));
    assert_null(cgroup_path("no dash here\n - cgroup2\n1 2 3 - cgroup2 x\n", "0::/\n", NULL));
    assert_null(cgroup_path(v1_mounts, "nonsense\n:::\n4:memory\n", "memory"));
}

static void a_site_survives_its_json(void **state)
{
    (void)state;
    struct cgroup_site site, back;
    cgroup_detect(&site);
    json_t *o = cgroup_site_json(&site);
    cgroup_site_from_json(&back, o);
    assert_int_equal(back.version, site.version);
    for (int i = 0; i < CGROUP_USES; i++) {
        assert_int_equal(back.dir[i] != NULL, site.dir[i] != NULL);
        if (site.dir[i])
            assert_string_equal(back.dir[i], site.dir[i]);
    }
    json_decref(o);
    cgroup_site_clear(&site);
    cgroup_site_clear(&back);
    cgroup_site_from_json(&back, NULL);
    assert_int_equal(back.version, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_join_the_mount_and_our_own_group),
        cmocka_unit_test(a_container_sees_only_the_part_below_its_mount),
        cmocka_unit_test(broken_texts_give_nothing),
        cmocka_unit_test(a_site_survives_its_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
