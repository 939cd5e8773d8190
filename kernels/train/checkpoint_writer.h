/* checkpoint_writer: checkpoints written by a thread while training goes on.
 *
 * begin copies the parts (memory speed) and returns; the thread writes, syncs and renames. At most one checkpoint is under way: a begin
 * that finds one waits for it, so a disk that is slower than the checkpoints slows training down instead of filling memory. The
 * copies are kept from one checkpoint to the next.
 *
 *     training thread                      writer thread
 *     begin: wait until idle, copy, post -> write, keep best
 *     poll, wait                        <- done, or failed and why
 *
 * All functions belong to one thread. Everything shared is under one mutex.
 */
#ifndef KERNELS_TRAIN_CHECKPOINT_WRITER_H
#define KERNELS_TRAIN_CHECKPOINT_WRITER_H

#include <stdbool.h>
#include "kernels/train/checkpoint.h"

struct checkpoint_writer;

/* A checkpoint that is durable. */
struct checkpoint_done {
    int64_t step, epoch;
    char file[64];
};

/* dir is copied. Signals that the caller has blocked are blocked in the thread. NULL with err when no thread could be started. */
struct checkpoint_writer *checkpoint_writer_create(const char *dir, int64_t keep, struct err *err);
/* Waits for what is under way. NULL is legal. */
void checkpoint_writer_destroy(struct checkpoint_writer *w);

/* Begin to write step's checkpoint; parts may change as soon as this returns. best: it is the best one from now on. -1 with err
 * when the one before failed; then nothing is begun. */
int checkpoint_writer_begin(struct checkpoint_writer *w, int64_t step, int64_t epoch,
                            const struct checkpoint_part *parts, size_t count, bool best, struct err *err);
/* Did one become durable since the last call? 1 and *done; 0; -1 with err when it failed (said once). Does not wait. */
int checkpoint_writer_poll(struct checkpoint_writer *w, struct checkpoint_done *done, struct err *err);
/* The same, but waits until nothing is under way. */
int checkpoint_writer_wait(struct checkpoint_writer *w, struct checkpoint_done *done, struct err *err);

#endif
