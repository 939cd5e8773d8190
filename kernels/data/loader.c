/* The loader: one thread fills a ring of batches, the owner takes them. Features are copied (and
 * standardised) out of the map by the thread, so page faults of a dataset larger than memory happen there and
 * not in the training step. */
#include "kernels/data/loader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/data/pack.h"

#define RING_MOST 64

struct loader {
    const struct dataset *d;
    struct loader_options o;
    enum dtype dtype;
    int64_t samples, per_epoch, capacity, elements;
    struct loader_batch ring[RING_MOST];
    int slots;
    uint8_t *scratch;    /* one augmented sample, of the thread; NULL: nothing is augmented */
    int64_t made, taken; /* batches finished by the thread; given back by the owner, who holds the next one */
    int64_t epoch, batch, left; /* next to make; epochs left, -1: endless */
    bool ended, stop, held;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* ---- making a batch ---- */

/* Classes of one sample. */
static int64_t class_count(const struct loader *l)
{
    return l->d->info.stream ? l->d->info.target_length : 1;
}

static const uint8_t *augmented(const struct loader *l, int64_t epoch, int64_t sample, const uint8_t *from)
{
    const int64_t *dim = l->d->info.feature_shape.dim;
    augment_image(&l->o.augment, l->o.seed, epoch, sample, (int)dim[0], (int)dim[1], (int)dim[2], from,
                  l->scratch);
    return l->scratch;
}

static void copy_features(const struct loader *l, int64_t epoch, int64_t sample, int64_t row,
                          struct loader_batch *b)
{
    const struct dataset_info *info = &l->d->info;
    size_t bytes = dataset_feature_bytes(info);
    const uint8_t *from = (const uint8_t *)l->d->features[l->o.split] + (size_t)sample * bytes;
    if (l->scratch)
        from = augmented(l, epoch, sample, from);
    if (l->dtype == info->feature_dtype && !info->column_mean) {
        memcpy((uint8_t *)b->features + (size_t)row * bytes, from, bytes);
        return;
    }
    float *to = (float *)b->features + row * l->elements;
    const float *values = (const void *)from;
    for (int64_t i = 0; i < l->elements; i++)
        to[i] = info->feature_dtype == DTYPE_U8 ? (float)from[i]
                                                : (values[i] - info->column_mean[i]) / info->column_std[i];
}

/* Where window `at` of an epoch begins: the starts form a ring, turned by a random step each epoch. */
static int64_t window_start(const struct loader *l, int64_t epoch, int64_t at)
{
    int64_t length = l->d->info.target_length, starts = l->d->info.stream_tokens[l->o.split] - length;
    if (!l->o.shuffle)
        return at * length;
    int64_t turn = loader_order(l->o.seed, -3 - epoch, starts, 0);
    return (loader_order(l->o.seed, epoch, l->samples, at) * length + turn) % starts;
}

static void copy_window(const struct loader *l, int64_t start, int64_t row, struct loader_batch *b)
{
    int64_t length = l->d->info.target_length;
    int32_t *in = (int32_t *)b->features + row * length, *out = b->classes + row * length;
    for (int64_t i = 0; i <= length; i++) {
        int32_t token = dataset_token(l->d, l->o.split, start + i);
        if (i < length)
            in[i] = token;
        if (i > 0)
            out[i - 1] = token;
    }
}

static void copy_target(const struct loader *l, int64_t sample, int64_t row, struct loader_batch *b)
{
    const struct dataset_info *info = &l->d->info;
    if (b->classes)
        b->classes[row] = ((const int32_t *)l->d->targets[l->o.split])[sample];
    if (b->values)
        memcpy(b->values + row * info->target_width,
               (const float *)l->d->targets[l->o.split] + sample * info->target_width,
               (size_t)info->target_width * sizeof(float));
}

static void make_batch(const struct loader *l, int64_t epoch, int64_t index, struct loader_batch *b)
{
    int64_t first = index * l->o.batch, total = l->samples - first;
    if (total > l->o.batch)
        total = l->o.batch;
    int64_t from = first + total * l->o.rank / l->o.ranks, to = first + total * (l->o.rank + 1) / l->o.ranks;
    b->epoch = epoch;
    b->index = index;
    b->global_count = total;
    b->count = to - from;
    for (int64_t i = 0; i < b->count; i++) {
        if (l->d->info.stream) {
            copy_window(l, window_start(l, epoch, from + i), i, b);
            continue;
        }
        int64_t sample = l->o.shuffle ? loader_order(l->o.seed, epoch, l->samples, from + i) : from + i;
        copy_features(l, epoch, sample, i, b);
        copy_target(l, sample, i, b);
    }
    size_t each = (size_t)l->elements * (size_t)dtype_size(l->dtype);
    memset((uint8_t *)b->features + (size_t)b->count * each, 0, (size_t)(l->capacity - b->count) * each);
    for (int64_t i = b->count; i < l->capacity; i++) {
        for (int64_t k = 0; b->classes && k < class_count(l); k++)
            b->classes[i * class_count(l) + k] = -1;
        if (b->values)
            memset(b->values + i * l->d->info.target_width, 0,
                   (size_t)l->d->info.target_width * sizeof(float));
    }
}

/* ---- the thread ---- */

static void advance(struct loader *l)
{
    if (++l->batch < l->per_epoch)
        return;
    l->batch = 0;
    l->epoch++;
    if (l->left > 0 && --l->left == 0)
        l->ended = true;
}

static void *run(void *arg)
{
    struct loader *l = arg;
    pthread_mutex_lock(&l->lock);
    while (!l->stop && !l->ended) {
        if (l->made - l->taken >= l->slots) {
            pthread_cond_wait(&l->changed, &l->lock);
            continue;
        }
        struct loader_batch *b = &l->ring[l->made % l->slots];
        int64_t epoch = l->epoch, batch = l->batch;
        pthread_mutex_unlock(&l->lock);
        make_batch(l, epoch, batch, b);
        pthread_mutex_lock(&l->lock);
        l->made++;
        advance(l);
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void stop_thread(struct loader *l)
{
    if (!l->running)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    l->running = false;
    l->stop = false;
}

/* ---- the owner's side ---- */

static int check_options(const struct dataset *d, struct loader_options *o, struct err *err)
{
    if (o->ranks < 1)
        o->ranks = 1;
    if (o->split < 0 || o->split >= SPLIT_COUNT || d->info.samples[o->split] < 1)
        return err_set(err, ERR_INVALID, "the dataset has no samples in the %s split",
                       o->split == SPLIT_TEST ? "test" : "train");
    if (o->rank < 0 || o->rank >= o->ranks || o->batch < o->ranks)
        return err_set(err, ERR_INVALID, "a batch of %lld cannot be split over %d ranks", (long long)o->batch,
                       o->ranks);
    const struct shape *shape = &d->info.feature_shape;
    if (o->augment.on && (d->info.feature_dtype != DTYPE_U8 || shape->rank != 3 ||
                          shape->dim[1] > INT16_MAX || shape->dim[2] > INT16_MAX))
        return err_set(err, ERR_INVALID, "only images can be augmented, and the dataset holds none");
    return 0;
}

static void make_ring(struct loader *l)
{
    size_t each = (size_t)l->elements * (size_t)dtype_size(l->dtype), rows = (size_t)l->capacity;
    for (int i = 0; i < l->slots; i++) {
        struct loader_batch *b = &l->ring[i];
        b->features = aligned_alloc(64, (rows * each + 63) / 64 * 64);
        if (!b->features)
            abort();
        if (l->d->info.target == TARGET_CLASS)
            b->classes = xcalloc(rows * (size_t)class_count(l), sizeof(int32_t));
        if (l->d->info.target == TARGET_VALUE)
            b->values = xcalloc(rows * (size_t)l->d->info.target_width, sizeof(float));
    }
}

struct loader *loader_create(const struct dataset *d, const struct loader_options *options, struct err *err)
{
    struct loader_options o = *options;
    if (check_options(d, &o, err))
        return NULL;
    struct loader *l = xcalloc(1, sizeof(*l));
    l->d = d;
    l->samples = d->info.samples[o.split];
    /* A batch larger than the split would only be empty rows. */
    if (o.batch > l->samples)
        o.batch = l->samples > o.ranks ? l->samples : o.ranks;
    l->o = o;
    l->elements = shape_elements(&d->info.feature_shape);
    l->dtype = o.as_float && d->info.token_unit == TOKENS_NONE ? DTYPE_F32 : d->info.feature_dtype;
    l->per_epoch =
        o.drop_last && l->samples >= o.batch ? l->samples / o.batch : (l->samples + o.batch - 1) / o.batch;
    l->capacity = (o.batch + o.ranks - 1) / o.ranks;
    int ahead = o.prefetch > 0 ? o.prefetch : 3;
    l->slots = (ahead < RING_MOST - 1 ? ahead : RING_MOST - 1) + 1;
    l->left = o.epochs > 0 ? o.epochs : -1;
    double bytes = (double)l->capacity * (double)l->elements * dtype_size(l->dtype) * l->slots;
    if (bytes > 64.0 * (1 << 30)) {
        err_set(err, ERR_TOO_LARGE,
                "batches of %lld samples need %.0f GiB ahead of the training: make batch_size smaller",
                (long long)o.batch, bytes / (1 << 30));
        free(l);
        return NULL;
    }
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    make_ring(l);
    if (o.augment.on)
        l->scratch = xmalloc(dataset_feature_bytes(&d->info));
    return l;
}

void loader_destroy(struct loader *l)
{
    if (!l)
        return;
    stop_thread(l);
    for (int i = 0; i < l->slots; i++) {
        free(l->ring[i].features);
        free(l->ring[i].classes);
        free(l->ring[i].values);
    }
    free(l->scratch);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->changed);
    free(l);
}

int64_t loader_capacity(const struct loader *l)
{
    return l->capacity;
}

int64_t loader_batches_per_epoch(const struct loader *l)
{
    return l->per_epoch;
}

enum dtype loader_dtype(const struct loader *l)
{
    return l->dtype;
}

void loader_seek(struct loader *l, int64_t epoch, int64_t batch)
{
    stop_thread(l);
    l->made = l->taken = 0;
    l->held = l->ended = false;
    l->epoch = epoch;
    l->batch = batch;
    l->left = l->o.epochs > 0 ? l->o.epochs : -1;
    if (l->batch >= l->per_epoch) {
        l->epoch += l->batch / l->per_epoch;
        l->batch %= l->per_epoch;
    }
}

const struct loader_batch *loader_next(struct loader *l)
{
    const struct loader_batch *b = NULL;
    if (!l->running && !l->ended) {
        if (pthread_create(&l->thread, NULL, run, l))
            abort();
        l->running = true;
    }
    pthread_mutex_lock(&l->lock);
    if (l->held)
        l->taken++; /* the owner is done with the one before */
    l->held = false;
    pthread_cond_broadcast(&l->changed);
    while (l->made == l->taken && !l->ended)
        pthread_cond_wait(&l->changed, &l->lock);
    if (l->made > l->taken) {
        b = &l->ring[l->taken % l->slots];
        l->held = true;
    }
    pthread_mutex_unlock(&l->lock);
    return b;
}
