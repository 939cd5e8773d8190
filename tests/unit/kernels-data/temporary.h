/* A folder for a test program's files, and writing them. */
#ifndef TESTS_KERNELS_DATA_TEMPORARY_H
#define TESTS_KERNELS_DATA_TEMPORARY_H

#include "../kernels-spec/expect.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static char *folder;

static inline int make_folder(void **state)
{
    (void)state;
    folder = xstrdup("/tmp/trainyard-data-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    (void)state;
    dir_remove(folder, NULL);
    free(folder);
    return 0;
}

/* Write a file into the folder; its path, which stays valid for eight more calls. */
static inline const char *write_file(const char *name, const void *data, size_t n)
{
    static char paths[8][256];
    static int turn;
    char *path = paths[turn++ % 8];
    snprintf(path, 256, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, data, n), 0);
    close(fd);
    return path;
}

#endif
