/* Helpers to say what findings a test expects. */
#ifndef TESTS_KERNELS_SPEC_EXPECT_H
#define TESTS_KERNELS_SPEC_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/finding.h"

static inline void print_findings(const struct findings *f)
{
    for (size_t i = 0; i < f->count; i++)
        print_message("  %s %s %d:%d: %s [%s]\n", f->items[i].check,
                      f->items[i].pointer ? f->items[i].pointer : "-", f->items[i].line, f->items[i].column,
                      f->items[i].message, f->items[i].hint ? f->items[i].hint : "");
}

/* The failed or warned finding at pointer whose message or hint holds text; fails the test when there is
 * none. */
static inline const struct finding *expect_finding(const struct findings *f, const char *check,
                                                   const char *pointer, const char *text)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct finding *it = &f->items[i];
        if (it->status == FINDING_PASSED || strcmp(it->check, check) ||
            (pointer && (!it->pointer || strcmp(it->pointer, pointer))))
            continue;
        if (strstr(it->message, text) || (it->hint && strstr(it->hint, text)))
            return it;
    }
    print_findings(f);
    fail_msg("no finding %s at %s with \"%s\"", check, pointer ? pointer : "(any)", text);
    return NULL;
}

static inline size_t failed_count(const struct findings *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->count; i++)
        n += f->items[i].status == FINDING_FAILED;
    return n;
}

#endif
