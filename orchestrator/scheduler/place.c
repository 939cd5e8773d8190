/* Placement: all ranks or none. One node if one has room, else the fewest. What is left should stay useful:
 * jobs without GPUs keep away from nodes that have them, and of those that would do the fullest is taken. */
#include <stdlib.h>

#include "base/mem.h"
#include "orchestrator/scheduler/internal.h"

static int64_t need(const struct sched_request *r, int kind)
{
    return kind == CORES ? r->cores_per_rank : kind == MEMORY ? r->memory_per_rank : r->gpus_per_rank;
}

/* How many ranks fit, at most r->ranks. */
int64_t place_room(const struct node *n, const struct amount *used, const struct sched_request *r)
{
    int64_t fits = n->known && n->usable ? r->ranks : 0;
    for (int k = 0; k < KINDS && fits > 0; k++) {
        int64_t have = n->all.of[k] - used->of[k], one = need(r, k);
        if (one > 0 && have < one * fits)
            fits = have > 0 ? have / one : 0;
    }
    return fits;
}

void place_charge(struct amount *used, const struct sched_request *r, const struct part *parts, int count,
                  int sign)
{
    for (int i = 0; i < count; i++)
        for (int k = 0; k < KINDS; k++)
            used[parts[i].node].of[k] += sign * parts[i].ranks * need(r, k);
}

void place_used(const struct scheduler *s, struct amount *out)
{
    for (size_t i = 0; i < s->node_count; i++)
        out[i] = s->nodes[i].used;
}

/* Ranks that fit from `from` until `to`: use only grows where a reservation starts, so those are the moments to
 * look at. */
static int64_t room_over(const struct scheduler *s, size_t node, const struct sched_request *r,
                         const struct amount *used, double from, double to)
{
    int64_t room = place_room(&s->nodes[node], &used[node], r);
    for (int i = 0; i < s->planned && room > 0; i++) {
        const struct reservation *v = &s->plan[i];
        if (v->starts > from && v->starts < to) {
            int64_t then = place_room(&s->nodes[node], &v->used[node], r);
            room = then < room ? then : room;
        }
    }
    return room;
}

struct roomy {
    int node;
    int64_t room;
};

static int by_room(const void *a, const void *b)
{
    const struct roomy *x = a, *y = b;
    if (x->room != y->room)
        return x->room > y->room ? -1 : 1;
    return x->node - y->node;
}

/* Is a a better single node for r than b? */
static bool better(const struct scheduler *s, const struct sched_request *r, const struct amount *used, int a,
                   int b)
{
    const struct node *x = &s->nodes[a], *y = &s->nodes[b];
    if (r->gpus_per_rank == 0 && (x->all.of[GPUS] > 0) != (y->all.of[GPUS] > 0))
        return x->all.of[GPUS] == 0;
    static const int order[] = {GPUS, CORES, MEMORY};
    for (int i = 0; i < KINDS; i++) {
        int64_t p = x->all.of[order[i]] - used[a].of[order[i]],
                q = y->all.of[order[i]] - used[b].of[order[i]];
        if (p != q)
            return p < q;
    }
    return false; /* the one told of first */
}

int place_fit(const struct scheduler *s, const struct sched_request *r, const struct amount *used,
              double from, double to, struct part *out)
{
    struct roomy *list = r->ranks > 1 ? xcalloc(s->node_count + 1, sizeof(*list)) : NULL;
    size_t count = 0;
    int best = -1, parts = 0;
    int64_t total = 0;
    for (size_t i = 0; i < s->node_count; i++) {
        int64_t room = room_over(s, i, r, used, from, to);
        if (room >= r->ranks && (best < 0 || better(s, r, used, (int)i, best)))
            best = (int)i;
        if (room > 0 && list)
            list[count++] = (struct roomy){(int)i, room};
        total += room;
    }
    if (best >= 0) {
        out[parts++] = (struct part){best, r->ranks};
    } else if (total >= r->ranks && list) {
        int64_t left = r->ranks;
        qsort(list, count, sizeof(*list), by_room);
        for (size_t i = 0; left > 0; i++) {
            int64_t take = list[i].room < left ? list[i].room : left;
            out[parts++] = (struct part){list[i].node, take};
            left -= take;
        }
    }
    free(list);
    return parts;
}
