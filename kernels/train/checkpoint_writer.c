#include "kernels/train/checkpoint_writer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

enum state { IDLE, POSTED, DONE, FAILED, LEAVE };

struct checkpoint_writer {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum state state;
    char *dir;
    int64_t keep;
    /* while POSTED the thread's, otherwise the caller's */
    struct checkpoint_part *parts;
    char *copy;
    size_t part_count, part_room, room;
    bool best;
    struct checkpoint_done done;
    struct err err;
};

static enum state write_posted(struct checkpoint_writer *w)
{
    w->err = (struct err){0};
    int rc = checkpoint_write(w->dir, w->done.step, w->parts, w->part_count, w->keep, w->done.file, &w->err);
    if (!rc && w->best)
        rc = checkpoint_keep_best(w->dir, w->done.file, &w->err);
    return rc ? FAILED : DONE;
}

static void *work(void *context)
{
    struct checkpoint_writer *w = context;
    pthread_mutex_lock(&w->mutex);
    while (w->state != LEAVE) {
        if (w->state != POSTED) {
            pthread_cond_wait(&w->changed, &w->mutex);
            continue;
        }
        pthread_mutex_unlock(&w->mutex); /* nobody else touches the posted members meanwhile */
        enum state after = write_posted(w);
        pthread_mutex_lock(&w->mutex);
        w->state = after;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

struct checkpoint_writer *checkpoint_writer_create(const char *dir, int64_t keep, struct err *err)
{
    struct checkpoint_writer *w = xcalloc(1, sizeof(*w));
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, NULL);
    w->dir = xstrdup(dir);
    w->keep = keep;
    int rc = pthread_create(&w->thread, NULL, work, w);
    if (rc == 0)
        return w;
    err_set(err, ERR_LIMIT, "cannot start the thread that writes checkpoints: %s", strerror(rc));
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    free(w->dir);
    free(w);
    return NULL;
}

static void wait_idle(struct checkpoint_writer *w)
{
    while (w->state == POSTED)
        pthread_cond_wait(&w->changed, &w->mutex);
}

void checkpoint_writer_destroy(struct checkpoint_writer *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->mutex);
    wait_idle(w);
    w->state = LEAVE;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    free(w->parts);
    free(w->copy);
    free(w->dir);
    free(w);
}

/* Copy the parts one behind the other. */
static void copy_parts(struct checkpoint_writer *w, const struct checkpoint_part *parts, size_t count)
{
    size_t all = 0, at = 0;
    for (size_t i = 0; i < count; i++)
        all += (parts[i].bytes + 63) / 64 * 64;
    if (all > w->room) {
        free(w->copy);
        w->copy = xmalloc(all);
        w->room = all;
    }
    w->parts = vec_grow(w->parts, &w->part_room, count, sizeof(*w->parts));
    for (size_t i = 0; i < count; i++) {
        w->parts[i] = parts[i];
        w->parts[i].data = w->copy + at;
        if (parts[i].bytes)
            memcpy(w->copy + at, parts[i].data, parts[i].bytes);
        at += (parts[i].bytes + 63) / 64 * 64;
    }
    w->part_count = count;
}

/* What the thread has left, taken once. */
static int take(struct checkpoint_writer *w, struct checkpoint_done *done, struct err *err)
{
    enum state was = w->state;
    if (was != DONE && was != FAILED)
        return 0;
    w->state = IDLE;
    if (was == FAILED)
        return err_set(err, w->err.code, "%s", w->err.text);
    *done = w->done;
    return 1;
}

int checkpoint_writer_begin(struct checkpoint_writer *w, int64_t step, int64_t epoch,
                            const struct checkpoint_part *parts, size_t count, bool best, struct err *err)
{
    struct checkpoint_done before;
    pthread_mutex_lock(&w->mutex);
    wait_idle(w);
    int rc = take(w, &before, err);
    pthread_mutex_unlock(&w->mutex);
    if (rc < 0)
        return -1;
    copy_parts(w, parts, count);
    pthread_mutex_lock(&w->mutex);
    w->done = (struct checkpoint_done){.step = step, .epoch = epoch};
    w->best = best;
    w->state = POSTED;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    return 0;
}

int checkpoint_writer_poll(struct checkpoint_writer *w, struct checkpoint_done *done, struct err *err)
{
    pthread_mutex_lock(&w->mutex);
    int rc = take(w, done, err);
    pthread_mutex_unlock(&w->mutex);
    return rc;
}

int checkpoint_writer_wait(struct checkpoint_writer *w, struct checkpoint_done *done, struct err *err)
{
    pthread_mutex_lock(&w->mutex);
    wait_idle(w);
    int rc = take(w, done, err);
    pthread_mutex_unlock(&w->mutex);
    return rc;
}
