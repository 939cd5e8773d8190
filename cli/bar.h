/* bar: one line of progress on standard error, redrawn in place; silent when that is no terminal. */
#ifndef CLI_BAR_H
#define CLI_BAR_H

#include <stdbool.h>
#include <stdint.h>

struct bar {
    bool on;
    const char *label;
    double began, drawn;
};

void bar_begin(struct bar *b, bool on, const char *label);
void bar_bytes(struct bar *b, int64_t now, int64_t total); /* total < 0: not known */
/* Any text beside a fraction 0..1 (negative: no bar). */
void bar_text(struct bar *b, double fraction, const char *text);
void bar_clear(struct bar *b); /* wipe the line: before other output, and in the end */

#endif
