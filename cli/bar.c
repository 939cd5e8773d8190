#include "cli/bar.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "base/units.h"
#include "cli/table.h"

#define WIDTH 24

void bar_begin(struct bar *b, bool on, const char *label)
{
    *b = (struct bar){.on = on, .label = label, .began = time_monotonic()};
}

static int columns(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

void bar_text(struct bar *b, double fraction, const char *text)
{
    double now = time_monotonic();
    if (!b->on || (now - b->drawn < 0.1 && fraction < 1))
        return;
    b->drawn = now;
    char line[512], blocks[WIDTH * 3 + 1] = "";
    if (fraction >= 0) {
        int full = (int)((fraction > 1 ? 1 : fraction) * WIDTH + 0.5);
        for (int i = 0; i < WIDTH; i++)
            strcat(blocks, i < full ? "█" : "·");
    }
    snprintf(line, sizeof line, "%s %s %s", b->label, blocks, text);
    int room = columns() - 1;
    while (text_width(line) > room) { /* cut whole characters from the end */
        size_t n = strlen(line);
        do
            line[--n] = '\0';
        while (n && (line[n - 1] & 0xc0) == 0x80);
        if (n && (line[n - 1] & 0x80))
            line[n - 1] = '\0';
    }
    fprintf(stderr, "\r\033[K%s", line);
    fflush(stderr);
}

void bar_bytes(struct bar *b, int64_t now, int64_t total)
{
    if (!b->on)
        return;
    char done[32], all[32], rate[32], text[160];
    double seconds = time_monotonic() - b->began;
    units_format_size(now, done, sizeof done);
    units_format_size(total, all, sizeof all);
    units_format_size(seconds > 0 ? (int64_t)((double)now / seconds) : 0, rate, sizeof rate);
    if (total < 0)
        snprintf(text, sizeof text, "%s  %s/s", done, rate);
    else
        snprintf(text, sizeof text, "%s of %s  %s/s", done, all, rate);
    bar_text(b, total > 0 ? (double)now / (double)total : -1, text);
}

void bar_clear(struct bar *b)
{
    if (b->on && b->drawn > 0)
        fputs("\r\033[K", stderr);
    fflush(stderr);
    b->drawn = 0;
}
