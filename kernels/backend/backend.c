#include "kernels/backend/backend.h"

#include <string.h>

static const struct {
    const char *name;
    struct backend *(*create)(int threads, struct err *err);
} backends[] = {
    {"cpu", backend_cpu_create},
    {"reference", backend_reference_create},
};

struct backend *backend_create(const char *name, int threads, struct err *err)
{
    for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
        if (!strcmp(backends[i].name, name))
            return backends[i].create(threads, err);
    if (!strcmp(name, "cuda"))
        err_set(err, ERR_UNSUPPORTED,
                "the cuda backend is not part of this version; there are: cpu, reference");
    else
        err_set(err, ERR_INVALID, "there is no backend \"%s\"; there are: cpu, reference", name);
    return NULL;
}

void backend_destroy(struct backend *b)
{
    if (b)
        b->destroy(b);
}

const struct op_impl *op_impl_of(const struct backend *b, const struct layer_node *n)
{
    return n->type->kernel ? b->user : b->find(b, n->type->name);
}

int op_plan(struct backend *b, struct op *op, struct err *err)
{
    op->backend = b;
    op->impl = op_impl_of(b, op->node);
    if (!op->impl)
        return err_set(err, ERR_UNSUPPORTED, "layer %s: the %s backend has no %s", op->node->name, b->name,
                       op->node->type->name);
    op->out = (struct op_tensor){.shape = op->node->shape, .dtype = op->node->dtype};
    op->backward_needs_in = op->backward_needs_out = true;
    op->kept_bytes = op->scratch_bytes = 0;
    if (op->impl->plan(op, err) < 0)
        return err_prefix(err, "layer %s", op->node->name);
    if (op->out.bytes == 0)
        op->out.bytes =
            (size_t)op->rows * (size_t)shape_elements(&op->out.shape) * (size_t)dtype_size(op->out.dtype);
    return 0;
}

void op_release(struct op *op)
{
    if (op->impl && op->impl->release)
        op->impl->release(op);
    op->impl = NULL;
}
