#include "kernels/verify/checks.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"
#include "kernels/verify/probe.h"

bool check_failed(const struct verification *v, const char *name)
{
    for (size_t i = 0; i < v->f.count; i++)
        if (!strcmp(v->f.items[i].check, name))
            return true;
    return false;
}

void check_passed(struct verification *v, const char *name, const char *fmt, ...)
{
    double now = time_monotonic(), seconds = now - v->since;
    v->since = now;
    if (check_failed(v, name)) {
        for (size_t i = v->f.count; i-- > 0;)
            if (!strcmp(v->f.items[i].check, name)) {
                v->f.items[i].seconds = seconds;
                return;
            }
    }
    struct buf message = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&message, fmt, ap);
    va_end(ap);
    findings_add(&v->f, FINDING_PASSED, name, NULL, "%s", buf_str(&message))->seconds = seconds;
    buf_free(&message);
}

struct layer_library *load_layers(struct verification *v, struct err *err)
{
    struct layer_library *l = layer_library_create();
    for (int i = 0; i < v->o->layer_count; i++) {
        struct err own = {0};
        if (layer_library_load(l, v->o->layers[i], &v->f, &own) && own.code != ERR_UNPROCESSABLE) {
            *err = own;
            layer_library_destroy(l);
            return NULL;
        }
    }
    return l;
}

void rename_checks(struct findings *f, size_t from, const char *old_area, const char *new_area)
{
    size_t n = strlen(old_area);
    for (size_t i = from; i < f->count; i++) {
        char *name = f->items[i].check;
        if (strncmp(name, old_area, n) || name[n] != '.')
            continue;
        f->items[i].check = xasprintf("%s%s", new_area, name + n);
        free(name);
    }
}

static bool cost_fits(struct verification *v, const struct graph *g, const struct graph_cost *cost)
{
    int largest = 0;
    double most = -1;
    for (int i = 0; i < g->node_count; i++) {
        double n = 0;
        for (int k = 0; k < g->nodes[i].weight_count; k++)
            n += (double)shape_elements(&g->nodes[i].weights[k].shape);
        if (n > most) {
            most = n;
            largest = i;
        }
    }
    const struct layer_node *n = &g->nodes[largest];
    if ((double)cost->parameters > VERIFY_MAX_PARAMETERS) {
        struct finding *it = findings_add(&v->f, FINDING_FAILED, "model.cost", n->pointer,
                                          "the model has %.3g parameters, %.3g of them in layer \"%s\"",
                                          (double)cost->parameters, most, n->name);
        it->expected = xasprintf("at most %.3g", VERIFY_MAX_PARAMETERS);
        it->actual = xasprintf("%.3g", (double)cost->parameters);
        it->hint = xstrdup("a flatten before a wide dense layer is the usual reason: pool or stride first");
        return false;
    }
    if (cost->activation_bytes > VERIFY_MAX_ACTIVATIONS) {
        struct finding *it =
            findings_add(&v->f, FINDING_FAILED, "model.cost", NULL,
                         "one sample needs %.3g bytes of activations", cost->activation_bytes);
        it->expected = xasprintf("at most %.3g", VERIFY_MAX_ACTIVATIONS);
        it->actual = xasprintf("%.3g", cost->activation_bytes);
        return false;
    }
    return true;
}

static void run_graph(struct verification *v, const struct graph *g, const struct graph_cost *cost)
{
    double bytes = trainer_memory_bytes(g, NULL, 2), flops = 2 * (cost->forward_flops + cost->backward_flops);
    if (bytes <= VERIFY_PROBE_BYTES && flops <= VERIFY_PROBE_FLOPS) {
        trainer_probe_model(g, NULL, &v->f);
        check_passed(v, "model.run", "two samples ran forward and backward with finite values");
        check_passed(v, "model.gradients", "every weight gets a gradient");
        return;
    }
    char need[32];
    units_format_size((int64_t)(bytes < 9e18 ? bytes : 9e18), need, sizeof(need));
    struct finding *it =
        findings_add(&v->f, FINDING_WARNED, "model.run", NULL,
                     "not run here: two samples need %s of memory and %.3g operations", need, flops);
    it->hint = xstrdup("a model this large is first computed when it trains");
}

void check_graph(struct verification *v, const struct graph *g)
{
    struct graph_cost cost;
    char size[32];
    graph_cost(g, &cost);
    if (!cost_fits(v, g, &cost))
        return;
    units_format_size(cost.weight_bytes, size, sizeof(size));
    check_passed(v, "model.cost", "%lld parameters (%s), %.3g operations forward a sample",
                 (long long)cost.parameters, size, cost.forward_flops);
    run_graph(v, g, &cost);
}
