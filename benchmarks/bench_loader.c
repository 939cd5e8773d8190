/* How fast batches come out of a packed dataset, without and with augmentation:
 *   bench_loader PACK [BATCH]       (make PACK with trainyard-train verify dataset FILE --pack PACK)
 * One line a run: the samples a second that the loader's one thread prepares. Peer: torch_loader.py. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kernels/data/loader.h"

#define RUNS 5

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int measure(const struct dataset *d, const struct loader_options *o)
{
    struct err err = {0};
    struct loader *l = loader_create(d, o, &err);
    int64_t samples = 0;
    if (!l) {
        fprintf(stderr, "bench_loader: %s\n", err.text);
        return -1;
    }
    loader_next(l);
    double began = seconds();
    for (int64_t i = 1; i < loader_batches_per_epoch(l); i++)
        samples += loader_next(l)->count;
    printf("%s: %.0f samples/s\n", o->augment.on ? "crop and flip" : "as they are",
           (double)samples / (seconds() - began));
    loader_destroy(l);
    return 0;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct dataset *d = argc > 1 ? dataset_open(argv[1], false, &err) : NULL;
    if (!d) {
        fprintf(stderr, "bench_loader: %s\n", argc > 1 ? err.text : "usage: bench_loader PACK [BATCH]");
        return 2;
    }
    struct loader_options o = {
        .batch = argc > 2 ? strtol(argv[2], NULL, 10) : 128, .seed = 1, .shuffle = true, .as_float = true};
    int rc = 0;
    for (int i = 0; i < RUNS && !rc; i++)
        rc = measure(d, &o);
    o.augment = (struct augment){.on = true, .crop_padding = 4, .flip = 0.5};
    for (int i = 0; i < RUNS && !rc && d->info.feature_dtype == DTYPE_U8; i++)
        rc = measure(d, &o);
    dataset_close(d);
    return rc ? 1 : 0;
}
